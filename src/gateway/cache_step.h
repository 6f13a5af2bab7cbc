/*
 * The policy `cache`: answers from a store, fills it, keeps it true (RFC 9111). A step that C runs;
 * its options are a struct mg_cache_options. Worker thread.
 *
 * Stands in the pipeline of a route, not inside of another step.
 */
#ifndef MG_GATEWAY_CACHE_STEP_H
#define MG_GATEWAY_CACHE_STEP_H

#include "gateway/exchange.h"

/* For mg_step_ops.request. */
enum mg_step_result mg_cache_step_request(const struct mg_step *step, struct mg_walk *w);

#endif
