/*
 * A worker's clients of the Redises of the config. A reload that leaves a Redis as it is leaves its
 * client, with its connections, to the next generation. One thread.
 */
#ifndef MG_GATEWAY_WORKER_REDIS_H
#define MG_GATEWAY_WORKER_REDIS_H

#include "gateway/worker.h"
#include "redis/client.h"

struct mg_worker_redis {
    struct mg_redis_client *client; /* a ref */
    struct mg_redis_dialer dialer;  /* the same, or one that asks sentinels, over */
    struct mg_redis_dialer lower;   /* which reaches what the config names */
};

/* For the worker, in the life of one generation: once its pickers are there; when it comes into
 * force; before its pickers go, and after the Lua state, whose calls end with it. */
void mg_worker_redis_make(struct mg_worker_generation *wg);
void mg_worker_redis_adopt(struct mg_worker_generation *wg);
void mg_worker_redis_release(struct mg_worker_generation *wg);

/* The client of the Redis of that name, borrowed; NULL: the config has none. */
struct mg_redis_client *mg_worker_redis_find(const struct mg_worker_generation *wg,
                                             struct mg_str name);

#endif
