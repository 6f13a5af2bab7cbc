/*
 * A region: one piece of memory of fixed size, given out in pieces of any size.
 *
 * What a store keeps in a region can never take more than the region, whatever its sizes are and
 * however they change: pieces are counted in granules, and what is given back merges with its
 * neighbours (a binary buddy system, so that both cost a handful of steps). A piece is not rounded
 * up to a power of two: its tail goes back at once. A caller that can live with several smaller
 * pieces never fails while that many bytes are free.
 *
 * Not locked; the owner's lock covers it.
 */
#ifndef MG_SHARED_REGION_H
#define MG_SHARED_REGION_H

#include <stddef.h>

#define MG_REGION_GRANULE ((size_t)256)
#define MG_REGION_PIECE_MAX ((size_t)1 << 20) /* the largest piece */

struct mg_region;

/* Memory is taken from the system as it is first used, and given back by free. */
struct mg_region *mg_region_new(size_t bytes);
void mg_region_free(struct mg_region *r);

/* A piece of `n` bytes (1 to MG_REGION_PIECE_MAX), at a granule's border. NULL: there is none that
 * large. */
void *mg_region_take(struct mg_region *r, size_t n);
/* The same, or else the largest piece that there is, of at least `least` bytes; `*got` says how
 * much. NULL: there is none. */
void *mg_region_take_some(struct mg_region *r, size_t n, size_t least, size_t *got);
/* Gives back a piece of `n` bytes. */
void mg_region_give(struct mg_region *r, void *piece, size_t n);
/* Gives back what lies behind the first `keep` bytes (1 or more) of a piece. */
void mg_region_shrink(struct mg_region *r, void *piece, size_t n, size_t keep);

/* What a piece of that size takes. */
static inline size_t mg_region_cost(size_t n)
{
    return (n + MG_REGION_GRANULE - 1) & ~(MG_REGION_GRANULE - 1);
}

size_t mg_region_bytes(const struct mg_region *r); /* in all */
size_t mg_region_used(const struct mg_region *r);  /* in pieces that were taken */

#endif
