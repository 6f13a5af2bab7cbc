/*
 * The policy `concurrency`: limits how many requests are under way at a time, for all workers
 * together. A step that C runs; its options are a struct mg_concurrency. Worker thread.
 *
 * A request holds its place as long as its exchange waits for anything: until the last byte of the
 * response has left, the client has, or its time is over.
 */
#ifndef MG_GATEWAY_CONCURRENCY_H
#define MG_GATEWAY_CONCURRENCY_H

#include "gateway/client_key.h"
#include "gateway/exchange.h"

/* In the generation's arena. */
struct mg_concurrency {
    struct mg_dict *dict; /* of the generation; NULL: nothing is going to run */
    struct mg_client_key by;
    struct mg_str prefix; /* of keys */
    int64_t max;
    int64_t queue; /* so many more may wait, for all workers together; 0: nobody does */
    uint64_t timeout_ns;
    uint16_t status; /* of a refusal */
};

/* For mg_step_ops. */
enum mg_step_result mg_concurrency_request(const struct mg_step *step, struct mg_walk *w);

#endif
