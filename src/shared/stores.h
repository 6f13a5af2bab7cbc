/* What lives as long as the process and is shared by all workers and generations. */
#ifndef MG_SHARED_STORES_H
#define MG_SHARED_STORES_H

#include "shared/caches.h"
#include "shared/dicts.h"
#include "shared/line_log.h"
#include "shared/tally.h"
#include "shared/token_cache.h"

struct mg_stores {
    struct mg_dicts *dicts;
    struct mg_token_cache *tokens;
    struct mg_caches *caches;
    struct mg_tallies *tallies;
    struct mg_line_log *access; /* the access log */
};

/* Empty ones. */
void mg_stores_init(struct mg_stores *s);
/* After all generations have gone. */
void mg_stores_release(struct mg_stores *s);

#endif
