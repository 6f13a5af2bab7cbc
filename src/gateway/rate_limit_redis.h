/*
 * Counting in a Redis, for all gateways that use it: one script asks and takes, of several keys at
 * once (lua/moongate/limits/redis.lua has it and tells of the keys). With a batch, units are taken
 * some at a time, and used up in this gateway before it is asked again. Worker thread.
 */
#ifndef MG_GATEWAY_RATE_LIMIT_REDIS_H
#define MG_GATEWAY_RATE_LIMIT_REDIS_H

#include "gateway/rate_limit_options.h"
#include "redis/eval.h"

/* One request. In its arena. */
struct mg_rate_limit_call {
    /* Set by the caller. */
    const struct mg_rate_limit_options *options; /* whose `redis` is not NULL */
    const struct mg_rate_limit_set *set;
    struct mg_request *req;
    const struct mg_str *keys; /* of the limits, without any prefix; borrowed */
    double cost;
    void (*on_done)(struct mg_rate_limit_call *call);
    void *owner;

    /* Results. */
    bool counted; /* false: Redis did not answer, or not as it should */
    struct mg_limiter_result results[MG_RATE_LIMITS_MAX];

    /* Private. */
    double _asked; /* units: the cost, or a batch */
    struct mg_redis_eval _eval;
};

/* True: it is over already, and on_done does not come. */
bool mg_rate_limit_redis_start(struct mg_rate_limit_call *call);
/* on_done does not come. */
void mg_rate_limit_redis_cancel(struct mg_rate_limit_call *call);

#endif
