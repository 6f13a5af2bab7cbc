/*
 * The policy `claim-to-header`: tells the backend in headers who the client is, and lets nobody
 * else do so. A step that C runs; its options are a struct mg_claim_headers. Worker thread.
 */
#ifndef MG_GATEWAY_CLAIM_HEADERS_H
#define MG_GATEWAY_CLAIM_HEADERS_H

#include "gateway/claim.h"
#include "gateway/exchange.h"

#define MG_CLAIM_HEADERS_MAX 100

/* In the generation's arena. */
struct mg_claim_header {
    struct mg_str name; /* none that belongs to the connection, or says where the request goes */
    enum mg_field_id id;
    bool required; /* who lacks the claim is refused */
};

struct mg_claim_headers {
    const struct mg_claim_name *claims;    /* in the order in which they are told of */
    const struct mg_claim_header *headers; /* of each claim the one that gets it */
    size_t count;                          /* 1 to MG_CLAIM_HEADERS_MAX */
    bool needs_identity;                   /* who has none is refused */
};

/* For mg_step_ops. */
enum mg_step_result mg_claim_headers_request(const struct mg_step *step, struct mg_walk *w);

#endif
