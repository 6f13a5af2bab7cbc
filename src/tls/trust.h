/*
 * Whom we trust: CA certificates, and lists of certificates that were revoked. Immutable, counted,
 * shared by all threads.
 */
#ifndef MG_TLS_TRUST_H
#define MG_TLS_TRUST_H

#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>
#include <stdatomic.h>

#include "base/error.h"
#include "base/str.h"

struct mg_tls_trust {
    atomic_uint refs;
    /* Set once. */
    mbedtls_x509_crt ca;
    mbedtls_x509_crl crl; /* version 0: none */
    bool has_crl;
};

/* From PEM texts with one certificate or more, and (may be empty) one CRL or more. In a CA file,
 * certificates that cannot be parsed are an error unless `lenient` (the system's file has some of
 * every kind); at least one must remain. NULL with a text that names no file: the caller does. */
struct mg_tls_trust *mg_tls_trust_new(struct mg_str ca_pem, struct mg_str crl_pem, bool lenient,
                                      struct mg_error *err);
struct mg_tls_trust *mg_tls_trust_ref(struct mg_tls_trust *t);
void mg_tls_trust_unref(struct mg_tls_trust *t);
/* The same certificates and lists, in the same order. */
bool mg_tls_trust_equal(const struct mg_tls_trust *a, const struct mg_tls_trust *b);

/* The authorities that the system trusts, a ref: read when first asked for, and again when the file
 * has changed. Any thread; may wait for the disk. NULL with `err`: there is no such file, or
 * nothing in it. */
struct mg_tls_trust *mg_tls_trust_system(struct mg_error *err);
/* The system's CA file: $SSL_CERT_FILE, else the first there is of the usual places. NULL: none. */
const char *mg_tls_trust_system_file(void);

/* What is wrong with a certificate, for a log line: the first of the library's MBEDTLS_X509_BAD*
 * flags as words ("expired", "not for this name", "unknown issuer", "revoked", …). Static. */
const char *mg_tls_trust_flaw(uint32_t flags);

#endif
