/* Bump allocation over pooled chunks. One thread. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

struct chunk {
    struct chunk *next;
};

struct undo {
    struct undo *next;
    void (*fn)(void *arg);
    void *arg;
};

void mg_arena_init(struct mg_arena *a, struct mg_pool *chunks)
{
    /* No room, but not NULL: a piece of 0 bytes has an address too. */
    *a = (struct mg_arena){._at = (char *)a, ._end = (char *)a, ._pool = chunks};
}

void mg_arena_release(struct mg_arena *a)
{
    for (struct undo *u = a->_undo; u; u = u->next)
        u->fn(u->arg);
    for (struct chunk *c = a->_large, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    for (struct chunk *c = a->_chunks, *next; c; c = next) {
        next = c->next;
        mg_pool_put(a->_pool, c);
    }
    mg_arena_init(a, a->_pool);
}

static void *alloc_large(struct mg_arena *a, size_t n)
{
    struct chunk *c = mg_malloc(sizeof *c + n);
    c->next = a->_large;
    a->_large = c;
    a->bytes += n;
    return c + 1;
}

void *_mg_arena_alloc_slow(struct mg_arena *a, size_t n)
{
    if (n > a->_pool->block_bytes / 2)
        return alloc_large(a, n);
    struct chunk *c = mg_pool_get(a->_pool);
    c->next = a->_chunks;
    a->_chunks = c;
    a->_at = (char *)(c + 1) + n;
    a->_end = (char *)c + a->_pool->block_bytes;
    a->bytes += a->_pool->block_bytes;
    return c + 1;
}

void *mg_arena_calloc(struct mg_arena *a, size_t n)
{
    return memset(mg_arena_alloc(a, n), 0, n);
}

struct mg_str mg_arena_str(struct mg_arena *a, struct mg_str s)
{
    char *copy = mg_arena_alloc(a, s.n + 1);
    if (s.n)
        memcpy(copy, s.p, s.n);
    copy[s.n] = 0;
    return mg_str(copy, s.n);
}

struct mg_str mg_arena_lower(struct mg_arena *a, struct mg_str s)
{
    char *copy = mg_arena_alloc(a, s.n);
    for (size_t i = 0; i < s.n; i++)
        copy[i] = mg_lower(s.p[i]);
    return mg_str(copy, s.n);
}

struct mg_str mg_arena_printf(struct mg_arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = mg_arena_alloc(a, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return mg_str(text, (size_t)n);
}

void mg_arena_on_release(struct mg_arena *a, void (*fn)(void *arg), void *arg)
{
    struct undo *u = mg_arena_alloc(a, sizeof *u);
    *u = (struct undo){a->_undo, fn, arg};
    a->_undo = u;
}

void *mg_arena_grow(struct mg_arena *a, void *p, size_t old, size_t n)
{
    size_t aligned = (old + 7) & ~(size_t)7;
    size_t more = ((n + 7) & ~(size_t)7) - aligned;
    if (p && (char *)p + aligned == a->_at && (size_t)(a->_end - a->_at) >= more) {
        a->_at += more; /* the latest piece grows where it is */
        return p;
    }
    void *grown = mg_arena_alloc(a, n);
    if (old)
        memcpy(grown, p, old);
    return grown;
}
