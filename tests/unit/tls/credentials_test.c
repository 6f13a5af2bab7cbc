/* Certificates with their keys: what is taken, and what is said of what is not. */
#include "tls/credentials.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tls/library.h"
#include "tls/test_ca.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static struct test_cert *root, *middle, *ec, *rsa, *other;

struct outcome {
    const char *what, *cert, *key, *password;
    const char *error; /* a part of it; NULL: fine */
};

static void check(const struct outcome *o)
{
    struct mg_error err = {""};
    struct mg_tls_credentials c;
    enum mg_rc rc = mg_tls_credentials_parse(&c, mg_str_c(o->cert), mg_str_c(o->key),
                                             mg_str_c(o->password), &err);
    if (rc == MG_OK) {
        if (mg_tls_library_check_pair(&c.chain.pk, &c.key) != 0 &&
            mbedtls_pk_get_type(&c.key) != MBEDTLS_PK_RSA_ALT)
            fail_msg("%s: parsed, but no pair", o->what);
        mg_tls_credentials_release(&c);
    }
    if ((rc == MG_OK) != !o->error || (o->error && !strstr(err.text, o->error)))
        fail_msg("%s: %s", o->what, err.text);
}

static void keys(void **state)
{
    (void)state;
    char *sec1 = test_key_sec1(ec), *pkcs1 = test_key_sec1(rsa);
    char *sealed = test_key_encrypted(ec, "s3cret"),
         *rsa_sealed = test_key_encrypted(rsa, "s3cret");
    char *old = test_key_encrypted_old(ec, "s3cret"), *rsa_old = test_key_encrypted_old(rsa, "pw");
    char *both = test_join(rsa->chain_pem, rsa->key_pem, NULL);
    char *parameters =
        test_join("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
                  sec1, NULL);
    char *cut = test_join(ec->key_pem, NULL);
    cut[strlen(cut) / 2] = 0;
    char *sealed_cut = test_join(sealed, NULL);
    sealed_cut[strlen(sealed_cut) / 2] = 0;
    const struct outcome CASES[] = {
        {"PKCS #8 EC", ec->chain_pem, ec->key_pem, NULL, NULL},
        {"PKCS #8 RSA", rsa->chain_pem, rsa->key_pem, NULL, NULL},
        {"SEC 1", ec->chain_pem, sec1, NULL, NULL},
        {"SEC 1 behind parameters", ec->chain_pem, parameters, NULL, NULL},
        {"PKCS #1", rsa->chain_pem, pkcs1, NULL, NULL},
        {"one file for both", both, both, NULL, NULL},
        {"a password that is not needed", ec->chain_pem, ec->key_pem, "s3cret", NULL},
        {"PKCS #8 with AES", ec->chain_pem, sealed, "s3cret", NULL},
        {"PKCS #8 RSA with AES", rsa->chain_pem, rsa_sealed, "s3cret", NULL},
        {"the old way", ec->chain_pem, old, "s3cret", NULL},
        {"the old way, RSA", rsa->chain_pem, rsa_old, "pw", NULL},
        {"password missing", ec->chain_pem, sealed, NULL, "key: it is encrypted, and there is no"},
        {"password missing, old", ec->chain_pem, old, NULL,
         "key: it is encrypted, and there is no"},
        {"password wrong", ec->chain_pem, sealed, "S3cret", "key: the password is wrong"},
        {"password wrong, old", ec->chain_pem, old, "S3cret", "key: the password is wrong"},
        {"password wrong, RSA", rsa->chain_pem, rsa_old, "PW", "key: the password is wrong"},
        {"cut short", ec->chain_pem, cut, NULL, "key: it cannot be read: "},
        {"cut short, encrypted", ec->chain_pem, sealed_cut, "s3cret", "key: it is damaged"},
        {"empty", ec->chain_pem, "", NULL, "key: there is no private key in PEM form in it"},
        {"garbage", ec->chain_pem, "\x30\x82\x01\x02", NULL, "key: there is no private key"},
        {"a certificate", ec->chain_pem, ec->chain_pem, NULL, "key: there is a certificate in it"},
        {"of another, same kind", ec->chain_pem, other->key_pem, NULL,
         "key: it belongs to another certificate"},
        {"of another kind", ec->chain_pem, rsa->key_pem, NULL,
         "key: it belongs to another certificate"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        check(&CASES[i]);
    free(sec1), free(pkcs1), free(sealed), free(rsa_sealed), free(old), free(rsa_old), free(both);
    free(parameters), free(cut), free(sealed_cut);
}

static void strength(void **state)
{
    (void)state;
    static const struct {
        enum test_key key;
        const char *error;
    } CASES[] = {
        {TEST_KEY_P384, NULL},
        {TEST_KEY_P521, NULL},
        {TEST_KEY_RSA1024, "key: RSA with 1024 bits is too weak; 2048 is the least"},
        {TEST_KEY_SECP256K1, "key: its curve is none of P-256, P-384 and P-521"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct test_cert *c = test_leaf_new(root, CASES[i].key, NULL);
        check(&(struct outcome){"strength", c->chain_pem, c->key_pem, NULL, CASES[i].error});
        test_cert_free(c);
    }
    struct test_cert *ed = test_leaf_new(root, TEST_KEY_ED25519, NULL);
    check(&(struct outcome){"Ed25519", ec->chain_pem, ed->key_pem, NULL,
                            "key: it is neither an RSA"});
    check(&(struct outcome){"Ed25519 certificate", ed->chain_pem, ed->key_pem, NULL,
                            "certificate: number 1 of the chain cannot be read: "});
    test_cert_free(ed);
}

/* The same with a cipher that nobody knows: the last number of AES-256-CBC's identifier changed. */
static char *unknown_cipher(const char *pem)
{
    static const uint8_t AES_256_CBC[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a};
    char *name, *header, *out = NULL, *text;
    unsigned char *der;
    long n;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    assert_int_equal(PEM_read_bio(bio, &name, &header, &der, &n), 1);
    BIO_free(bio);
    uint8_t *at = memmem(der, (size_t)n, AES_256_CBC, sizeof AES_256_CBC);
    assert_non_null(at);
    at[8] = 0x7f;
    bio = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio(bio, name, header, der, n) > 0);
    long length = BIO_get_mem_data(bio, &text);
    text[length - 1] = 0;
    out = test_join(text, NULL);
    BIO_free(bio);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    return out;
}

static void unknown_encryption(void **state)
{
    (void)state;
    char *sealed = test_key_encrypted(ec, "s3cret"), *odd = unknown_cipher(sealed);
    check(&(struct outcome){"unknown cipher", ec->chain_pem, odd, "s3cret",
                            "key: it cannot be decrypted: "});
    free(sealed);
    free(odd);
}

static void chains(void **state)
{
    (void)state;
    struct test_want want = {.common_name = "no signing", .key_usage = "keyEncipherment"};
    struct test_cert *no_signing = test_cert_new(&want, root);
    char *turned = test_join(middle->cert_pem, ec->cert_pem, NULL);
    char *with_root = test_join(ec->cert_pem, middle->cert_pem, root->cert_pem, NULL);
    char *mixed = test_join(ec->cert_pem, root->cert_pem, middle->cert_pem, NULL);
    char *stranger = test_join(ec->chain_pem, other->cert_pem, NULL);
    char *crossed =
        test_join(ec->cert_pem, middle->cert_pem, middle->cert_pem, root->cert_pem, NULL);
    char *cut = test_join(ec->chain_pem, NULL);
    cut[strlen(cut) - 60] = 0;
    char *long_chain = test_join(ec->chain_pem, NULL);
    for (int i = 0; i < 60; i++) {
        char *longer = test_join(long_chain, middle->cert_pem, NULL);
        free(long_chain);
        long_chain = longer;
    }
    const struct outcome CASES[] = {
        {"alone", ec->cert_pem, ec->key_pem, NULL, NULL},
        {"with the root", with_root, ec->key_pem, NULL, NULL},
        {"an issuer twice", crossed, ec->key_pem, NULL, NULL},
        {"self-signed", root->cert_pem, root->key_pem, NULL, NULL},
        {"leaf last", turned, ec->key_pem, NULL,
         "certificate: the one that the key belongs to is number 2 of the chain"},
        {"issuers turned round", mixed, ec->key_pem, NULL,
         "certificate: number 2 of the chain has issued none of those before it"},
        {"a stranger at the end", stranger, ec->key_pem, NULL,
         "certificate: number 3 of the chain has issued none of those before it"},
        {"second one cut", cut, ec->key_pem, NULL,
         "certificate: number 2 of the chain cannot be read: "},
        {"too long", long_chain, ec->key_pem, NULL, "certificate: the chain has "},
        {"empty", "", ec->key_pem, NULL, "certificate: there is none in PEM form in it"},
        {"DER", "\x30\x82\x01\x02", ec->key_pem, NULL, "certificate: there is none in PEM form"},
        {"a key", ec->key_pem, ec->key_pem, NULL, "certificate: there is a key in it"},
        {"may not sign", no_signing->chain_pem, no_signing->key_pem, NULL,
         "certificate: its key usage is without digitalSignature"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        check(&CASES[i]);
    free(turned), free(with_root), free(mixed), free(stranger), free(crossed), free(cut);
    free(long_chain);
    test_cert_free(no_signing);
}

struct scene {
    struct mg_pool pool;
    struct mg_arena arena;
    struct mg_tls_credentials c;
};

static void scene_set_up(struct scene *s, const struct test_cert *cert)
{
    struct mg_error err = {""};
    mg_pool_init(&s->pool, 4096);
    mg_arena_init(&s->arena, &s->pool);
    enum mg_rc rc = mg_tls_credentials_parse(&s->c, mg_str_c(cert->chain_pem),
                                             mg_str_c(cert->key_pem), MG_STR_NONE, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, MG_OK);
}

static void scene_tear_down(struct scene *s)
{
    mg_tls_credentials_release(&s->c);
    mg_arena_release(&s->arena);
    mg_pool_release(&s->pool);
}

static void names(void **state)
{
    (void)state;
    static const struct test_attribute NUL_NAME[] = {{"CN", {"a.example\0b", 11}, 0, false}};
    static const char NUL_SAN[] = "\x30\x17\x82\x0b"
                                  "a.example\0b"
                                  "\x82\x08"
                                  "ok.local";
    const struct {
        struct test_want want;
        const char *names; /* each with a space behind it */
    } CASES[] = {
        {{.sans = "DNS:a.example, DNS:*.b.example"}, "a.example *.b.example "},
        {{.sans = "DNS:a.example, IP:10.0.0.1, email:x@y.example, URI:urn:x, DNS:B.example"},
         "a.example B.example "},
        {{.common_name = "c.example"}, "c.example "},
        {{.common_name = "c.example", .sans = "DNS:a.example"}, "a.example "},
        {{.common_name = "c.example", .sans = "IP:10.0.0.1"}, ""},
        {{.common_name = "Example Inc"}, ""},
        {{.sans = "DNS:w*.example, DNS:a b, DNS:x.example"}, "x.example "},
        {{.subject = NUL_NAME, .subject_count = 1}, ""},
        {{.sans_der = {NUL_SAN, sizeof NUL_SAN - 1}}, "ok.local "},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct scene s;
        struct test_cert *cert = test_cert_new(&CASES[i].want, root);
        scene_set_up(&s, cert);
        size_t count;
        struct mg_str *list = mg_tls_credentials_names(&s.c, &s.arena, &count);
        char all[200] = "";
        size_t n = 0;
        for (size_t j = 0; j < count; j++)
            n += (size_t)snprintf(all + n, sizeof all - n, "%.*s ", MG_STR_ARGS(list[j]));
        assert_string_equal(all, CASES[i].names);
        scene_tear_down(&s);
        test_cert_free(cert);
    }
}

static void expiry(void **state)
{
    (void)state;
    enum { HOUR = 3600 };
    const struct {
        long middle_s, leaf_s;
        long first_s;
        const char *which;
    } CASES[] = {
        {48 * HOUR, 24 * HOUR, 24 * HOUR, "Leaf"},
        {24 * HOUR, 48 * HOUR, 24 * HOUR, "Passing CA"},
        {24 * HOUR, -HOUR, -HOUR, "Leaf"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct test_want want = {.common_name = "Passing CA",
                                 .is_ca = true,
                                 .from_s = -2 * HOUR,
                                 .to_s = CASES[i].middle_s};
        struct test_cert *passing = test_cert_new(&want, root);
        want =
            (struct test_want){.common_name = "Leaf", .from_s = -2 * HOUR, .to_s = CASES[i].leaf_s};
        struct test_cert *cert = test_cert_new(&want, passing);
        struct scene s;
        scene_set_up(&s, cert);
        struct mg_str which;
        double left = mg_tls_credentials_expiry(&s.c, &s.arena, &which) - (double)time(NULL);
        assert_true(left <= (double)CASES[i].first_s && left > (double)CASES[i].first_s - 60);
        assert_true(mg_str_eq(which, mg_str_c(CASES[i].which)));
        scene_tear_down(&s);
        test_cert_free(cert);
        test_cert_free(passing);
    }
}

static void expiry_without_common_name(void **state)
{
    (void)state;
    static const struct test_attribute SUBJECT[] = {{"O", {"Example", 7}, 0, false}};
    struct test_want want = {.subject = SUBJECT, .subject_count = 1};
    struct test_cert *cert = test_cert_new(&want, root);
    struct scene s;
    struct mg_str which;
    scene_set_up(&s, cert);
    mg_tls_credentials_expiry(&s.c, &s.arena, &which);
    assert_true(mg_str_eq(which, MG_STR("O=Example")));
    scene_tear_down(&s);
    test_cert_free(cert);
}

static int set_up(void **state)
{
    (void)state;
    mg_tls_library_start();
    root = test_ca_new("Root");
    middle = test_intermediate_new(root, "Middle");
    ec = test_leaf_new(middle, TEST_KEY_P256, "DNS:a.example");
    rsa = test_leaf_new(middle, TEST_KEY_RSA2048, "DNS:a.example");
    other = test_leaf_new(root, TEST_KEY_P256, "DNS:b.example");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_cert_free(other);
    test_cert_free(rsa);
    test_cert_free(ec);
    test_cert_free(middle);
    test_cert_free(root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),
        cmocka_unit_test(strength),
        cmocka_unit_test(chains),
        cmocka_unit_test(unknown_encryption),
        cmocka_unit_test(names),
        cmocka_unit_test(expiry),
        cmocka_unit_test(expiry_without_common_name),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
