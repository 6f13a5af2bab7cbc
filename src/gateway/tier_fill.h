/*
 * One fill of a cache, in its second tier: looking whether another gateway has left there what is
 * wanted; being the only one of all gateways that fetches it; leaving it there for the others.
 *
 *     mg_tier_fill_new ─▶ _seek ─▶ found, or nothing: it is for us to fetch it
 *                         ─▶ _publish (it is in the store, whole) or _drop
 *
 * Who fetches holds a lock with a time, which it prolongs as long as it is at it; so one that dies
 * keeps the others waiting for that time at most. Who finds it held looks again and again, for a
 * bounded time, and then fetches too: the lock saves work, nothing depends on it. Worker thread.
 */
#ifndef MG_GATEWAY_TIER_FILL_H
#define MG_GATEWAY_TIER_FILL_H

#include "gateway/cache_tier.h"
#include "http/cache_wire.h"

struct mg_tier_fill;

/* `found` NULL: there is nothing of use. Else it is what was looked for, or a note that says by
 * what its responses vary; borrowed for the call, and `soft`: to be validated before it is used. */
typedef void (*mg_tier_sought_fn)(void *owner, const struct mg_cache_wire *found, bool soft);

/* `base`: the key by URL and template, where others look first; copied. `wait_ns`: how long others
 * may be waited for; 0: there is no lock. `unshared_ns`: how long nobody waits for another one that
 * had nothing to share. */
struct mg_tier_fill *mg_tier_fill_new(struct mg_cache_tier *tier, const struct mg_cache_key *base,
                                      uint64_t wait_ns, uint64_t unshared_ns);
/* May a body of that length (-1: unknown) be left there? */
bool mg_tier_fill_takes(const struct mg_tier_fill *f, int64_t length);

/* Looks at `place`: the base, or a variant of it. Only what was stored after `after` (seconds since
 * 1970; -1: anything) is of interest. False: nobody can be asked, and on_sought does not come.
 * Again only from within on_sought. */
bool mg_tier_fill_seek(struct mg_tier_fill *f, const struct mg_cache_key *place, int64_t after,
                       mg_tier_sought_fn on_sought, void *owner) MG_MUST_CHECK;

/* Leaves a complete entry of the store for the others, and with it (n > 0) the names that it varies
 * by. Takes the fill, keeps a ref to the entry. That happens after the present callback, so that no
 * client waits for it; nothing comes back. */
void mg_tier_fill_publish(struct mg_tier_fill *f, struct mg_cache_entry *entry,
                          struct mg_str names);
/* There is nothing to leave. `unshared`: nor will there be next time. Takes the fill; NULL is fine.
 * Also while it seeks: on_sought does not come. */
void mg_tier_fill_drop(struct mg_tier_fill *f, bool unshared);

/* For the tier: those that are left end where they are. */
void mg_tier_fills_release(struct mg_cache_tier *tier);

#endif
