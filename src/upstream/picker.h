/*
 * Which backend is next: one worker's view of a service's members. One thread.
 *
 * The worker holds a list of its own (a ref) and renews it when the service has a newer one.
 *
 * Pools (upstream/members.h) are taken by order, not by shares: all requests go to the first pool
 * that is up, which is one with at least panic_percent of its members usable, and at least one.
 * When no pool is up, the one with most of its members usable gets requests on all of them, usable
 * or not: so few cannot carry what was meant for all, and the checks may be what is wrong (panic).
 * With panic_percent 0 there is no panic, and no backend when nobody is usable.
 *
 * While all is well a pick costs one look-up and one look at the health of what was found. Only
 * when something is wrong all members are looked at, once in a turn of the loop.
 */
#ifndef MG_UPSTREAM_PICKER_H
#define MG_UPSTREAM_PICKER_H

#include "shared/tally.h"
#include "tls/client.h"
#include "upstream/service.h"

/* Embedded in the worker's tables. */
struct mg_picker {
    struct mg_service *service; /* a ref */
    struct mg_tls_client
        *tls; /* how its backends are reached; NULL: plain. Set and freed by the owner */
    struct mg_tally_cell *tally; /* this worker's of the service; NULL: nobody counts. Set by the
                                    owner */
    struct mg_members *_members;
    uint64_t _version;
    uint64_t _random;
    uint64_t _looked_ns; /* when the members were last looked at */
    uint32_t _pool;      /* the one in use */
    bool _whole;         /* it is the first, and nothing is known to be wrong in it */
    bool _panic;
};

/* `seed` is for services that choose at random; another one for each worker. */
void mg_picker_init(struct mg_picker *p, struct mg_service *service, uint64_t seed);
void mg_picker_release(struct mg_picker *p);

/* What a pick is made for. */
struct mg_pick {
    struct mg_backend *const *tried; /* left out: this request has been there */
    size_t tried_count;
    uint64_t now_ns;
    struct mg_str key;   /* MG_BALANCE_HASH; empty: it has none, and goes in turn */
    struct mg_str token; /* of a sticky session; empty: none */
};

/* The next backend for a request, borrowed until the next call (take a ref to keep it), or NULL
 * when there is none, or all were tried. A pool whose members were all tried is followed by the
 * others: their usable members, and in a panic by all they have. */
struct mg_backend *mg_picker_next(struct mg_picker *p, const struct mg_pick *pick);

/* What names that backend in a cookie; a view until the next call. Empty: it is not a member any
 * more, or the service has no sticky sessions. */
struct mg_str mg_picker_token(struct mg_picker *p, const struct mg_backend *b);
/* For lots that a request of this worker draws; not for secrets. */
uint64_t mg_picker_random(struct mg_picker *p);

#endif
