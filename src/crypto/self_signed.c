/* Self-signed certificates by libcrypto. */
#include "crypto/self_signed.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define HOUR 3600L
#define DAY (24 * HOUR)

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool added = e && X509_add_ext(cert, e, -1) == 1;
    X509_EXTENSION_free(e);
    return added;
}

/* 63 random bits, so that browsers do not find one serial number on two certificates. */
static bool set_serial(X509 *cert)
{
    BIGNUM *n = BN_new();
    bool set = n && BN_rand(n, 63, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
               BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
    BN_free(n);
    return set;
}

static bool fill_in(X509 *cert, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -HOUR) &&
           X509_gmtime_adj(X509_getm_notAfter(cert), 30 * DAY) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                      -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
           add_extension(cert, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1") &&
           add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, NID_ext_key_usage, "serverAuth") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

static bool take(BIO *bio, struct mg_buf *out)
{
    char *text;
    long n = BIO_get_mem_data(bio, &text);
    mg_buf_add(out, text, (size_t)n);
    return n > 0;
}

static bool write_pem(X509 *cert, EVP_PKEY *key, struct mg_buf *cert_pem, struct mg_buf *key_pem)
{
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
    bool done = c && k && PEM_write_bio_X509(c, cert) == 1 &&
                PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                take(c, cert_pem) && take(k, key_pem);
    BIO_free(c);
    BIO_free(k);
    return done;
}

enum mg_rc mg_self_signed_make(struct mg_buf *cert_pem, struct mg_buf *key_pem,
                               struct mg_error *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    bool made = key && cert && fill_in(cert, key) && write_pem(cert, key, cert_pem, key_pem);
    X509_free(cert);
    EVP_PKEY_free(key);
    return made ? MG_OK : mg_error_set(err, "cannot make a certificate");
}
