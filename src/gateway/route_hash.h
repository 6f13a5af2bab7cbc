/*
 * Hashing for the tables of the router: FNV-1a, and open addressing at most half full.
 *
 * Not keyed: what is in these tables comes from the config, a client only asks.
 */
#ifndef MG_GATEWAY_ROUTE_HASH_H
#define MG_GATEWAY_ROUTE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define MG_ROUTE_HASH_SEED 2166136261u

static inline uint32_t mg_route_hash_byte(uint32_t hash, char c)
{
    return (hash ^ (unsigned char)c) * 16777619u;
}

/* Log2 of the size of a table for that many, at least 1. */
static inline unsigned mg_route_hash_bits(size_t count)
{
    unsigned bits = 1;
    while ((size_t)1 << bits < 2 * count)
        bits++;
    return bits;
}

/* Where to look first in a table of 2^bits. FNV mixes its low bits badly, so the high ones count.
 */
static inline uint32_t mg_route_hash_slot(uint32_t hash, unsigned bits)
{
    return (hash * 2654435769u) >> (32 - bits);
}

#endif
