/*
 * What the store has for a request, and what may be done with it. Any thread.
 */
#ifndef MG_GATEWAY_CACHE_LOOKUP_H
#define MG_GATEWAY_CACHE_LOOKUP_H

#include "gateway/cache_head.h"
#include "shared/cache.h"

struct mg_cache_found {
    struct mg_cache_key place;    /* where it was looked for: the key, or its variant by Vary */
    struct mg_cache_entry *entry; /* a response; a reference, or NULL */
    /* The note found in its place, that responses were not for sharing: nobody waits for one. What
     * is stored is put over it. A reference, or NULL. */
    struct mg_cache_entry *unshared;
    bool varies; /* by Vary */
};

/* At the key (the primary one, and the variant by a template) lies a response, or a note that says
 * where to look by those fields of a request. */
void mg_cache_lookup(struct mg_cache *store, const struct mg_cache_key *key,
                     const struct mg_fields *asked, uint64_t now_ns, struct mg_arena *arena,
                     struct mg_cache_found *out);
/* The widest part that is kept of what lies, or would lie, at the key: it is looked for as any
 * other. `*part` is set when there is one, which may have gone meanwhile. */
bool mg_cache_lookup_widest(struct mg_cache *store, const struct mg_cache_key *whole,
                            uint64_t now_ns, struct mg_arena *arena, struct mg_range_asked *part);
/* Gives the references back. Safe to call twice. */
void mg_cache_found_release(struct mg_cache *store, struct mg_cache_found *found);

/* The bytes that an entry has: of a complete part that says what it is of which representation, and
 * is as long as it says. */
bool mg_cache_lookup_extent(const struct mg_cache_entry *entry, struct mg_arena *arena,
                            struct mg_range *part, uint64_t *length);

/* What may be done with the entry; a soft purge takes its freshness, and nothing else. `now`:
 * seconds since 1970. */
void mg_cache_lookup_judge(const struct mg_cache_entry *entry,
                           const struct mg_cache_request *request, int64_t now,
                           struct mg_cache_decision *out);

#endif
