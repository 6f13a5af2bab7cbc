/* Private keys: made by libcrypto in every form we read, and what they sign checked by libcrypto.
 */
#include "crypto/private_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tls/test_ca.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* libcrypto that does not sign, on demand; the program's own definition comes first. */
static bool signing_fails;

int EVP_PKEY_sign(EVP_PKEY_CTX *ctx, unsigned char *sig, size_t *n, const unsigned char *digest,
                  size_t digest_n)
{
    int (*real)(EVP_PKEY_CTX *, unsigned char *, size_t *, const unsigned char *, size_t);
    *(void **)&real = dlsym(RTLD_NEXT, "EVP_PKEY_sign");
    return signing_fails ? 0 : real(ctx, sig, n, digest, digest_n);
}

static const struct kind {
    enum test_key test;
    enum mg_key_kind kind;
    unsigned bits;
} kinds[] = {
    {TEST_KEY_P256, MG_KEY_EC_P256, 256},
    {TEST_KEY_P384, MG_KEY_EC_P384, 384},
    {TEST_KEY_P521, MG_KEY_EC_P521, 521},
    {TEST_KEY_RSA2048, MG_KEY_RSA, 2048},
};

static struct test_cert *made[COUNT(kinds)];

static int make_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++)
        made[i] = test_leaf_new(NULL, kinds[i].test, NULL);
    return 0;
}

static int drop_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++)
        test_cert_free(made[i]);
    return 0;
}

static const struct {
    enum mg_key_hash hash;
    const EVP_MD *(*md)(void);
    size_t bytes;
} hashes[] = {
    {MG_KEY_SHA1, EVP_sha1, 20},     {MG_KEY_SHA224, EVP_sha224, 28},
    {MG_KEY_SHA256, EVP_sha256, 32}, {MG_KEY_SHA384, EVP_sha384, 48},
    {MG_KEY_SHA512, EVP_sha512, 64},
};

static const uint8_t digest_bytes[64] = "sixty-four bytes, of which as many are taken as a digest";

static struct mg_str digest(size_t n)
{
    return mg_str((const char *)digest_bytes, n);
}

/* Libcrypto's own opinion; a salt of any other length than the digest's is not good. */
static bool good(EVP_PKEY *key, enum mg_key_scheme scheme, const EVP_MD *md, const uint8_t *sig,
                 size_t n)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
    if (scheme != MG_KEY_ECDSA) {
        int padding = scheme == MG_KEY_PSS ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, padding), 1);
        if (scheme == MG_KEY_PSS)
            assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, EVP_MD_get_size(md)), 1);
        assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, md), 1);
    }
    bool is_good = EVP_PKEY_verify(ctx, sig, n, digest_bytes, (size_t)EVP_MD_get_size(md)) == 1;
    EVP_PKEY_CTX_free(ctx);
    return is_good;
}

static void sign_and_verify(struct mg_private_key *key, EVP_PKEY *pkey, enum mg_key_scheme scheme,
                            size_t hash)
{
    size_t room = mg_private_key_signature_bytes(key), n = 0;
    uint8_t *sig = malloc(room); /* no more, so that a sanitizer sees what is written behind it */
    assert_int_equal(
        mg_private_key_sign(key, scheme, hashes[hash].hash, digest(hashes[hash].bytes), sig, &n),
        MG_OK);
    assert_in_range(n, 1, room);
    assert_true(good(pkey, scheme, hashes[hash].md(), sig, n));
    sig[n / 2] ^= 1;
    assert_false(good(pkey, scheme, hashes[hash].md(), sig, n));
    free(sig);
}

static void check(struct mg_private_key *key, size_t kind)
{
    assert_non_null(key);
    assert_int_equal(mg_private_key_kind(key), kinds[kind].kind);
    assert_int_equal(mg_private_key_bits(key), kinds[kind].bits);
    sign_and_verify(key, made[kind]->pkey,
                    kinds[kind].kind == MG_KEY_RSA ? MG_KEY_PKCS1 : MG_KEY_ECDSA, 2);
    mg_private_key_free(key);
}

static void every_form_is_read(void **state)
{
    (void)state;
    struct mg_error err;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        char *sec1 = test_key_sec1(made[i]), *sealed = test_key_encrypted(made[i], "pass word");
        char *old = test_key_encrypted_old(made[i], "pass word");
        char *behind = test_join(made[i]->cert_pem, made[i]->key_pem, NULL);
        check(mg_private_key_from_pem(mg_str_c(made[i]->key_pem), NULL, &err), i);
        check(mg_private_key_from_pem(mg_str_c(made[i]->key_pem), "not needed", &err), i);
        check(mg_private_key_from_pem(mg_str_c(sec1), NULL, &err), i);
        check(mg_private_key_from_pem(mg_str_c(sealed), "pass word", &err), i);
        check(mg_private_key_from_pem(mg_str_c(old), "pass word", &err), i);
        check(mg_private_key_from_pem(mg_str_c(behind), NULL, &err), i);
        uint8_t *der = NULL;
        int n = i2d_PrivateKey(made[i]->pkey, &der);
        check(mg_private_key_from_der(mg_str((char *)der, (size_t)n), &err), i);
        OPENSSL_free(der);
        free(behind);
        free(old);
        free(sealed);
        free(sec1);
    }
}

static void refused(struct mg_str pem, const char *password, const char *text)
{
    struct mg_error err = {""};
    assert_null(mg_private_key_from_pem(pem, password, &err));
    assert_non_null(strstr(err.text, text));
    assert_null(mg_private_key_from_pem(pem, password, NULL));
}

static void what_is_no_key_is_refused(void **state)
{
    (void)state;
    char *sealed = test_key_encrypted(made[0], "right"),
         *old = test_key_encrypted_old(made[0], "x");
    refused(MG_STR_NONE, NULL, "no private key");
    refused(MG_STR("rubbish"), NULL, "no private key");
    refused(mg_str_c(made[0]->cert_pem), NULL, "no private key");
    refused(mg_str(made[0]->key_pem, strlen(made[0]->key_pem) / 2), NULL, "no private key");
    refused(mg_str_c(sealed), NULL, "no password");
    refused(mg_str_c(sealed), "wrong", "cannot be decrypted");
    refused(mg_str_c(sealed), "", "cannot be decrypted");
    refused(mg_str_c(old), NULL, "no password");
    free(old);
    free(sealed);

    static const enum test_key OTHERS[] = {TEST_KEY_SECP256K1, TEST_KEY_ED25519};
    for (size_t i = 0; i < COUNT(OTHERS); i++) {
        struct test_cert *c = test_leaf_new(NULL, OTHERS[i], NULL);
        refused(mg_str_c(c->key_pem), NULL, "not supported");
        test_cert_free(c);
    }
}

static void der_that_is_no_key_is_refused(void **state)
{
    (void)state;
    struct mg_error err = {""};
    uint8_t *der = NULL;
    int n = i2d_PrivateKey(made[0]->pkey, &der);
    for (int cut = 0; cut < n; cut += 7)
        assert_null(mg_private_key_from_der(mg_str((char *)der, (size_t)cut), &err));
    assert_string_equal(err.text, "no private key in DER");
    OPENSSL_free(der);

    /* One with a password: no question may be asked at the terminal. */
    char *pem = test_key_encrypted(made[0], "word");
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_SIG *sealed = PEM_read_bio_PKCS8(bio, NULL, NULL, NULL);
    assert_non_null(sealed);
    der = NULL;
    n = i2d_X509_SIG(sealed, &der);
    assert_null(mg_private_key_from_der(mg_str((char *)der, (size_t)n), &err));
    OPENSSL_free(der);
    X509_SIG_free(sealed);
    BIO_free(bio);
    free(pem);
}

static void every_scheme_and_hash(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct mg_private_key *key =
            mg_private_key_from_pem(mg_str_c(made[i]->key_pem), NULL, NULL);
        /* So that the signer that waits fits, has another hash, another scheme, or both. */
        for (size_t h = 0; h < 4 * COUNT(hashes); h++) {
            enum mg_key_scheme scheme = kinds[i].kind != MG_KEY_RSA ? MG_KEY_ECDSA
                                        : h / 5 % 2                 ? MG_KEY_PSS
                                                                    : MG_KEY_PKCS1;
            sign_and_verify(key, made[i]->pkey, scheme, h % COUNT(hashes));
            sign_and_verify(key, made[i]->pkey, scheme, h % COUNT(hashes));
        }
        if (kinds[i].kind == MG_KEY_RSA) {
            sign_and_verify(key, made[i]->pkey, MG_KEY_PKCS1, 4);
            sign_and_verify(key, made[i]->pkey, MG_KEY_PSS, 4);
        }
        mg_private_key_free(key);
    }
}

static void what_does_not_fit_is_not_signed(void **state)
{
    (void)state;
    uint8_t sig[512];
    size_t n = 77;
    struct mg_private_key *ec = mg_private_key_from_pem(mg_str_c(made[0]->key_pem), NULL, NULL);
    struct mg_private_key *rsa = mg_private_key_from_pem(mg_str_c(made[3]->key_pem), NULL, NULL);
    const struct {
        struct mg_private_key *key;
        enum mg_key_scheme scheme;
        size_t digest_n;
    } WRONG[] = {
        {ec, MG_KEY_PKCS1, 32}, {ec, MG_KEY_PSS, 32},    {rsa, MG_KEY_ECDSA, 32},
        {ec, MG_KEY_ECDSA, 31}, {rsa, MG_KEY_PKCS1, 33}, {rsa, MG_KEY_PSS, 0},
    };
    for (size_t i = 0; i < COUNT(WRONG); i++)
        assert_int_equal(mg_private_key_sign(WRONG[i].key, WRONG[i].scheme, MG_KEY_SHA256,
                                             digest(WRONG[i].digest_n), sig, &n),
                         MG_FAIL);
    assert_int_equal(n, 77);
    signing_fails = true;
    assert_int_equal(mg_private_key_sign(ec, MG_KEY_ECDSA, MG_KEY_SHA256, digest(32), sig, &n),
                     MG_FAIL);
    signing_fails = false;
    assert_int_equal(n, 77);
    sign_and_verify(ec, made[0]->pkey, MG_KEY_ECDSA, 2);
    mg_private_key_free(rsa);
    mg_private_key_free(ec);
    mg_private_key_free(NULL);
}

/* A 1024-bit modulus has no room for PSS with SHA-512: libcrypto's refusal is ours. */
static void libcrypto_refuses(void **state)
{
    (void)state;
    struct test_cert *small = test_leaf_new(NULL, TEST_KEY_RSA1024, NULL);
    struct mg_private_key *key = mg_private_key_from_pem(mg_str_c(small->key_pem), NULL, NULL);
    uint8_t sig[128];
    size_t n = 0;
    assert_non_null(key);
    assert_int_equal(mg_private_key_sign(key, MG_KEY_PSS, MG_KEY_SHA512, digest(64), sig, &n),
                     MG_FAIL);
    assert_int_equal(mg_private_key_sign(key, MG_KEY_PSS, MG_KEY_SHA256, digest(32), sig, &n),
                     MG_OK);
    assert_true(good(small->pkey, MG_KEY_PSS, EVP_sha256(), sig, n));
    mg_private_key_free(key);
    test_cert_free(small);
}

struct signing {
    struct mg_private_key *key;
    EVP_PKEY *pkey;
    bool rsa;
    atomic_int bad;
};

static void *sign_often(void *arg)
{
    struct signing *s = arg;
    uint8_t sig[512];
    size_t n;
    for (int i = 0; i < 60; i++) {
        enum mg_key_scheme scheme = !s->rsa ? MG_KEY_ECDSA : i % 2 ? MG_KEY_PSS : MG_KEY_PKCS1;
        if (mg_private_key_sign(s->key, scheme, MG_KEY_SHA256, digest(32), sig, &n) != MG_OK ||
            !good(s->pkey, scheme, EVP_sha256(), sig, n))
            atomic_fetch_add(&s->bad, 1);
    }
    return NULL;
}

static void threads_share_a_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i += 3) {
        struct signing s = {.pkey = made[i]->pkey, .rsa = kinds[i].kind == MG_KEY_RSA};
        s.key = mg_private_key_from_pem(mg_str_c(made[i]->key_pem), NULL, NULL);
        pthread_t threads[4];
        for (size_t t = 0; t < COUNT(threads); t++)
            assert_int_equal(pthread_create(&threads[t], NULL, sign_often, &s), 0);
        for (size_t t = 0; t < COUNT(threads); t++)
            pthread_join(threads[t], NULL);
        assert_int_equal(s.bad, 0);
        mg_private_key_free(s.key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_read),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(der_that_is_no_key_is_refused),
        cmocka_unit_test(every_scheme_and_hash),
        cmocka_unit_test(what_does_not_fit_is_not_signed),
        cmocka_unit_test(libcrypto_refuses),
        cmocka_unit_test(threads_share_a_key),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
