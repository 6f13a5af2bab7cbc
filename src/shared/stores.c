/* The stores of a process. Set once; each of them has its own locks. */
#include "shared/stores.h"

void mg_stores_init(struct mg_stores *s)
{
    *s = (struct mg_stores){.dicts = mg_dicts_new(),
                            .tokens = mg_token_cache_new(MG_TOKEN_CACHE_BYTES_DEFAULT),
                            .caches = mg_caches_new(),
                            .tallies = mg_tallies_new(),
                            .access = mg_line_log_new()};
}

void mg_stores_release(struct mg_stores *s)
{
    mg_dicts_free(s->dicts);
    mg_token_cache_free(s->tokens);
    mg_caches_free(s->caches);
    mg_tallies_free(s->tallies);
    mg_line_log_free(s->access);
}
