/*
 * Consistent hashing: members own points of a ring, and a key belongs to the next point from where
 * its own hash lies. When a member joins it takes keys from the others and moves no other key, on
 * average one of n. Pure.
 *
 * The hash has no secret: all gateways and all runs agree on it. So a client may choose its keys to
 * meet on one member; that a member gets no more than its share of what is under way is up to who
 * picks (bounded load).
 */
#ifndef MG_UPSTREAM_RING_H
#define MG_UPSTREAM_RING_H

#include <stdint.h>

#include "base/str.h"

struct mg_ring;

/* What a place of the ring is made from. */
struct mg_ring_member {
    uint64_t identity; /* mg_ring_hash of what tells it from the others */
    uint32_t weight;   /* 1 or more */
};

uint64_t mg_ring_hash(struct mg_str s);
/* free() it. NULL when there is none to own a point. */
struct mg_ring *mg_ring_new(const struct mg_ring_member *v, uint32_t count);
uint32_t mg_ring_points(const struct mg_ring *r);
/* The first point for a hash, and whose each point is: a place in v. Points go round: any number
 * will do. */
uint32_t mg_ring_find(const struct mg_ring *r, uint64_t hash);
uint32_t mg_ring_owner(const struct mg_ring *r, uint32_t point);

#endif
