/* Entries of the store, made of responses. Worker thread. */
#include "gateway/cache_entry.h"

#include "gateway/cache_head.h"
#include "gateway/cache_key.h"
#include "gateway/cache_lookup.h"
#include "http/cache_fields.h"
#include "net/loop.h"

#define TAGS_MAX ((size_t)16 << 10)

static struct mg_cache *store_of(const struct mg_cache_keeping *k)
{
    return k->options->store;
}

static uint64_t now_ns(const struct mg_cache_keeping *k)
{
    return mg_loop_now(k->loop);
}

static int64_t now_s(const struct mg_cache_keeping *k)
{
    return (int64_t)mg_loop_wall(k->loop);
}

void mg_cache_keeping_copy(struct mg_cache_keeping *out, struct mg_arena *arena,
                           const struct mg_cache_keeping *from)
{
    *out = *from;
    out->key.primary = mg_arena_str(arena, from->key.primary);
    out->key.variant = mg_arena_str(arena, from->key.variant);
    out->whole = mg_arena_str(arena, from->whole);
    mg_message_copy(&out->asked, arena, &from->asked);
}

/* --- what is for all, and what for one --- */

/* Names it: forwarding adds that cookie (forward.c). Empty: none. */
static struct mg_str session_cookie(const struct mg_response *res)
{
    return res->fetch ? mg_service_config(res->fetch->picker->service)->sticky.cookie : MG_STR_NONE;
}

static bool sets_cookie(const struct mg_field *f, struct mg_str name)
{
    struct mg_str value = mg_field_value(f);
    return name.n && f->id == MG_FIELD_SET_COOKIE && value.n > name.n &&
           mg_str_starts(value, name) && value.p[name.n] == '=';
}

const struct mg_message *mg_cache_entry_shared(const struct mg_response *res,
                                               struct mg_arena *arena)
{
    struct mg_str session = session_cookie(res);
    if (!session.n)
        return res->msg;
    struct mg_message *shared = mg_arena_alloc(arena, sizeof *shared);
    *shared = *res->msg;
    shared->fields = (struct mg_fields){0};
    for (unsigned i = 0; i < res->msg->fields.n; i++) {
        const struct mg_field *f = &res->msg->fields.v[i];
        if (!sets_cookie(f, session))
            mg_fields_add_known(&shared->fields, arena, f->id, mg_str(f->name, f->name_len),
                                mg_field_value(f));
    }
    return shared;
}

void mg_cache_entry_own(const struct mg_response *res, const struct mg_cache_control *control,
                        struct mg_arena *arena, struct mg_fields *own)
{
    struct mg_str session = session_cookie(res);
    mg_cache_fields_own(&res->msg->fields, control, arena, own);
    for (unsigned i = 0; session.n && i < res->msg->fields.n; i++) {
        const struct mg_field *f = &res->msg->fields.v[i];
        if (sets_cookie(f, session))
            mg_fields_add_id(own, arena, MG_FIELD_SET_COOKIE,
                             mg_arena_str(arena, mg_field_value(f)));
    }
}

enum mg_cache_storing mg_cache_entry_judge(const struct mg_cache_keeping *k,
                                           const struct mg_response *res, struct mg_arena *arena,
                                           struct mg_cache_answer *answer)
{
    if (res->source == MG_SOURCE_GATEWAY)
        return MG_CACHE_NOT_STATUS; /* our own errors are nobody's content */
    return mg_cache_judge_response(&k->options->rules, &k->request,
                                   mg_cache_entry_shared(res, arena), k->sent, now_s(k), arena,
                                   answer);
}

/* --- what the store gets --- */

static void collect_tags(const struct mg_cache_keeping *k, const struct mg_fields *fields,
                         struct mg_buf *out)
{
    mg_buf_add_str(out, k->tags);
    if (k->tags.n)
        mg_buf_add_char(out, ' ');
    for (size_t i = 0; i < k->options->tag_count; i++) {
        const struct mg_field *f = mg_fields_find(fields, k->options->tags[i]);
        for (; f; f = mg_fields_next(fields, f)) {
            mg_buf_add_str(out, mg_field_value(f));
            mg_buf_add_char(out, ' ');
        }
    }
    for (size_t i = 0; i < out->n; i++)
        if (out->p[i] == ',' || out->p[i] == '\t')
            out->p[i] = ' ';
}

static uint64_t expiry(const struct mg_cache_keeping *k, const struct mg_cache_record *record)
{
    int64_t since = now_s(k) - record->stored_at;
    uint64_t useful = mg_cache_useful_for(record) * MG_SECOND;
    uint64_t passed = since > 0 ? (uint64_t)since * MG_SECOND : 0;
    if (mg_cache_is_of_use_stale(record))
        useful += k->options->keep_ns;
    return now_ns(k) + (useful > passed ? useful - passed : 0);
}

/* The variant by Vary; leaves a note at the key where others look first. */
static struct mg_str vary(const struct mg_cache_keeping *k, const struct mg_cache_key *key,
                          struct mg_str names, struct mg_arena *arena)
{
    if (!names.n)
        return key->variant;
    mg_cache_mark(store_of(k), key, mg_cache_head_note(MG_CACHE_HEAD_VARIES, names, arena),
                  UINT64_MAX, now_ns(k));
    return mg_cache_key_vary(key->variant, names, &k->asked.fields, arena);
}

struct mg_str mg_cache_entry_vary(const struct mg_cache_keeping *k, struct mg_str names,
                                  struct mg_arena *arena)
{
    return vary(k, &k->key, names, arena);
}

bool mg_cache_entry_is_more(const struct mg_cache_keeping *k, unsigned status)
{
    return k->request.part.any && status != 206;
}

/* Where it belongs, but for Vary. */
static struct mg_cache_key home_of(const struct mg_cache_keeping *k, unsigned status)
{
    bool more = mg_cache_entry_is_more(k, status);
    return (struct mg_cache_key){k->key.primary, more ? k->whole : k->key.variant};
}

/* Fills in what the store gets. `tags` holds memory for it. */
static struct mg_cache_new new_entry(const struct mg_cache_keeping *k, const struct mg_message *res,
                                     const struct mg_cache_answer *answer, struct mg_arena *arena,
                                     struct mg_buf *tags)
{
    struct mg_fields kept;
    const struct mg_cache_key home = home_of(k, res->status);
    mg_cache_fields_keep(&res->fields, &answer->control, now_s(k), arena, &kept);
    collect_tags(k, &kept, tags);
    return (struct mg_cache_new){.variant = vary(k, &home, answer->vary, arena),
                                 .head = mg_cache_head_pack(res, &kept, &answer->record, arena),
                                 .tags = tags->failed ? MG_STR_NONE : mg_buf_str(tags),
                                 .length = res->content_length,
                                 .expires_ns = expiry(k, &answer->record)};
}

/* --- which part is the widest --- */

/* How many bytes a part has by what it says; 0: it is none, or none that others could be cut from.
 */
static uint64_t width_of(const struct mg_message *res)
{
    struct mg_range range;
    uint64_t length;
    bool known =
        mg_cache_part_read(res->status, &res->fields, &range, &length) && length != MG_RANGE_END;
    return known ? mg_range_length(range) : 0;
}

/* Of the one that was the widest so far, while it may be used. */
static uint64_t widest_width(const struct mg_cache_keeping *k, const struct mg_cache_key *whole,
                             struct mg_arena *arena)
{
    struct mg_range_asked part;
    struct mg_cache_found found;
    struct mg_cache_decision d;
    struct mg_message head;
    uint64_t width = 0;
    if (!mg_cache_lookup_widest(store_of(k), whole, now_ns(k), arena, &part))
        return 0;
    const struct mg_cache_key key = {whole->primary,
                                     mg_cache_key_part(whole->variant, &part, arena)};
    mg_cache_lookup(store_of(k), &key, &k->asked.fields, now_ns(k), arena, &found);
    if (found.entry) {
        mg_cache_lookup_judge(found.entry, &k->request, now_s(k), &d);
        mg_cache_head_read(found.entry->head, arena, &head);
        width = d.ttl > 0 ? width_of(&head) : 0;
    }
    mg_cache_found_release(store_of(k), &found);
    return width;
}

/* A note for those who ask for a part of this part. */
static void note_width(const struct mg_cache_keeping *k, const struct mg_message *res,
                       struct mg_arena *arena)
{
    const struct mg_cache_key whole = {k->key.primary, k->whole};
    uint64_t width = width_of(res);
    if (!width || width <= widest_width(k, &whole, arena))
        return;
    const struct mg_cache_key key = {whole.primary, mg_cache_key_widest(whole.variant, arena)};
    struct mg_str range = mg_range_text(arena, &k->request.part);
    mg_cache_mark(store_of(k), &key, mg_cache_head_note(MG_CACHE_HEAD_WIDEST, range, arena),
                  UINT64_MAX, now_ns(k));
}

/* --- into the store --- */

struct mg_cache_entry *mg_cache_entry_begin(const struct mg_cache_keeping *k,
                                            struct mg_cache_fill *fill,
                                            const struct mg_message *res,
                                            const struct mg_cache_answer *answer,
                                            enum mg_cache_showing showing, struct mg_arena *arena)
{
    struct mg_buf tags;
    mg_buf_init(&tags, TAGS_MAX);
    struct mg_cache_new what = new_entry(k, res, answer, arena, &tags);
    what.quiet = showing == MG_CACHE_QUIET;
    struct mg_cache_entry *entry = mg_cache_fill_begin(fill, &what, now_ns(k));
    if (entry)
        note_width(k, res, arena);
    mg_buf_release(&tags);
    return entry;
}

struct mg_cache_entry *mg_cache_entry_renew(const struct mg_cache_keeping *k,
                                            struct mg_cache_fill *fill, struct mg_cache_entry *old,
                                            const struct mg_message *res,
                                            const struct mg_cache_answer *answer,
                                            struct mg_arena *arena)
{
    struct mg_buf tags;
    uint64_t length;
    mg_buf_init(&tags, TAGS_MAX);
    struct mg_cache_new what = new_entry(k, res, answer, arena, &tags);
    if (mg_cache_is_complete(old, &length))
        what.length = (int64_t)length;
    struct mg_cache_entry *entry = mg_cache_fill_renew(fill, old, &what, now_ns(k));
    if (entry)
        note_width(k, res, arena);
    mg_buf_release(&tags);
    return entry;
}

struct mg_cache_entry *mg_cache_entry_import(const struct mg_cache_keeping *k,
                                             struct mg_cache_fill *fill,
                                             const struct mg_cache_wire *found, bool soft,
                                             struct mg_arena *arena)
{
    struct mg_message head;
    struct mg_cache_record record = found->record;
    if ((found->status == 206) != k->request.part.any)
        return NULL;                 /* nobody of ours has put it there */
    if (record.stored_at > now_s(k)) /* clocks differ: it is not from the future */
        record.stored_at = now_s(k);
    mg_message_init(&head, arena);
    head.status = found->status;
    head.version = found->version;
    head.phrase = found->phrase;
    const struct mg_cache_new what = {
        .variant = found->variant,
        .head = mg_cache_head_pack(&head, &found->fields, &record, arena),
        .tags = found->tags,
        .length = (int64_t)found->body.n,
        .expires_ns = expiry(k, &record),
        .stale = soft,
    };
    if (what.expires_ns <= now_ns(k))
        return NULL;
    return mg_cache_fill_whole(fill, &what, found->body, now_ns(k));
}

bool mg_cache_entry_note_unshared(const struct mg_cache_keeping *k, enum mg_cache_storing storing,
                                  struct mg_arena *arena)
{
    bool says_so = storing == MG_CACHE_NOT_NO_STORE || storing == MG_CACHE_NOT_PRIVATE ||
                   storing == MG_CACHE_NOT_COOKIE || storing == MG_CACHE_NOT_VARY ||
                   storing == MG_CACHE_NOT_LIFETIME;
    if (!says_so || !k->options->unshared_ns)
        return false;
    /* Where responses vary, it is news of that variant alone. */
    struct mg_cache_found found;
    mg_cache_lookup(store_of(k), &k->key, &k->asked.fields, now_ns(k), arena, &found);
    mg_cache_found_release(store_of(k), &found);
    mg_cache_mark(store_of(k), &found.place,
                  mg_cache_head_note(MG_CACHE_HEAD_UNSHARED, MG_STR_NONE, arena),
                  now_ns(k) + k->options->unshared_ns, now_ns(k));
    return true;
}
