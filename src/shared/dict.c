/* Plain values in shared dictionaries. Any thread; each call holds one shard's lock. */
#include "shared/dict.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "shared/dict_shard.h"

#define SHARD_BITS_MIN 4
#define SHARD_BITS_MAX 6
#define SHARD_BYTES_WANTED ((size_t)1024 * 1024) /* so that large values fit */

const char *mg_dict_rc_text(enum mg_dict_rc rc)
{
    static const char *const TEXTS[] = {
        [MG_DICT_OK] = "ok",
        [MG_DICT_ABSENT] = "not found",
        [MG_DICT_EXISTS] = "exists",
        [MG_DICT_DIFFERS] = "value differs",
        [MG_DICT_BAD_TYPE] = "the key holds something of another type",
        [MG_DICT_BAD_KEY] = "the key is too long",
        [MG_DICT_BAD_ARGUMENT] = "argument out of range",
        [MG_DICT_OVERFLOW] = "the sum is out of range",
        [MG_DICT_TOO_LARGE] = "the value is too large for this dictionary",
        [MG_DICT_FULL] = "the dictionary is full of counters in use",
        [MG_DICT_NO_MEMORY] = "out of memory",
    };
    return TEXTS[rc];
}

static unsigned shard_bits_for(size_t bytes)
{
    unsigned bits = SHARD_BITS_MIN;
    while (bits < SHARD_BITS_MAX && bytes >> (bits + 1) >= SHARD_BYTES_WANTED)
        bits++;
    return bits;
}

struct mg_dict *mg_dict_new(size_t bytes, struct mg_error *err)
{
    if (bytes < MG_DICT_BYTES_MIN) {
        mg_error_set(err, "a dictionary needs at least %zu bytes, not %zu", MG_DICT_BYTES_MIN,
                     bytes);
        return NULL;
    }
    struct mg_dict *dict = mg_calloc(1, sizeof *dict);
    mg_hash_random_key(dict->hash_key);
    dict->shard_bits = shard_bits_for(bytes);
    size_t count = (size_t)1 << dict->shard_bits;
    dict->shards = aligned_alloc(64, count * sizeof *dict->shards);
    MG_BUG_ON(!dict->shards);
    for (size_t i = 0; i < count; i++)
        mg_dict_shard_init(&dict->shards[i], bytes >> dict->shard_bits);
    return dict;
}

void mg_dict_free(struct mg_dict *dict)
{
    if (!dict)
        return;
    for (size_t i = 0; i < (size_t)1 << dict->shard_bits; i++)
        mg_dict_shard_release(&dict->shards[i]);
    free(dict->shards);
    free(dict);
}

/* ---- values in entries ---- */

static enum mg_dict_entry_kind entry_kind(enum mg_dict_kind kind)
{
    return (enum mg_dict_entry_kind)(kind - MG_DICT_STRING);
}

_Static_assert(MG_DICT_ENTRY_BOOLEAN == MG_DICT_BOOLEAN - MG_DICT_STRING,
               "kinds in the same order");

static int64_t expiry(int64_t ttl_ms, int64_t now_ms)
{
    return ttl_ms ? mg_dict_after(now_ms, ttl_ms) : MG_DICT_NEVER;
}

/* The entry's value, a string still in the entry. */
static struct mg_dict_value peek(struct mg_dict_entry *e)
{
    struct mg_dict_value value = {.kind = (enum mg_dict_kind)(e->kind + MG_DICT_STRING)};
    switch (value.kind) {
    case MG_DICT_STRING:
        value.string = mg_str(mg_dict_entry_payload(e), e->as.payload_bytes);
        break;
    case MG_DICT_INTEGER:
        value.integer = e->as.integer;
        break;
    case MG_DICT_NUMBER:
        value.number = e->as.number;
        break;
    default:
        value.boolean = e->as.boolean;
    }
    return value;
}

/* Puts the value into the slot; on failure all is as it was. */
static enum mg_dict_rc store(struct mg_dict_slot *slot, struct mg_dict_value value)
{
    size_t string_bytes = value.kind == MG_DICT_STRING ? value.string.n : 0;
    enum mg_dict_rc rc = mg_dict_slot_put(slot, entry_kind(value.kind), string_bytes);
    if (rc != MG_DICT_OK)
        return rc;
    struct mg_dict_entry *e = slot->entry;
    if (value.kind == MG_DICT_INTEGER)
        e->as.integer = value.integer;
    else if (value.kind == MG_DICT_NUMBER)
        e->as.number = value.number;
    else if (value.kind == MG_DICT_BOOLEAN)
        e->as.boolean = value.boolean;
    else if (string_bytes)
        memcpy(mg_dict_entry_payload(e), value.string.p, string_bytes);
    return MG_DICT_OK;
}

static bool equal_mixed(int64_t integer, double number)
{
    /* Both bounds are exact as doubles; beyond them no int64 is near. */
    return number >= -0x1p63 && number < 0x1p63 && number == floor(number) &&
           (int64_t)number == integer;
}

static bool equal(struct mg_dict_value a, struct mg_dict_value b)
{
    if (a.kind == MG_DICT_INTEGER && b.kind == MG_DICT_NUMBER)
        return equal_mixed(a.integer, b.number);
    if (a.kind == MG_DICT_NUMBER && b.kind == MG_DICT_INTEGER)
        return equal_mixed(b.integer, a.number);
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case MG_DICT_STRING:
        return mg_str_eq(a.string, b.string);
    case MG_DICT_INTEGER:
        return a.integer == b.integer;
    case MG_DICT_NUMBER:
        return a.number == b.number;
    case MG_DICT_BOOLEAN:
        return a.boolean == b.boolean;
    default:
        return true;
    }
}

static bool is_numeric(enum mg_dict_kind kind)
{
    return kind == MG_DICT_INTEGER || kind == MG_DICT_NUMBER;
}

static double as_number(struct mg_dict_value value)
{
    return value.kind == MG_DICT_INTEGER ? (double)value.integer : value.number;
}

static enum mg_dict_rc sum_of(struct mg_dict_value a, struct mg_dict_value b,
                              struct mg_dict_value *sum)
{
    struct mg_dict_value result;
    if (!is_numeric(a.kind))
        return MG_DICT_BAD_TYPE;
    if (a.kind == MG_DICT_INTEGER && b.kind == MG_DICT_INTEGER) {
        result.kind = MG_DICT_INTEGER;
        if (__builtin_add_overflow(a.integer, b.integer, &result.integer))
            return MG_DICT_OVERFLOW;
    } else {
        result.kind = MG_DICT_NUMBER;
        result.number = as_number(a) + as_number(b);
        if (!isfinite(result.number))
            return MG_DICT_OVERFLOW;
    }
    *sum = result;
    return MG_DICT_OK;
}

/* ---- the calls ---- */

static enum mg_dict_rc read_slot(struct mg_dict_slot *slot, struct mg_dict_value *out,
                                 struct mg_buf *text)
{
    if (!slot->entry)
        return MG_DICT_ABSENT;
    if (mg_dict_entry_limits(slot->entry))
        return MG_DICT_BAD_TYPE;
    struct mg_dict_value value = peek(slot->entry);
    if (value.kind == MG_DICT_STRING) {
        size_t start = text->n;
        mg_buf_add_str(text, value.string);
        if (text->failed)
            return MG_DICT_TOO_LARGE;
        value.string.p = text->p ? text->p + start : NULL;
    }
    *out = value;
    return MG_DICT_OK;
}

enum mg_dict_rc mg_dict_get(struct mg_dict *dict, struct mg_str key, int64_t now_ms,
                            struct mg_dict_value *out, struct mg_buf *text)
{
    struct mg_dict_slot slot;
    enum mg_dict_rc rc = mg_dict_slot_open(&slot, dict, key, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    rc = read_slot(&slot, out, text);
    mg_dict_slot_close(&slot);
    return rc;
}

enum condition { ALWAYS, IF_ABSENT, IF_PRESENT };

static enum mg_dict_rc may_write(const struct mg_dict_slot *slot, enum condition condition)
{
    if (slot->entry && mg_dict_entry_limits(slot->entry))
        return MG_DICT_BAD_TYPE;
    if (slot->entry && condition == IF_ABSENT)
        return MG_DICT_EXISTS;
    if (!slot->entry && condition == IF_PRESENT)
        return MG_DICT_ABSENT;
    return MG_DICT_OK;
}

static enum mg_dict_rc write_if(struct mg_dict *dict, struct mg_str key, struct mg_dict_value value,
                                int64_t ttl_ms, int64_t now_ms, enum condition condition)
{
    struct mg_dict_slot slot;
    if (ttl_ms < 0 || value.kind == MG_DICT_NONE)
        return MG_DICT_BAD_ARGUMENT;
    enum mg_dict_rc rc = mg_dict_slot_open(&slot, dict, key, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    rc = may_write(&slot, condition);
    if (rc == MG_DICT_OK)
        rc = store(&slot, value);
    if (rc == MG_DICT_OK)
        slot.entry->expires_ms = expiry(ttl_ms, now_ms);
    mg_dict_slot_close(&slot);
    return rc;
}

enum mg_dict_rc mg_dict_set(struct mg_dict *dict, struct mg_str key, struct mg_dict_value value,
                            int64_t ttl_ms, int64_t now_ms)
{
    return write_if(dict, key, value, ttl_ms, now_ms, ALWAYS);
}

enum mg_dict_rc mg_dict_add(struct mg_dict *dict, struct mg_str key, struct mg_dict_value value,
                            int64_t ttl_ms, int64_t now_ms)
{
    return write_if(dict, key, value, ttl_ms, now_ms, IF_ABSENT);
}

enum mg_dict_rc mg_dict_replace(struct mg_dict *dict, struct mg_str key, struct mg_dict_value value,
                                int64_t ttl_ms, int64_t now_ms)
{
    return write_if(dict, key, value, ttl_ms, now_ms, IF_PRESENT);
}

enum mg_dict_rc mg_dict_delete(struct mg_dict *dict, struct mg_str key, int64_t now_ms)
{
    struct mg_dict_slot slot;
    enum mg_dict_rc rc = mg_dict_slot_open(&slot, dict, key, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    if (slot.entry)
        mg_dict_slot_remove(&slot);
    else
        rc = MG_DICT_ABSENT;
    mg_dict_slot_close(&slot);
    return rc;
}

enum mg_dict_rc mg_dict_ttl(struct mg_dict *dict, struct mg_str key, int64_t now_ms,
                            int64_t *ttl_ms)
{
    struct mg_dict_slot slot;
    enum mg_dict_rc rc = mg_dict_slot_open(&slot, dict, key, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    if (!slot.entry)
        rc = MG_DICT_ABSENT;
    else
        *ttl_ms = slot.entry->expires_ms == MG_DICT_NEVER ? -1 : slot.entry->expires_ms - now_ms;
    mg_dict_slot_close(&slot);
    return rc;
}

enum mg_dict_rc mg_dict_expire(struct mg_dict *dict, struct mg_str key, int64_t ttl_ms,
                               int64_t now_ms)
{
    struct mg_dict_slot slot;
    if (ttl_ms < 0)
        return MG_DICT_BAD_ARGUMENT;
    enum mg_dict_rc rc = mg_dict_slot_open(&slot, dict, key, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    rc = may_write(&slot, IF_PRESENT);
    if (rc == MG_DICT_OK)
        slot.entry->expires_ms = expiry(ttl_ms, now_ms);
    mg_dict_slot_close(&slot);
    return rc;
}

static enum mg_dict_rc incr_slot(struct mg_dict_slot *slot, struct mg_dict_value by,
                                 struct mg_dict_value init, int64_t expires_ms,
                                 struct mg_dict_value *sum)
{
    struct mg_dict_value result;
    bool absent = !slot->entry;
    if (absent && init.kind == MG_DICT_NONE)
        return MG_DICT_ABSENT;
    if (!absent && mg_dict_entry_limits(slot->entry))
        return MG_DICT_BAD_TYPE;
    enum mg_dict_rc rc = sum_of(absent ? init : peek(slot->entry), by, &result);
    if (rc == MG_DICT_OK)
        rc = store(slot, result);
    if (rc != MG_DICT_OK)
        return rc;
    if (absent)
        slot->entry->expires_ms = expires_ms;
    *sum = result;
    return MG_DICT_OK;
}

enum mg_dict_rc mg_dict_incr(struct mg_dict *dict, struct mg_str key, struct mg_dict_value by,
                             struct mg_dict_value init, int64_t ttl_ms, int64_t now_ms,
                             struct mg_dict_value *sum)
{
    struct mg_dict_slot slot;
    if (ttl_ms < 0 || !is_numeric(by.kind) || (init.kind != MG_DICT_NONE && !is_numeric(init.kind)))
        return MG_DICT_BAD_ARGUMENT;
    enum mg_dict_rc rc = mg_dict_slot_open(&slot, dict, key, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    rc = incr_slot(&slot, by, init, expiry(ttl_ms, now_ms), sum);
    mg_dict_slot_close(&slot);
    return rc;
}

static enum mg_dict_rc cas_slot(struct mg_dict_slot *slot, struct mg_dict_value old,
                                struct mg_dict_value new_value)
{
    struct mg_dict_value value = {.kind = MG_DICT_NONE};
    if (slot->entry && mg_dict_entry_limits(slot->entry))
        return MG_DICT_BAD_TYPE;
    if (slot->entry)
        value = peek(slot->entry);
    if (!equal(value, old))
        return MG_DICT_DIFFERS;
    if (new_value.kind != MG_DICT_NONE)
        return store(slot, new_value);
    if (slot->entry)
        mg_dict_slot_remove(slot);
    return MG_DICT_OK;
}

enum mg_dict_rc mg_dict_cas(struct mg_dict *dict, struct mg_str key, struct mg_dict_value old,
                            struct mg_dict_value new_value, int64_t now_ms)
{
    struct mg_dict_slot slot;
    enum mg_dict_rc rc = mg_dict_slot_open(&slot, dict, key, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    rc = cas_slot(&slot, old, new_value);
    mg_dict_slot_close(&slot);
    return rc;
}

void mg_dict_stats(struct mg_dict *dict, struct mg_dict_stats *out)
{
    *out = (struct mg_dict_stats){0};
    for (size_t i = 0; i < (size_t)1 << dict->shard_bits; i++) {
        struct mg_dict_shard *s = &dict->shards[i];
        pthread_mutex_lock(&s->lock);
        out->entries += s->entries;
        out->bytes += s->bytes;
        out->limit_bytes += s->limit_bytes;
        out->evictions += s->evictions;
        pthread_mutex_unlock(&s->lock);
    }
}
