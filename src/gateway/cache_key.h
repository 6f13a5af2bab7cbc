/*
 * What responses are stored under. Two requests have the same key only when all that may tell their
 * answers apart is the same, but for the fields that Vary names:
 *
 *   - primary: scheme, host, normalised path and query: all that a URL is purged by;
 *   - variant: the route and the service, the port, how the path was written where that is not its
 *     normal form (backends get it as it was written), what a trusted proxy relays, and the text of
 *     the policy's `key`; behind that, of a part (206), which one was asked for; and behind that
 *     what Vary chose.
 */
#ifndef MG_GATEWAY_CACHE_KEY_H
#define MG_GATEWAY_CACHE_KEY_H

#include "http/cache_invalidate.h"
#include "http/range.h"
#include "shared/cache.h"

struct mg_request;

/* Of the request as it is now, in its arena. */
void mg_cache_key_target(struct mg_request *req, struct mg_cache_target *out);
/* Both parts, in the request's arena; `extra` is the text of the policy's `key`. Worker thread. */
void mg_cache_key_of_request(struct mg_request *req, const struct mg_cache_target *target,
                             struct mg_str extra, struct mg_cache_key *out);
/* The variant for responses that vary by these fields, which `request` has: `names` as from
 * mg_vary_read, not empty. In the arena. */
struct mg_str mg_cache_key_vary(struct mg_str variant, struct mg_str names,
                                const struct mg_fields *request, struct mg_arena *arena);
/* The variant where the part that is asked for is kept, beside the whole's. In the arena. */
struct mg_str mg_cache_key_part(struct mg_str variant, const struct mg_range_asked *part,
                                struct mg_arena *arena);
/* The variant where a note tells which of the parts is the widest. In the arena. */
struct mg_str mg_cache_key_widest(struct mg_str variant, struct mg_arena *arena);
/* The primary key, in the arena. Its parts are separated by NUL, which none of them can hold. */
struct mg_str mg_cache_key_text(const struct mg_cache_target *target, struct mg_arena *arena);
/* The same of an absolute URL; false when it is none. With `prefix` it ends where the URL's path
 * does, so that it is a prefix of all keys below. */
bool mg_cache_key_of_url(struct mg_str url, bool prefix, struct mg_arena *arena,
                         struct mg_str *out);

#endif
