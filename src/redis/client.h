/*
 * One worker's client of one Redis of the config, which may be a cluster. Counted, so that a reload
 * that leaves the Redis as it is leaves its connections too. One thread.
 */
#ifndef MG_REDIS_CLIENT_H
#define MG_REDIS_CLIENT_H

#include "redis/node.h"

struct mg_redis_client;

/* With one reference. Copies the settings with their strings, and the name; borrows the pool. The
 * dialer's context must live as long as the client: `on_free` (may be NULL) is called with it at
 * the end. `seed`: not 0. Connects when first used. */
struct mg_redis_client *mg_redis_client_new(struct mg_str name, struct mg_loop *loop,
                                            struct mg_pool *chunks,
                                            const struct mg_redis_settings *settings,
                                            const struct mg_redis_dialer *dialer, uint64_t seed);
struct mg_redis_client *mg_redis_client_ref(struct mg_redis_client *c);
/* The last one closes the connections; no call may be under way then. Was it the last? False for
 * NULL. */
bool mg_redis_client_unref(struct mg_redis_client *c);

/* Whose thread it is. */
struct mg_loop *mg_redis_client_loop(const struct mg_redis_client *c);

/* As mg_redis_node_start and mg_redis_cluster_start. */
enum mg_redis_error mg_redis_client_start(struct mg_redis_client *c, struct mg_redis_call *calls,
                                          uint32_t count) MG_MUST_CHECK;

/* "down", "timeout", "closed", "busy", "bad_reply", "route". */
const char *mg_redis_error_code(enum mg_redis_error e);

#endif
