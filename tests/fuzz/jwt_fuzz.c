/*
 * A token, in two ways: as it is, against keys that did not sign it, which must refuse it; and its
 * lines as header and payload of a token that is signed here, so that claims are reached. What is
 * accepted must be so again, and signed again.
 */
#include "crypto/jwt.h"

#include <stdlib.h>

#include "crypto/base64.h"
#include "crypto/digest.h"

#define SECRET MG_STR("a secret that the corpus does not know")

static struct mg_jwk_set *keys;
static struct mg_pool pool;

static void make_keys(void)
{
    struct mg_public_key *key = mg_public_key_from_secret(SECRET, NULL);
    keys = mg_jwk_set_of(key, 0, NULL);
    mg_public_key_unref(key);
    mg_pool_init(&pool, 4096);
}

static void check_claims(struct mg_str payload, struct mg_str typ)
{
    static const struct mg_str NAMES[] = {{"me", 2}, {"gw", 2}};
    static const struct mg_jwt_rules RULES[] = {
        {.without_expiry = true},
        {.issuers = NAMES, .issuer_count = 2, .audiences = NAMES, .audience_count = 2},
        {.required = NAMES, .required_count = 2, .max_age_s = 1, .leeway_s = 60},
        {.profile = MG_JWT_ACCESS_TOKEN},
    };
    struct mg_jwt_facts facts;
    for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++) {
        enum mg_jwt_reason reason =
            mg_jwt_check_claims(payload, typ, &RULES[i], INT64_C(1700000000000), &facts);
        MG_BUG_ON(reason == MG_JWT_OK && facts.exp_ms <= INT64_C(1699999940000));
        MG_BUG_ON(reason == MG_JWT_OK && payload.p[payload.n - 1] == ']');
    }
}

/* What check_claims() could read, mg_jwt_sign() must sign, and what it signs is good. */
static void sign_again(struct mg_str payload)
{
    struct mg_jwt_signer signer = {.alg = MG_JWA_HS512, .secret = SECRET, .kid = MG_STR("k")};
    struct mg_jwt_options options = {.bytes_max = 1 << 20};
    struct mg_arena arena;
    struct mg_jwt token;
    struct mg_buf out;
    mg_arena_init(&arena, &pool);
    mg_buf_init(&out, 1 << 20);
    if (mg_jwt_sign(&signer, payload, &out, NULL) == MG_OK) {
        MG_BUG_ON(mg_jwt_verify(mg_buf_str(&out), keys, &options, &arena, &token) != MG_JWT_OK);
        MG_BUG_ON(!mg_str_eq(token.payload, payload));
    }
    mg_buf_release(&out);
    mg_arena_release(&arena);
}

static void signed_token(struct mg_str header, struct mg_str payload)
{
    struct mg_arena arena;
    struct mg_jwt token;
    uint8_t mac[MG_SHA256_BYTES];
    size_t room = MG_BASE64_ENCODED_MAX(header.n) + MG_BASE64_ENCODED_MAX(payload.n) + 64;
    char *text = malloc(room);
    MG_BUG_ON(!text);
    size_t n = mg_base64_url_encode(header, text);
    text[n++] = '.';
    n += mg_base64_url_encode(payload, text + n);
    mg_digest_hmac_sha256(SECRET, mg_str(text, n), mac);
    text[n++] = '.';
    n += mg_base64_url_encode(mg_str((const char *)mac, sizeof mac), text + n);
    mg_arena_init(&arena, &pool);
    if (mg_jwt_verify(mg_str(text, n), keys, NULL, &arena, &token) == MG_JWT_OK) {
        MG_BUG_ON(token.alg != MG_JWA_HS256 || !mg_str_eq(token.payload, payload));
        check_claims(token.payload, token.typ);
    }
    mg_arena_release(&arena);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mg_arena arena;
    struct mg_jwt token;
    struct mg_str input = mg_str((const char *)data, n);
    if (!keys)
        make_keys();
    mg_arena_init(&arena, &pool);
    MG_BUG_ON(mg_jwt_verify(input, keys, NULL, &arena, &token) == MG_JWT_OK);
    mg_arena_release(&arena);

    ptrdiff_t line = mg_str_find(input, '\n');
    if (line < 0)
        return 0;
    struct mg_str payload = mg_str(input.p + line + 1, n - (size_t)line - 1);
    signed_token(mg_str(input.p, (size_t)line), payload);
    sign_again(payload);
    return 0;
}
