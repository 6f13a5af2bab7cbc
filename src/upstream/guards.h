/*
 * What protects a service and its backends. Each part is counted and shared by all workers; it
 * stays over a reload when its definition did not change.
 */
#ifndef MG_UPSTREAM_GUARDS_H
#define MG_UPSTREAM_GUARDS_H

#include "upstream/breaker.h"
#include "upstream/gate.h"
#include "upstream/outlier.h"
#include "upstream/retry.h"
#include "upstream/retry_budget.h"

/* A second try beside one that is slow. */
struct mg_hedge_config {
    uint64_t delay_ns;
    uint32_t max; /* beside the first; 0: none */
};

struct mg_guards_config {
    struct mg_breaker_config breaker; /* open_ns 0: none */
    struct mg_outlier_config outliers;
    struct mg_gate_config gate;
    struct mg_retry_config retry;
    struct mg_hedge_config hedge;
    uint32_t budget; /* percent of requests, for retries and hedges */
};

/* Embedded in a service. Set once, or by mg_guards_inherit. */
struct mg_guards {
    bool any; /* is one of them there? */
    struct mg_guards_config config;
    struct mg_breaker *breaker;     /* NULL: none */
    struct mg_retry_budget *budget; /* NULL: nothing uses it */
    struct mg_gate *gate;           /* NULL: none */
};

void mg_guards_init(struct mg_guards *g, const struct mg_guards_config *config);
void mg_guards_release(struct mg_guards *g);
/* A reload: takes over what is defined alike. Before a worker uses `g`. */
void mg_guards_inherit(struct mg_guards *g, const struct mg_guards *old);

#endif
