/*
 * Free list of equal-sized memory blocks, owned by one thread.
 *
 * A worker hands out its read buffers and arena chunks from such lists, so that a busy connection
 * takes memory only while it has bytes in hand, and a steady load allocates nothing. Blocks of a
 * page and more do not come from malloc: they would lie there between small things that live
 * longer, and a peak's memory could not be given back.
 */
#ifndef MG_BASE_POOL_H
#define MG_BASE_POOL_H

#include <stddef.h>

struct mg_pool {
    size_t block_bytes; /* set once */
    size_t free_count;
    size_t low;  /* fewest free blocks since the last trim: so many were not needed */
    size_t live; /* handed out and not yet given back; tests look that it comes back to 0 */
    void *_free;
};

void mg_pool_init(struct mg_pool *pool, size_t block_bytes);
/* Frees the kept blocks. Blocks still handed out must not be given back afterwards. */
void mg_pool_release(struct mg_pool *pool);

/* Gives back to the system what was not needed since the last call. To be called now and then: what
 * is kept in between is what the load needs. */
void mg_pool_trim(struct mg_pool *pool);

/* Never NULL: dies when memory is out (small allocation). Contents are undefined. */
void *mg_pool_get(struct mg_pool *pool);
void mg_pool_put(struct mg_pool *pool, void *block);

#endif
