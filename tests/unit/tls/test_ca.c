/* Certificates for tests, by libcrypto. A failure here is a fault of the test: it aborts. */
#include "tls/test_ca.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"

#define DAY (24 * 3600L)

#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x))                                                                                  \
            give_up(__LINE__, #x);                                                                 \
    } while (0)

static void give_up(int line, const char *what)
{
    fprintf(stderr, "test_ca.c:%d: %s\n", line, what);
    ERR_print_errors_fp(stderr);
    abort();
}

static char *bio_text(BIO *bio)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    char *text = mg_strdup(mg_str(p, (size_t)n));
    BIO_free(bio);
    return text;
}

static BIO *bio_new(void)
{
    BIO *bio = BIO_new(BIO_s_mem());
    MUST(bio);
    return bio;
}

static EVP_PKEY *make_key(enum test_key kind)
{
    switch (kind) {
    case TEST_KEY_P256:
        return EVP_EC_gen("P-256");
    case TEST_KEY_P384:
        return EVP_EC_gen("P-384");
    case TEST_KEY_P521:
        return EVP_EC_gen("P-521");
    case TEST_KEY_SECP256K1:
        return EVP_EC_gen("secp256k1");
    case TEST_KEY_RSA2048:
        return EVP_RSA_gen(2048);
    case TEST_KEY_RSA1024:
        return EVP_RSA_gen(1024);
    case TEST_KEY_ED25519:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    }
    return NULL;
}

/* Ed25519 brings its own digest. */
static const EVP_MD *digest_of(EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
}

static void set_subject(X509 *x, const struct test_want *want)
{
    const char *cn = want->common_name ? want->common_name : "test";
    const struct test_attribute plain = {"CN", mg_str_c(cn), 0, false};
    const struct test_attribute *list = want->subject ? want->subject : &plain;
    size_t count = want->subject ? want->subject_count : 1;
    X509_NAME *name = X509_get_subject_name(x);
    for (size_t i = 0; i < count; i++) {
        int type = list[i].string_type ? list[i].string_type : V_ASN1_UTF8STRING;
        MUST(X509_NAME_add_entry_by_txt(name, list[i].type, type, (const void *)list[i].value.p,
                                        (int)list[i].value.n, -1, list[i].same_rdn ? -1 : 0));
    }
}

static void set_serial(X509 *x, struct mg_str serial)
{
    BIGNUM *n = BN_new();
    MUST(n);
    if (serial.n)
        MUST(BN_bin2bn((const void *)serial.p, (int)serial.n, n));
    else
        MUST(BN_rand(n, 120, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY));
    MUST(BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)));
    BN_free(n);
}

static void set_validity(X509 *x, long from_s, long to_s)
{
    if (from_s == 0 && to_s == 0) {
        from_s = -3600;
        to_s = 90 * DAY;
    }
    MUST(X509_gmtime_adj(X509_getm_notBefore(x), from_s));
    MUST(X509_gmtime_adj(X509_getm_notAfter(x), to_s));
}

static void add_extension(X509 *x, int nid, const char *value)
{
    if (!value)
        return;
    X509V3_CTX context;
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    MUST(e && X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
}

static void add_raw_sans(X509 *x, struct mg_str der)
{
    if (!der.n)
        return;
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    MUST(octets && ASN1_OCTET_STRING_set(octets, (const void *)der.p, (int)der.n));
    X509_EXTENSION *e = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, octets);
    MUST(e && X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(octets);
}

static void set_extensions(X509 *x, const struct test_want *want)
{
    const char *usage = want->key_usage;
    if (want->is_ca) {
        add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
        if (!usage)
            usage = "critical,keyCertSign,cRLSign,digitalSignature";
    }
    add_extension(x, NID_key_usage, usage);
    add_extension(x, NID_ext_key_usage, want->extended_key_usage);
    add_extension(x, NID_subject_alt_name, want->sans);
    add_raw_sans(x, want->sans_der);
}

static void write_texts(struct test_cert *c, const struct test_cert *issuer)
{
    BIO *cert = bio_new(), *key = bio_new();
    MUST(PEM_write_bio_X509(cert, c->x509));
    MUST(PEM_write_bio_PKCS8PrivateKey(key, c->pkey, NULL, NULL, 0, NULL, NULL));
    c->cert_pem = bio_text(cert);
    c->key_pem = bio_text(key);
    c->chain_pem = test_join(c->cert_pem, c->is_root || issuer->is_root ? "" : issuer->chain_pem,
                             (char *)NULL);
    unsigned char *der = NULL;
    int n = i2d_X509(c->x509, &der);
    MUST(n > 0);
    c->der = mg_str(mg_strdup(mg_str((const char *)der, (size_t)n)), (size_t)n);
    OPENSSL_free(der);
}

struct test_cert *test_cert_new(const struct test_want *want, const struct test_cert *issuer)
{
    struct test_cert *c = mg_calloc(1, sizeof *c);
    c->is_root = !issuer;
    c->x509 = X509_new();
    c->pkey = make_key(want->key);
    MUST(c->x509 && c->pkey);
    MUST(X509_set_version(c->x509, X509_VERSION_3));
    set_serial(c->x509, want->serial);
    set_subject(c->x509, want);
    set_validity(c->x509, want->from_s, want->to_s);
    MUST(X509_set_issuer_name(c->x509, X509_get_subject_name(issuer ? issuer->x509 : c->x509)));
    MUST(X509_set_pubkey(c->x509, c->pkey));
    set_extensions(c->x509, want);
    EVP_PKEY *signer = issuer ? issuer->pkey : c->pkey;
    MUST(X509_sign(c->x509, signer, digest_of(signer)));
    write_texts(c, issuer);
    return c;
}

void test_cert_free(struct test_cert *c)
{
    if (!c)
        return;
    X509_free(c->x509);
    EVP_PKEY_free(c->pkey);
    free(c->cert_pem);
    free(c->chain_pem);
    free(c->key_pem);
    free((char *)c->der.p);
    free(c);
}

struct test_cert *test_ca_new(const char *common_name)
{
    struct test_want want = {.common_name = common_name, .is_ca = true};
    return test_cert_new(&want, NULL);
}

struct test_cert *test_intermediate_new(const struct test_cert *issuer, const char *common_name)
{
    struct test_want want = {.common_name = common_name, .is_ca = true};
    return test_cert_new(&want, issuer);
}

struct test_cert *test_leaf_new(const struct test_cert *issuer, enum test_key key, const char *sans)
{
    struct test_want want = {.common_name = "leaf", .key = key, .sans = sans};
    return test_cert_new(&want, issuer);
}

static char *key_traditional(const struct test_cert *c, const char *password)
{
    BIO *bio = bio_new();
    int n = password ? (int)strlen(password) : 0;
    const EVP_CIPHER *cipher = password ? EVP_aes_128_cbc() : NULL;
    MUST(PEM_write_bio_PrivateKey_traditional(
        bio, c->pkey, cipher, (unsigned char *)(password ? password : ""), n, NULL, NULL));
    return bio_text(bio);
}

char *test_key_sec1(const struct test_cert *c)
{
    return key_traditional(c, NULL);
}

char *test_key_encrypted_old(const struct test_cert *c, const char *password)
{
    return key_traditional(c, password);
}

char *test_key_encrypted(const struct test_cert *c, const char *password)
{
    BIO *bio = bio_new();
    MUST(PEM_write_bio_PKCS8PrivateKey(bio, c->pkey, EVP_aes_256_cbc(), password,
                                       (int)strlen(password), NULL, NULL));
    return bio_text(bio);
}

static void revoke(X509_CRL *crl, const struct test_cert *c, const ASN1_TIME *when)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    MUST(entry && X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(c->x509)));
    MUST(X509_REVOKED_set_revocationDate(entry, (ASN1_TIME *)when));
    MUST(X509_CRL_add0_revoked(crl, entry));
}

char *test_crl_new(const struct test_cert *issuer, const struct test_cert *const *revoked,
                   size_t count, long to_s)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *when = ASN1_TIME_new();
    MUST(crl && when && X509_gmtime_adj(when, -3600));
    MUST(X509_CRL_set_version(crl, X509_CRL_VERSION_2));
    MUST(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509)));
    MUST(X509_CRL_set1_lastUpdate(crl, when));
    for (size_t i = 0; i < count; i++)
        revoke(crl, revoked[i], when);
    MUST(X509_gmtime_adj(when, to_s) && X509_CRL_set1_nextUpdate(crl, when));
    MUST(X509_CRL_sort(crl) && X509_CRL_sign(crl, issuer->pkey, digest_of(issuer->pkey)));
    BIO *bio = bio_new();
    MUST(PEM_write_bio_X509_CRL(bio, crl));
    ASN1_TIME_free(when);
    X509_CRL_free(crl);
    return bio_text(bio);
}

char *test_join(const char *first, ...)
{
    char *all = NULL;
    size_t n = 0;
    va_list rest;
    va_start(rest, first);
    for (const char *s = first; s; s = va_arg(rest, const char *)) {
        size_t more = strlen(s);
        all = mg_realloc(all, n + more + 1);
        memcpy(all + n, s, more + 1);
        n += more;
    }
    va_end(rest);
    return all;
}
