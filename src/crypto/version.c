/* Versions of libraries. Any thread. */
#include "crypto/version.h"

#include <openssl/crypto.h>

const char *mg_version_openssl(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}
