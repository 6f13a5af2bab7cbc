/*
 * The caches of one process, by name and size (see shared/registry.h: a reload keeps those that did
 * not change). Any thread.
 */
#ifndef MG_SHARED_CACHES_H
#define MG_SHARED_CACHES_H

#include "base/error.h"
#include "shared/cache.h"

struct mg_caches;

struct mg_caches *mg_caches_new(void);
/* Every cache has been put back before. NULL is fine. */
void mg_caches_free(struct mg_caches *caches);

/* Finds the cache or makes it; the caller gets a ref and gives it to mg_caches_put. `tier` names
 * what its second tier lies in (empty: it has none): with another one it is another cache, as what
 * it holds may have been purged there. */
struct mg_cache *mg_caches_get(struct mg_caches *caches, struct mg_str name, size_t bytes,
                               size_t object_bytes, struct mg_str tier);
/* Takes the ref. With the last one the cache is freed. */
void mg_caches_put(struct mg_caches *caches, struct mg_cache *cache);

/* Calls back for each cache before it returns; `name` is borrowed. The callback must not get or
 * put. */
typedef void (*mg_caches_each_fn)(void *arg, struct mg_str name, struct mg_cache *cache);
void mg_caches_each(struct mg_caches *caches, mg_caches_each_fn each, void *arg);

#endif
