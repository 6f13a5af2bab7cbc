/* Private keys from files as people have them. */
#ifndef MG_TLS_KEY_H
#define MG_TLS_KEY_H

#include <mbedtls/pk.h>

#include "base/error.h"
#include "base/str.h"

/* Sets up `key`, which has been init'd, with the private key in the PEM text: PKCS #1, SEC 1 or
 * PKCS #8; encrypted ones with `password`, which may be empty. MG_FAIL with the reason, `key` then
 * wants mbedtls_pk_free() as ever: no key, password missing or wrong, RSA below 2048 bits, a curve
 * that TLS has no use for. No copy of the secret stays. */
enum mg_rc mg_tls_key_parse(mbedtls_pk_context *key, struct mg_str pem, struct mg_str password,
                            struct mg_error *err) MG_MUST_CHECK;

#endif
