/*
 * The members of a service: an immutable, counted list of backends, with all that a pick needs to
 * know worked out beforehand. The control thread makes lists, workers read them.
 *
 * Members stand in pools, which are asked one after the other: those of the first priority in this
 * gateway's zone, the others of that priority, then the same of the next priority. Without zones
 * and priorities there is one pool.
 */
#ifndef MG_UPSTREAM_MEMBERS_H
#define MG_UPSTREAM_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>

#include "upstream/backend.h"
#include "upstream/ring.h"
#include "upstream/sticky.h"

struct mg_member {
    struct mg_backend *backend; /* a ref */
    uint32_t weight;
    uint32_t
        pool; /* its priority and whether it is in the zone, as one number; lower comes first */
    char
        token[MG_STICKY_TOKEN_CHARS]; /* that names it in a cookie; unset without sticky sessions */
};

/* Neighbours in the list. */
struct mg_member_pool {
    uint32_t first, count;
    uint64_t total_weight;
    uint32_t turn_count;  /* of `turns` */
    uint32_t *turns;      /* whose turn it is: places from `first` on; NULL: all weights are equal,
                             so one after the other */
    struct mg_ring *ring; /* NULL: nobody picks by hash */
};

struct mg_members {
    atomic_uint refs;
    uint32_t count;
    uint32_t pool_count;
    struct mg_member_pool *pools;
    struct mg_member v[];
};

/* What a service wants of its lists. Borrowed. */
struct mg_members_plan {
    struct mg_str service;
    struct mg_str zone; /* of this gateway; empty: none */
    bool require_zone;  /* leaves out who is not in the zone */
    bool with_rings;
    const struct mg_sticky_config *sticky;
};

/* A list of these, with a ref for the caller. Backends that are in one of the `known` lists (NULL:
 * no list) as well are taken from there, so they keep their identity. */
struct mg_members *mg_members_new(const struct mg_members_plan *plan, const struct mg_endpoint *v,
                                  size_t count, const struct mg_members *const known[2]);
/* `m`, which was made by the same plan, with those of its backends that `known` has as well taken
 * from there. */
struct mg_members *mg_members_inherit(const struct mg_members_plan *plan,
                                      const struct mg_members *m, const struct mg_members *known);
struct mg_members *mg_members_ref(struct mg_members *m);
void mg_members_unref(struct mg_members *m); /* NULL: nothing */
/* The same backends in the same order, alike in all else? */
bool mg_members_are_same(const struct mg_members *a, const struct mg_members *b);

#endif
