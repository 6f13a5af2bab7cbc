/* A certificate, its issuers and its key, checked against each other when they are read. */
#include "tls/credentials.h"

#include "tls/accel.h"
#include "tls/dn.h"
#include "tls/key.h"
#include "tls/library.h"
#include "tls/names.h"
#include "tls/pem.h"
#include "tls/san.h"

/* --- checks --- */

/* RFC 5280 7.1, near enough: the library's own comparison is as lax about kinds of strings. */
static bool same_name(const mbedtls_x509_name *a, const mbedtls_x509_name *b)
{
    for (; a && b; a = a->next, b = b->next) {
        if (!mg_str_eq(mg_str((const char *)a->oid.p, a->oid.len),
                       mg_str((const char *)b->oid.p, b->oid.len)) ||
            !mg_str_ieq(mg_str((const char *)a->val.p, a->val.len),
                        mg_str((const char *)b->val.p, b->val.len)))
            return false;
    }
    return !a && !b;
}

/* Clients of TLS 1.2 want the certificate, its issuer, the issuer's issuer (RFC 5246 7.4.2). More
 * than one certificate of an issuer may stand there, for clients with different roots. */
static enum mg_rc check_order(const mbedtls_x509_crt *chain, struct mg_error *err)
{
    size_t number = 2;
    for (const mbedtls_x509_crt *c = chain->next; c; c = c->next, number++) {
        const mbedtls_x509_crt *issued = chain;
        while (issued != c && !same_name(&issued->issuer, &c->subject))
            issued = issued->next;
        if (issued == c)
            return mg_error_set(err,
                                "certificate: number %zu of the chain has issued none of those "
                                "before it; the order is the certificate, its issuer, the issuer's "
                                "issuer",
                                number);
    }
    return MG_OK;
}

static enum mg_rc check_pair(const struct mg_tls_credentials *c, struct mg_error *err)
{
    size_t number = 1;
    for (const mbedtls_x509_crt *crt = &c->chain; crt; crt = crt->next, number++) {
        if (mg_tls_library_check_pair(&crt->pk, &c->key) != 0)
            continue;
        if (number == 1)
            return MG_OK;
        return mg_error_set(err,
                            "certificate: the one that the key belongs to is number %zu of the "
                            "chain; it must be the first",
                            number);
    }
    return mg_error_set(err, "key: it belongs to another certificate");
}

/* Every suite of ours has the server sign (RFC 8422 5.1, 5.3), and so do clients (RFC 5246 7.4.8).
 */
static enum mg_rc check_usage(const mbedtls_x509_crt *crt, struct mg_error *err)
{
    if (mbedtls_x509_crt_check_key_usage(crt, MBEDTLS_X509_KU_DIGITAL_SIGNATURE) != 0)
        return mg_error_set(err, "certificate: its key usage is without digitalSignature");
    return MG_OK;
}

/* The library sends it in one record (RFC 5246 7.4.2: three bytes of length for each and for all).
 */
static enum mg_rc check_size(const mbedtls_x509_crt *chain, struct mg_error *err)
{
    size_t bytes = 4 + 3, limit = MBEDTLS_SSL_OUT_CONTENT_LEN;
    for (const mbedtls_x509_crt *c = chain; c; c = c->next)
        bytes += 3 + c->raw.len;
    if (bytes > limit)
        return mg_error_set(err,
                            "certificate: the chain has %zu bytes, more than the %zu of a record",
                            bytes, limit);
    return MG_OK;
}

/* --- reading --- */

static int parse_certificate(void *chain, const unsigned char *pem, size_t n)
{
    return mbedtls_x509_crt_parse(chain, pem, n);
}

static enum mg_rc read_chain(mbedtls_x509_crt *chain, struct mg_str pem, struct mg_error *err)
{
    size_t count, bad;
    char text[160];
    int rc = mg_tls_pem_read(pem, "CERTIFICATE", parse_certificate, chain, false, &count, &bad);
    if (rc != 0)
        return mg_error_set(err, "certificate: number %zu of the chain cannot be read: %s", bad,
                            mg_tls_library_error(rc, text, sizeof text));
    if (count == 0)
        return mg_error_set(err, mg_tls_pem_has(pem, "PRIVATE KEY")
                                     ? "certificate: there is a key in it, but no certificate"
                                     : "certificate: there is none in PEM form in it");
    return check_size(chain, err);
}

static enum mg_rc read_all(struct mg_tls_credentials *c, struct mg_str cert_pem,
                           struct mg_str key_pem, struct mg_str password, struct mg_error *err)
{
    if (read_chain(&c->chain, cert_pem, err) != MG_OK)
        return MG_FAIL;
    if (mg_tls_key_parse(&c->key, key_pem, password, err) != MG_OK)
        return mg_error_prefix(err, "key");
    if (check_pair(c, err) != MG_OK || check_order(&c->chain, err) != MG_OK ||
        check_usage(&c->chain, err) != MG_OK)
        return MG_FAIL;
    return MG_OK;
}

enum mg_rc mg_tls_credentials_parse(struct mg_tls_credentials *c, struct mg_str cert_pem,
                                    struct mg_str key_pem, struct mg_str password,
                                    struct mg_error *err)
{
    mg_tls_accel_catch_up();
    mbedtls_x509_crt_init(&c->chain);
    mbedtls_pk_init(&c->key);
    if (read_all(c, cert_pem, key_pem, password, err) != MG_OK) {
        mg_tls_credentials_release(c);
        return MG_FAIL;
    }
    mg_tls_accel_key(&c->key); /* when it cannot, the key signs all the same */
    return MG_OK;
}

void mg_tls_credentials_release(struct mg_tls_credentials *c)
{
    mbedtls_x509_crt_free(&c->chain);
    mbedtls_pk_free(&c->key);
}

/* --- what it says --- */

/* DNS names one after the other; with `out`, written there. */
static size_t dns_names(const mbedtls_x509_crt *crt, struct mg_arena *a, struct mg_str *out)
{
    struct mg_tls_san_walk walk;
    enum mg_tls_san_kind kind;
    struct mg_str value;
    size_t n = 0;
    mg_tls_san_begin(&walk, crt);
    while (mg_tls_san_next(&walk, &kind, &value)) {
        if (kind != MG_TLS_SAN_DNS || !mg_tls_name_is_valid(value))
            continue;
        if (out)
            out[n] = mg_arena_str(a, value);
        n++;
    }
    if (walk.present || !mg_tls_dn_common_name_bytes(&crt->subject_raw, &value) ||
        !mg_tls_name_is_valid(value))
        return n;
    if (out)
        out[n] = mg_arena_str(a, value);
    return n + 1;
}

struct mg_str *mg_tls_credentials_names(const struct mg_tls_credentials *c, struct mg_arena *a,
                                        size_t *count)
{
    size_t n = dns_names(&c->chain, a, NULL);
    struct mg_str *names = mg_arena_alloc(a, n * sizeof *names);
    *count = dns_names(&c->chain, a, names);
    return names;
}

double mg_tls_credentials_expiry(const struct mg_tls_credentials *c, struct mg_arena *a,
                                 struct mg_str *which)
{
    const mbedtls_x509_crt *first = &c->chain;
    double first_ends = mg_tls_library_time(&first->valid_to);
    for (const mbedtls_x509_crt *crt = first->next; crt; crt = crt->next) {
        double ends = mg_tls_library_time(&crt->valid_to);
        if (ends < first_ends) {
            first = crt;
            first_ends = ends;
        }
    }
    *which = mg_tls_dn_common_name(&first->subject_raw, a);
    if (which->n == 0 && !mg_tls_dn_format(&first->subject_raw, a, which))
        *which = MG_STR_NONE;
    return first_ends;
}
