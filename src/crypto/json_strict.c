/*
 * Strict JSON. Keys are remembered as 64-bit hashes under a random key, mixed with the number of
 * their object: that two different keys of one token meet, and the token is refused for nothing,
 * happens once in 2^50 tokens, and nobody can bring it about.
 */
#include "crypto/json_strict.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"

static uint8_t hash_key[MG_HASH_KEY_BYTES];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void make_hash_key(void)
{
    mg_hash_random_key(hash_key);
}

/* No fewer than there are: a colon follows each, and five bytes are the least that a member takes
 * with its comma, but for the last. */
static size_t keys_at_most(struct mg_str text)
{
    size_t colons = 0;
    for (size_t i = 0; i < text.n; i++)
        colons += text.p[i] == ':';
    return colons < text.n / 5 + 1 ? colons : text.n / 5 + 1;
}

void mg_json_strict_init(struct mg_json_strict *s, struct mg_str text)
{
    static const struct mg_json_options options = {.depth_limit = MG_JSON_STRICT_DEPTH,
                                                   .big_numbers_as_float = true};
    pthread_once(&hash_key_once, make_hash_key);
    size_t keys = keys_at_most(text), slots = 16;
    while (slots < 2 * keys)
        slots *= 2;
    s->_seen = s->_few;
    if (keys > MG_JSON_STRICT_INLINE_KEYS)
        s->_seen = mg_calloc(slots, sizeof s->_seen[0]);
    else
        memset(s->_few, 0, slots * sizeof s->_few[0]);
    s->_mask = slots - 1;
    s->_object = 0;
    s->depth = 0;
    mg_buf_init(&s->_scratch, text.n + 1);
    mg_json_reader_init(&s->in, text, &options, &s->_scratch);
}

void mg_json_strict_release(struct mg_json_strict *s)
{
    if (s->_seen != s->_few)
        free(s->_seen);
    mg_buf_release(&s->_scratch);
}

/* False when this object had it before. */
static bool remember(struct mg_json_strict *s, struct mg_str key)
{
    uint64_t h = mg_hash(hash_key, key) ^ (s->_open[s->depth] * 0x9e3779b97f4a7c15u);
    h += h == 0;
    size_t at = h & s->_mask;
    for (; s->_seen[at]; at = (at + 1) & s->_mask)
        if (s->_seen[at] == h)
            return false;
    s->_seen[at] = h;
    return true;
}

enum mg_json_token mg_json_strict_next(struct mg_json_strict *s)
{
    enum mg_json_token token = mg_json_next(&s->in);
    switch (token) {
    case MG_JSON_OBJECT:
        s->_open[++s->depth] = ++s->_object;
        return token;
    case MG_JSON_ARRAY:
        s->depth++;
        return token;
    case MG_JSON_OBJECT_END:
    case MG_JSON_ARRAY_END:
        s->depth--;
        return token;
    case MG_JSON_KEY:
        if (remember(s, s->in.text))
            return token;
        mg_json_reader_refuse(&s->in, "key comes twice in its object");
        return MG_JSON_ERROR;
    default:
        return token;
    }
}

bool mg_json_strict_skip(struct mg_json_strict *s, enum mg_json_token first)
{
    if (first != MG_JSON_OBJECT && first != MG_JSON_ARRAY)
        return first != MG_JSON_ERROR;
    unsigned outside = s->depth - 1;
    while (s->depth > outside)
        if (mg_json_strict_next(s) == MG_JSON_ERROR)
            return false;
    return true;
}
