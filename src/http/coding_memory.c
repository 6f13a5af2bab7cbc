/* Blocks of coders, kept by a worker. The sizes are few: the same coder asks for the same ones. */
#include "http/coding_memory.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

/* Smaller ones are malloc's business. */
#define KEEP_MIN 4096

/* Before the bytes that were asked for, which are aligned as malloc's. */
struct mg_coding_block {
    size_t bytes;
    max_align_t data[];
};

static struct mg_coding_block *block_of(void *p)
{
    return (struct mg_coding_block *)((char *)p - offsetof(struct mg_coding_block, data));
}

void mg_coding_memory_init(struct mg_coding_memory *m)
{
    *m = (struct mg_coding_memory){0};
}

static void drop(struct mg_coding_memory *m, size_t count)
{
    while (count-- > 0) {
        struct mg_coding_block *b = m->_kept[--m->count];
        m->bytes -= b->bytes;
        free(b);
    }
}

void mg_coding_memory_release(struct mg_coding_memory *m)
{
    drop(m, m->count);
}

void mg_coding_memory_trim(struct mg_coding_memory *m)
{
    drop(m, m->low);
    m->low = m->count;
}

/* A kept block that is not much larger; the newest, whose pages are warm. */
static struct mg_coding_block *take_kept(struct mg_coding_memory *m, size_t n)
{
    for (size_t i = m->count; i > 0; i--) {
        struct mg_coding_block *b = m->_kept[i - 1];
        if (b->bytes < n || b->bytes > n + n / 4)
            continue;
        m->_kept[i - 1] = m->_kept[--m->count];
        m->bytes -= b->bytes;
        if (m->low > m->count)
            m->low = m->count;
        return b;
    }
    return NULL;
}

void *mg_coding_memory_get(struct mg_coding_memory *m, size_t n)
{
    struct mg_coding_block *b = n >= KEEP_MIN ? take_kept(m, n) : NULL;
    if (!b) {
        b = mg_malloc(sizeof *b + n);
        b->bytes = n;
    }
    m->live++;
    return b->data;
}

/* Others choose how large the windows of what they send are. */
static bool is_worth_keeping(const struct mg_coding_memory *m, const struct mg_coding_block *b)
{
    return b->bytes >= KEEP_MIN && m->count < MG_CODING_KEPT_MAX &&
           b->bytes <= MG_CODING_KEPT_BYTES - m->bytes;
}

void mg_coding_memory_put(struct mg_coding_memory *m, void *p)
{
    if (!p)
        return;
    struct mg_coding_block *b = block_of(p);
    m->live--;
    if (!is_worth_keeping(m, b)) {
        free(b);
        return;
    }
    m->_kept[m->count++] = b;
    m->bytes += b->bytes;
}
