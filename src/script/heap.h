/*
 * Memory for one Lua state: small blocks from free lists by size, larger ones from malloc.
 *
 * Lua tells a block's size when it gives it back, so a list each 16 bytes is all that is needed,
 * and taking or giving a block costs a few instructions; a request makes a dozen. Small memory goes
 * back to the system when the state ends. One thread.
 */
#ifndef MG_SCRIPT_HEAP_H
#define MG_SCRIPT_HEAP_H

#include <stddef.h>

#define MG_HEAP_SMALL 256 /* bytes of the largest small block */
#define MG_HEAP_STEP 16

struct mg_heap {
    void *_free[MG_HEAP_SMALL / MG_HEAP_STEP];
    char *_at, *_end; /* room of the newest chunk that was never handed out */
    void *_chunks;
};

/* A zeroed struct is an empty heap. */
void mg_heap_release(struct mg_heap *h);

/* What lua_Alloc does, without its first argument's freedom: `old` NULL means `old_size` 0. NULL
 * when the system has no memory; the old block is as it was then. */
void *mg_heap_resize(struct mg_heap *h, void *old, size_t old_size, size_t new_size);

#endif
