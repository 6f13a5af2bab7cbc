/*
 * The master that sentinels name, as a dialer: each connection begins by asking one of them where
 * the master is. So a fail-over needs no more than what any loss needs: the connections to the old
 * one end, or say that it is no master, and new ones go to where the sentinels say. One thread.
 */
#ifndef MG_REDIS_SENTINEL_H
#define MG_REDIS_SENTINEL_H

#include "redis/node.h"

struct mg_redis_sentinel_options {
    struct mg_loop *loop;
    struct mg_pool *chunks;                   /* borrowed */
    const struct mg_redis_settings *settings; /* how sentinels are spoken to; copied */
    struct mg_str master;                     /* its name; copied */
};

/* `lower` reaches the sentinels, another one each time, and addresses. The context is given back by
 * mg_redis_sentinel_free, which does not touch that of `lower`. */
struct mg_redis_dialer mg_redis_sentinel_new(const struct mg_redis_sentinel_options *options,
                                             const struct mg_redis_dialer *lower);
void mg_redis_sentinel_free(void *ctx);

#endif
