/*
 * The members of a service: an immutable, counted list of backends, with all that a pick needs to
 * know worked out beforehand. The control thread makes lists, workers read them.
 */
#ifndef MG_UPSTREAM_MEMBERS_H
#define MG_UPSTREAM_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>

#include "upstream/backend.h"

struct mg_member {
    struct mg_backend *backend; /* a ref */
    uint32_t weight;
};

struct mg_members {
    atomic_uint refs;
    uint32_t count;
    uint64_t total_weight;
    uint32_t turn_count; /* of `turns` */
    uint32_t *turns; /* whose turn it is: places in v; NULL: all weights are equal, so one after the
                        other */
    struct mg_member v[];
};

/* A list of these, with a ref for the caller. Backends that are in one of the `known` lists (NULL:
 * no list) as well are taken from there, so they keep their identity. */
struct mg_members *mg_members_new(const struct mg_endpoint *v, size_t count,
                                  const struct mg_members *const known[2]);
/* `m` with those of its backends that `known` has as well taken from there. */
struct mg_members *mg_members_inherit(const struct mg_members *m, const struct mg_members *known);
struct mg_members *mg_members_ref(struct mg_members *m);
void mg_members_unref(struct mg_members *m); /* NULL: nothing */
/* The same backends in the same order, alike in all else? */
bool mg_members_are_same(const struct mg_members *a, const struct mg_members *b);

#endif
