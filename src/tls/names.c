/*
 * Host names to certificates. Exact names and wildcards share one hash table: a wildcard lies there
 * as it is written, "*.example.com", and a host finds it by putting "*" in place of its first
 * label. So a look-up is two hashes over at most 253 bytes, whatever the client sends and however
 * many names there are. Open addressing, at most half full.
 */
#include "tls/names.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"

/* RFC 1035 2.3.4, as text: 255 octets on the wire are 253 characters without the last dot. */
#define NAME_MAX_BYTES 253
#define LABEL_MAX_BYTES 63

struct item {
    uint64_t hash;
    struct mg_tls_name_entry entry;
    uint8_t n;
    char name[]; /* lower case, without a dot at the end */
};

struct mg_tls_names {
    uint8_t hash_key[MG_HASH_KEY_BYTES];
    uint32_t count;
    uint32_t room; /* a power of two */
    struct item **slots;
};

/* Hyphens at a label's end are against RFC 952 but do occur; they do no harm. */
static bool is_label_byte(char lower)
{
    return (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') || lower == '-' ||
           lower == '_';
}

/* Writes the name in the table's form and returns its length; 0 for what is not a name. */
static size_t normalise(struct mg_str name, bool may_be_wildcard, char out[NAME_MAX_BYTES])
{
    size_t n = name.n, label = 0;
    if (n && name.p[n - 1] == '.')
        n--;
    if (n == 0 || n > NAME_MAX_BYTES)
        return 0;
    size_t i = 0;
    if (may_be_wildcard && n > 2 && name.p[0] == '*' && name.p[1] == '.') {
        memcpy(out, "*.", 2);
        i = 2;
    }
    for (; i < n; i++) {
        char c = mg_lower(name.p[i]);
        if (c == '.' ? label == 0 : !is_label_byte(c) || label == LABEL_MAX_BYTES)
            return 0;
        label = c == '.' ? 0 : label + 1;
        out[i] = c;
    }
    return label ? n : 0;
}

/* The place of the name, or the free one where it belongs. */
static struct item **find_slot(const struct mg_tls_names *t, struct mg_str name, uint64_t hash)
{
    uint32_t mask = t->room - 1;
    for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
        struct item *item = t->slots[i];
        if (!item || (item->hash == hash && mg_str_eq(mg_str(item->name, item->n), name)))
            return &t->slots[i];
    }
}

static const struct mg_tls_name_entry *look_up(const struct mg_tls_names *t, struct mg_str name)
{
    const struct item *item = *find_slot(t, name, mg_hash(t->hash_key, name));
    return item ? &item->entry : NULL;
}

static void grow(struct mg_tls_names *t)
{
    struct item **old = t->slots;
    uint32_t old_room = t->room;
    t->room *= 2;
    t->slots = mg_calloc(t->room, sizeof *t->slots);
    for (uint32_t i = 0; i < old_room; i++)
        if (old[i])
            *find_slot(t, mg_str(old[i]->name, old[i]->n), old[i]->hash) = old[i];
    free(old);
}

static struct mg_tls_name_entry *look_up_or_add(struct mg_tls_names *t, struct mg_str name)
{
    if (t->count >= t->room / 2)
        grow(t);
    uint64_t hash = mg_hash(t->hash_key, name);
    struct item **slot = find_slot(t, name, hash);
    if (!*slot) {
        struct item *item = mg_malloc(sizeof *item + name.n);
        item->hash = hash;
        item->entry.count = 0;
        item->n = (uint8_t)name.n;
        memcpy(item->name, name.p, name.n);
        *slot = item;
        t->count++;
    }
    return &(*slot)->entry;
}

struct mg_tls_names *mg_tls_names_new(void)
{
    struct mg_tls_names *t = mg_calloc(1, sizeof *t);
    mg_hash_random_key(t->hash_key);
    t->room = 16;
    t->slots = mg_calloc(t->room, sizeof *t->slots);
    return t;
}

void mg_tls_names_free(struct mg_tls_names *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->room; i++)
        free(t->slots[i]);
    free(t->slots);
    free(t);
}

bool mg_tls_name_is_valid(struct mg_str name)
{
    char buf[NAME_MAX_BYTES];
    return normalise(name, true, buf) > 0;
}

bool mg_tls_names_add(struct mg_tls_names *t, struct mg_str name, uint32_t value)
{
    char buf[NAME_MAX_BYTES];
    size_t n = normalise(name, true, buf);
    if (n == 0)
        return false;
    struct mg_tls_name_entry *e = look_up_or_add(t, mg_str(buf, n));
    for (uint32_t i = 0; i < e->count; i++)
        if (e->values[i] == value)
            return true;
    if (e->count == MG_TLS_NAME_VALUES)
        return false;
    e->values[e->count++] = value;
    return true;
}

/* "www.example.com", in `buf`, becomes "*.example.com" there. None when it has but one label. */
static struct mg_str wildcard_of(char *buf, size_t n)
{
    char *dot = memchr(buf, '.', n);
    if (!dot)
        return MG_STR_NONE;
    dot[-1] = '*'; /* no label is empty */
    return mg_str(dot - 1, n - (size_t)(dot - 1 - buf));
}

const struct mg_tls_name_entry *mg_tls_names_find(const struct mg_tls_names *t, struct mg_str name)
{
    char buf[NAME_MAX_BYTES];
    size_t n = normalise(name, false, buf);
    if (n == 0)
        return NULL;
    const struct mg_tls_name_entry *exact = look_up(t, mg_str(buf, n));
    if (exact)
        return exact;
    struct mg_str wildcard = wildcard_of(buf, n);
    return wildcard.n ? look_up(t, wildcard) : NULL;
}

bool mg_tls_name_matches(struct mg_str pattern, struct mg_str host)
{
    char p[NAME_MAX_BYTES], h[NAME_MAX_BYTES];
    size_t pn = normalise(pattern, true, p), hn = normalise(host, false, h);
    if (pn == 0 || hn == 0)
        return false;
    if (mg_str_eq(mg_str(p, pn), mg_str(h, hn)))
        return true;
    return p[0] == '*' && mg_str_eq(mg_str(p, pn), wildcard_of(h, hn));
}
