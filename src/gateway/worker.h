/*
 * A worker: one thread and all it owns. Everything here is touched by that thread alone, but for
 * what mg_loop_post brings in.
 */
#ifndef MG_GATEWAY_WORKER_H
#define MG_GATEWAY_WORKER_H

#include "base/buf.h"
#include "gateway/claim.h"
#include "gateway/concurrency_queue.h"
#include "gateway/door.h"
#include "gateway/exchange.h"
#include "http/coding_memory.h"
#include "net/proxy_accept.h"

/* What an instance of a step has, by step index; row 6 fills it in when it builds the worker's
 * state. */
enum {
    MG_STEP_HAS_REQUEST = 1,
    MG_STEP_HAS_RESPONSE = 2,
    MG_STEP_HAS_FINISH = 4,
};

/* Row 6 as seen from here. */
struct mg_script_hooks {
    /* Begins to build the worker's side of a generation: wg->script. */
    enum mg_rc (*build)(struct mg_worker_generation *wg, struct mg_error *err);
    /* Goes on with it for about slice_ns: fills wg->step_flags. MG_AGAIN: there is more to do;
     * MG_FAIL: `err` says which step, and the whole is to be dropped. */
    enum mg_rc (*build_more)(struct mg_worker_generation *wg, uint64_t slice_ns,
                             struct mg_error *err);
    void (*drop)(struct mg_worker_generation *wg);
    /* An exchange that Lua has seen ends: its handles go dead, its tasks are cancelled. */
    void (*exchange_ends)(struct mg_exchange *ex);
    /* An exchange begins as a copy of a request whose exchange `of` Lua has seen: it knows what
     * that one knows. */
    void (*exchange_follows)(struct mg_exchange *ex, struct mg_request *like,
                             struct mg_exchange *of);
    /* What a name of an expression (gateway/expr.h) stands for that only row 6 knows; in the
     * request's arena. Does not wait. */
    struct mg_str (*request_value)(struct mg_request *req, struct mg_str name);
    /* An item (from 1) of the list that such a name stands for; false: there is none of that
     * number. */
    bool (*request_item)(struct mg_request *req, struct mg_str name, uint32_t index,
                         struct mg_str *item);
    /* The same of auth.subject, who has logged in, which is asked most. */
    struct mg_str (*request_subject)(struct mg_request *req);
    /* What the identity says under these names; `out` has a place for each, in the request's arena.
     * False: nobody is known. */
    bool (*request_claims)(struct mg_request *req, const struct mg_claim_name *names, size_t count,
                           struct mg_claim *out);
    /* Tasks that belong to no exchange and have not ended. */
    uint32_t (*background_count)(const struct mg_worker_generation *wg);
    /* Bytes in its Lua state. */
    size_t (*memory)(const struct mg_worker_generation *wg);
    /* What Lua keeps beside a request and a refused alternative must not change: who the client is.
     * In the request's arena; NULL: nothing. */
    void *(*request_saved)(struct mg_exchange *ex, struct mg_request *req);
    void (*request_restored)(struct mg_exchange *ex, struct mg_request *req, void *saved);
    /* It is in force no more: what it does by the clock ends. Exchanges may still be on it. */
    void (*retire)(struct mg_worker_generation *wg);
};

/* A generation in one worker. */
struct mg_worker_generation {
    struct mg_link link; /* of those that are in force no more */
    struct mg_worker *worker;
    struct mg_generation *gen;       /* a ref */
    struct mg_picker *pickers;       /* by service index */
    struct mg_worker_redis *redises; /* by index in the generation; worker_redis.h */
    struct mg_cache_tier **tiers;    /* by index of the cache; may be NULL; cache_tier.h */
    uint8_t *step_flags;             /* by step index */
    uint8_t *route_finish;           /* by route index: some step of it has a finish */
    struct mg_tally_cell *tally;     /* this worker's, of all requests; NULL: nobody counts */
    struct mg_tally_cell **tallies;  /* the same by route index */
    bool fallback_finish;            /* the same of requests without a route */
    void *script;                    /* row 6's; NULL: nobody needs it any more */
    struct mg_link exchanges;
    uint32_t exchange_count;
    /* What the generation was told of them. */
    uint32_t told_exchanges;
    size_t told_lua_bytes;
};

struct mg_worker {
    uint32_t number;
    struct mg_loop *loop;
    struct mg_pool chunks;          /* of arenas */
    struct mg_pool blocks;          /* read buffers */
    struct mg_pool request_blocks;  /* the same, larger, for what clients send */
    struct mg_coding_memory coding; /* of coders of bodies */
    struct mg_concurrency_queue concurrency;
    struct mg_tls_desk tls;
    struct mg_proxy_gate proxy_gate;
    struct mg_doors doors; /* by listener */
    struct mg_link closed_doors;
    struct mg_server server;
    struct mg_pools pools;
    struct mg_worker_generation *current;
    struct mg_link retired; /* generations with exchanges or background tasks that go on */
    struct mg_soon sweep;   /* of these */
    /* Between prepare and adopt or discard. */
    struct mg_worker_generation *candidate;
    struct mg_doors candidate_doors;
    uint32_t exchange_count;             /* of all generations */
    const struct mg_script_hooks *hooks; /* NULL: no Lua steps */
    uint64_t exchanges_total;
    void (*on_drained)(void *arg); /* while draining: the last exchange has ended */
    void *drained_arg;
    bool draining;
    struct mg_line_ring *lines;   /* of the access log; NULL: not used yet */
    struct mg_buf line;           /* one of them, in the making */
    struct mg_timer housekeeping; /* gives memory of peaks back */
    uint64_t random; /* state of mg_worker_random; a simulation sets it before mg_worker_init */
};

/* Sets a worker up on a loop (borrowed) for a generation (takes a ref). */
enum mg_rc mg_worker_init(struct mg_worker *w, uint32_t number, struct mg_loop *loop,
                          struct mg_generation *gen, const struct mg_script_hooks *hooks,
                          struct mg_error *err) MG_MUST_CHECK;
/* A reload. Builds a generation beside the one in force (takes a ref), a piece at a time, between
 * which requests are served: begins, ... */
enum mg_rc mg_worker_prepare(struct mg_worker *w, struct mg_generation *gen,
                             struct mg_error *err) MG_MUST_CHECK;
/* ... and goes on for about slice_ns. MG_AGAIN: it wants to be called again. MG_FAIL, of both:
 * nothing has changed. */
enum mg_rc mg_worker_prepare_more(struct mg_worker *w, uint64_t slice_ns,
                                  struct mg_error *err) MG_MUST_CHECK;
/* Buffers keep the size that they were made with, and a response's head has to fit into one: the
 * largest of workers that began with this generation. */
size_t mg_worker_head_max(const struct mg_generation *first);
/* Puts it in force. Exchanges under way, tunnels among them, finish on the one that they began
 * with, which goes after the last of them. */
void mg_worker_adopt(struct mg_worker *w);
/* Or drops it again. */
void mg_worker_discard(struct mg_worker *w);

/* Cuts what is open and frees all. The loop must still be there. */
void mg_worker_release(struct mg_worker *w);
/* Is nothing under way: no connection, no exchange, no background task? */
bool mg_worker_is_idle(const struct mg_worker *w);
/* Lets exchanges finish; calls back when none is left, at once if there is none. */
void mg_worker_drain(struct mg_worker *w, void (*on_drained)(void *arg), void *arg);
/* Another process gets the new connections: those at hand go on to their ends, and no request that
 * comes by them is lost. Look at mg_worker_is_idle from time to time. */
void mg_worker_retire(struct mg_worker *w);
/* For lots (splits, balancing), not for secrets. */
uint64_t mg_worker_random(struct mg_worker *w);
/* For exchanges: one of that generation has begun, or ended. */
void mg_worker_exchange_began(struct mg_worker_generation *wg);
void mg_worker_exchange_ended(struct mg_worker_generation *wg);

#endif
