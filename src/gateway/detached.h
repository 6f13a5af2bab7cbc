/*
 * A request that has no client: a copy of somebody's request that goes the rest of its way alone.
 * For what is for several clients or outlives one: filling a cache, refreshing it, mirroring.
 *
 * It is an exchange like any other, on the same generation, with steps, retries and a deadline of
 * its own; only the server below it is this file, and the response comes to its owner.
 *
 *     d = mg_detached_new(walk) ─▶ (change d->in.request) ─▶ mg_detached_start ─▶ on_response
 *         ─▶ read d->body to its end ─▶ mg_detached_end(d, NULL)      or, at any time: a reason
 *
 * Worker thread.
 */
#ifndef MG_GATEWAY_DETACHED_H
#define MG_GATEWAY_DETACHED_H

#include "gateway/exchange.h"

struct mg_detached {
    struct mg_inbound in;
    struct mg_client client;
    struct mg_timer deadline;
    /* The response, from on_response on. Borrowed from the exchange, until mg_detached_end. */
    struct mg_message *res;
    struct mg_body *body; /* NULL: none */
    void (*on_response)(struct mg_detached *d);
    void (*on_inform)(struct mg_detached *d, struct mg_message *res); /* of 1xx; NULL: not wanted */
    void *owner;
    struct mg_walk *at;    /* where it began: at the step of the walk that it was made from */
    struct mg_walk *_like; /* until it is started */
};

/* A copy of the walk's request as it is now, with the body if that is in memory; else it has none.
 * The walk is repeatable; it is borrowed until the start. */
struct mg_detached *mg_detached_new(struct mg_walk *w);

/* Sends it on its way, through what lies behind the step at hand of that walk. May call on_response
 * before it returns; on_response may end it. */
void mg_detached_start(struct mg_detached *d, void (*on_response)(struct mg_detached *d),
                       void *owner);

/* Or lets it stand at that step: the caller stands for the step, and goes on from d->at by
 * mg_walk_inner, as often as it likes, or not at all. mg_walk_resume of d->at with MG_STEP_STOP
 * brings on_response. */
void mg_detached_park(struct mg_detached *d, void (*on_response)(struct mg_detached *d),
                      void *owner);

/* One that stands there goes on its way, once. */
void mg_detached_go(struct mg_detached *d);

/* Its owner is done with it: reason NULL when the response was read to its end, else why not; what
 * is under way is cancelled then. Before the start there is always a reason. */
void mg_detached_end(struct mg_detached *d, const char *reason);

/* What the request was answered with; only after on_response. For its source and error code. */
const struct mg_response *mg_detached_response(const struct mg_detached *d);

#endif
