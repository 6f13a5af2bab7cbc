/* Inside of the cache: fills that have no entry yet, as others look for them. Under the shard's
 * lock. */
#ifndef MG_SHARED_CACHE_FILL_H
#define MG_SHARED_CACHE_FILL_H

#include "shared/cache_shard.h"

/* What is on its way for that primary key is older than what its entry may be from now on. */
void mg_cache_fills_outdate(struct mg_cache_shard *s, struct mg_str primary);

#endif
