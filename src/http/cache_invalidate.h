/* Which stored responses an unsafe request makes useless (RFC 9111 4.4). Pure; any thread. */
#ifndef MG_HTTP_CACHE_INVALIDATE_H
#define MG_HTTP_CACHE_INVALIDATE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/uri.h"
#include "http/message.h"

/* What a request is for, as the cache's keys see it. */
struct mg_cache_target {
    bool https;
    struct mg_str authority; /* host[:port] */
    struct mg_str path;      /* normalised (mg_uri_path_normalize) */
    struct mg_str query;     /* raw; p is NULL when there is no '?' */
};

#define MG_CACHE_INVALID_MAX 2

/* Does the outcome make the target's stored responses useless? Any method but the safe ones, known
 * or not, that did not fail: 200 to 399. */
bool mg_cache_invalidates(enum mg_method method, unsigned status);

/* Then so it does for what Location and Content-Location name, if they are of the same origin as
 * `target`: what others have is not ours to throw away. Fills `out` with targets other than
 * `target`, in the arena, and returns how many. */
unsigned mg_cache_invalid_targets(const struct mg_cache_target *target,
                                  const struct mg_fields *response, struct mg_arena *arena,
                                  struct mg_cache_target out[MG_CACHE_INVALID_MAX]);

#endif
