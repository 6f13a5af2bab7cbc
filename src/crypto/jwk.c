/*
 * JWK Sets. Members are decoded as they come, since "x" may stand before "crv" and "n" before
 * "kty"; the key is made when its object ends. Any thread.
 */
#include "crypto/jwk.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/memory.h"
#include "crypto/base64.h"
#include "crypto/json_strict.h"

/* Room for the longest numbers of all kinds at once. */
#define NUMBERS_BYTES (MG_PUBLIC_KEY_SECRET_BYTES_MAX + 2048)

enum kty { KTY_UNKNOWN, KTY_OCT, KTY_RSA, KTY_EC, KTY_OKP };
enum number { NUMBER_N, NUMBER_E, NUMBER_X, NUMBER_Y, NUMBER_K, NUMBERS };

/* One JWK while it is read. */
struct entry {
    enum kty kty;
    enum mg_public_key_kind crv; /* MG_PUBLIC_KEY_SECRET: none, or unknown */
    enum mg_jwa alg;
    bool has_kty, has_alg;
    bool unusable;                  /* a member says so, or is wrong */
    struct mg_str kid;              /* in kid_bytes; NULL p: none */
    struct mg_str numbers[NUMBERS]; /* in number_bytes; NULL p: missing */
    size_t number_n;
    char kid_bytes[MG_JWK_KID_BYTES_MAX];
    char number_bytes[NUMBERS_BYTES];
};

struct reading {
    struct mg_json_strict json;
    const struct mg_jwk_options *options;
    struct mg_jwk keys[MG_JWK_KEYS_MAX];
    size_t count, entries, skipped;
    const char *fault; /* what is wrong with the set, when its JSON is right */
    struct entry entry;
};

static void read_kty(struct entry *e, struct mg_str v)
{
    e->has_kty = true;
    e->kty = mg_str_eq(v, MG_STR("RSA"))   ? KTY_RSA
             : mg_str_eq(v, MG_STR("EC"))  ? KTY_EC
             : mg_str_eq(v, MG_STR("OKP")) ? KTY_OKP
             : mg_str_eq(v, MG_STR("oct")) ? KTY_OCT
                                           : KTY_UNKNOWN;
}

static void read_crv(struct entry *e, struct mg_str v)
{
    static const struct {
        struct mg_str name;
        enum mg_public_key_kind kind;
    } curves[] = {
        {{"P-256", 5}, MG_PUBLIC_KEY_P256},  {{"P-384", 5}, MG_PUBLIC_KEY_P384},
        {{"P-521", 5}, MG_PUBLIC_KEY_P521},  {{"Ed25519", 7}, MG_PUBLIC_KEY_ED25519},
        {{"Ed448", 5}, MG_PUBLIC_KEY_ED448},
    };
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++)
        if (mg_str_eq(v, curves[i].name))
            e->crv = curves[i].kind;
}

static void read_alg(struct entry *e, struct mg_str v)
{
    e->has_alg = true;
    e->unusable |= !mg_jwa_from_name(v, &e->alg);
}

static void read_use(struct entry *e, struct mg_str v)
{
    e->unusable |= !mg_str_eq(v, MG_STR("sig"));
}

static void read_kid(struct entry *e, struct mg_str v)
{
    if (v.n > sizeof e->kid_bytes) {
        e->unusable = true;
        return;
    }
    memcpy(e->kid_bytes, v.p, v.n);
    e->kid = mg_str(e->kid_bytes, v.n);
}

static void read_number(struct entry *e, enum number which, struct mg_str v)
{
    size_t n;
    char *at = e->number_bytes + e->number_n;
    if (MG_BASE64_DECODED_MAX(v.n) > sizeof e->number_bytes - e->number_n ||
        !mg_base64_url_decode(v, at, &n)) {
        e->unusable = true;
        return;
    }
    e->numbers[which] = mg_str(at, n);
    e->number_n += n;
}

static void read_n(struct entry *e, struct mg_str v)
{
    read_number(e, NUMBER_N, v);
}

static void read_e(struct entry *e, struct mg_str v)
{
    read_number(e, NUMBER_E, v);
}

static void read_x(struct entry *e, struct mg_str v)
{
    read_number(e, NUMBER_X, v);
}

static void read_y(struct entry *e, struct mg_str v)
{
    read_number(e, NUMBER_Y, v);
}

static void read_k(struct entry *e, struct mg_str v)
{
    read_number(e, NUMBER_K, v);
}

/* Members that are strings. Those of private halves are not among them, nor are x5c and the like:
 * a key is what its own members say. */
static const struct member {
    struct mg_str name;
    void (*read)(struct entry *e, struct mg_str v);
} members[] = {
    {{"kty", 3}, read_kty}, {{"crv", 3}, read_crv}, {{"alg", 3}, read_alg}, {{"use", 3}, read_use},
    {{"kid", 3}, read_kid}, {{"n", 1}, read_n},     {{"e", 1}, read_e},     {{"x", 1}, read_x},
    {{"y", 1}, read_y},     {{"k", 1}, read_k},
};

static const struct member *member_of(struct mg_str name)
{
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (mg_str_eq(name, members[i].name))
            return &members[i];
    return NULL;
}

/* The value of "key_ops" (RFC 7517 4.3), whose first token is `first`. */
static bool read_key_ops(struct reading *r, enum mg_json_token first)
{
    bool verify = false, strings = first == MG_JSON_ARRAY;
    if (!strings) {
        r->entry.unusable = true;
        return mg_json_strict_skip(&r->json, first);
    }
    for (;;) {
        enum mg_json_token token = mg_json_strict_next(&r->json);
        if (token == MG_JSON_ARRAY_END)
            break;
        strings &= token == MG_JSON_STRING;
        verify |= token == MG_JSON_STRING && mg_str_eq(r->json.in.text, MG_STR("verify"));
        if (!mg_json_strict_skip(&r->json, token))
            return false;
    }
    r->entry.unusable |= !strings || !verify;
    return true;
}

/* The value of the member whose key was the last token. False: the text is broken. */
static bool read_member(struct reading *r)
{
    const struct member *member = member_of(r->json.in.text);
    bool key_ops = mg_str_eq(r->json.in.text, MG_STR("key_ops"));
    enum mg_json_token token = mg_json_strict_next(&r->json);
    if (key_ops)
        return read_key_ops(r, token);
    if (member && token == MG_JSON_STRING)
        member->read(&r->entry, r->json.in.text);
    else if (member)
        r->entry.unusable = true;
    return mg_json_strict_skip(&r->json, token);
}

static void entry_reset(struct entry *e)
{
    memset(e, 0, offsetof(struct entry, kid_bytes));
    OPENSSL_cleanse(e->number_bytes, sizeof e->number_bytes);
}

/* NULL: members are missing or wrong. */
static struct mg_public_key *make_key(const struct entry *e)
{
    const struct mg_str *numbers = e->numbers;
    bool edwards = e->crv == MG_PUBLIC_KEY_ED25519 || e->crv == MG_PUBLIC_KEY_ED448;
    switch (e->kty) {
    case KTY_RSA:
        return mg_public_key_from_rsa(numbers[NUMBER_N], numbers[NUMBER_E], NULL);
    case KTY_EC:
        return e->crv == MG_PUBLIC_KEY_SECRET || edwards
                   ? NULL
                   : mg_public_key_from_point(e->crv, numbers[NUMBER_X], numbers[NUMBER_Y], NULL);
    case KTY_OKP:
        return edwards ? mg_public_key_from_edwards(e->crv, numbers[NUMBER_X], NULL) : NULL;
    case KTY_OCT:
        return mg_public_key_from_secret(numbers[NUMBER_K], NULL);
    default:
        return NULL;
    }
}

/* What may be done with the key at all, before it is made. */
static bool entry_is_wanted(const struct entry *e, const struct mg_jwk_options *o)
{
    if (e->unusable || e->kty == KTY_UNKNOWN)
        return false;
    /* RFC 8725 3.1: a secret whose algorithm nobody names would take three. */
    return e->kty != KTY_OCT || (o->secrets && (e->has_alg || o->algs));
}

/* Takes over what the entry says. */
static void entry_end(struct reading *r)
{
    struct entry *e = &r->entry;
    struct mg_public_key *key = entry_is_wanted(e, r->options) ? make_key(e) : NULL;
    unsigned algs = key ? mg_public_key_algs(key) : 0;
    if (e->has_alg)
        algs &= MG_JWA_BIT(e->alg);
    if (r->options->algs)
        algs &= r->options->algs;
    if (algs == 0) {
        mg_public_key_unref(key);
        r->skipped++;
    } else {
        struct mg_str kid = e->kid.p ? mg_str(mg_strdup(e->kid), e->kid.n) : MG_STR_NONE;
        r->keys[r->count++] = (struct mg_jwk){.kid = kid, .algs = algs, .key = key};
    }
}

/* The array of keys, whose first token is `first`. False: it is broken, or `fault` is set. */
static bool read_keys(struct reading *r, enum mg_json_token first)
{
    if (first != MG_JSON_ARRAY)
        r->fault = "\"keys\" is not an array";
    while (!r->fault) {
        enum mg_json_token token = mg_json_strict_next(&r->json);
        if (token == MG_JSON_ARRAY_END)
            return true;
        if (token == MG_JSON_ERROR)
            return false;
        if (token != MG_JSON_OBJECT)
            r->fault = "\"keys\" has an item that is not an object";
        else if (r->entries++ == MG_JWK_KEYS_MAX)
            r->fault = "too many keys";
        if (r->fault)
            return false;
        entry_reset(&r->entry);
        while ((token = mg_json_strict_next(&r->json)) == MG_JSON_KEY)
            if (!read_member(r))
                return false;
        if (token == MG_JSON_ERROR)
            return false;
        entry_end(r);
    }
    return false;
}

/* The outermost object: a set when it has "keys", and else a key. */
static bool read_all(struct reading *r)
{
    bool is_set = false, is_key = false;
    enum mg_json_token token = mg_json_strict_next(&r->json);
    if (token == MG_JSON_ERROR)
        return false;
    if (token != MG_JSON_OBJECT) {
        r->fault = "not a JSON object";
        return false;
    }
    entry_reset(&r->entry);
    while ((token = mg_json_strict_next(&r->json)) == MG_JSON_KEY) {
        bool keys = mg_str_eq(r->json.in.text, MG_STR("keys"));
        if (keys ? !read_keys(r, mg_json_strict_next(&r->json)) : !read_member(r))
            return false;
        is_set |= keys;
        is_key |= !keys && r->entry.has_kty;
    }
    if (token != MG_JSON_OBJECT_END || mg_json_strict_next(&r->json) != MG_JSON_END)
        return false;
    if (!is_set && !is_key)
        r->fault = "neither \"keys\" nor \"kty\"";
    else if (!is_set)
        entry_end(r);
    return !r->fault;
}

static void keys_drop(const struct mg_jwk *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)keys[i].kid.p);
        mg_public_key_unref(keys[i].key);
    }
}

/* Takes what is in `keys`. */
static struct mg_jwk_set *set_new(const struct mg_jwk *keys, size_t count, size_t skipped)
{
    static _Atomic uint64_t last_id;
    struct mg_jwk_set *set = mg_calloc(1, sizeof *set + count * sizeof keys[0]);
    struct mg_jwk *own = (struct mg_jwk *)(set + 1);
    if (count)
        memcpy(own, keys, count * sizeof keys[0]);
    set->keys = own;
    set->count = count;
    set->skipped = skipped;
    set->id = atomic_fetch_add(&last_id, 1) + 1;
    atomic_init(&set->_refs, 1);
    return set;
}

static void reading_fault(struct reading *r, struct mg_error *err)
{
    if (r->fault)
        mg_error_set(err, "%s", r->fault);
    else
        mg_json_reader_error(&r->json.in, err);
    mg_error_prefix(err, "not a JWK Set");
}

struct mg_jwk_set *mg_jwk_set_parse(struct mg_str text, const struct mg_jwk_options *options,
                                    struct mg_error *err)
{
    static const struct mg_jwk_options none = {.secrets = false};
    struct mg_jwk_set *set = NULL;
    if (text.n > MG_JWK_TEXT_BYTES_MAX) {
        mg_error_set(err, "not a JWK Set: longer than %d bytes", MG_JWK_TEXT_BYTES_MAX);
        return NULL;
    }
    struct reading *r = mg_calloc(1, sizeof *r);
    r->options = options ? options : &none;
    mg_json_strict_init(&r->json, text);
    if (read_all(r)) {
        set = set_new(r->keys, r->count, r->skipped);
    } else {
        reading_fault(r, err);
        keys_drop(r->keys, r->count);
    }
    mg_json_strict_release(&r->json);
    OPENSSL_cleanse(&r->entry, sizeof r->entry);
    free(r);
    return set;
}

struct mg_jwk_set *mg_jwk_set_of(struct mg_public_key *key, unsigned algs, struct mg_error *err)
{
    struct mg_jwk one = {.algs = mg_public_key_algs(key), .key = key};
    if (algs)
        one.algs &= algs;
    if (!one.algs) {
        mg_error_set(err, "none of the algorithms fits the key");
        return NULL;
    }
    mg_public_key_ref(key);
    return set_new(&one, 1, 0);
}

struct mg_jwk_set *mg_jwk_set_ref(struct mg_jwk_set *set)
{
    atomic_fetch_add_explicit(&set->_refs, 1, memory_order_relaxed);
    return set;
}

void mg_jwk_set_unref(struct mg_jwk_set *set)
{
    if (!set || atomic_fetch_sub(&set->_refs, 1) != 1)
        return;
    keys_drop(set->keys, set->count);
    free(set);
}

bool mg_jwk_set_knows(const struct mg_jwk_set *set, struct mg_str kid)
{
    for (size_t i = 0; i < set->count; i++)
        if (!set->keys[i].kid.p || mg_str_eq(set->keys[i].kid, kid))
            return true;
    return false;
}
