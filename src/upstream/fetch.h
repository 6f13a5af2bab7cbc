/*
 * A fetch: one request sent to a service. Picks backends and tries them (try.h), again where that
 * is safe or the service's rules say so, and keeps to what protects the service (guards.h).
 * Forwarding and mg.fetch both go through here.
 *
 * Life: the caller owns the struct (in an arena), fills in the first part, starts it, and must end
 * it with mg_fetch_end before the arena goes; that also cancels it, and gives its connection back
 * when the response was complete. One thread.
 */
#ifndef MG_UPSTREAM_FETCH_H
#define MG_UPSTREAM_FETCH_H

#include "upstream/picker.h"
#include "upstream/pools.h"
#include "upstream/try.h"

/* Backends that refuse the connection are followed by others, up to so many in all, whatever the
 * rules for retries are. */
#define MG_FETCH_TRIES 3
/* Tries at the same time: the first, and hedges. */
#define MG_FETCH_PARALLEL 4
/* Backends that are remembered, to be left out of the next pick. */
#define MG_FETCH_TRIED 8

struct mg_fetch {
    /* Set by the caller. Borrowed until mg_fetch_end. */
    struct mg_pools *pools;
    struct mg_picker *picker;
    const struct mg_message *request;
    struct mg_body *body; /* NULL: none */
    struct mg_arena *arena;
    struct mg_str target;                /* n 0: the request's own */
    struct mg_str extra;                 /* whole field lines */
    uint64_t deadline_ns;                /* loop time by which its owner ends it; 0: none */
    const struct mg_retry_config *retry; /* NULL: the service's */
    struct mg_str key;   /* that the service chooses by; empty: none (upstream/picker.h) */
    struct mg_str token; /* of a sticky session; empty: none */
    void (*on_inform)(struct mg_fetch *f, struct mg_message *res);
    /* f->out->response and f->out->response_body are there. */
    void (*on_response)(struct mg_fetch *f);
    /* f->error, f->detail. Neither comes before mg_fetch_start returns. */
    void (*on_failed)(struct mg_fetch *f);
    void *owner;

    /* Results. */
    enum mg_fetch_error error;
    const char *detail;         /* the cause for the log; static, or in the arena */
    struct mg_backend *backend; /* of the response, or the last try; NULL: none was found */
    uint32_t attempts;          /* connections that were tried, hedges among them */
    uint64_t started_ns, connected_ns, first_byte_ns; /* loop time; 0: not reached */
    uint64_t retry_after_ns; /* of a refusal: when it is worth coming back; 0: soon */
    struct mg_outbound *out; /* never NULL, but in accounts */

    /* Private. */
    const struct mg_service_config *_config;
    const struct mg_guards *_guards; /* NULL: none */
    uint64_t _ticket;                /* of the breaker, while _admitted */
    struct mg_try _first;
    struct mg_try *_tries[MG_FETCH_PARALLEL]; /* from 1: hedges, in the arena */
    uint32_t _try_count, _running;
    struct mg_backend *_tried[MG_FETCH_TRIED];
    uint32_t _tried_count, _failovers, _retries;
    struct mg_str _body_bytes; /* of a body that is there as a whole; else p NULL */
    struct mg_gate_wait _turn;
    uint64_t _began_ns;     /* when it had its turn */
    struct mg_timer _timer; /* for one thing at a time: */
    enum { MG_FETCH_TO_HEDGE, MG_FETCH_TO_RETRY, MG_FETCH_TO_LEAVE_QUEUE } _timer_is;
    struct mg_soon _soon; /* for failing later */
    bool _ended, _admitted, _trial, _queued, _inside, _counted;
};

void mg_fetch_start(struct mg_fetch *f);
void mg_fetch_end(struct mg_fetch *f);

/* In the arena: what came of `f`, for those who tell of it when it is gone. It is read only, with
 * neither `detail` nor `out`. The backend is kept until the arena goes; the picker is borrowed. */
struct mg_fetch *mg_fetch_account(const struct mg_fetch *f, struct mg_arena *arena);

/* The status that the client gets for f->error, by the rule of the config: 503, 504, 502. */
int mg_fetch_error_status(const struct mg_fetch *f);
/* RFC 9110 9.2.2 */
bool mg_fetch_is_idempotent(enum mg_method m);

#endif
