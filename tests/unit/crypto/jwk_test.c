/* JWK Sets: what is taken, skipped and refused. */
#include "crypto/jwk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "crypto/test_token.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* RFC 7517 A.1: the first is for encryption. */
#define RSA_N                                                                                      \
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP" \
    "ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Qvzq"  \
    "Y368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu"  \
    "0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
#define EC_X "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
#define EC_Y "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
#define OCT_K                                                                                      \
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
#define OKP_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

#define RSA_KEY "\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\""
#define EC_KEY "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""
#define OCT_KEY "\"kty\":\"oct\",\"k\":\"" OCT_K "\""
#define OKP_KEY "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" OKP_X "\""

#define ES256 MG_JWA_BIT(MG_JWA_ES256)
#define RS256 MG_JWA_BIT(MG_JWA_RS256)
#define HS256 MG_JWA_BIT(MG_JWA_HS256)
#define EDDSA MG_JWA_BIT(MG_JWA_EDDSA)

/* One key in a set: what it verifies with, or 0 when it is skipped. */
static const struct {
    const char *jwk;
    unsigned algs;
} ONE[] = {
    {"{" RSA_KEY "}", MG_JWA_ALL_RS | MG_JWA_ALL_PS},
    {"{" RSA_KEY ",\"alg\":\"RS256\"}", RS256},
    {"{" RSA_KEY ",\"alg\":\"RS256\",\"use\":\"sig\"}", RS256},
    {"{\"alg\":\"RS256\"," RSA_KEY "}", RS256},
    {"{\"e\":\"AQAB\",\"n\":\"" RSA_N "\",\"kty\":\"RSA\"}", MG_JWA_ALL_RS | MG_JWA_ALL_PS},
    {"{" EC_KEY "}", ES256},
    {"{\"y\":\"" EC_Y "\",\"x\":\"" EC_X "\",\"crv\":\"P-256\",\"kty\":\"EC\"}", ES256},
    {"{" OKP_KEY "}", EDDSA},
    {"{" OKP_KEY ",\"alg\":\"EdDSA\"}", EDDSA},
    /* members of other kinds of keys mean nothing */
    {"{" EC_KEY ",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}", ES256},
    {"{" EC_KEY ",\"k\":\"" OCT_K "\",\"x5c\":[\"AAAA\"],\"x5u\":\"http://evil/\",\"more\":{}}",
     ES256},
    /* the private half is not looked at */
    {"{" EC_KEY ",\"d\":\"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE\"}", ES256},
    {"{" EC_KEY ",\"d\":17}", ES256},
    /* what it is for */
    {"{" EC_KEY ",\"use\":\"enc\"}", 0},
    {"{" EC_KEY ",\"use\":\"SIG\"}", 0},
    {"{" EC_KEY ",\"use\":1}", 0},
    {"{" EC_KEY ",\"key_ops\":[\"verify\"]}", ES256},
    {"{" EC_KEY ",\"key_ops\":[\"sign\",\"verify\"]}", ES256},
    {"{" EC_KEY ",\"key_ops\":[\"sign\"]}", 0},
    {"{" EC_KEY ",\"key_ops\":[]}", 0},
    {"{" EC_KEY ",\"key_ops\":\"verify\"}", 0},
    {"{" EC_KEY ",\"key_ops\":[\"verify\",1]}", 0},
    {"{" EC_KEY ",\"key_ops\":[{\"a\":[\"verify\"]}]}", 0},
    {"{" EC_KEY ",\"key_ops\":{\"a\":\"verify\"}}", 0},
    {"{" EC_KEY ",\"alg\":\"ES384\"}", 0},
    {"{" EC_KEY ",\"alg\":\"HS256\"}", 0},
    {"{" EC_KEY ",\"alg\":\"none\"}", 0},
    {"{" EC_KEY ",\"alg\":\"es256\"}", 0},
    {"{" EC_KEY ",\"alg\":\"ECDH-ES\"}", 0},
    {"{" EC_KEY ",\"alg\":null}", 0},
    {"{" EC_KEY ",\"alg\":[\"ES256\"]}", 0},
    {"{" RSA_KEY ",\"alg\":\"RSA-OAEP\"}", 0},
    {"{" RSA_KEY ",\"alg\":\"HS256\"}", 0},
    {"{" RSA_KEY ",\"alg\":\"ES256\"}", 0},
    {"{" OKP_KEY ",\"alg\":\"ES256\"}", 0},
    /* kinds and curves that we lack */
    {"{}", 0},
    {"{\"kty\":\"XYZ\"}", 0},
    {"{\"kty\":\"rsa\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}", 0},
    {"{\"kty\":17}", 0},
    {"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", 0},
    {"{\"kty\":\"EC\",\"crv\":\"p-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", 0},
    {"{\"kty\":\"EC\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", 0},
    {"{\"kty\":\"EC\",\"crv\":\"Ed25519\",\"x\":\"" OKP_X "\",\"y\":\"" EC_Y "\"}", 0},
    {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" OKP_X "\"}", 0},
    {"{\"kty\":\"OKP\",\"crv\":\"P-256\",\"x\":\"" OKP_X "\",\"y\":\"" EC_Y "\"}", 0},
    {"{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" OKP_X "\"}", 0},
    /* wrong or missing numbers */
    {"{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", 0},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_Y "\",\"y\":\"" EC_X "\"}", 0},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}", 0},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"\"}", 0},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "=\",\"y\":\"" EC_Y "\"}", 0},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA" EC_X "\",\"y\":\"" EC_Y "\"}", 0},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":5,\"y\":\"" EC_Y "\"}", 0},
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\"}", 0},
    {"{\"kty\":\"RSA\",\"e\":\"AQAB\"}", 0},
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\"}", 0},
    {"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", 0},
    {"{\"kty\":\"RSA\",\"n\":\"+/==\",\"e\":\"AQAB\"}", 0},
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"" RSA_N "\"}", 0},
    {"{" EC_KEY ",\"kid\":1}", 0},
    {"{" EC_KEY ",\"kid\":null}", 0},
    /* secrets */
    {"{" OCT_KEY ",\"alg\":\"HS256\"}", 0},
};

/* `before` and `after` stand around the key. */
static struct mg_jwk_set *parse(const char *before, const char *jwk, const char *after,
                                const struct mg_jwk_options *options)
{
    char *text;
    struct mg_error err;
    assert_true(asprintf(&text, "%s%s%s", before, jwk, after) > 0);
    struct mg_jwk_set *set = mg_jwk_set_parse(mg_str_c(text), options, &err);
    if (!set)
        fail_msg("%s: %s", text, err.text);
    free(text);
    return set;
}

static void one_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ONE); i++) {
        struct mg_jwk_set *set = parse("{\"keys\":[", ONE[i].jwk, "]}", NULL);
        if (set->count != !!ONE[i].algs || set->skipped != !ONE[i].algs)
            fail_msg("%s: %zu", ONE[i].jwk, set->count);
        if (set->count && set->keys[0].algs != ONE[i].algs)
            fail_msg("%s: %x", ONE[i].jwk, set->keys[0].algs);
        mg_jwk_set_unref(set);
    }
}

/* What is skipped takes nothing from its neighbours, nor gives them. */
static void among_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ONE); i++) {
        struct mg_jwk_set *set =
            parse("{\"keys\":[{" OKP_KEY "},", ONE[i].jwk, ",{\"kty\":\"EC\"}],\"note\":1}", NULL);
        assert_int_equal(set->count, 1 + !!ONE[i].algs);
        assert_int_equal(set->skipped, 1 + !ONE[i].algs);
        assert_int_equal(set->keys[0].algs, EDDSA);
        mg_jwk_set_unref(set);
    }
}

/* A JWK outside a set. */
static void alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ONE); i++) {
        if (!strstr(ONE[i].jwk, "\"kty\":\""))
            continue;
        struct mg_jwk_set *set = parse("", ONE[i].jwk, "", NULL);
        assert_int_equal(set->count, !!ONE[i].algs);
        assert_int_equal(set->skipped, !ONE[i].algs);
        mg_jwk_set_unref(set);
    }
}

static void secrets(void **state)
{
    (void)state;
    static const struct {
        const char *jwk;
        bool allowed;
        unsigned limit, algs;
    } CASES[] = {
        {"{" OCT_KEY ",\"alg\":\"HS256\"}", true, 0, HS256},
        {"{" OCT_KEY ",\"alg\":\"HS256\"}", false, 0, 0},
        {"{" OCT_KEY ",\"alg\":\"HS256\"}", false, HS256, 0},
        {"{" OCT_KEY "}", true, 0, 0}, /* nobody says which */
        {"{" OCT_KEY "}", true, HS256, HS256},
        {"{" OCT_KEY ",\"alg\":\"HS512\"}", true, HS256, 0},
        {"{" OCT_KEY ",\"alg\":\"RS256\"}", true, 0, 0},
        {"{" OCT_KEY ",\"alg\":\"RS256\"}", true, HS256, 0},
        {"{" OCT_KEY ",\"alg\":\"A128KW\"}", true, 0, 0},
        {"{\"kty\":\"oct\",\"k\":\"\",\"alg\":\"HS256\"}", true, 0, 0},
        {"{\"kty\":\"oct\",\"alg\":\"HS256\"}", true, 0, 0},
        {"{" RSA_KEY "}", true, HS256, 0},
        {"{" RSA_KEY "}", true, RS256 | HS256, RS256},
        {"{" RSA_KEY ",\"k\":\"" OCT_K "\"}", true, HS256, 0},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        const struct mg_jwk_options options = {CASES[i].allowed, CASES[i].limit};
        struct mg_jwk_set *set = parse("{\"keys\":[", CASES[i].jwk, "]}", &options);
        unsigned algs = set->count ? set->keys[0].algs : 0;
        if (algs != CASES[i].algs)
            fail_msg("case %zu: %x", i, algs);
        mg_jwk_set_unref(set);
    }
}

static void kids(void **state)
{
    (void)state;
    char longest[MG_JWK_KID_BYTES_MAX + 2], text[2 * sizeof longest + 1024];
    struct mg_jwk_set *set = parse("{\"keys\":[{" EC_KEY ",\"kid\":\"\"},{\"kid\":\"a\\u0062\","
                                   "",
                                   EC_KEY, "},{" RSA_KEY ",\"kid\":\"Ab\"}]}", NULL);
    assert_int_equal(set->count, 3);
    assert_non_null(set->keys[0].kid.p);
    assert_true(mg_str_eq(set->keys[1].kid, MG_STR("ab")));
    assert_true(mg_jwk_set_knows(set, MG_STR("ab")));
    assert_true(mg_jwk_set_knows(set, MG_STR("")));
    assert_false(mg_jwk_set_knows(set, MG_STR("AB")));
    assert_false(mg_jwk_set_knows(set, MG_STR("a")));
    mg_jwk_set_unref(set);

    set = parse("{\"keys\":[{", EC_KEY, "}]}", NULL);
    assert_null(set->keys[0].kid.p);
    assert_true(mg_jwk_set_knows(set, MG_STR("whatever")));
    mg_jwk_set_unref(set);

    for (size_t n = MG_JWK_KID_BYTES_MAX; n <= MG_JWK_KID_BYTES_MAX + 1; n++) {
        memset(longest, 'x', n);
        longest[n] = '\0';
        snprintf(text, sizeof text, "{" EC_KEY ",\"kid\":\"%s\"}", longest);
        set = parse("", text, "", NULL);
        assert_int_equal(set->count, n == MG_JWK_KID_BYTES_MAX);
        mg_jwk_set_unref(set);
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *fault;
    } CASES[] = {
        {"", "line 1"},
        {"x", "line 1"},
        {"null", "object"},
        {"[]", "object"},
        {"{}", "neither"},
        {"{\"key\":[]}", "neither"},
        {"{\"keys\":{}}", "array"},
        {"{\"keys\":null}", "array"},
        {"{\"keys\":\"x\"}", "array"},
        {"{\"keys\":[1]}", "item"},
        {"{\"keys\":[[]]}", "item"},
        {"{\"keys\":[{" EC_KEY "},\"x\"]}", "item"},
        {"{\"keys\":[{" EC_KEY "}", "line 1"},
        {"{\"keys\":[{" EC_KEY "}]", "line 1"},
        {"{\"keys\":[{" EC_KEY "}]} x", "line 1"},
        {"{\"keys\":[{" EC_KEY "},]}", "line 1"},
        {"{\"keys\":[],\"keys\":[]}", "twice"},
        {"{\"keys\":[{" EC_KEY ",\"kty\":\"EC\"}]}", "twice"},
        {"{\"keys\":[{" EC_KEY ",\"\\u006bty\":\"EC\"}]}", "twice"},
        {"{\"keys\":[{" EC_KEY ",\"more\":{\"a\":1,\"a\":1}}]}", "twice"},
        {"{\"keys\":[{" EC_KEY ",\"key_ops\":[{\"a\":1,\"a\":1}]}]}", "twice"},
        {"{\"keys\":[{\"kid\":\"\xff\"}]}", "line 1"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_error err = {""};
        if (mg_jwk_set_parse(mg_str_c(CASES[i].text), NULL, &err))
            fail_msg("%s", CASES[i].text);
        if (strncmp(err.text, "not a JWK Set: ", 15) != 0 || !strstr(err.text, CASES[i].fault))
            fail_msg("%s: %s", CASES[i].text, err.text);
    }
}

static void limits(void **state)
{
    (void)state;
    for (size_t n = MG_JWK_KEYS_MAX; n <= MG_JWK_KEYS_MAX + 1; n++) {
        struct mg_buf text;
        mg_buf_init(&text, MG_JWK_TEXT_BYTES_MAX);
        mg_buf_add_c(&text, "{\"keys\":[");
        for (size_t i = 0; i < n; i++)
            mg_buf_printf(&text, "%s{%s}", i ? "," : "", i % 2 ? OKP_KEY : "");
        mg_buf_add_c(&text, "]}");
        struct mg_jwk_set *set = mg_jwk_set_parse(mg_buf_str(&text), NULL, NULL);
        assert_int_equal(set != NULL, n == MG_JWK_KEYS_MAX);
        assert_int_equal(set ? set->count : 50, 50);
        mg_jwk_set_unref(set);
        mg_buf_release(&text);
    }
    char *text = malloc(MG_JWK_TEXT_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, ' ', MG_JWK_TEXT_BYTES_MAX + 1);
    memcpy(text, "{\"keys\":[]}", 11);
    struct mg_jwk_set *set = mg_jwk_set_parse(mg_str(text, MG_JWK_TEXT_BYTES_MAX), NULL, NULL);
    assert_non_null(set);
    assert_int_equal(set->count, 0);
    mg_jwk_set_unref(set);
    assert_null(mg_jwk_set_parse(mg_str(text, MG_JWK_TEXT_BYTES_MAX + 1), NULL, NULL));
    free(text);
}

/* A key from elsewhere; a set outlives what it was made of. */
static void of_one_key(void **state)
{
    (void)state;
    struct mg_public_key *key = mg_public_key_from_secret(MG_STR("secret"), NULL);
    assert_null(mg_jwk_set_of(key, RS256 | ES256, NULL));
    struct mg_jwk_set *set = mg_jwk_set_of(key, RS256 | HS256, NULL);
    struct mg_jwk_set *all = mg_jwk_set_of(key, 0, NULL);
    mg_public_key_unref(key);
    assert_int_equal(set->count, 1);
    assert_int_equal(set->keys[0].algs, HS256);
    assert_int_equal(all->keys[0].algs, MG_JWA_ALL_HS);
    assert_true(set->id != 0 && all->id != 0 && set->id != all->id);
    assert_ptr_equal(mg_jwk_set_ref(set), set);
    mg_jwk_set_unref(set);
    assert_int_equal(mg_public_key_bits(set->keys[0].key), 48);
    mg_jwk_set_unref(set);
    mg_jwk_set_unref(all);
}

/* The numbers arrive where they belong: what the key signed is verified. */
static void verifies(void **state)
{
    (void)state;
    static const struct {
        enum test_key kind;
        enum mg_jwa alg;
    } CASES[] = {
        {TEST_KEY_RSA2048, MG_JWA_PS256}, {TEST_KEY_P256, MG_JWA_ES256},
        {TEST_KEY_P384, MG_JWA_ES384},    {TEST_KEY_P521, MG_JWA_ES512},
        {TEST_KEY_ED25519, MG_JWA_EDDSA},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        uint8_t made[TEST_SIGNATURE_MAX];
        struct test_signing_key signer = {.cert = test_leaf_new(NULL, CASES[i].kind, NULL)};
        char *jwk = test_public_jwk(signer.cert);
        struct mg_jwk_set *set = parse("{\"keys\":[{", jwk, "}]}", NULL);
        assert_int_equal(set->count, 1);
        size_t n = test_sign(CASES[i].alg, &signer, MG_STR("data"), made);
        assert_true(mg_public_key_verify(set->keys[0].key, CASES[i].alg, MG_STR("data"),
                                         mg_str((const char *)made, n)));
        mg_jwk_set_unref(set);
        free(jwk);
        test_cert_free((struct test_cert *)signer.cert);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_key), cmocka_unit_test(among_others), cmocka_unit_test(alone),
        cmocka_unit_test(secrets), cmocka_unit_test(kids),         cmocka_unit_test(refused),
        cmocka_unit_test(limits),  cmocka_unit_test(of_one_key),   cmocka_unit_test(verifies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
