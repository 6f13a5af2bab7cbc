/*
 * What makes stored responses useless: requests that change things (RFC 9111 4.4), and those that
 * say so. Worker thread.
 */
#ifndef MG_GATEWAY_CACHE_PURGE_H
#define MG_GATEWAY_CACHE_PURGE_H

#include "gateway/cache_options.h"
#include "gateway/exchange.h"
#include "http/cache_invalidate.h"

/* A request with that method for `target`, under `primary`, was answered so: drops what is stored
 * for it, and for what the response names, if that has changed. */
void mg_cache_invalidate(struct mg_cache *store, enum mg_method method,
                         const struct mg_cache_target *target, struct mg_str primary,
                         const struct mg_message *res, struct mg_arena *arena);

/* Is it a request to purge? Then this is the answer: it was done, or it may not. NULL: it is a
 * request like any other. */
struct mg_response *mg_cache_purge_request(const struct mg_cache_options *o, struct mg_request *req,
                                           struct mg_str primary);

#endif
