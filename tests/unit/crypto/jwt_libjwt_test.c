/*
 * Our verdict on tokens beside libjwt's (1.10.2, Debian 12).
 *
 * Where libjwt knows the algorithm and is asked carefully, both must agree: each is a witness for
 * the other. Where they differ is below, one row for each trap, so that a libjwt that changes shows
 * up here:
 *
 * - It verifies an HMAC under whatever it is given, also the text of a public key.
 * - It takes any token, `none` or not, when it is given no key.
 * - It reads base64 of RSA and ECDSA signatures with padding too: one token, many spellings.
 * - It takes a header or a payload with a key twice, and does not look at `crit`.
 * - It checks no claim.
 * - It has no PS256 and no EdDSA.
 */
#include "base/memory.h"
#include "crypto/jwt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/test_token.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define CLAIMS "{\"iss\":\"me\",\"exp\":1}"

static const char SECRET[] = "sixty-four bytes of a secret, which is what the longest one wants";

enum { RSA2048, P256, P384, P521, HMAC_KEY, OURS };

static struct test_signing_key signers[OURS];
static char *texts[OURS]; /* what libjwt takes for a key */
static struct mg_jwk_set *sets[OURS];
static struct mg_pool pool;
static struct mg_arena arena;

static int make_keys(void **state)
{
    (void)state;
    static const enum test_key KINDS[] = {TEST_KEY_RSA2048, TEST_KEY_P256, TEST_KEY_P384,
                                          TEST_KEY_P521};
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    for (size_t i = 0; i < OURS; i++) {
        struct mg_public_key *key;
        if (i == HMAC_KEY) {
            signers[i].secret = MG_STR(SECRET);
            texts[i] = strdup(SECRET);
            key = mg_public_key_from_secret(MG_STR(SECRET), NULL);
        } else {
            signers[i].cert = test_leaf_new(NULL, KINDS[i], NULL);
            texts[i] = test_public_pem(signers[i].cert);
            key = mg_public_key_from_pem(mg_str_c(texts[i]), NULL);
        }
        sets[i] = mg_jwk_set_of(key, 0, NULL);
        mg_public_key_unref(key);
    }
    return 0;
}

static int drop_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < OURS; i++) {
        test_cert_free((struct test_cert *)signers[i].cert);
        mg_jwk_set_unref(sets[i]);
        free(texts[i]);
    }
    mg_pool_release(&pool);
    return 0;
}

static bool we_accept(const char *token, const struct mg_jwk_set *keys)
{
    struct mg_jwt out;
    enum mg_jwt_reason reason = mg_jwt_verify(mg_str_c(token), keys, NULL, &arena, &out);
    mg_arena_release(&arena);
    return reason == MG_JWT_OK;
}

static bool libjwt_accepts(const char *token, const char *key)
{
    jwt_t *jwt = NULL;
    int rc = jwt_decode(&jwt, token, (const unsigned char *)key, key ? (int)strlen(key) : 0);
    jwt_free(jwt);
    return rc == 0;
}

/* Frees `token`. */
static void assert_verdicts(char *token, size_t key, bool we, bool libjwt)
{
    if (we_accept(token, sets[key]) != we || libjwt_accepts(token, texts[key]) != libjwt)
        fail_msg("ours is not %d, or libjwt's is not %d: %s", we, libjwt, token);
    free(token);
}

static const struct {
    enum mg_jwa alg;
    size_t key;
} SHARED[] = {
    {MG_JWA_HS256, HMAC_KEY}, {MG_JWA_HS384, HMAC_KEY}, {MG_JWA_HS512, HMAC_KEY},
    {MG_JWA_RS256, RSA2048},  {MG_JWA_RS384, RSA2048},  {MG_JWA_RS512, RSA2048},
    {MG_JWA_ES256, P256},     {MG_JWA_ES384, P384},     {MG_JWA_ES512, P521},
};

static char *good_token(size_t i)
{
    char header[64];
    snprintf(header, sizeof header, "{\"alg\":\"%s\",\"typ\":\"JWT\"}",
             mg_jwa_name(SHARED[i].alg).p);
    return test_token(SHARED[i].alg, &signers[SHARED[i].key], mg_str_c(header), MG_STR(CLAIMS));
}

static void both_accept(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SHARED); i++)
        assert_verdicts(good_token(i), SHARED[i].key, true, true);
}

/* A character of each part changed: here and there, and at both ends of the signature. */
static void both_refuse_what_is_changed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SHARED); i++) {
        char *good = good_token(i), *first = strchr(good, '.'), *second = strrchr(good, '.');
        size_t n = strlen(good);
        const size_t AT[] = {1, (size_t)(first - good) + 2, (size_t)(second - good) + 1,
                             (size_t)(second - good) + 20, n - 5};
        for (size_t k = 0; k < COUNT(AT); k++) {
            char *token = strdup(good);
            token[AT[k]] = token[AT[k]] == 'A' ? 'B' : 'A';
            assert_verdicts(token, SHARED[i].key, false, false);
        }
        assert_verdicts(mg_strdup(mg_str(good, n - 4)), SHARED[i].key, false, false);
        assert_verdicts(mg_strdup(mg_str(good, (size_t)(second - good) + 1)), SHARED[i].key, false,
                        false);
        assert_verdicts(mg_strdup(mg_str(good, (size_t)(second - good))), SHARED[i].key, false,
                        false);
        free(good);
    }
}

/* Another key of the same kind, and keys of other kinds. */
static void both_refuse_another_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SHARED); i++) {
        char *good = good_token(i);
        for (size_t k = 0; k < OURS; k++)
            if (k != SHARED[i].key)
                assert_verdicts(strdup(good), k, false, false);
        free(good);
    }
}

/* What libjwt signs, we take; what we sign, libjwt takes. */
static void each_reads_the_other(void **state)
{
    (void)state;
    static const jwt_alg_t ALGS[] = {JWT_ALG_HS256, JWT_ALG_HS384, JWT_ALG_HS512,
                                     JWT_ALG_RS256, JWT_ALG_RS384, JWT_ALG_RS512,
                                     JWT_ALG_ES256, JWT_ALG_ES384, JWT_ALG_ES512};
    for (size_t i = 0; i < COUNT(SHARED); i++) {
        const struct test_signing_key *key = &signers[SHARED[i].key];
        const char *private = key->cert ? key->cert->key_pem : SECRET;
        jwt_t *jwt = NULL;
        assert_int_equal(jwt_new(&jwt), 0);
        assert_int_equal(jwt_add_grant(jwt, "iss", "me"), 0);
        assert_int_equal(
            jwt_set_alg(jwt, ALGS[i], (const unsigned char *)private, (int)strlen(private)), 0);
        char *theirs = jwt_encode_str(jwt);
        assert_non_null(theirs);
        jwt_free(jwt);
        assert_verdicts(theirs, SHARED[i].key, true, true);

        struct mg_jwt_signer signer = {.alg = SHARED[i].alg, .secret = key->secret};
        if (key->cert)
            signer.private_key = mg_private_key_from_pem(mg_str_c(key->cert->key_pem), NULL, NULL);
        struct mg_buf out;
        mg_buf_init(&out, 4096);
        assert_int_equal(mg_jwt_sign(&signer, MG_STR(CLAIMS), &out, NULL), MG_OK);
        assert_verdicts(mg_strdup(mg_str(out.p, out.n)), SHARED[i].key, true, true);
        mg_buf_release(&out);
        mg_private_key_free(signer.private_key);
    }
}

/* Where libjwt must not be asked. */
static void traps(void **state)
{
    (void)state;
    struct test_signing_key forger = {.secret = mg_str_c(texts[RSA2048])};
    assert_verdicts(
        test_token(MG_JWA_HS256, &forger, MG_STR("{\"alg\":\"HS256\"}"), MG_STR(CLAIMS)), RSA2048,
        false, true);

    /* Without a key everything is true. We have no way to ask without one. */
    char *token = good_token(3);
    token[strlen(token) - 5] ^= 1;
    assert_true(libjwt_accepts(token, NULL));
    free(token);
    char *none = test_token_with(MG_STR("eyJhbGciOiJub25lIn0.e30"), MG_STR_NONE);
    assert_true(libjwt_accepts(none, NULL));
    assert_verdicts(none, HMAC_KEY, false, false);

    static const struct {
        const char *header, *payload;
    } ACCEPTED[] = {
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", CLAIMS},
        {"{\"alg\":\"HS256\",\"b64\":false}", CLAIMS},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", CLAIMS},
        {"{\"alg\":\"HS256\",\"cty\":\"JWT\"}", CLAIMS},
        {"{\"alg\":\"hs256\"}", CLAIMS},
    };
    for (size_t i = 0; i < COUNT(ACCEPTED); i++)
        assert_verdicts(test_token(MG_JWA_HS256, &signers[HMAC_KEY], mg_str_c(ACCEPTED[i].header),
                                   mg_str_c(ACCEPTED[i].payload)),
                        HMAC_KEY, false, true);

    char *good = good_token(3), *padded;
    assert_true(asprintf(&padded, "%s=", good) > 0);
    assert_verdicts(padded, RSA2048, false, true);
    free(good);
}

/* What libjwt does not have. */
static void only_ours(void **state)
{
    (void)state;
    assert_verdicts(
        test_token(MG_JWA_PS256, &signers[RSA2048], MG_STR("{\"alg\":\"PS256\"}"), MG_STR(CLAIMS)),
        RSA2048, true, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_accept),
        cmocka_unit_test(both_refuse_what_is_changed),
        cmocka_unit_test(both_refuse_another_key),
        cmocka_unit_test(each_reads_the_other),
        cmocka_unit_test(traps),
        cmocka_unit_test(only_ours),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
