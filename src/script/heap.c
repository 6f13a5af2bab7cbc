/* Small-block memory of Lua states. One thread each. */
#include "script/heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define CHUNK_BYTES 65536

struct block {
    struct block *next;
};

/* Under ASan every block is malloc's, so that wrong use is seen. */
#ifdef MG_ASAN
static int is_small(size_t n)
{
    (void)n;
    return 0;
}
#else
static int is_small(size_t n)
{
    return n <= MG_HEAP_SMALL;
}
#endif

static size_t class_of(size_t n)
{
    return (n - 1) / MG_HEAP_STEP;
}

static void *take_new(struct mg_heap *h, size_t n)
{
    n = (class_of(n) + 1) * MG_HEAP_STEP;
    if ((size_t)(h->_end - h->_at) < n) {
        /* What is left of the old chunk is lost: at most one small block. */
        struct block *chunk = malloc(CHUNK_BYTES);
        if (!chunk)
            return NULL;
        chunk->next = h->_chunks;
        h->_chunks = chunk;
        h->_at = (char *)chunk + MG_HEAP_STEP;
        h->_end = (char *)chunk + CHUNK_BYTES;
    }
    void *p = h->_at;
    h->_at += n;
    return p;
}

static void *take(struct mg_heap *h, size_t n)
{
    if (!is_small(n))
        return malloc(n);
    struct block **list = (struct block **)&h->_free[class_of(n)];
    struct block *b = *list;
    if (!b)
        return take_new(h, n);
    *list = b->next;
    return b;
}

static void give(struct mg_heap *h, void *p, size_t n)
{
    if (!is_small(n)) {
        free(p);
        return;
    }
    struct block *b = p;
    b->next = h->_free[class_of(n)];
    h->_free[class_of(n)] = b;
}

void *mg_heap_resize(struct mg_heap *h, void *old, size_t old_size, size_t new_size)
{
    if (!old)
        return new_size ? take(h, new_size) : NULL;
    if (new_size == 0) {
        give(h, old, old_size);
        return NULL;
    }
    if (!is_small(old_size) && !is_small(new_size))
        return realloc(old, new_size);
    if (is_small(old_size) && is_small(new_size) && class_of(old_size) == class_of(new_size))
        return old;
    void *p = take(h, new_size);
    if (!p)
        return NULL;
    memcpy(p, old, old_size < new_size ? old_size : new_size);
    give(h, old, old_size);
    return p;
}

void mg_heap_release(struct mg_heap *h)
{
    for (struct block *c = h->_chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    *h = (struct mg_heap){0};
}
