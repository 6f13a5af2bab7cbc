#include "tls/accel.h"
void mg_tls_accel_start(const char *s)
{
    (void)s;
}
const char *mg_tls_accel_summary(void)
{
    return "off";
}
bool mg_tls_accel_key(mbedtls_pk_context *pk)
{
    (void)pk;
    return false;
}
