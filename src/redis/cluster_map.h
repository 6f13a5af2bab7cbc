/*
 * Which server of a cluster has which slot, and the servers themselves. One thread.
 *
 * Servers are found by what the cluster says of itself: CLUSTER SLOTS, and MOVED and ASK between.
 */
#ifndef MG_REDIS_CLUSTER_MAP_H
#define MG_REDIS_CLUSTER_MAP_H

#include "redis/node.h"
#include "redis/slots.h"

#define MG_REDIS_NODES_MAX 1024

struct mg_redis_cluster_node {
    struct mg_redis_node node;
    char *name;     /* for the log: of the cluster, and the address */
    char *address;  /* NULL: where the config says, as a server that knows no address of its own */
    bool has_slots; /* by the newest map */
};

struct mg_redis_cluster_map {
    bool known;                     /* it has come at least once */
    uint16_t owner[MG_REDIS_SLOTS]; /* index of a node; MG_REDIS_NODES_MAX: nobody's */
    struct mg_redis_cluster_node *nodes[MG_REDIS_NODES_MAX]; /* NULL: a free place */
    uint32_t count; /* places in use, free ones among them */
    const char *_name;
    struct mg_loop *_loop;
    struct mg_pool *_chunks;
    const struct mg_redis_settings *_settings;
    struct mg_redis_dialer _dialer;
    uint64_t _seed;
};

/* Borrows name, pool and settings for its life. `seed`: not 0. */
void mg_redis_cluster_map_init(struct mg_redis_cluster_map *m, const char *name,
                               struct mg_loop *loop, struct mg_pool *chunks,
                               const struct mg_redis_settings *settings,
                               const struct mg_redis_dialer *dialer, uint64_t seed);
/* Closes all; calls that are not over fail first. */
void mg_redis_cluster_map_release(struct mg_redis_cluster_map *m);

/* Takes over the reply to CLUSTER SLOTS. False, and nothing is changed: it is none, `*reason`
 * (as borrowed as the reply, or static) says why. */
bool mg_redis_cluster_map_read(struct mg_redis_cluster_map *m, const struct mg_redis_reply *reply,
                               const char **reason);
/* Frees nodes that have no slots any more and no calls. True: some have calls yet. Not from within
 * a callback of a node. */
bool mg_redis_cluster_map_sweep(struct mg_redis_cluster_map *m);

/* The node at HOST:PORT, made if it is new; an IPv6 host may lack its brackets. NULL: that is no
 * address, or there are too many nodes. */
struct mg_redis_node *mg_redis_cluster_map_node(struct mg_redis_cluster_map *m,
                                                struct mg_str address);
/* That node has the slot now. */
void mg_redis_cluster_map_move(struct mg_redis_cluster_map *m, uint16_t slot,
                               const struct mg_redis_node *node);
/* For a slot, or MG_REDIS_SLOT_ANY: one with slots that is not down, if there is one. NULL: nobody
 * has it. */
struct mg_redis_node *mg_redis_cluster_map_find(struct mg_redis_cluster_map *m, int slot);
/* The address of one with slots that is not down; NULL: there is none, or it has none. */
const char *mg_redis_cluster_map_address(const struct mg_redis_cluster_map *m);

#endif
