/* A JWK Set: what is taken keeps its promises, whoever wrote it. */
#include "crypto/jwk.h"

static void check(const struct mg_jwk_set *set, const struct mg_jwk_options *options)
{
    MG_BUG_ON(set->count + set->skipped > MG_JWK_KEYS_MAX);
    for (size_t i = 0; i < set->count; i++) {
        const struct mg_jwk *jwk = &set->keys[i];
        MG_BUG_ON(!jwk->key || !jwk->algs || (jwk->algs & ~mg_public_key_algs(jwk->key)));
        MG_BUG_ON(options->algs && (jwk->algs & ~options->algs));
        MG_BUG_ON(!options->secrets && mg_public_key_kind(jwk->key) == MG_PUBLIC_KEY_SECRET);
        MG_BUG_ON(jwk->kid.p && !mg_jwk_set_knows(set, jwk->kid));
        for (enum mg_jwa alg = 0; alg < MG_JWA_COUNT; alg++)
            MG_BUG_ON(mg_public_key_verify(jwk->key, alg, MG_STR("data"), MG_STR("not signed")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct mg_jwk_options OPTIONS[] = {{.secrets = false},
                                                    {.secrets = true, .algs = MG_JWA_ALL_HS}};
    for (size_t i = 0; i < 2; i++) {
        struct mg_error err;
        struct mg_jwk_set *set = mg_jwk_set_parse(mg_str((const char *)data, n), &OPTIONS[i], &err);
        if (set)
            check(set, &OPTIONS[i]);
        mg_jwk_set_unref(set);
    }
    return 0;
}
