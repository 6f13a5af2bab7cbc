/* JSON Web Tokens: the examples of the RFCs, every attack that has a name, claims and signing. */
#include "crypto/jwt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/base64.h"
#include "crypto/test_token.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define NOW INT64_C(1700000000)
#define CLAIMS "{\"iss\":\"me\",\"exp\":1700000060}"

static const char SECRET[] = "thirty-two bytes of a secret ...";

/* Our keys: made once. `of` are sets of one key without a kid, `all` has them by kid. */
enum { RSA2048, P256, P384, HMAC_KEY, OURS };

static const struct {
    enum mg_jwa alg;
    const char *name;
} ours[OURS] = {{MG_JWA_RS256, "RS256"},
                {MG_JWA_ES256, "ES256"},
                {MG_JWA_ES384, "ES384"},
                {MG_JWA_HS256, "HS256"}};

static struct test_signing_key signers[OURS], evil_rsa, evil_ec;
static char *pems[HMAC_KEY];
static struct mg_jwk_set *of[OURS], *all;
static struct mg_pool pool;
static struct mg_arena arena;

static struct mg_jwk_set *set_of(struct mg_public_key *key, unsigned algs)
{
    assert_non_null(key);
    struct mg_jwk_set *set = mg_jwk_set_of(key, algs, NULL);
    assert_non_null(set);
    mg_public_key_unref(key);
    return set;
}

static struct mg_jwk_set *all_by_kid(void)
{
    char *text, *jwks[HMAC_KEY], *k = test_base64_url(MG_STR(SECRET));
    for (size_t i = 0; i < HMAC_KEY; i++)
        jwks[i] = test_public_jwk(signers[i].cert);
    assert_true(asprintf(&text,
                         "{\"keys\":[{%s,\"kid\":\"r\",\"alg\":\"RS256\"},{%s,\"kid\":\"e\"},"
                         "{%s,\"kid\":\"e384\"},"
                         "{\"kty\":\"oct\",\"k\":\"%s\",\"kid\":\"h\",\"alg\":\"HS256\"}]}",
                         jwks[RSA2048], jwks[P256], jwks[P384], k) > 0);
    struct mg_jwk_options options = {.secrets = true};
    struct mg_jwk_set *set = mg_jwk_set_parse(mg_str_c(text), &options, NULL);
    assert_non_null(set);
    assert_int_equal(set->count, OURS);
    for (size_t i = 0; i < HMAC_KEY; i++)
        free(jwks[i]);
    free(k);
    free(text);
    return set;
}

static int make_keys(void **state)
{
    (void)state;
    static const enum test_key KINDS[] = {TEST_KEY_RSA2048, TEST_KEY_P256, TEST_KEY_P384};
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    for (size_t i = 0; i < HMAC_KEY; i++) {
        signers[i].cert = test_leaf_new(NULL, KINDS[i], NULL);
        pems[i] = test_public_pem(signers[i].cert);
        of[i] = set_of(mg_public_key_from_pem(mg_str_c(pems[i]), NULL), 0);
    }
    signers[HMAC_KEY].secret = MG_STR(SECRET);
    of[HMAC_KEY] = set_of(mg_public_key_from_secret(MG_STR(SECRET), NULL), 0);
    evil_rsa.cert = test_leaf_new(NULL, TEST_KEY_RSA2048, NULL);
    evil_ec.cert = test_leaf_new(NULL, TEST_KEY_P256, NULL);
    all = all_by_kid();
    return 0;
}

static int drop_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < OURS; i++) {
        test_cert_free((struct test_cert *)signers[i].cert);
        mg_jwk_set_unref(of[i]);
    }
    for (size_t i = 0; i < HMAC_KEY; i++)
        free(pems[i]);
    test_cert_free((struct test_cert *)evil_rsa.cert);
    test_cert_free((struct test_cert *)evil_ec.cert);
    mg_jwk_set_unref(all);
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    return 0;
}

static enum mg_jwt_reason verify(struct mg_str token, const struct mg_jwk_set *keys)
{
    struct mg_jwt out;
    enum mg_jwt_reason reason = mg_jwt_verify(token, keys, NULL, &arena, &out);
    if (reason == MG_JWT_OK) {
        assert_non_null(out.key);
        assert_non_null(out.payload.p);
    } else {
        assert_null(out.key);
        assert_null(out.payload.p);
    }
    mg_arena_release(&arena);
    return reason;
}

/* Frees `token`. */
static void assert_reason(char *token, const struct mg_jwk_set *keys, enum mg_jwt_reason want)
{
    enum mg_jwt_reason reason = verify(mg_str_c(token), keys);
    if (reason != want)
        fail_msg("%s, not %s: %s", mg_jwt_reason_word(reason), mg_jwt_reason_word(want), token);
    free(token);
}

/* Examples ------------------------------------------------------------------------------------- */

#define RFC7515_PAYLOAD                                                                            \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"
#define RFC7515_CLAIMS                                                                             \
    "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"

static const struct {
    const char *jwk, *token, *payload, *typ;
    enum mg_jwa alg;
} EXAMPLES[] = {
    /* RFC 7515 A.1 */
    {"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4"
     "hcgUuTwjAzZr1Z9CAow\"}",
     "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC7515_PAYLOAD
     ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
     RFC7515_CLAIMS, "JWT", MG_JWA_HS256},
    /* RFC 7515 A.2 */
    {"{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Va"
     "w-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0"
     "LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5Zw"
     "Kh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\","
     "\"e\":\"AQAB\"}",
     "eyJhbGciOiJSUzI1NiJ9." RFC7515_PAYLOAD
     ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5"
     "jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
     "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
     "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
     RFC7515_CLAIMS, NULL, MG_JWA_RS256},
    /* RFC 7515 A.3 */
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
     "\"y\":"
     "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
     "eyJhbGciOiJFUzI1NiJ9." RFC7515_PAYLOAD
     ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
     RFC7515_CLAIMS, NULL, MG_JWA_ES256},
    /* RFC 7515 A.4 */
    {"{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5E"
     "OnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk\",\"y\":\"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2T"
     "h-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2\"}",
     "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-m"
     "ZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrm"
     "xYbSW9ERBXukOXolLzeO_Jn",
     "Payload", NULL, MG_JWA_ES512},
    /* RFC 8037 A.4 */
    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvM"
     "g3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
     "Example of Ed25519 signing", NULL, MG_JWA_EDDSA},
};

static void examples(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(EXAMPLES); i++) {
        struct mg_jwk_options options = {.secrets = true, .algs = MG_JWA_BIT(EXAMPLES[i].alg)};
        struct mg_jwk_set *set = mg_jwk_set_parse(mg_str_c(EXAMPLES[i].jwk), &options, NULL);
        struct mg_jwt out;
        assert_non_null(set);
        assert_int_equal(mg_jwt_verify(mg_str_c(EXAMPLES[i].token), set, NULL, &arena, &out),
                         MG_JWT_OK);
        assert_true(mg_str_eq(out.payload, mg_str_c(EXAMPLES[i].payload)));
        assert_true(mg_str_eq(out.typ, mg_str_c(EXAMPLES[i].typ)));
        assert_int_equal(out.typ.p != NULL, EXAMPLES[i].typ != NULL);
        assert_null(out.kid.p);
        assert_int_equal(out.alg, EXAMPLES[i].alg);
        assert_ptr_equal(out.key, set->keys);
        mg_arena_release(&arena);

        /* Only the algorithms that the caller allows. */
        struct mg_jwt_options allow = {.algs = MG_JWA_ALL & ~MG_JWA_BIT(EXAMPLES[i].alg)};
        assert_int_equal(mg_jwt_verify(mg_str_c(EXAMPLES[i].token), set, &allow, &arena, &out),
                         MG_JWT_ALGORITHM);
        mg_arena_release(&arena);
        mg_jwk_set_unref(set);
    }
    /* RFC 7515 A.5, with nothing for a signature and with something. */
    for (size_t i = 0; i < OURS; i++) {
        assert_int_equal(verify(MG_STR("eyJhbGciOiJub25lIn0." RFC7515_PAYLOAD "."), of[i]),
                         MG_JWT_MALFORMED);
        assert_int_equal(verify(MG_STR("eyJhbGciOiJub25lIn0." RFC7515_PAYLOAD ".AAAA"), of[i]),
                         MG_JWT_ALGORITHM);
    }
}

/* Every character of a token counts: another one there, or none, or one more, and it is refused. */
static void one_spelling(void **state)
{
    (void)state;
    for (size_t i = 0; i < OURS; i++) {
        char header[64];
        snprintf(header, sizeof header, "{\"alg\":\"%s\"}", ours[i].name);
        char *token = test_token(ours[i].alg, &signers[i], mg_str_c(header), MG_STR("{\"a\":1}"));
        size_t n = strlen(token), step = i == P384 ? 11 : 1;
        char *other = malloc(n + 2);
        assert_non_null(other);
        assert_int_equal(verify(mg_str(token, n), of[i]), MG_JWT_OK);
        for (size_t at = 0; at < n; at += step) {
            static const char WITH[] = "A_-z=+/. \n\t\0\x80";
            for (size_t w = 0; w < sizeof WITH - 1; w++) {
                memcpy(other, token, n);
                other[at] = WITH[w];
                assert_int_equal(verify(mg_str(other, n), of[i]) == MG_JWT_OK,
                                 token[at] == WITH[w]);
            }
            memcpy(other, token, at);
            memcpy(other + at, token + at + 1, n - at - 1);
            assert_int_not_equal(verify(mg_str(other, n - 1), of[i]), MG_JWT_OK);
            assert_int_not_equal(verify(mg_str(token, at), of[i]), MG_JWT_OK);
        }
        /* The last character of a signature has bits that do not count; they must be zero. */
        memcpy(other, token, n);
        for (int c = 1; c < 256; c++) {
            other[n - 1] = (char)c;
            assert_int_equal(verify(mg_str(other, n), of[i]) == MG_JWT_OK,
                             other[n - 1] == token[n - 1]);
            other[n - 1] = token[n - 1];
            other[n] = (char)c;
            assert_int_not_equal(verify(mg_str(other, n + 1), of[i]), MG_JWT_OK);
        }
        free(other);
        free(token);
    }
}

static void forms(void **state)
{
    (void)state;
    char *token =
        test_token(MG_JWA_HS256, &signers[HMAC_KEY], MG_STR("{\"alg\":\"HS256\"}"), MG_STR("{}"));
    const char *first = strchr(token, '.');
    int header_n = (int)(first - token);
    const char *const FORMATS[] = {".%s",
                                   "%s.",
                                   "%s.x",
                                   "%s.x.y",
                                   "%s=",
                                   " %s",
                                   "%s ",
                                   "%s\n",
                                   "Bearer %s",
                                   "\"%s\"",
                                   "{\"payload\":\"%s\"}",
                                   "%s,%s"};
    for (size_t i = 0; i < COUNT(FORMATS); i++) {
        char *text;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        assert_true(asprintf(&text, FORMATS[i], token, token) > 0);
#pragma GCC diagnostic pop
        assert_reason(text, of[HMAC_KEY], MG_JWT_MALFORMED);
    }
    assert_int_equal(verify(MG_STR_NONE, all), MG_JWT_MALFORMED);
    assert_int_equal(verify(MG_STR("."), all), MG_JWT_MALFORMED);
    assert_int_equal(verify(MG_STR(".."), all), MG_JWT_MALFORMED);
    assert_int_equal(verify(MG_STR("..."), all), MG_JWT_MALFORMED);
    assert_int_equal(verify(mg_str(token, (size_t)header_n), all), MG_JWT_MALFORMED);
    assert_int_equal(verify(mg_str(token, (size_t)header_n + 1), all), MG_JWT_MALFORMED);
    /* RFC 7516 has five parts. */
    assert_int_equal(verify(MG_STR("eyJhbGciOiJkaXIifQ..AAAA.AAAA.AAAA"), all), MG_JWT_MALFORMED);
    free(token);
}

/* A signed text whose payload is not base64url in its one spelling. */
static void payload_spelt_otherwise(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum mg_jwt_reason reason;
    } CASES[] = {
        {"eyJhbGciOiJIUzI1NiJ9.e30", MG_JWT_OK},
        {"eyJhbGciOiJIUzI1NiJ9.", MG_JWT_OK}, /* an empty payload; the claims are refused then */
        {"eyJhbGciOiJIUzI1NiJ9.e30=", MG_JWT_MALFORMED},
        {"eyJhbGciOiJIUzI1NiJ9.e31", MG_JWT_MALFORMED},
        {"eyJhbGciOiJIUzI1NiJ9.e", MG_JWT_MALFORMED},
        {"eyJhbGciOiJIUzI1NiJ9.e3 0", MG_JWT_MALFORMED},
        {"eyJhbGciOiJIUzI1NiJ9.+/+/", MG_JWT_MALFORMED},
        {"eyJhbGciOiJIUzI1NiJ9=.e30", MG_JWT_MALFORMED},
        {"eyJhbGciOiJIUzI1NiJ8.e30", MG_JWT_MALFORMED},
        {"eyJhbGciOiJIUzI1NiJ9\n.e30", MG_JWT_MALFORMED},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        assert_reason(test_token_signed(MG_JWA_HS256, &signers[HMAC_KEY], mg_str_c(CASES[i].text)),
                      of[HMAC_KEY], CASES[i].reason);
}

/* Headers -------------------------------------------------------------------------------------- */

/* All correctly signed with HS256. */
static const struct {
    const char *header;
    enum mg_jwt_reason reason;
} HEADERS[] = {
    {"{\"alg\":\"HS256\"}", MG_JWT_OK},
    {" {\n\"typ\" : \"JWT\" , \"alg\" : \"HS256\" } ", MG_JWT_OK},
    {"{\"\\u0061lg\":\"HS\\u003256\"}", MG_JWT_OK},
    {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"x-note\":[1,{\"a\":null}]}", MG_JWT_OK},
    {"{\"alg\":\"HS256\",\"cty\":\"json\"}", MG_JWT_OK},
    {"{\"alg\":\"HS256\",\"kid\":\"anything\"}", MG_JWT_OK}, /* the key has none */
    /* keys that come along are not looked at */
    {"{\"alg\":\"HS256\",\"jku\":\"http://evil/\",\"x5u\":1,\"x5c\":[],\"jwk\":{\"kty\":\"oct\"}}",
     MG_JWT_OK},
    /* alg */
    {"{\"typ\":\"JWT\"}", MG_JWT_MALFORMED},
    {"{}", MG_JWT_MALFORMED},
    {"{\"alg\":null}", MG_JWT_MALFORMED},
    {"{\"alg\":256}", MG_JWT_MALFORMED},
    {"{\"alg\":[\"HS256\"]}", MG_JWT_MALFORMED},
    {"{\"alg\":{\"a\":\"HS256\"}}", MG_JWT_MALFORMED},
    {"{\"alg\":true}", MG_JWT_MALFORMED},
    {"{\"alg\":\"\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"none\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"None\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"NONE\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"nOnE\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"none\\u0000\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"hs256\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"HS256 \"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"HS256\\u0000\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"HS2560\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"ES256K\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"RS1\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"RS256\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"PS256\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"ES256\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"EdDSA\"}", MG_JWT_ALGORITHM},
    {"{\"alg\":\"HS384\"}", MG_JWT_SIGNATURE},
    {"{\"alg\":\"HS512\"}", MG_JWT_SIGNATURE},
    {"{\"ALG\":\"HS256\"}", MG_JWT_MALFORMED},
    /* twice */
    {"{\"alg\":\"none\",\"alg\":\"HS256\"}", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"x\":{\"y\":1,\"y\":2}}", MG_JWT_MALFORMED},
    /* what must be understood (RFC 7515 4.1.11, RFC 7797) */
    {"{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", MG_JWT_CRITICAL},
    {"{\"alg\":\"HS256\",\"crit\":[]}", MG_JWT_CRITICAL},
    {"{\"alg\":\"HS256\",\"crit\":null}", MG_JWT_CRITICAL},
    {"{\"alg\":\"HS256\",\"crit\":\"x\"}", MG_JWT_CRITICAL},
    {"{\"crit\":[\"alg\"],\"alg\":\"HS256\"}", MG_JWT_CRITICAL},
    {"{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", MG_JWT_CRITICAL},
    {"{\"alg\":\"HS256\",\"b64\":false}", MG_JWT_CRITICAL},
    {"{\"alg\":\"HS256\",\"b64\":true}", MG_JWT_CRITICAL},
    /* nested */
    {"{\"alg\":\"HS256\",\"cty\":\"JWT\"}", MG_JWT_NESTED},
    {"{\"alg\":\"HS256\",\"cty\":\"jwt\"}", MG_JWT_NESTED},
    {"{\"alg\":\"HS256\",\"cty\":\"application/JWT\"}", MG_JWT_NESTED},
    {"{\"alg\":\"HS256\",\"cty\":1}", MG_JWT_MALFORMED},
    /* wrong forms */
    {"{\"alg\":\"HS256\",\"kid\":1}", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"kid\":null}", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"kid\":[\"h\"]}", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"typ\":1}", MG_JWT_MALFORMED},
    {"", MG_JWT_MALFORMED},
    {"alg", MG_JWT_MALFORMED},
    {"null", MG_JWT_MALFORMED},
    {"\"HS256\"", MG_JWT_MALFORMED},
    {"[{\"alg\":\"HS256\"}]", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\"", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\"}}", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\"} x", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\",}", MG_JWT_MALFORMED},
    {"{'alg':'HS256'}", MG_JWT_MALFORMED},
    {"\xef\xbb\xbf{\"alg\":\"HS256\"}", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"x\":\"\xff\xfe\"}", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"x\":\"\\ud800\"}", MG_JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"x\":1e999}", MG_JWT_MALFORMED},
};

static void headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(HEADERS); i++)
        assert_reason(test_token(MG_JWA_HS256, &signers[HMAC_KEY], mg_str_c(HEADERS[i].header),
                                 MG_STR(CLAIMS)),
                      of[HMAC_KEY], HEADERS[i].reason);
    assert_reason(test_token(MG_JWA_HS256, &signers[HMAC_KEY], MG_STR("{\"alg\":\"HS256\0\"}"),
                             MG_STR(CLAIMS)),
                  of[HMAC_KEY], MG_JWT_MALFORMED);
    /* Asked for, nested ones are taken. */
    struct mg_jwt_options nested = {.nested = true};
    struct mg_jwt out;
    char *token = test_token(MG_JWA_HS256, &signers[HMAC_KEY],
                             MG_STR("{\"cty\":\"JWT\",\"alg\":\"HS256\"}"), MG_STR("a.b.c"));
    assert_int_equal(mg_jwt_verify(mg_str_c(token), of[HMAC_KEY], &nested, &arena, &out),
                     MG_JWT_OK);
    assert_true(mg_str_eq(out.header, MG_STR("{\"cty\":\"JWT\",\"alg\":\"HS256\"}")));
    mg_arena_release(&arena);
    free(token);
}

static void deep_and_long_headers(void **state)
{
    (void)state;
    struct mg_buf b;
    mg_buf_init(&b, 1 << 20);
    for (int deep = 20; deep <= 2000; deep += 1980) {
        mg_buf_reset(&b);
        mg_buf_add_c(&b, "{\"alg\":\"HS256\",\"x\":");
        for (int i = 0; i < deep; i++)
            mg_buf_add_char(&b, '[');
        for (int i = 0; i < deep; i++)
            mg_buf_add_char(&b, ']');
        mg_buf_add_char(&b, '}');
        assert_reason(test_token(MG_JWA_HS256, &signers[HMAC_KEY], mg_buf_str(&b), MG_STR("{}")),
                      of[HMAC_KEY], deep == 20 ? MG_JWT_OK : MG_JWT_MALFORMED);
    }
    static const char *const NAMES[] = {"kid", "typ"};
    for (int i = 0; i < 4; i++) {
        mg_buf_reset(&b);
        mg_buf_printf(&b, "{\"alg\":\"HS256\",\"%s\":\"%*s\"}", NAMES[i / 2], 256 + i % 2, "x");
        assert_reason(test_token(MG_JWA_HS256, &signers[HMAC_KEY], mg_buf_str(&b), MG_STR("{}")),
                      of[HMAC_KEY], i % 2 ? MG_JWT_MALFORMED : MG_JWT_OK);
    }
    mg_buf_release(&b);
}

/* The limit is a byte sharp, and nothing is allocated beyond it. */
static void long_tokens(void **state)
{
    (void)state;
    char *pad = malloc(20000);
    assert_non_null(pad);
    memset(pad, 'x', 20000);
    char *token = test_token(MG_JWA_HS256, &signers[HMAC_KEY], MG_STR("{\"alg\":\"HS256\"}"),
                             mg_str(pad, 6080));
    size_t n = strlen(token);
    struct mg_jwt out;
    for (size_t limit = n - 1; limit <= n; limit++) {
        struct mg_jwt_options options = {.bytes_max = limit};
        enum mg_jwt_reason reason =
            mg_jwt_verify(mg_str(token, n), of[HMAC_KEY], &options, &arena, &out);
        assert_int_equal(reason, limit == n ? MG_JWT_OK : MG_JWT_TOO_LONG);
        assert_int_equal(arena.bytes == 0, reason == MG_JWT_TOO_LONG);
        mg_arena_release(&arena);
    }
    free(token);
    assert_int_equal(verify(mg_str(pad, MG_JWT_BYTES_MAX + 1), of[HMAC_KEY]), MG_JWT_TOO_LONG);
    assert_int_equal(verify(mg_str(pad, MG_JWT_BYTES_MAX), of[HMAC_KEY]), MG_JWT_MALFORMED);
    /* A signature longer than any. */
    assert_reason(test_token_with(MG_STR("eyJhbGciOiJIUzI1NiJ9.e30"), mg_str(pad, 3000)),
                  of[HMAC_KEY], MG_JWT_SIGNATURE);
    free(pad);
}

/* Keys ----------------------------------------------------------------------------------------- */

static char *token_of(size_t signer, const char *header)
{
    return test_token(ours[signer].alg, &signers[signer], mg_str_c(header), MG_STR(CLAIMS));
}

static void key_by_kid(void **state)
{
    (void)state;
    static const struct {
        size_t signer;
        const char *header;
        enum mg_jwt_reason reason;
    } CASES[] = {
        {RSA2048, "{\"alg\":\"RS256\",\"kid\":\"r\"}", MG_JWT_OK},
        {P256, "{\"alg\":\"ES256\",\"kid\":\"e\"}", MG_JWT_OK},
        {P384, "{\"alg\":\"ES384\",\"kid\":\"e384\"}", MG_JWT_OK},
        {HMAC_KEY, "{\"alg\":\"HS256\",\"kid\":\"h\"}", MG_JWT_OK},
        {HMAC_KEY, "{\"alg\":\"HS256\",\"kid\":\"\\u0068\"}", MG_JWT_OK},
        /* without one, the algorithm tells */
        {RSA2048, "{\"alg\":\"RS256\"}", MG_JWT_OK},
        {P384, "{\"alg\":\"ES384\"}", MG_JWT_OK},
        /* somebody else's, or none's */
        {RSA2048, "{\"alg\":\"RS256\",\"kid\":\"e\"}", MG_JWT_ALGORITHM},
        {P256, "{\"alg\":\"ES256\",\"kid\":\"r\"}", MG_JWT_ALGORITHM},
        {P256, "{\"alg\":\"ES256\",\"kid\":\"e384\"}", MG_JWT_ALGORITHM},
        {HMAC_KEY, "{\"alg\":\"HS256\",\"kid\":\"r\"}", MG_JWT_ALGORITHM},
        {HMAC_KEY, "{\"alg\":\"HS384\",\"kid\":\"h\"}", MG_JWT_ALGORITHM},
        {RSA2048, "{\"alg\":\"RS384\",\"kid\":\"r\"}", MG_JWT_ALGORITHM},
        {RSA2048, "{\"alg\":\"PS256\",\"kid\":\"r\"}", MG_JWT_ALGORITHM},
        {RSA2048, "{\"alg\":\"RS256\",\"kid\":\"\"}", MG_JWT_NO_KEY},
        {RSA2048, "{\"alg\":\"RS256\",\"kid\":\"R\"}", MG_JWT_NO_KEY},
        {RSA2048, "{\"alg\":\"RS256\",\"kid\":\"r \"}", MG_JWT_NO_KEY},
        {RSA2048, "{\"alg\":\"RS256\",\"kid\":\"r\\u0000\"}", MG_JWT_NO_KEY},
        {RSA2048, "{\"alg\":\"RS256\",\"kid\":\"../../dev/null\"}", MG_JWT_NO_KEY},
        {HMAC_KEY, "{\"alg\":\"HS256\",\"kid\":\"x' UNION SELECT 'x'--\"}", MG_JWT_NO_KEY},
        {HMAC_KEY, "{\"alg\":\"HS256\",\"kid\":\"x|id\"}", MG_JWT_NO_KEY},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        assert_reason(token_of(CASES[i].signer, CASES[i].header), all, CASES[i].reason);
    /* What the caller needs to look for newer keys is told. */
    struct mg_jwt out;
    char *token = token_of(P256, "{\"alg\":\"ES256\",\"kid\":\"new\",\"typ\":\"JWT\"}");
    assert_int_equal(mg_jwt_verify(mg_str_c(token), all, NULL, &arena, &out), MG_JWT_NO_KEY);
    assert_true(mg_str_eq(out.kid, MG_STR("new")) && mg_str_eq(out.typ, MG_STR("JWT")));
    assert_int_equal(out.alg, MG_JWA_ES256);
    assert_null(out.payload.p);
    mg_arena_release(&arena);
    free(token);
}

/* Several keys may be meant; more than MG_JWT_TRIES_MAX would make refusing dear. */
static void several_keys(void **state)
{
    (void)state;
    for (size_t n = 1; n <= MG_JWT_TRIES_MAX + 1; n++) {
        struct mg_buf text;
        mg_buf_init(&text, 1 << 16);
        mg_buf_add_c(&text, "{\"keys\":[");
        for (size_t i = 0; i < n; i++) {
            uint8_t secret[32] = {0};
            memcpy(secret, i == n - 1 ? SECRET : "other", i == n - 1 ? sizeof SECRET - 1 : 5);
            char *k = test_base64_url(mg_str((const char *)secret, sizeof secret));
            mg_buf_printf(&text, "%s{\"kty\":\"oct\",\"k\":\"%s\",\"alg\":\"HS256\"}", i ? "," : "",
                          k);
            free(k);
        }
        mg_buf_add_c(&text, "]}");
        struct mg_jwk_options options = {.secrets = true};
        struct mg_jwk_set *set = mg_jwk_set_parse(mg_buf_str(&text), &options, NULL);
        assert_int_equal(set->count, n);
        assert_reason(token_of(HMAC_KEY, "{\"alg\":\"HS256\"}"), set,
                      n <= MG_JWT_TRIES_MAX ? MG_JWT_OK : MG_JWT_NO_KEY);
        mg_jwk_set_unref(set);
        mg_buf_release(&text);
    }
    struct mg_jwk_set *none = mg_jwk_set_parse(MG_STR("{\"keys\":[]}"), NULL, NULL);
    assert_reason(token_of(HMAC_KEY, "{\"alg\":\"HS256\"}"), none, MG_JWT_NO_KEY);
    mg_jwk_set_unref(none);
}

/* RFC 8725 2.1: an HMAC under the text of the public key, in each form it is published in. */
static void public_key_as_secret(void **state)
{
    (void)state;
    for (size_t i = 0; i < HMAC_KEY; i++) {
        EVP_PKEY *pkey = signers[i].cert->pkey;
        uint8_t *der = NULL;
        int der_n = i2d_PUBKEY(pkey, &der);
        char *jwk = test_public_jwk(signers[i].cert);
        struct mg_str pem = mg_str_c(pems[i]);
        const struct mg_str TEXTS[] = {pem,
                                       mg_str(pem.p, pem.n - 1),
                                       mg_str_c(signers[i].cert->cert_pem),
                                       mg_str((const char *)der, (size_t)der_n),
                                       mg_str_c(jwk),
                                       MG_STR_NONE};
        static const struct {
            enum mg_jwa alg;
            const char *header;
        } HS[] = {{MG_JWA_HS256, "{\"alg\":\"HS256\"}"},
                  {MG_JWA_HS384, "{\"alg\":\"HS384\"}"},
                  {MG_JWA_HS512, "{\"alg\":\"HS512\"}"},
                  {MG_JWA_HS256, "{\"alg\":\"RS256\"}"},
                  {MG_JWA_HS256, "{\"alg\":\"ES256\"}"}};
        for (size_t t = 0; t < COUNT(TEXTS); t++) {
            struct test_signing_key forger = {.secret = TEXTS[t]};
            for (size_t h = 0; h < COUNT(HS); h++) {
                char *token =
                    test_token(HS[h].alg, &forger, mg_str_c(HS[h].header), MG_STR(CLAIMS));
                assert_int_not_equal(verify(mg_str_c(token), of[i]), MG_JWT_OK);
                assert_int_not_equal(verify(mg_str_c(token), all), MG_JWT_OK);
                if (h < 3)
                    assert_int_equal(verify(mg_str_c(token), of[i]), MG_JWT_ALGORITHM);
                free(token);
            }
        }
        /* And such a text cannot become a secret by mistake. */
        assert_null(mg_public_key_from_secret(pem, NULL));
        OPENSSL_free(der);
        free(jwk);
    }
}

/* The forger's own key, brought along in each of the ways that the header has. */
static void keys_brought_along(void **state)
{
    (void)state;
    static const char *const FORMATS[] = {
        "{\"alg\":\"%s\",\"jwk\":{%s}}",
        "{\"alg\":\"%s\",\"jwk\":{%s},\"kid\":\"r\"}",
        "{\"alg\":\"%s\",\"jwks\":{\"keys\":[{%s}]}}",
        "{\"alg\":\"%s\",\"jku\":\"http://127.0.0.1:9/\",\"kid\":\"evil\",\"x\":{%s}}",
        "{\"alg\":\"%s\",\"x5u\":\"http://127.0.0.1:9/\",\"x\":{%s}}",
        "{\"alg\":\"%s\",\"x5c\":[\"AAAA\"],\"x\":{%s}}",
    };
    for (size_t i = 0; i < COUNT(FORMATS); i++) {
        for (int ec = 0; ec < 2; ec++) {
            const struct test_signing_key *evil = ec ? &evil_ec : &evil_rsa;
            char *header, *jwk = test_public_jwk(evil->cert);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            assert_true(asprintf(&header, FORMATS[i], ec ? "ES256" : "RS256", jwk) > 0);
#pragma GCC diagnostic pop
            char *token = test_token(ec ? MG_JWA_ES256 : MG_JWA_RS256, evil, mg_str_c(header),
                                     MG_STR(CLAIMS));
            assert_int_not_equal(verify(mg_str_c(token), all), MG_JWT_OK);
            assert_int_equal(verify(mg_str_c(token), of[ec ? P256 : RSA2048]), MG_JWT_SIGNATURE);
            free(token);
            free(header);
            free(jwk);
        }
    }
}

/* Signed with one algorithm, with another's name in the header, for all pairs that the key fits. */
static void another_algorithm(void **state)
{
    (void)state;
    for (enum mg_jwa says = MG_JWA_RS256; says <= MG_JWA_PS512; says++) {
        for (enum mg_jwa does = MG_JWA_RS256; does <= MG_JWA_PS512; does++) {
            char header[64];
            snprintf(header, sizeof header, "{\"alg\":\"%s\"}", mg_jwa_name(says).p);
            assert_reason(test_token(does, &signers[RSA2048], mg_str_c(header), MG_STR(CLAIMS)),
                          of[RSA2048], says == does ? MG_JWT_OK : MG_JWT_SIGNATURE);
        }
    }
    /* The right curve's name over the wrong curve's key. */
    assert_reason(
        test_token(MG_JWA_ES256, &signers[P384], MG_STR("{\"alg\":\"ES256\"}"), MG_STR(CLAIMS)),
        of[P256], MG_JWT_SIGNATURE);
    assert_reason(
        test_token(MG_JWA_ES256, &signers[P384], MG_STR("{\"alg\":\"ES256\"}"), MG_STR(CLAIMS)),
        of[P384], MG_JWT_ALGORITHM);
    assert_reason(
        test_token(MG_JWA_ES384, &signers[P256], MG_STR("{\"alg\":\"ES384\"}"), MG_STR(CLAIMS)),
        of[P256], MG_JWT_ALGORITHM);
}

/* Signatures that are none. */
static void signatures(void **state)
{
    (void)state;
    static const char *const TEXTS[OURS] = {"eyJhbGciOiJSUzI1NiJ9.e30", "eyJhbGciOiJFUzI1NiJ9.e30",
                                            "eyJhbGciOiJFUzM4NCJ9.e30", "eyJhbGciOiJIUzI1NiJ9.e30"};
    for (size_t i = 0; i < OURS; i++) {
        uint8_t made[2 * TEST_SIGNATURE_MAX] = {0}, zero[512] = {0};
        struct mg_str text = mg_str_c(TEXTS[i]);
        size_t n = test_sign(ours[i].alg, &signers[i], text, made);
        memcpy(made + n, made, n);
        const char *p = (const char *)made, *z = (const char *)zero;
        const struct mg_str WRONG[] = {mg_str(p, n - 1), mg_str(p, n + 1),     mg_str(p, 1),
                                       mg_str(p, 2 * n), mg_str(p + 1, n - 1), mg_str(p + 1, n),
                                       mg_str(z, n),     mg_str(z, 1)};
        assert_reason(test_token_with(text, mg_str(p, n)), of[i], MG_JWT_OK);
        for (size_t w = 0; w < COUNT(WRONG); w++)
            assert_reason(test_token_with(text, WRONG[w]), of[i], MG_JWT_SIGNATURE);
    }
}

/* Claims --------------------------------------------------------------------------------------- */

#define REST ",\"exp\":1700000001}"

static const struct mg_str ISSUERS[] = {{"me", 2}, {"https://issuer.test", 19}};
static const struct mg_str AUDIENCES[] = {{"gw", 2}, {"other", 5}};
static const struct mg_str SUBJECTS[] = {{"me", 2}};
static const struct mg_str REQUIRED[] = {{"tenant", 6}, {"jti", 3}};
static const struct mg_str TYPES[] = {{"at+jwt", 6}, {"JWT", 3}};

static const struct mg_jwt_rules plain,
    iss = {.issuers = ISSUERS, .issuer_count = 2},
    aud = {.audiences = AUDIENCES, .audience_count = 2},
    sub = {.subjects = SUBJECTS, .subject_count = 1},
    required = {.required = REQUIRED, .required_count = 2}, leeway = {.leeway_s = 30},
    wide = {.leeway_s = 86400}, any_expiry = {.without_expiry = true}, young = {.max_age_s = 100},
    young_leeway = {.max_age_s = 100, .leeway_s = 30}, old = {.max_age_s = INT64_MAX};

/* Now is 1700000000. */
static const struct {
    const struct mg_jwt_rules *rules;
    const char *payload;
    enum mg_jwt_reason reason;
    const char *claim;
} PAYLOADS[] = {
    {&plain, "{\"exp\":1700000001}", MG_JWT_OK, NULL},
    {&plain, " {\n\"exp\" : 1700000001 } ", MG_JWT_OK, NULL},
    {&plain, "{\"exp\":1700000001,\"deep\":{\"x\":[1,{\"y\":null}]},\"n\":1e300}", MG_JWT_OK, NULL},
    {&plain, "{\"\\u0065xp\":1700000001}", MG_JWT_OK, NULL},
    /* not an object, or not a good one */
    {&plain, "", MG_JWT_PAYLOAD, NULL},
    {&plain, "x", MG_JWT_PAYLOAD, NULL},
    {&plain, "null", MG_JWT_PAYLOAD, NULL},
    {&plain, "\"x\"", MG_JWT_PAYLOAD, NULL},
    {&plain, "[{\"exp\":1700000001}]", MG_JWT_PAYLOAD, NULL},
    {&plain, "{\"exp\":1700000001", MG_JWT_PAYLOAD, NULL},
    {&plain, "{\"exp\":1700000001}}", MG_JWT_PAYLOAD, NULL},
    {&plain, "{\"exp\":1700000001}x", MG_JWT_PAYLOAD, NULL},
    {&plain, "{\"n\":\"\xc3\x28\"" REST, MG_JWT_PAYLOAD, NULL},
    {&plain, "{\"n\":\"\\ud800\"" REST, MG_JWT_PAYLOAD, NULL},
    {&plain, "{\"exp\":1,\"exp\":1700000001}", MG_JWT_PAYLOAD, NULL},
    {&plain, "{\"exp\":1700000001,\"exp\":1700000001}", MG_JWT_PAYLOAD, NULL},
    {&plain, "{\"exp\":1700000001,\"\\u0065xp\":9}", MG_JWT_PAYLOAD, NULL},
    {&plain, "{\"sub\":\"a\",\"sub\":\"b\"" REST, MG_JWT_PAYLOAD, NULL},
    {&plain, "{\"x\":{\"role\":1,\"role\":2}" REST, MG_JWT_PAYLOAD, NULL},
    /* exp */
    {&plain, "{}", MG_JWT_CLAIM_MISSING, "exp"},
    {&plain, "{\"EXP\":1700000001}", MG_JWT_CLAIM_MISSING, "exp"},
    {&any_expiry, "{}", MG_JWT_OK, NULL},
    {&any_expiry, "{\"exp\":1}", MG_JWT_EXPIRED, "exp"},
    {&any_expiry, "{\"exp\":null}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":1700000000}", MG_JWT_EXPIRED, "exp"},
    {&plain, "{\"exp\":1700000000.0005}", MG_JWT_EXPIRED, "exp"},
    {&plain, "{\"exp\":1700000000.5}", MG_JWT_OK, NULL},
    {&plain, "{\"exp\":1699999999}", MG_JWT_EXPIRED, "exp"},
    {&plain, "{\"exp\":0}", MG_JWT_EXPIRED, "exp"},
    {&plain, "{\"exp\":-1}", MG_JWT_EXPIRED, "exp"},
    {&plain, "{\"exp\":-0.0}", MG_JWT_EXPIRED, "exp"},
    {&plain, "{\"exp\":1.700000001e9}", MG_JWT_OK, NULL},
    {&plain, "{\"exp\":9007199254740992}", MG_JWT_OK, NULL},
    {&plain, "{\"exp\":-9007199254740992}", MG_JWT_EXPIRED, "exp"},
    {&plain, "{\"exp\":9007199254740993}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":-9007199254740993}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":9223372036854775807}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":9223372036854775808}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":18446744073709551617}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":1e16}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":1e300}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":1e999}", MG_JWT_PAYLOAD, NULL},
    {&plain, "{\"exp\":Infinity}", MG_JWT_PAYLOAD, NULL},
    {&plain, "{\"exp\":\"1700000001\"}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":\"never\"}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":null}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":true}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":[1700000001]}", MG_JWT_CLAIM_FORM, "exp"},
    {&plain, "{\"exp\":{\"a\":1700000001}}", MG_JWT_CLAIM_FORM, "exp"},
    {&leeway, "{\"exp\":1699999971}", MG_JWT_OK, NULL},
    {&leeway, "{\"exp\":1699999970}", MG_JWT_EXPIRED, "exp"},
    {&wide, "{\"exp\":1699999941}", MG_JWT_OK, NULL},
    {&wide, "{\"exp\":1699999940}", MG_JWT_EXPIRED, "exp"},
    /* nbf */
    {&plain, "{\"nbf\":1700000000" REST, MG_JWT_OK, NULL},
    {&plain, "{\"nbf\":1700000000.5" REST, MG_JWT_NOT_YET, "nbf"},
    {&plain, "{\"nbf\":1700000001" REST, MG_JWT_NOT_YET, "nbf"},
    {&leeway, "{\"nbf\":1700000030" REST, MG_JWT_OK, NULL},
    {&leeway, "{\"nbf\":1700000031" REST, MG_JWT_NOT_YET, "nbf"},
    {&plain, "{\"nbf\":\"1\"" REST, MG_JWT_CLAIM_FORM, "nbf"},
    /* iat */
    {&plain, "{\"iat\":1" REST, MG_JWT_OK, NULL},
    {&plain, "{\"iat\":1700000060" REST, MG_JWT_OK, NULL},
    {&plain, "{\"iat\":1700000061" REST, MG_JWT_NOT_YET, "iat"},
    {&plain, "{\"iat\":\"now\"" REST, MG_JWT_CLAIM_FORM, "iat"},
    {&young, "{\"iat\":1699999900" REST, MG_JWT_OK, NULL},
    {&young, "{\"iat\":1699999899" REST, MG_JWT_TOO_OLD, "iat"},
    {&young, "{\"a\":1" REST, MG_JWT_CLAIM_MISSING, "iat"},
    {&young_leeway, "{\"iat\":1699999870" REST, MG_JWT_OK, NULL},
    {&young_leeway, "{\"iat\":1699999869" REST, MG_JWT_TOO_OLD, "iat"},
    {&young, "{\"iat\":-9007199254740992" REST, MG_JWT_TOO_OLD, "iat"},
    {&old, "{\"iat\":1" REST, MG_JWT_OK, NULL},
    /* iss */
    {&iss, "{\"iss\":\"me\"" REST, MG_JWT_OK, NULL},
    {&iss, "{\"iss\":\"https:\\/\\/issuer.test\"" REST, MG_JWT_OK, NULL},
    {&iss, "{\"iss\":\"https://issuer.test/\"" REST, MG_JWT_ISSUER, "iss"},
    {&iss, "{\"iss\":\"https://issuer.test.evil\"" REST, MG_JWT_ISSUER, "iss"},
    {&iss, "{\"iss\":\"HTTPS://issuer.test\"" REST, MG_JWT_ISSUER, "iss"},
    {&iss, "{\"iss\":\"me\\u0000\"" REST, MG_JWT_ISSUER, "iss"},
    {&iss, "{\"iss\":\"\"" REST, MG_JWT_ISSUER, "iss"},
    {&iss, "{\"iss\":[\"me\"]" REST, MG_JWT_CLAIM_FORM, "iss"},
    {&iss, "{\"iss\":null" REST, MG_JWT_CLAIM_FORM, "iss"},
    {&iss, "{\"sub\":\"me\"" REST, MG_JWT_CLAIM_MISSING, "iss"},
    {&plain, "{\"iss\":1" REST, MG_JWT_CLAIM_FORM, "iss"},
    /* aud */
    {&aud, "{\"aud\":\"gw\"" REST, MG_JWT_OK, NULL},
    {&aud, "{\"aud\":[\"x\",\"other\",\"y\"]" REST, MG_JWT_OK, NULL},
    {&aud, "{\"aud\":[\"x\",\"y\"]" REST, MG_JWT_AUDIENCE, "aud"},
    {&aud, "{\"aud\":[]" REST, MG_JWT_AUDIENCE, "aud"},
    {&aud, "{\"aud\":\"gw2\"" REST, MG_JWT_AUDIENCE, "aud"},
    {&aud, "{\"aud\":\"g\"" REST, MG_JWT_AUDIENCE, "aud"},
    {&aud, "{\"aud\":\"a gw b\"" REST, MG_JWT_AUDIENCE, "aud"},
    {&aud, "{\"aud\":[[\"gw\"]]" REST, MG_JWT_CLAIM_FORM, "aud"},
    {&aud, "{\"aud\":[\"gw\",1]" REST, MG_JWT_CLAIM_FORM, "aud"},
    {&aud, "{\"aud\":{\"gw\":true}" REST, MG_JWT_CLAIM_FORM, "aud"},
    {&aud, "{\"aud\":null" REST, MG_JWT_CLAIM_FORM, "aud"},
    {&aud, "{\"a\":1" REST, MG_JWT_CLAIM_MISSING, "aud"},
    {&plain, "{\"aud\":[\"x\"]" REST, MG_JWT_OK, NULL},
    {&plain, "{\"aud\":17" REST, MG_JWT_CLAIM_FORM, "aud"},
    /* sub */
    {&sub, "{\"sub\":\"me\"" REST, MG_JWT_OK, NULL},
    {&sub, "{\"sub\":\"you\"" REST, MG_JWT_SUBJECT, "sub"},
    {&sub, "{\"iss\":\"me\"" REST, MG_JWT_CLAIM_MISSING, "sub"},
    {&plain, "{\"sub\":7" REST, MG_JWT_CLAIM_FORM, "sub"},
    {&plain, "{\"jti\":7" REST, MG_JWT_CLAIM_FORM, "jti"},
    {&plain, "{\"client_id\":7" REST, MG_JWT_CLAIM_FORM, "client_id"},
    /* required ones */
    {&required, "{\"tenant\":0,\"jti\":\"\"" REST, MG_JWT_OK, NULL},
    {&required, "{\"tenant\":{\"a\":[]},\"jti\":\"1\"" REST, MG_JWT_OK, NULL},
    {&required, "{\"tenant\":null,\"jti\":\"1\"" REST, MG_JWT_CLAIM_MISSING, "tenant"},
    {&required, "{\"jti\":\"1\"" REST, MG_JWT_CLAIM_MISSING, "tenant"},
    {&required, "{\"tenant\":1" REST, MG_JWT_CLAIM_MISSING, "jti"},
    {&required, "{\"x\":{\"tenant\":1},\"jti\":\"1\"" REST, MG_JWT_CLAIM_MISSING, "tenant"},
};

static void claims(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(PAYLOADS); i++) {
        struct mg_jwt_facts facts;
        enum mg_jwt_reason reason = mg_jwt_check_claims(mg_str_c(PAYLOADS[i].payload), MG_STR_NONE,
                                                        PAYLOADS[i].rules, NOW * 1000, &facts);
        if (reason != PAYLOADS[i].reason || !mg_str_eq(facts.claim, mg_str_c(PAYLOADS[i].claim)))
            fail_msg("%s: %s %.*s", PAYLOADS[i].payload, mg_jwt_reason_word(reason),
                     MG_STR_ARGS(facts.claim));
    }
}

static void facts_of_claims(void **state)
{
    (void)state;
    struct mg_jwt_facts facts;
    assert_int_equal(mg_jwt_check_claims(MG_STR("{\"exp\":1700000001.25,\"iat\":-2.5}"),
                                         MG_STR_NONE, &leeway, NOW * 1000, &facts),
                     MG_JWT_OK);
    assert_true(facts.exp_ms == NOW * 1000 + 1250 && facts.iat_ms == -2500);
    assert_int_equal(
        mg_jwt_check_claims(MG_STR("{}"), MG_STR_NONE, &any_expiry, NOW * 1000, &facts), MG_JWT_OK);
    assert_true(facts.exp_ms == INT64_MAX && facts.iat_ms == INT64_MIN);
    struct mg_jwt_rules too_many = {.required = REQUIRED, .required_count = 33};
    assert_int_equal(mg_jwt_check_claims(MG_STR("{\"exp\":1700000001}"), MG_STR_NONE, &too_many,
                                         NOW * 1000, &facts),
                     MG_JWT_CLAIM_MISSING);
}

static void types(void **state)
{
    (void)state;
    static const char ALL[] = "{\"iss\":\"a\",\"exp\":1700000001,\"aud\":\"a\",\"sub\":\"a\","
                              "\"client_id\":\"a\",\"iat\":1,\"jti\":\"a\"}";
    static const struct mg_jwt_rules access = {.profile = MG_JWT_ACCESS_TOKEN},
                                     listed = {.types = TYPES, .type_count = 2},
                                     both = {.profile = MG_JWT_ACCESS_TOKEN,
                                             .types = TYPES + 1,
                                             .type_count = 1};
    static const struct {
        const struct mg_jwt_rules *rules;
        const char *typ;
        bool good;
    } CASES[] = {
        {&access, "at+jwt", true},
        {&access, "AT+JWT", true},
        {&access, "application/at+jwt", true},
        {&access, "Application/AT+jwt", true},
        {&access, "JWT", false},
        {&access, NULL, false},
        {&access, "", false},
        {&access, "at+jwt2", false},
        {&access, "application/application/at+jwt", false},
        {&access, "application/", false},
        {&access, "text/at+jwt", false},
        {&plain, NULL, true},
        {&plain, "anything", true},
        {&listed, "at+jwt", true},
        {&listed, "jwt", true},
        {&listed, "application/JWT", true},
        {&listed, "logout+jwt", false},
        {&listed, NULL, false},
        {&listed, "", false},
        {&both, "at+jwt", false},
        {&both, "JWT", false},
    };
    struct mg_jwt_facts facts;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        enum mg_jwt_reason reason = mg_jwt_check_claims(MG_STR(ALL), mg_str_c(CASES[i].typ),
                                                        CASES[i].rules, NOW * 1000, &facts);
        if (reason != (CASES[i].good ? MG_JWT_OK : MG_JWT_TYP))
            fail_msg("case %zu: %s", i, mg_jwt_reason_word(reason));
    }
    /* RFC 9068 2.2: none of the seven may be missing. */
    static const char *const NAMES[] = {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"};
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        char text[sizeof ALL], quoted[16];
        memcpy(text, ALL, sizeof ALL);
        snprintf(quoted, sizeof quoted, "\"%s\"", NAMES[i]);
        strstr(text, quoted)[1] = 'X';
        assert_int_equal(
            mg_jwt_check_claims(mg_str_c(text), MG_STR("at+jwt"), &access, NOW * 1000, &facts),
            MG_JWT_CLAIM_MISSING);
        assert_true(mg_str_eq(facts.claim, mg_str_c(NAMES[i])));
    }
}

static void deep_payload(void **state)
{
    (void)state;
    struct mg_buf b;
    struct mg_jwt_facts facts;
    mg_buf_init(&b, 1 << 20);
    mg_buf_add_c(&b, "{\"exp\":1700000001,\"x\":");
    for (int i = 0; i < 5000; i++)
        mg_buf_add_c(&b, "{\"a\":");
    mg_buf_add_char(&b, '1');
    for (int i = 0; i < 5001; i++)
        mg_buf_add_char(&b, '}');
    assert_int_equal(mg_jwt_check_claims(mg_buf_str(&b), MG_STR_NONE, &plain, NOW * 1000, &facts),
                     MG_JWT_PAYLOAD);
    mg_buf_release(&b);
}

/* Signing -------------------------------------------------------------------------------------- */

static struct mg_private_key *private_of(const struct test_cert *cert)
{
    struct mg_private_key *key = mg_private_key_from_pem(mg_str_c(cert->key_pem), NULL, NULL);
    assert_non_null(key);
    return key;
}

static void sign_and_verify(void **state)
{
    (void)state;
    struct test_cert *p521 = test_leaf_new(NULL, TEST_KEY_P521, NULL);
    const struct test_cert *certs[] = {signers[RSA2048].cert, signers[P256].cert,
                                       signers[P384].cert, p521};
    for (enum mg_jwa alg = 0; alg < MG_JWA_EDDSA; alg++) {
        bool hs = MG_JWA_BIT(alg) & MG_JWA_ALL_HS;
        const struct test_cert *cert = certs[alg < MG_JWA_ES256 ? 0 : alg - MG_JWA_ES256 + 1];
        struct mg_jwt_signer signer = {.alg = alg, .typ = MG_STR("at+jwt"), .kid = MG_STR("k\"1")};
        char *pem = test_public_pem(cert);
        struct mg_jwk_set *set = set_of(hs ? mg_public_key_from_secret(MG_STR(SECRET), NULL)
                                           : mg_public_key_from_pem(mg_str_c(pem), NULL),
                                        0);
        if (hs)
            signer.secret = MG_STR(SECRET);
        else
            signer.private_key = private_of(cert);
        if (alg == MG_JWA_RS256 || alg >= MG_JWA_ES256)
            assert_int_equal(mg_jwt_algorithm_of(signer.private_key), alg);
        /* Often enough for numbers of all lengths, where they have some. */
        for (int i = 0; i < (alg == MG_JWA_ES256 ? 600 : 20); i++) {
            struct mg_buf out;
            struct mg_jwt token;
            mg_buf_init(&out, 4096);
            mg_buf_add_char(&out, '!');
            assert_int_equal(mg_jwt_sign(&signer, MG_STR(CLAIMS), &out, NULL), MG_OK);
            assert_int_equal(out.p[0], '!');
            assert_int_equal(mg_jwt_verify(mg_str(out.p + 1, out.n - 1), set, NULL, &arena, &token),
                             MG_JWT_OK);
            assert_int_equal(token.alg, alg);
            assert_true(mg_str_eq(token.kid, MG_STR("k\"1")));
            assert_true(mg_str_eq(token.typ, MG_STR("at+jwt")));
            assert_true(mg_str_eq(token.payload, MG_STR(CLAIMS)));
            mg_arena_release(&arena);
            mg_buf_release(&out);
        }
        mg_private_key_free(signer.private_key);
        mg_jwk_set_unref(set);
        free(pem);
    }
    test_cert_free(p521);
}

/* Known: the bytes that anybody else would have made. */
static void signs_the_known(void **state)
{
    (void)state;
    struct mg_jwt_signer signer = {.alg = MG_JWA_HS256, .secret = MG_STR(SECRET)};
    struct mg_buf out;
    mg_buf_init(&out, 4096);
    assert_int_equal(mg_jwt_sign(&signer, MG_STR(CLAIMS), &out, NULL), MG_OK);
    char *want = token_of(HMAC_KEY, "{\"alg\":\"HS256\"}");
    assert_true(mg_str_eq(mg_buf_str(&out), mg_str_c(want)));
    free(want);
    mg_buf_release(&out);
}

static void signing_refused(void **state)
{
    (void)state;
    struct test_cert *small = test_leaf_new(NULL, TEST_KEY_RSA1024, NULL);
    struct mg_private_key *rsa = private_of(signers[RSA2048].cert), *rsa1024 = private_of(small),
                          *ec = private_of(signers[P256].cert);
    const struct mg_str secret = MG_STR(SECRET);
    char *long_secret = calloc(1, MG_PUBLIC_KEY_SECRET_BYTES_MAX + 1);
    const struct {
        struct mg_jwt_signer signer;
        const char *payload, *fault;
    } CASES[] = {
        {{.alg = MG_JWA_HS256}, "{}", "does not fit"},
        {{.alg = MG_JWA_HS256, .private_key = rsa}, "{}", "does not fit"},
        {{.alg = MG_JWA_HS256, .private_key = rsa, .secret = secret}, "{}", "does not fit"},
        {{.alg = MG_JWA_HS256, .secret = {long_secret, MG_PUBLIC_KEY_SECRET_BYTES_MAX + 1}},
         "{}",
         "does not fit"},
        {{.alg = MG_JWA_RS256}, "{}", "does not fit"},
        {{.alg = MG_JWA_RS256, .secret = secret}, "{}", "does not fit"},
        {{.alg = MG_JWA_RS256, .private_key = rsa, .secret = secret}, "{}", "does not fit"},
        {{.alg = MG_JWA_RS256, .private_key = rsa1024}, "{}", "does not fit"},
        {{.alg = MG_JWA_RS256, .private_key = ec}, "{}", "does not fit"},
        {{.alg = MG_JWA_ES256, .private_key = rsa}, "{}", "does not fit"},
        {{.alg = MG_JWA_ES384, .private_key = ec}, "{}", "does not fit"},
        {{.alg = MG_JWA_EDDSA, .private_key = ec}, "{}", "does not fit"},
        {{.alg = MG_JWA_HS256, .secret = secret}, "", "payload"},
        {{.alg = MG_JWA_HS256, .secret = secret}, "[]", "not an object"},
        {{.alg = MG_JWA_HS256, .secret = secret}, "{\"a\":1,\"a\":1}", "twice"},
        {{.alg = MG_JWA_HS256, .secret = secret}, "{} x", "payload"},
        {{.alg = MG_JWA_HS256, .secret = secret, .kid = MG_STR("\xff")}, "{}", "UTF-8"},
        {{.alg = MG_JWA_HS256, .secret = secret, .typ = MG_STR("\xff")}, "{}", "UTF-8"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_buf out;
        struct mg_error err = {""};
        mg_buf_init(&out, 4096);
        mg_buf_add_c(&out, "before");
        assert_int_equal(mg_jwt_sign(&CASES[i].signer, mg_str_c(CASES[i].payload), &out, &err),
                         MG_FAIL);
        if (!strstr(err.text, CASES[i].fault))
            fail_msg("case %zu: %s", i, err.text);
        assert_true(mg_str_eq(mg_buf_str(&out), MG_STR("before")));
        mg_buf_release(&out);
    }
    /* No room: nothing is appended, wherever it ends. */
    struct mg_jwt_signer signer = {.alg = MG_JWA_HS256, .secret = secret};
    for (size_t room = 0; room < 60; room += 5) {
        struct mg_buf out;
        mg_buf_init(&out, room);
        assert_int_equal(mg_jwt_sign(&signer, MG_STR("{}"), &out, NULL), MG_FAIL);
        assert_int_equal(out.n, 0);
        mg_buf_release(&out);
    }
    mg_private_key_free(rsa);
    mg_private_key_free(rsa1024);
    mg_private_key_free(ec);
    test_cert_free(small);
    free(long_secret);
}

static void words(void **state)
{
    (void)state;
    for (enum mg_jwt_reason i = 0; i < MG_JWT_REASON_COUNT; i++) {
        assert_non_null(mg_jwt_reason_word(i));
        assert_non_null(mg_jwt_reason_text(i));
        /* RFC 6750 3: what may stand in an error_description */
        for (const char *p = mg_jwt_reason_text(i); *p; p++)
            assert_true(*p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\');
    }
}

static void names_of_algorithms(void **state)
{
    (void)state;
    enum mg_jwa alg;
    for (enum mg_jwa i = 0; i < MG_JWA_COUNT; i++) {
        assert_true(mg_jwa_from_name(mg_jwa_name(i), &alg));
        assert_int_equal(alg, i);
    }
    assert_false(mg_jwa_from_name(MG_STR("none"), &alg));
    assert_false(mg_jwa_from_name(MG_STR_NONE, &alg));
    assert_false(mg_jwa_from_name(MG_STR("eddsa"), &alg));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples),
        cmocka_unit_test(one_spelling),
        cmocka_unit_test(forms),
        cmocka_unit_test(payload_spelt_otherwise),
        cmocka_unit_test(headers),
        cmocka_unit_test(deep_and_long_headers),
        cmocka_unit_test(long_tokens),
        cmocka_unit_test(key_by_kid),
        cmocka_unit_test(several_keys),
        cmocka_unit_test(public_key_as_secret),
        cmocka_unit_test(keys_brought_along),
        cmocka_unit_test(another_algorithm),
        cmocka_unit_test(signatures),
        cmocka_unit_test(claims),
        cmocka_unit_test(facts_of_claims),
        cmocka_unit_test(types),
        cmocka_unit_test(deep_payload),
        cmocka_unit_test(sign_and_verify),
        cmocka_unit_test(signs_the_known),
        cmocka_unit_test(signing_refused),
        cmocka_unit_test(words),
        cmocka_unit_test(names_of_algorithms),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
