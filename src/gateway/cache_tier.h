/*
 * The second tier of a cache, as one worker sees it: a Redis in which gateways leave for each other
 * what they have fetched. Its commands are scripts, each about keys that lie together in a cluster.
 *
 * Nothing that goes wrong there is anybody's error: a command that is not done is a miss, a count,
 * and now and then a line in the log. No command takes longer than the Redis' `timeout`, and while
 * that is down they fail at once. Worker thread.
 */
#ifndef MG_GATEWAY_CACHE_TIER_H
#define MG_GATEWAY_CACHE_TIER_H

#include "gateway/worker.h"
#include "redis/client.h"
#include "shared/purge_log.h"

struct mg_cache_gossip;

enum mg_cache_tier_act {
    MG_CACHE_TIER_READS,  /* looking, locks, purges */
    MG_CACHE_TIER_STORES, /* leaving something there */
    MG_CACHE_TIER_ACTS
};

/* Failures of one kind, of which only some are told. */
struct mg_cache_tier_failures {
    uint64_t untold;       /* since the last line */
    uint64_t told_from_ns; /* no line before */
};

struct mg_cache_tier {
    struct mg_worker_generation *wg;
    const struct mg_generation_cache *cache;
    struct mg_cache *store;
    struct mg_purge_log *log;            /* of the store */
    struct mg_cache_tier_counts *counts; /* of the store */
    struct mg_redis_client *client;      /* borrowed from the generation */
    struct mg_cache_gossip *gossip;
    struct mg_link fills; /* gateway/tier_fill.h */
    uint64_t timeout_ns;  /* of a command */
    size_t bytes_under_way;
    struct mg_cache_tier_failures failed[MG_CACHE_TIER_ACTS];
};

/* For the worker, in the life of one generation: once its Redises are there; before they go. */
void mg_cache_tiers_make(struct mg_worker_generation *wg);
void mg_cache_tiers_release(struct mg_worker_generation *wg);
/* Is something on its way there? */
bool mg_cache_tiers_busy(const struct mg_worker_generation *wg);

/* That of a store; NULL: it has none. */
struct mg_cache_tier *mg_cache_tier_of(const struct mg_worker_generation *wg,
                                       const struct mg_cache *store);

/* --- commands --- */

#define MG_CACHE_COMMAND_WORDS 10

/* Embedded in its owner, who leaves it alone until it is over. */
struct mg_cache_command {
    struct mg_redis_call call;
    struct mg_cache_tier *tier; /* while it is under way; else NULL */
    enum mg_cache_tier_act act; /* MG_CACHE_TIER_READS, unless its owner says otherwise */
    /* NULL: it was not done, which is counted already. The reply is no error, and borrowed. */
    void (*on_done)(struct mg_cache_command *c, const struct mg_redis_reply *reply);
    const char *words[MG_CACHE_COMMAND_WORDS];
    size_t lengths[MG_CACHE_COMMAND_WORDS];
};

/* An empty command to be filled by mg_cache_command_add: a script with so many keys. Its text is
 * static. */
void mg_cache_command_init(struct mg_cache_command *c, const char *script, unsigned keys);
/* A key, or an argument behind all keys; borrowed until it is over. */
void mg_cache_command_add(struct mg_cache_command *c, struct mg_str word);
/* Sends it; on_done comes later. False: it was not done, and on_done does not come. */
bool mg_cache_command_start(struct mg_cache_command *c, struct mg_cache_tier *tier,
                            void (*on_done)(struct mg_cache_command *c,
                                            const struct mg_redis_reply *reply)) MG_MUST_CHECK;
/* Takes it back: on_done does not come. Of one that is not under way: no effect. */
void mg_cache_command_cancel(struct mg_cache_command *c);

/* Something there is not as it should be; counted, and told in the log. */
void mg_cache_tier_failed(struct mg_cache_tier *tier, enum mg_cache_tier_act act, const char *code,
                          struct mg_str detail);

#endif
