/* Finding stored responses. Any thread. */
#include "gateway/cache_lookup.h"

#include "gateway/cache_key.h"

void mg_cache_lookup(struct mg_cache *store, const struct mg_cache_key *key,
                     const struct mg_fields *asked, uint64_t now_ns, struct mg_arena *arena,
                     struct mg_cache_found *out)
{
    struct mg_cache_entry *e = mg_cache_find(store, key, now_ns);
    *out = (struct mg_cache_found){.place = *key};
    if (!e)
        return;
    switch (mg_cache_head_kind(e->head)) {
    case MG_CACHE_HEAD_RESPONSE:
        out->entry = e;
        return;
    case MG_CACHE_HEAD_UNSHARED:
        out->unshared = e;
        return;
    case MG_CACHE_HEAD_VARIES:
    case MG_CACHE_HEAD_WIDEST: /* at a key of its own */
        break;
    }
    out->place.variant =
        mg_cache_key_vary(key->variant, mg_cache_head_names(e->head), asked, arena);
    out->varies = true;
    mg_cache_unref(store, e);
    e = mg_cache_find(store, &out->place, now_ns);
    if (e && mg_cache_head_kind(e->head) == MG_CACHE_HEAD_UNSHARED)
        out->unshared = e;
    else
        out->entry = e;
}

bool mg_cache_lookup_widest(struct mg_cache *store, const struct mg_cache_key *whole,
                            uint64_t now_ns, struct mg_arena *arena, struct mg_range_asked *part)
{
    const struct mg_cache_key key = {whole->primary, mg_cache_key_widest(whole->variant, arena)};
    struct mg_cache_entry *note = mg_cache_find(store, &key, now_ns);
    bool known = note && mg_range_read_one(mg_cache_head_names(note->head), part);
    mg_cache_unref(store, note);
    return known;
}

bool mg_cache_lookup_extent(const struct mg_cache_entry *entry, struct mg_arena *arena,
                            struct mg_range *part, uint64_t *length)
{
    struct mg_message head;
    uint64_t bytes;
    mg_cache_head_read(entry->head, arena, &head);
    return mg_cache_is_complete(entry, &bytes) &&
           mg_cache_part_read(head.status, &head.fields, part, length) && *length != MG_RANGE_END &&
           mg_range_length(*part) == bytes;
}

void mg_cache_found_release(struct mg_cache *store, struct mg_cache_found *found)
{
    mg_cache_unref(store, found->entry);
    mg_cache_unref(store, found->unshared);
    found->entry = found->unshared = NULL;
}

void mg_cache_lookup_judge(const struct mg_cache_entry *entry,
                           const struct mg_cache_request *request, int64_t now,
                           struct mg_cache_decision *out)
{
    mg_cache_judge_stored(mg_cache_head_record(entry->head), request, now, out);
    bool purged = atomic_load_explicit(&entry->stale, memory_order_relaxed);
    if (purged && out->verdict == MG_CACHE_FRESH) {
        out->forward = MG_CACHE_STALE;
        out->verdict = MG_CACHE_VALIDATE;
    }
}
