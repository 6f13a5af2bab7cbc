/*
 * A stored response as the answer to a request: with its Age, and with what the request's own
 * conditions and ranges make of it (RFC 9111 4, RFC 9110 13 and 14). Worker thread.
 */
#ifndef MG_GATEWAY_CACHE_ANSWER_H
#define MG_GATEWAY_CACHE_ANSWER_H

#include "gateway/exchange.h"
#include "gateway/stored_body.h"
#include "http/cache_rules.h"

struct mg_cache_answering {
    const struct mg_request *req; /* the client's fields are read */
    const struct mg_cache_request *request;
    struct mg_arena *arena; /* of the answer */
    struct mg_loop *loop;
    struct mg_cache *store;
    struct mg_cache_entry *entry; /* borrowed; a body of it keeps a ref */
    /* Of a part that has more than is asked for (mg_cache_lookup_extent): what is. NULL: the entry
     * is what was asked for, or the whole. */
    const struct mg_range_asked *part;
    bool forwarded; /* it came straight from the origin: no Age of 0 (RFC 9111 5.1) */
    /* Set by the call. */
    int64_t ttl;                 /* for Cache-Status */
    struct mg_stored_body *body; /* reads the whole body; NULL: that is not sent */
};

/* In the arena; the source is MG_SOURCE_CACHE. NULL: the entry was let go of in this moment. */
struct mg_response *mg_cache_answer(struct mg_cache_answering *a);

#endif
