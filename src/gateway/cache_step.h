/*
 * The policy `cache`: answers from a store, fills it, keeps it true (RFC 9111). A step that C runs;
 * its options are a struct mg_cache_options. Worker thread.
 *
 * Where the rest of the way can be gone by a request of the cache's own, that is what fetches, and
 * goes on when the client leaves. Inside of a step that takes the request off the pipeline's end
 * (mg_walk_is_repeatable) the client's own request does.
 */
#ifndef MG_GATEWAY_CACHE_STEP_H
#define MG_GATEWAY_CACHE_STEP_H

#include "gateway/exchange.h"

/* For mg_step_ops.request. */
enum mg_step_result mg_cache_step_request(const struct mg_step *step, struct mg_walk *w);

#endif
