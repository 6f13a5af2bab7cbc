/*
 * A binary buddy system over granules. Whoever owns the region locks it.
 *
 * A free block is 2^order granules at a multiple of its size, in the list of its order; the mark of
 * its first granule says so. Blocks that are taken have no mark: who took them knows their size.
 */
#include "shared/region.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/list.h"
#include "base/memory.h"

#define ORDERS 13 /* the largest block: 2^12 granules, MG_REGION_PIECE_MAX */
#define FREE 0x80 /* a mark: this bit and the order */

_Static_assert(MG_REGION_GRANULE << (ORDERS - 1) == MG_REGION_PIECE_MAX, "the largest block");

struct mg_region {
    char *base;
    size_t count; /* of granules */
    size_t used;  /* granules */
    uint8_t *marks;
    uint32_t orders; /* a bit for each order that has free blocks */
    struct mg_link free[ORDERS];
};

static size_t granules(size_t n)
{
    return (n + MG_REGION_GRANULE - 1) / MG_REGION_GRANULE;
}

static struct mg_link *block_at(const struct mg_region *r, size_t index)
{
    return (struct mg_link *)(r->base + index * MG_REGION_GRANULE);
}

static size_t index_of(const struct mg_region *r, const void *p)
{
    return (size_t)((const char *)p - r->base) / MG_REGION_GRANULE;
}

/* Blocks
 * ---------------------------------------------------------------------------------------------- */

static void put_on(struct mg_region *r, size_t index, unsigned order)
{
    struct mg_link *block = block_at(r, index);
    MG_UNPOISON(block, sizeof *block);
    mg_list_push_front(&r->free[order], block);
    r->marks[index] = (uint8_t)(FREE | order);
    r->orders |= 1u << order;
}

static void take_off(struct mg_region *r, size_t index, unsigned order)
{
    mg_list_remove(block_at(r, index));
    r->marks[index] = 0;
    if (mg_list_empty(&r->free[order]))
        r->orders &= ~(1u << order);
}

/* Frees a block, together with its buddies as far as these are free. */
static void free_block(struct mg_region *r, size_t index, unsigned order)
{
    while (order + 1 < ORDERS) {
        size_t buddy = index ^ (size_t)1 << order;
        if (buddy >= r->count || r->marks[buddy] != (FREE | order))
            break;
        take_off(r, buddy, order);
        MG_POISON(block_at(r, buddy), sizeof(struct mg_link));
        index &= ~((size_t)1 << order);
        order++;
    }
    put_on(r, index, order);
}

static unsigned log2_down(size_t n)
{
    return (unsigned)(63 - __builtin_clzll(n));
}

/* Frees any run of granules: as few blocks as their places allow. */
static void free_run(struct mg_region *r, size_t index, size_t n)
{
    MG_POISON(block_at(r, index), n * MG_REGION_GRANULE);
    r->used -= n;
    while (n) {
        unsigned order = index ? (unsigned)__builtin_ctzll(index) : ORDERS - 1;
        if (order > ORDERS - 1)
            order = ORDERS - 1;
        if (order > log2_down(n))
            order = log2_down(n);
        free_block(r, index, order);
        index += (size_t)1 << order;
        n -= (size_t)1 << order;
    }
}

/* Takes a block of that order or a larger one apart and keeps the first `n` granules. */
static void *take_from(struct mg_region *r, unsigned order, size_t n)
{
    size_t index = index_of(r, r->free[order].next);
    size_t whole = (size_t)1 << order;
    take_off(r, index, order);
    r->used += whole;
    if (n < whole)
        free_run(r, index + n, whole - n);
    void *piece = block_at(r, index);
    MG_UNPOISON(piece, n * MG_REGION_GRANULE);
    return piece;
}

/* The smallest order whose blocks hold that many granules. */
static unsigned order_for(size_t n)
{
    return n > 1 ? log2_down(n - 1) + 1 : 0;
}

/* Pieces
 * ---------------------------------------------------------------------------------------------- */

struct mg_region *mg_region_new(size_t bytes)
{
    struct mg_region *r = mg_calloc(1, sizeof *r);
    r->count = bytes / MG_REGION_GRANULE;
    MG_BUG_ON(r->count == 0);
    r->base = mg_pages_new(r->count * MG_REGION_GRANULE);
    r->marks = mg_calloc(r->count, 1);
    for (unsigned i = 0; i < ORDERS; i++)
        mg_list_init(&r->free[i]);
    r->used = r->count;
    free_run(r, 0, r->count);
    return r;
}

void mg_region_free(struct mg_region *r)
{
    if (!r)
        return;
    MG_UNPOISON(r->base, r->count * MG_REGION_GRANULE);
    mg_pages_free(r->base, r->count * MG_REGION_GRANULE);
    free(r->marks);
    free(r);
}

void *mg_region_take(struct mg_region *r, size_t n)
{
    MG_BUG_ON(n == 0 || n > MG_REGION_PIECE_MAX);
    uint32_t fit = r->orders >> order_for(granules(n)) << order_for(granules(n));
    return fit ? take_from(r, (unsigned)__builtin_ctz(fit), granules(n)) : NULL;
}

void *mg_region_take_some(struct mg_region *r, size_t n, size_t least, size_t *got)
{
    void *piece = mg_region_take(r, n);
    if (piece || !r->orders) {
        *got = n;
        return piece;
    }
    size_t largest = (size_t)1 << log2_down(r->orders); /* less than asked for */
    if (largest * MG_REGION_GRANULE < least)
        return NULL;
    *got = largest * MG_REGION_GRANULE;
    return take_from(r, log2_down(r->orders), largest);
}

void mg_region_give(struct mg_region *r, void *piece, size_t n)
{
    free_run(r, index_of(r, piece), granules(n));
}

void mg_region_shrink(struct mg_region *r, void *piece, size_t n, size_t keep)
{
    size_t kept = granules(keep);
    if (granules(n) > kept)
        free_run(r, index_of(r, piece) + kept, granules(n) - kept);
}

size_t mg_region_bytes(const struct mg_region *r)
{
    return r->count * MG_REGION_GRANULE;
}

size_t mg_region_used(const struct mg_region *r)
{
    return r->used * MG_REGION_GRANULE;
}
