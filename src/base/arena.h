/*
 * Memory of one exchange: bump allocation, freed all at once.
 *
 * What is read from a request or built for it lives here. Small pieces come from chunks of the
 * worker's pool; pieces larger than a chunk are malloc'd and chained. Undo steps registered with
 * `mg_arena_on_release` run in reverse order. One thread.
 */
#ifndef MG_BASE_ARENA_H
#define MG_BASE_ARENA_H

#include <stddef.h>

#include "base/pool.h"
#include "base/str.h"

struct mg_arena {
    char *_at, *_end; /* free room of the newest chunk */
    struct mg_pool *_pool;
    void *_chunks; /* newest first */
    void *_large;
    void *_undo;
    size_t bytes; /* taken by all chunks and large pieces; callers may hold it against a limit */
};

/* Borrows the pool for the arena's life. Allocates nothing yet. */
void mg_arena_init(struct mg_arena *a, struct mg_pool *chunks);
/* Runs the undo steps, newest first, then frees all. The arena is as after init. */
void mg_arena_release(struct mg_arena *a);

/* 8-byte aligned, never NULL. Contents are undefined. */
static inline void *mg_arena_alloc(struct mg_arena *a, size_t n);
void *mg_arena_calloc(struct mg_arena *a, size_t n);
/* A copy in the arena, with a NUL after it. */
struct mg_str mg_arena_str(struct mg_arena *a, struct mg_str s);
/* The same in lower case (ASCII), without a NUL. */
struct mg_str mg_arena_lower(struct mg_arena *a, struct mg_str s);
/* printf into the arena; NUL after it. */
struct mg_str mg_arena_printf(struct mg_arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void mg_arena_on_release(struct mg_arena *a, void (*undo)(void *arg), void *arg);

/* Grows `p` (the latest allocation or not) from `old` to `n` bytes; the contents move along. */
void *mg_arena_grow(struct mg_arena *a, void *p, size_t old, size_t n);

void *_mg_arena_alloc_slow(struct mg_arena *a, size_t n);

static inline void *mg_arena_alloc(struct mg_arena *a, size_t n)
{
    n = (n + 7) & ~(size_t)7;
    if (__builtin_expect((size_t)(a->_end - a->_at) < n, 0))
        return _mg_arena_alloc_slow(a, n);
    void *p = a->_at;
    a->_at += n;
    return p;
}

#endif
