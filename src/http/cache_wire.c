/* Stored responses between gateways. Pure. */
#include "http/cache_wire.h"

#include <string.h>

#include "base/hash.h"
#include "http/vary.h"

#define MAGIC MG_STR("MGC1")
#define CHECK_AT (MG_CACHE_WIRE_STAMP_AT + MG_CACHE_WIRE_STAMP)
#define NUMBERS_AT (CHECK_AT + 8)

/* The same everywhere: it is to find damage, not forgery. */
static const uint8_t check_key[MG_HASH_KEY_BYTES] = "cache wire 1";

/* --- writing --- */

static void put(struct mg_buf *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        mg_buf_add_char(b, (char)(v >> (8 * i)));
}

static void put_field(struct mg_buf *b, const struct mg_field *f)
{
    put(b, f->name_len, 2);
    put(b, f->value_len, 4);
    mg_buf_add(b, f->name, f->name_len);
    mg_buf_add(b, f->value, f->value_len);
}

void mg_cache_wire_stamp(int64_t stored_at, char out[MG_CACHE_WIRE_STAMP])
{
    uint64_t v = stored_at > 0 ? (uint64_t)stored_at : 0;
    for (int i = MG_CACHE_WIRE_STAMP - 1; i >= 0; i--, v >>= 4)
        out[i] = "0123456789abcdef"[v & 15];
}

bool mg_cache_wire_stamp_of(struct mg_str bytes, struct mg_str *stamp)
{
    if (bytes.n < MG_CACHE_WIRE_STAMP_AT + MG_CACHE_WIRE_STAMP)
        return false;
    *stamp = mg_str(bytes.p + MG_CACHE_WIRE_STAMP_AT, MG_CACHE_WIRE_STAMP);
    return true;
}

static void put_numbers(struct mg_buf *b, const struct mg_cache_wire *w, uint64_t body_bytes)
{
    const struct mg_cache_record *r = &w->record;
    put(b, (uint64_t)r->stored_at, 8);
    put(b, w->known, 8);
    put(b, body_bytes, 8);
    put(b, r->initial_age, 4);
    put(b, r->lifetime, 4);
    put(b, r->stale_while_revalidate, 4);
    put(b, r->stale_if_error, 4);
    put(b, r->flags, 4);
    put(b, w->status, 2);
    put(b, w->version, 1);
    put(b, w->fields.n, 2);
    put(b, w->primary.n, 4);
    put(b, w->variant.n, 4);
    put(b, w->names.n, 4);
    put(b, w->tags.n, 4);
    put(b, w->phrase.n, 4);
}

void mg_cache_wire_begin(struct mg_buf *out, const struct mg_cache_wire *w, uint64_t body_bytes)
{
    char stamp[MG_CACHE_WIRE_STAMP];
    mg_cache_wire_stamp(w->record.stored_at, stamp);
    mg_buf_add_str(out, MAGIC);
    mg_buf_add(out, stamp, sizeof stamp);
    put(out, 0, 8); /* until it is sealed */
    put_numbers(out, w, body_bytes);
    mg_buf_add_str(out, w->primary);
    mg_buf_add_str(out, w->variant);
    mg_buf_add_str(out, w->names);
    mg_buf_add_str(out, w->tags);
    mg_buf_add_str(out, w->phrase);
    for (uint16_t i = 0; i < w->fields.n; i++)
        put_field(out, &w->fields.v[i]);
}

static uint64_t check_of(struct mg_str all)
{
    return mg_hash(check_key, mg_str(all.p + NUMBERS_AT, all.n - NUMBERS_AT));
}

bool mg_cache_wire_seal(struct mg_buf *out)
{
    if (out->failed)
        return false;
    uint64_t check = check_of(mg_buf_str(out));
    for (unsigned i = 0; i < 8; i++)
        out->p[CHECK_AT + i] = (char)(check >> (8 * i));
    return true;
}

/* --- reading --- */

/* What is left; `bad` once something was asked for that is not there. */
struct rest {
    struct mg_str s;
    bool bad;
};

static struct mg_str take(struct rest *r, uint64_t n)
{
    if (n > r->s.n) {
        r->bad = true;
        return MG_STR_NONE;
    }
    struct mg_str taken = mg_str(r->s.p, (size_t)n);
    r->s = mg_str(r->s.p + n, r->s.n - (size_t)n);
    return taken;
}

static uint64_t take_number(struct rest *r, unsigned bytes)
{
    struct mg_str s = take(r, bytes);
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++)
        v |= (uint64_t)(uint8_t)s.p[i] << (8 * i);
    return v;
}

static bool is_whole(struct mg_str bytes)
{
    if (bytes.n < NUMBERS_AT || !mg_str_starts(bytes, MAGIC))
        return false;
    struct rest check = {.s = mg_str(bytes.p + CHECK_AT, 8)};
    return take_number(&check, 8) == check_of(bytes);
}

/* The stamp decides what is newer, so it has to be that of the response. */
static bool stamp_is(struct mg_str bytes, int64_t stored_at)
{
    char stamp[MG_CACHE_WIRE_STAMP];
    mg_cache_wire_stamp(stored_at, stamp);
    return memcmp(bytes.p + MG_CACHE_WIRE_STAMP_AT, stamp, sizeof stamp) == 0;
}

static bool record_is_good(const struct mg_cache_record *r)
{
    const uint32_t flags =
        MG_CACHE_ALWAYS_VALIDATE | MG_CACHE_NEVER_STALE | MG_CACHE_GUESSED | MG_CACHE_CAN_VALIDATE;
    const uint32_t seconds[] = {r->initial_age, r->lifetime, r->stale_while_revalidate,
                                r->stale_if_error};
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++)
        if (seconds[i] > MG_CACHE_SECONDS_MAX)
            return false;
    return r->stored_at >= 0 && (r->flags & ~flags) == 0;
}

/* As mg_vary_read makes them. */
static bool names_are_good(struct mg_str names)
{
    struct mg_str item;
    unsigned count = 0;
    if (names.p[names.n - 1] == ',')
        return false;
    for (size_t i = 0; i < names.n; i++)
        if (names.p[i] != mg_lower(names.p[i]))
            return false;
    while (mg_str_split(&names, ',', &item))
        if (++count > MG_VARY_NAMES_MAX || !mg_is_token(item))
            return false;
    return true;
}

/* Final: what a store keeps. */
static bool status_is_good(const struct mg_cache_wire *w)
{
    if (w->status == 206)
        return mg_cache_is_part(w->status, &w->fields);
    return w->status >= 200 && w->status <= 599 && w->status != 304;
}

static bool version_is_good(unsigned version)
{
    return version == 0 || version == 10 || version == 11 || version == 20;
}

static bool read_field(struct rest *r, struct mg_field *f)
{
    uint64_t name_n = take_number(r, 2), value_n = take_number(r, 4);
    struct mg_str name = take(r, name_n), value = take(r, value_n);
    if (r->bad || !mg_is_token(name) || !mg_is_field_value(value))
        return false;
    *f = (struct mg_field){.name = name.p,
                           .value = value.p,
                           .value_len = (uint32_t)value.n,
                           .name_len = (uint16_t)name.n,
                           .id = (uint16_t)mg_field_id(name)};
    return !mg_field_is_codec((enum mg_field_id)f->id);
}

/* Every field takes seven bytes or more, so a number that is a lie costs no memory. */
#define FIELD_BYTES_MIN 7

static bool read_fields(struct rest *r, uint16_t count, struct mg_arena *arena,
                        struct mg_fields *out)
{
    if (count > r->s.n / FIELD_BYTES_MIN)
        return false;
    *out = (struct mg_fields){.v = mg_arena_alloc(arena, count * sizeof *out->v), .room = count};
    for (; out->n < count; out->n++)
        if (!read_field(r, &out->v[out->n]))
            return false;
    return true;
}

static bool is_good(const struct mg_cache_wire *w)
{
    if (w->primary.n == 0 || !record_is_good(&w->record))
        return false;
    if (w->names.n)
        return names_are_good(w->names) && w->fields.n == 0 && w->body.n == 0;
    return status_is_good(w) && version_is_good(w->version) && mg_is_field_value(w->phrase) &&
           mg_is_field_value(mg_str_trim(w->tags));
}

bool mg_cache_wire_read(struct mg_str bytes, struct mg_arena *arena, struct mg_cache_wire *w)
{
    if (!is_whole(bytes))
        return false;
    struct rest r = {.s = mg_str(bytes.p + NUMBERS_AT, bytes.n - NUMBERS_AT)};
    *w = (struct mg_cache_wire){0};
    w->record.stored_at = (int64_t)take_number(&r, 8);
    w->known = take_number(&r, 8);
    uint64_t body_n = take_number(&r, 8);
    w->record.initial_age = (uint32_t)take_number(&r, 4);
    w->record.lifetime = (uint32_t)take_number(&r, 4);
    w->record.stale_while_revalidate = (uint32_t)take_number(&r, 4);
    w->record.stale_if_error = (uint32_t)take_number(&r, 4);
    w->record.flags = (uint32_t)take_number(&r, 4);
    w->status = (uint16_t)take_number(&r, 2);
    w->version = (uint8_t)take_number(&r, 1);
    uint16_t fields = (uint16_t)take_number(&r, 2);
    uint64_t primary_n = take_number(&r, 4), variant_n = take_number(&r, 4);
    uint64_t names_n = take_number(&r, 4), tags_n = take_number(&r, 4);
    uint64_t phrase_n = take_number(&r, 4);
    w->primary = take(&r, primary_n);
    w->variant = take(&r, variant_n);
    w->names = take(&r, names_n);
    w->tags = take(&r, tags_n);
    w->phrase = take(&r, phrase_n);
    if (r.bad || !stamp_is(bytes, w->record.stored_at) ||
        !read_fields(&r, fields, arena, &w->fields))
        return false;
    w->body = take(&r, body_n);
    return !r.bad && r.s.n == 0 && is_good(w);
}
