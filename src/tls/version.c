/* Version of the library. Any thread. */
#include "tls/version.h"

#include "tls/library.h"

const char *mg_version_mbedtls(void)
{
    return mg_tls_library_version();
}
