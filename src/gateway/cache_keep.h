/*
 * A response that is kept while it goes by: one that a step has got from further in, or has made
 * itself. For those who have no request of their own behind the response, as jobs have.
 *
 * Its exchange does not go on for others when its client leaves, so they find it when it is
 * complete, and not before. Its body goes into the store as fast as it comes; the client reads it
 * from there, at its own pace. Worker thread.
 */
#ifndef MG_GATEWAY_CACHE_KEEP_H
#define MG_GATEWAY_CACHE_KEEP_H

#include "gateway/cache_entry.h"

struct mg_cache_keep {
    enum mg_cache_storing storing; /* why not */
    bool stored;                   /* all of it is in the store */
    bool filling;                  /* it is on its way there */
    void (*on_end)(void *arg);     /* set by whoever waits for `filling` to end; may be NULL */
    void *arg;
};

/* Judges the response, and keeps it if it may. Takes the fill. The body of the response is another
 * one afterwards. In the arena; what is under way ends with it, or when `parent` is cancelled. */
struct mg_cache_keep *mg_cache_keep_new(const struct mg_cache_keeping *k,
                                        struct mg_cache_fill *fill, struct mg_response *res,
                                        struct mg_arena *arena, struct mg_wait *parent);

#endif
