/*
 * What responses are stored under: scheme, host, normalised path and query. Two requests that can
 * reach different resources never have the same key. Pure; any thread.
 */
#ifndef MG_GATEWAY_CACHE_KEY_H
#define MG_GATEWAY_CACHE_KEY_H

#include "http/cache_invalidate.h"

struct mg_request;

/* Of the request as it is now, in its arena. */
void mg_cache_key_target(struct mg_request *req, struct mg_cache_target *out);
/* The primary key, in the arena. Its parts are separated by NUL, which none of them can hold. */
struct mg_str mg_cache_key_text(const struct mg_cache_target *target, struct mg_arena *arena);
/* The same of an absolute URL; false when it is none. With `prefix` it ends where the URL's path
 * does, so that it is a prefix of all keys below. */
bool mg_cache_key_of_url(struct mg_str url, bool prefix, struct mg_arena *arena,
                         struct mg_str *out);

#endif
