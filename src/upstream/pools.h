/*
 * One worker's idle connections to backends, and how it makes new ones. One thread.
 */
#ifndef MG_UPSTREAM_POOLS_H
#define MG_UPSTREAM_POOLS_H

#include "http/client.h"
#include "upstream/dialer.h"
#include "upstream/gate.h"

struct mg_pools {
    struct mg_loop *loop;
    struct mg_pool *blocks; /* read buffers, shared with the server side */
    struct mg_h1_limits head;
    struct mg_dialer dialer;
    struct mg_gate_inbox turns; /* of requests that wait at services' gates */
    struct mg_link *_buckets;   /* of struct backend_pool, by backend id */
    struct mg_timer _sweep;
    uint32_t idle_count;
};

void mg_pools_init(struct mg_pools *p, struct mg_loop *loop, struct mg_pool *blocks,
                   const struct mg_h1_limits *head);
/* Closes the idle ones. No fetch may be under way. */
void mg_pools_release(struct mg_pools *p);

/* The most recently used idle connection to a backend, or NULL. The caller sends on it. */
struct mg_client_conn *mg_pools_take(struct mg_pools *p, struct mg_backend *b,
                                     const struct mg_service_config *config);

/* Makes a pooled connection of a stream that was dialled; it comes back to the pool by itself.
 * Takes it. */
struct mg_client_conn *mg_pools_adopt(struct mg_pools *p, struct mg_backend *b,
                                      const struct mg_service_config *config,
                                      struct mg_stream *stream);

#endif
