/*
 * How a worker reaches a Redis: as the backends of a service, whose names the control thread
 * resolves, through the same dialer, with the same TLS. One thread.
 */
#ifndef MG_UPSTREAM_REDIS_DIALER_H
#define MG_UPSTREAM_REDIS_DIALER_H

#include "redis/node.h"
#include "upstream/picker.h"
#include "upstream/pools.h"

/* A dialer for the client of this picker's service, which both are borrowed until
 * mg_redis_dialer_free or the next mg_redis_dialer_use. */
struct mg_redis_dialer mg_redis_dialer_new(struct mg_pools *pools, struct mg_picker *picker);
/* From now on the same Redis is reached by that picker: the config was loaded anew. */
void mg_redis_dialer_use(const struct mg_redis_dialer *d, struct mg_picker *picker);
void mg_redis_dialer_free(void *ctx);

#endif
