/*
 * Certificates for tests, made when the test runs: authorities, leaves, lists of revoked ones, and
 * keys with a password. What cannot be made ends the program.
 *
 *     struct test_cert *ca = test_ca_new("Test CA");
 *     struct test_cert *leaf = test_leaf_new(ca, TEST_KEY_P256, "DNS:a.example, IP:127.0.0.1");
 *     ... leaf->chain_pem, leaf->key_pem, ca->cert_pem ...
 *     test_cert_free(leaf);
 *     test_cert_free(ca);
 */
#ifndef TEST_CA_H
#define TEST_CA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum test_key {
    TEST_KEY_P256,
    TEST_KEY_P384,
    TEST_KEY_P521,
    TEST_KEY_RSA2048, /* takes about a tenth of a second */
    TEST_KEY_RSA1024,
    TEST_KEY_SECP256K1,
    TEST_KEY_ED25519,
};

/* One attribute of a subject. */
struct test_attribute {
    const char *type;    /* "CN", "O", or an object identifier */
    struct mg_str value; /* any bytes */
    int string_type;     /* libcrypto's V_ASN1_*; 0: UTF8String */
    bool same_rdn;       /* together with the one before it, "CN=a+OU=b" */
};

/* What a certificate shall be. All zero: a P-256 leaf named "test", valid from an hour ago for 90
 * days, without alternative names. */
struct test_want {
    enum test_key key;
    const char *common_name;
    const struct test_attribute *subject; /* instead of the common name */
    size_t subject_count;
    const char *sans;       /* as in openssl.cnf, "DNS:a.example, IP:::1, email:a@b, URI:urn:x" */
    struct mg_str sans_der; /* instead: the bytes of the subjectAltName extension */
    bool is_ca;
    const char *key_usage;          /* as in openssl.cnf; NULL: none for leaves */
    const char *extended_key_usage; /* "serverAuth, clientAuth"; NULL: none */
    long from_s, to_s;              /* validity, in seconds from now; both 0: as above */
    struct mg_str serial;           /* big-endian; none: random */
};

struct test_cert {
    struct x509_st *x509; /* libcrypto's X509 and EVP_PKEY */
    struct evp_pkey_st *pkey;
    char *cert_pem;    /* this certificate alone */
    char *chain_pem;   /* itself and its issuers, without the root (but a root's own is itself) */
    char *key_pem;     /* PKCS #8, without a password */
    struct mg_str der; /* of the certificate */
    bool is_root;      /* signed by itself */
};

/* Signed by `issuer`, which is borrowed for the call; NULL: by itself. */
struct test_cert *test_cert_new(const struct test_want *want, const struct test_cert *issuer);
void test_cert_free(struct test_cert *c); /* NULL is fine */

/* The usual ones. `sans` may be NULL; a leaf's common name is "leaf". */
struct test_cert *test_ca_new(const char *common_name);
struct test_cert *test_intermediate_new(const struct test_cert *issuer, const char *common_name);
struct test_cert *test_leaf_new(const struct test_cert *issuer, enum test_key key,
                                const char *sans);

/* The key as other programs write it. free() them. */
char *test_key_sec1(const struct test_cert *c); /* "EC PRIVATE KEY" or "RSA PRIVATE KEY" */
char *test_key_encrypted(const struct test_cert *c, const char *password); /* PKCS #8, AES-256 */
char *test_key_encrypted_old(const struct test_cert *c, const char *password); /* "DEK-Info" */

/* A CRL of `issuer`, valid until `to_s` seconds from now, as PEM; free() it. */
char *test_crl_new(const struct test_cert *issuer, const struct test_cert *const *revoked,
                   size_t count, long to_s);

/* Texts one behind the other; ends with NULL. free() it. */
char *test_join(const char *first, ...) __attribute__((sentinel));

#endif
