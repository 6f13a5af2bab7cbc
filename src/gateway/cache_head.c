/*
 * Packed heads: a fixed part, the fields as offsets, the bytes.
 *
 *     | struct packed | struct packed_field * count | phrase | name value name value ... |
 */
#include "gateway/cache_head.h"

struct packed {
    struct mg_cache_record record;
    uint16_t kind, status, version;
    uint16_t count; /* of fields */
    uint32_t phrase_n;
    uint32_t bytes_at; /* of the phrase (or the note's names), from the beginning */
};

/* Where its name begins follows from those before it; the value comes right behind. */
struct packed_field {
    uint16_t id, name_n;
    uint32_t value_n;
};

static const struct packed *packed_of(struct mg_str head)
{
    return (const struct packed *)(const void *)head.p;
}

static char *add(char *at, const char *bytes, size_t n)
{
    if (n)
        memcpy(at, bytes, n);
    return at + n;
}

struct mg_str mg_cache_head_pack(const struct mg_message *response, const struct mg_fields *fields,
                                 const struct mg_cache_record *record, struct mg_arena *arena)
{
    size_t table = fields->n * sizeof(struct packed_field);
    size_t n = sizeof(struct packed) + table + response->phrase.n;
    for (uint16_t i = 0; i < fields->n; i++)
        n += (size_t)fields->v[i].name_len + fields->v[i].value_len;
    struct packed *p = mg_arena_alloc(arena, n);
    *p = (struct packed){.record = *record,
                         .kind = MG_CACHE_HEAD_RESPONSE,
                         .status = response->status,
                         .version = response->version,
                         .count = fields->n,
                         .phrase_n = (uint32_t)response->phrase.n,
                         .bytes_at = (uint32_t)(sizeof *p + table)};
    struct packed_field *f = (struct packed_field *)(p + 1);
    char *at = add((char *)p + p->bytes_at, response->phrase.p, response->phrase.n);
    for (uint16_t i = 0; i < fields->n; i++) {
        const struct mg_field *from = &fields->v[i];
        f[i] = (struct packed_field){from->id, from->name_len, from->value_len};
        at = add(at, from->name, from->name_len);
        at = add(at, from->value, from->value_len);
    }
    return mg_str((char *)p, n);
}

struct mg_str mg_cache_head_note(enum mg_cache_head_kind kind, struct mg_str names,
                                 struct mg_arena *arena)
{
    struct packed *p = mg_arena_alloc(arena, sizeof *p + names.n);
    *p = (struct packed){
        .kind = (uint16_t)kind, .phrase_n = (uint32_t)names.n, .bytes_at = sizeof *p};
    add((char *)(p + 1), names.p, names.n);
    return mg_str((char *)p, sizeof *p + names.n);
}

enum mg_cache_head_kind mg_cache_head_kind(struct mg_str head)
{
    return (enum mg_cache_head_kind)packed_of(head)->kind;
}

static struct mg_str first_bytes(struct mg_str head)
{
    const struct packed *p = packed_of(head);
    return mg_str(head.p + p->bytes_at, p->phrase_n);
}

struct mg_str mg_cache_head_names(struct mg_str head)
{
    return first_bytes(head);
}

const struct mg_cache_record *mg_cache_head_record(struct mg_str head)
{
    return &packed_of(head)->record;
}

/* A few fields more than there are: Age, Cache-Status, Via and the like come. */
#define ROOM_MORE 6

static void read_fields(struct mg_str head, struct mg_arena *arena, struct mg_fields *out)
{
    const struct packed *p = packed_of(head);
    const struct packed_field *f = (const struct packed_field *)(const void *)(p + 1);
    const char *at = head.p + p->bytes_at + p->phrase_n;
    out->n = p->count;
    out->room = (uint16_t)(p->count + ROOM_MORE);
    out->v = mg_arena_alloc(arena, out->room * sizeof *out->v);
    for (uint16_t i = 0; i < p->count; i++) {
        out->v[i] = (struct mg_field){.name = at,
                                      .value = at + f[i].name_n,
                                      .value_len = f[i].value_n,
                                      .name_len = f[i].name_n,
                                      .id = f[i].id};
        at += f[i].name_n + f[i].value_n;
    }
}

void mg_cache_head_read(struct mg_str head, struct mg_arena *arena, struct mg_message *out)
{
    const struct packed *p = packed_of(head);
    mg_message_init(out, arena);
    out->status = p->status;
    out->version = (uint8_t)p->version;
    out->phrase = first_bytes(head);
    read_fields(head, arena, &out->fields);
}
