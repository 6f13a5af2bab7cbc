/* Block free lists. One thread each. Freed blocks are poisoned under ASan. */
#include "base/pool.h"

#include <stdlib.h>

#include "base/memory.h"

/* From here on a block is made of pages of its own. */
#define PAGES_BYTES 4096

struct free_block {
    struct free_block *next;
};

void mg_pool_init(struct mg_pool *pool, size_t block_bytes)
{
    *pool = (struct mg_pool){.block_bytes = block_bytes};
}

static void *new_block(const struct mg_pool *pool)
{
    return pool->block_bytes >= PAGES_BYTES ? mg_pages_new(pool->block_bytes)
                                            : mg_malloc(pool->block_bytes);
}

static void free_one(struct mg_pool *pool)
{
    struct free_block *block = pool->_free;
    MG_UNPOISON(block, pool->block_bytes);
    pool->_free = block->next;
    pool->free_count--;
    if (pool->block_bytes >= PAGES_BYTES)
        mg_pages_free(block, pool->block_bytes);
    else
        free(block);
}

void mg_pool_release(struct mg_pool *pool)
{
    while (pool->_free)
        free_one(pool);
    pool->low = 0;
}

void mg_pool_trim(struct mg_pool *pool)
{
    for (size_t unused = pool->low; unused > 0; unused--)
        free_one(pool);
    pool->low = pool->free_count;
}

void *mg_pool_get(struct mg_pool *pool)
{
    struct free_block *block = pool->_free;
    pool->live++;
    if (!block)
        return new_block(pool);
    MG_UNPOISON(block, pool->block_bytes);
    pool->_free = block->next;
    if (--pool->free_count < pool->low)
        pool->low = pool->free_count;
    return block;
}

void mg_pool_put(struct mg_pool *pool, void *memory)
{
    struct free_block *block = memory;
    pool->live--;
    block->next = pool->_free;
    pool->_free = block;
    pool->free_count++;
    MG_POISON(block, pool->block_bytes);
}
