/*
 * A certificate chain and its private key. Each worker parses its own: the library locks a key
 * while it signs.
 */
#ifndef MG_TLS_CREDENTIALS_H
#define MG_TLS_CREDENTIALS_H

#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

struct mg_tls_credentials {
    mbedtls_x509_crt chain; /* the first is the certificate itself */
    mbedtls_pk_context key; /* signs through mg_tls_accel_key where that can be */
};

/* From PEM texts; `password` may be empty. MG_FAIL with the reason, and nothing to release:
 * unreadable, no certificate, key of another certificate, password missing or wrong, RSA below 2048
 * bits, a curve that TLS has no use for (P-256, P-384, P-521 are). */
enum mg_rc mg_tls_credentials_parse(struct mg_tls_credentials *c, struct mg_str cert_pem,
                                    struct mg_str key_pem, struct mg_str password,
                                    struct mg_error *err) MG_MUST_CHECK;
void mg_tls_credentials_release(struct mg_tls_credentials *c);

/* The DNS names that the certificate is for: its subjectAltName entries, or else its common name;
 * those that are no valid names for mg_tls_names are left out. An array in the arena. */
struct mg_str *mg_tls_credentials_names(const struct mg_tls_credentials *c, struct mg_arena *a,
                                        size_t *count);

/* Seconds since 1970 when the first certificate of the chain to expire does, and which one:
 * its common name or subject, in the arena. */
double mg_tls_credentials_expiry(const struct mg_tls_credentials *c, struct mg_arena *a,
                                 struct mg_str *which);

#endif
