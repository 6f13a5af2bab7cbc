/*
 * A job of a cache: one fetch, for the store and for whoever waits. It goes on when the client that
 * began it leaves, and reads its response as fast as the origin sends it, however slow the clients
 * are. Worker thread.
 *
 *     mg_cache_job_start ─▶ (the request goes on by itself) ─▶ outcome, for its leader
 *                                                            └▶ body into the store, to the end
 */
#ifndef MG_GATEWAY_CACHE_JOB_H
#define MG_GATEWAY_CACHE_JOB_H

#include "gateway/cache_options.h"
#include "gateway/detached.h"
#include "gateway/stored_body.h"

struct mg_cache_job;

/* What came of it. Borrowed for the call. */
struct mg_cache_outcome {
    bool elsewhere; /* another gateway had it. It is in the store now: look again; all else is zero
                     */
    /* It is in the store, or still there: a reference for the callee. NULL: `response`. */
    struct mg_cache_entry *entry;
    bool validated; /* the entry that there was is still good */
    bool failed;    /* the origin failed; the stale entry may stand in */
    /* Nobody else may have it: it lives as long as the job, which is the leader's now. */
    const struct mg_response *response;
    enum mg_cache_storing storing; /* why it was not stored */
    unsigned status;               /* of the origin's response */
    /* Of an entry: who made the origin's response, and how it was fetched, in the leader's arena
     * (NULL: it was not). */
    enum mg_source source;
    struct mg_fetch *fetch;
};

struct mg_cache_asking {
    const struct mg_cache_options *options;
    struct mg_cache_request request; /* with the part that is to be fetched */
    struct mg_walk
        *walk; /* at the cache's step, and repeatable; borrowed until the start returns */
    struct mg_cache_key key;    /* the primary one, and the variant by the template or the part's;
                                   copied */
    struct mg_str whole;        /* of a part: the variant of the whole; copied */
    struct mg_cache_key place;  /* where it was looked for: the same, or with Vary; copied */
    bool alone;                 /* other gateways have nothing that they could share */
    struct mg_cache_entry *old; /* what is to be validated; NULL: none. A ref is taken */
    bool old_covers_errors;     /* stale-if-error */
};

/* Who wants the outcome. `job` is set as long as there is one to be released. */
struct mg_cache_leader {
    void (*on_outcome)(struct mg_cache_leader *leader, const struct mg_cache_outcome *outcome);
    void (*on_inform)(struct mg_cache_leader *leader, struct mg_message *res); /* of 1xx */
    struct mg_arena *arena;
    struct mg_fields own; /* of an outcome from the store: what comes with it for this client alone,
                             in that arena */
    struct mg_cache_job *job;
};

/* Starts it. Takes the fill. `leader` NULL: a refresh, for nobody in particular. May call
 * on_outcome before it returns. */
void mg_cache_job_start(const struct mg_cache_asking *asking, struct mg_cache_fill *fill,
                        struct mg_cache_leader *leader);
/* The leader reads the entry by this body: should the store have to give up, it gets the rest from
 * the origin all the same. NULL: it wants no body. The leader calls this when it has got the entry;
 * the job may end by it. */
void mg_cache_job_follow(struct mg_cache_job *job, struct mg_stored_body *body);
/* The leader has all it wants, or goes. Its job stays for the store, or ends. */
void mg_cache_job_release(struct mg_cache_leader *leader);

#endif
