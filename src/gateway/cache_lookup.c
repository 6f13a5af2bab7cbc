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
