/*
 * A Redis Cluster: each command goes to the server that has its keys. One thread.
 *
 * When the cluster moves a slot, a command that meets its old server is sent to the new one, in the
 * time that it was given and no more than five times; the map is asked for anew, once at a time.
 * Each server has a breaker of its own: when one is down, the slots of the others go on.
 *
 * What is sent together keeps its order as far as it is for one server. Commands from MULTI to EXEC
 * go to one server; when their slot moves meanwhile, EXEC fails and nothing was done.
 */
#ifndef MG_REDIS_CLUSTER_H
#define MG_REDIS_CLUSTER_H

#include "redis/node.h"

struct mg_redis_cluster;

/* As mg_redis_node_init. The dialer's NULL is any server of the cluster. */
struct mg_redis_cluster *mg_redis_cluster_new(const char *name, struct mg_loop *loop,
                                              struct mg_pool *chunks,
                                              const struct mg_redis_settings *settings,
                                              const struct mg_redis_dialer *dialer, uint64_t seed);
/* As mg_redis_node_release. Nothing for NULL. */
void mg_redis_cluster_free(struct mg_redis_cluster *c);

/* As mg_redis_node_start. MG_REDIS_ROUTE: keys that must lie together do not; nothing was sent. */
enum mg_redis_error mg_redis_cluster_start(struct mg_redis_cluster *c, struct mg_redis_call *calls,
                                           uint32_t count) MG_MUST_CHECK;

/* For mg_redis_call_finish: what came of a call says that it is to be sent elsewhere, and that is
 * done. False: it is over. */
bool mg_redis_cluster_redirect(struct mg_redis_cluster *c, struct mg_redis_call *call);

#endif
