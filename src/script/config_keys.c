/*
 * The keys of the config, for tokens: a secret, a public key, a file with a JWK Set, or an issuer
 * that has them.
 */
#include <string.h>

#include "script/config_build.h"
#include "script/table.h"

#define FILE_MAX MG_JWK_TEXT_BYTES_MAX
/* RFC 7518 3.2: as many bytes as the digest has. Fewer could be guessed. */
#define WEAK_BYTES 32
#define REFRESH_NS (3600 * MG_SECOND)
/* For tests of whole gateways: lets weak secrets pass, and issuers without TLS. */
#define ALLOW_WEAK "MOONGATE_WEAK_KEYS"

/* Secrets that everybody has read in a tutorial. */
static const char *const samples[] = {
    "your-secret-key",
    "your-256-bit-secret",
    "secret",
    "changeme",
    "jwt-secret",
    "your_jwt_secret",
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
};

static struct mg_str key_path(struct mg_config_build *b, struct mg_str name)
{
    return mg_arena_printf(&b->gen->arena, "keys.%s", name.p);
}

static void fail(struct mg_config_build *b, struct mg_str name, const char *message)
{
    struct mg_config_place place = {.path = key_path(b, name)};
    mg_config_error(b, &place, "%s", message);
}

static bool is_lenient(struct mg_config_build *b)
{
    const char *allow = getenv(ALLOW_WEAK);
    return b->source->dev || b->source->simulated || mg_config_flag(b, b->config, "dev") ||
           (allow && strcmp(allow, "allow") == 0);
}

static bool is_sample(struct mg_str secret)
{
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        if (mg_str_eq(secret, mg_str_c(samples[i])))
            return true;
    return false;
}

static bool is_strong(struct mg_config_build *b, struct mg_str name, struct mg_str secret)
{
    if (is_lenient(b))
        return true;
    if (is_sample(secret))
        fail(b, name, "its secret is one that everybody knows; only `dev` takes it");
    else if (secret.n < WEAK_BYTES)
        fail(b, name, "its secret has fewer than 32 bytes; only `dev` takes it");
    else
        return true;
    return false;
}

/* What the field names: a secret of the config, or else the text itself. n 0: a secret that was not
 * read, or could not be, which has been told. */
static struct mg_str find_secret(struct mg_config_build *b, struct mg_str text)
{
    for (uint32_t i = 0; i < b->plan->secret_count; i++)
        if (mg_str_eq(b->plan->secrets[i].name, text))
            return b->plan->secrets[i].value;
    return text;
}

static struct mg_public_key *read_secret(struct mg_config_build *b, struct mg_str name,
                                         struct mg_str text)
{
    struct mg_error err;
    struct mg_str secret = find_secret(b, text);
    if (secret.n == 0 || !is_strong(b, name, secret))
        return NULL;
    struct mg_public_key *key = mg_public_key_from_secret(secret, &err);
    if (!key)
        fail(b, name, err.text);
    return key;
}

static enum mg_rc read_file(struct mg_config_build *b, struct mg_str name, struct mg_str file,
                            struct mg_buf *out)
{
    return mg_config_read_file(b, key_path(b, name).p, file, FILE_MAX, out);
}

static struct mg_public_key *read_public_key(struct mg_config_build *b, struct mg_str name,
                                             struct mg_str file)
{
    struct mg_buf text;
    struct mg_error err;
    struct mg_public_key *key = NULL;
    if (read_file(b, name, file, &text) == MG_OK &&
        !(key = mg_public_key_from_pem(mg_buf_str(&text), &err)))
        fail(b, name, err.text);
    mg_config_drop_file(&text);
    return key;
}

static unsigned read_algorithms(struct mg_config_build *b, int keys)
{
    size_t count;
    unsigned algs = 0;
    struct mg_str *names = mg_config_texts(b, keys, "algorithms", &count);
    for (size_t i = 0; i < count; i++) {
        enum mg_jwa alg;
        if (mg_jwa_from_name(names[i], &alg)) /* the schema knows no others */
            algs |= MG_JWA_BIT(alg);
    }
    return algs;
}

static struct mg_jwk_set *set_of(struct mg_config_build *b, struct mg_str name,
                                 struct mg_public_key *key, unsigned algs)
{
    struct mg_error err;
    struct mg_jwk_set *set = key ? mg_jwk_set_of(key, algs, &err) : NULL;
    if (key && !set)
        fail(b, name, err.text);
    mg_public_key_unref(key);
    return set;
}

static bool has_weak(const struct mg_jwk_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (mg_public_key_kind(set->keys[i].key) == MG_PUBLIC_KEY_SECRET &&
            mg_public_key_bits(set->keys[i].key) < 8 * WEAK_BYTES)
            return true;
    return false;
}

static struct mg_jwk_set *read_set(struct mg_config_build *b, struct mg_str name,
                                   struct mg_str file, unsigned algs)
{
    struct mg_buf text;
    struct mg_error err;
    struct mg_jwk_set *set = NULL;
    const struct mg_jwk_options options = {.secrets = true, .algs = algs};
    if (read_file(b, name, file, &text) == MG_OK) {
        set = mg_jwk_set_parse(mg_buf_str(&text), &options, &err);
        if (!set)
            fail(b, name, err.text);
        else if (set->count == 0)
            fail(b, name, "none of its keys can be used");
        else if (has_weak(set) && !is_lenient(b))
            fail(b, name, "one of its secrets has fewer than 32 bytes; only `dev` takes it");
    }
    mg_config_drop_file(&text);
    return set;
}

static struct mg_jwk_set *read_fixed(struct mg_config_build *b, int keys, struct mg_str name,
                                     unsigned algs)
{
    struct mg_str secret = mg_config_text(b, keys, "secret");
    struct mg_str pem = mg_config_text(b, keys, "public_key");
    if (secret.n)
        return set_of(b, name, read_secret(b, name, secret), algs);
    if (pem.n)
        return set_of(b, name, read_public_key(b, name, pem), algs);
    return read_set(b, name, mg_config_text(b, keys, "jwks_file"), algs);
}

static struct mg_keyring *new_keyring(struct mg_config_build *b, int keys,
                                      struct mg_keyring_source *source)
{
    struct mg_error err;
    struct mg_str url = source->url.n ? source->url : source->issuer;
    if (mg_keyring_check_url(url, source->insecure, &err) != MG_OK) {
        fail(b, source->name, err.text);
        return NULL;
    }
    struct mg_str path = mg_arena_printf(&b->gen->arena, "keys.%s", source->name.p);
    source->tls = mg_config_build_client_tls(b, keys, path);
    struct mg_keyring *ring = mg_keyring_new(source);
    mg_tls_client_settings_unref(source->tls);
    return ring;
}

/* The keys at the top of the stack. */
static void read_keys(struct mg_config_build *b, struct mg_plan_keys *out)
{
    int keys = lua_gettop(b->L);
    uint64_t refresh_ns = mg_config_ns(b, keys, "refresh");
    struct mg_keyring_source source = {
        .name = out->name,
        .url = mg_config_text(b, keys, "jwks"),
        .issuer = mg_config_text(b, keys, "issuer"),
        .refresh_ns = refresh_ns ? refresh_ns : REFRESH_NS,
        .algs = read_algorithms(b, keys),
        .insecure = is_lenient(b),
    };
    if (source.url.n || source.issuer.n) {
        out->ring = new_keyring(b, keys, &source);
        return;
    }
    struct mg_jwk_set *set = read_fixed(b, keys, out->name, source.algs);
    out->ring = set ? mg_keyring_of(set) : NULL;
}

void mg_config_build_keys(struct mg_config_build *b)
{
    struct mg_plan *plan = b->plan;
    mg_config_list(b, b->config, "keys");
    mg_table_push_keys(b->L, -1);
    uint32_t count = (uint32_t)lua_rawlen(b->L, -1);
    plan->keys = mg_arena_calloc(&b->gen->arena, count * sizeof *plan->keys);
    while (plan->key_count < count) {
        struct mg_plan_keys *keys = &plan->keys[plan->key_count++];
        lua_rawgeti(b->L, -1, plan->key_count);
        keys->name = mg_config_copy(b, -1);
        lua_rawget(b->L, -3);
        read_keys(b, keys);
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 2);
}
