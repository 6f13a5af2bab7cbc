/* Block free lists. One thread each. Freed blocks are poisoned under ASan. */
#include "base/pool.h"

#include <stdlib.h>

#include "base/memory.h"

struct free_block {
    struct free_block *next;
};

void mg_pool_init(struct mg_pool *pool, size_t block_bytes, size_t keep)
{
    *pool = (struct mg_pool){.block_bytes = block_bytes, .keep = keep};
}

static void free_one(struct mg_pool *pool)
{
    struct free_block *block = pool->_free;
    MG_UNPOISON(block, pool->block_bytes);
    pool->_free = block->next;
    pool->free_count--;
    free(block);
}

void mg_pool_release(struct mg_pool *pool)
{
    while (pool->_free)
        free_one(pool);
    pool->low = 0;
}

size_t mg_pool_trim(struct mg_pool *pool)
{
    size_t unused = pool->low;
    for (size_t i = 0; i < unused; i++)
        free_one(pool);
    pool->low = pool->free_count;
    return unused;
}

void *mg_pool_get(struct mg_pool *pool)
{
    struct free_block *block = pool->_free;
    pool->live++;
    if (!block)
        return mg_malloc(pool->block_bytes);
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
    if (pool->free_count >= pool->keep) {
        free(block);
        return;
    }
    block->next = pool->_free;
    pool->_free = block;
    pool->free_count++;
    MG_POISON(block, pool->block_bytes);
}
