/* Bodies of the cache. Under the shard's lock, where nothing else is said. */
#include "shared/cache_body.h"

/* Larger pieces make readers quicker, smaller ones leave less of a region unused: with 1 KiB that
 * is about a twentieth, whatever the mixture of sizes; with 4 KiB it was a third. */
#define PIECE_LEAST ((size_t)1024)
#define PIECE_GUESS ((size_t)4096)
#define PIECE_GUESS_MAX ((size_t)64 << 10) /* while nobody knows how much will come */

/* Pieces. The first one has the body's own members in front. */
static size_t front_of(const struct mg_cache_body *b, const struct mg_cache_chunk *c)
{
    return c == &b->first ? sizeof *b : sizeof *c;
}

static void *piece_of(struct mg_cache_body *b, struct mg_cache_chunk *c)
{
    return c == &b->first ? (void *)b : (void *)c;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* A piece for `front` bytes of our own and as much as can be had of `wanted`. */
static void *take(struct mg_cache_shard *s, size_t front, size_t wanted, uint64_t now_ns,
                  size_t *got)
{
    size_t n = smaller(front + wanted, MG_REGION_PIECE_MAX);
    void *piece = mg_cache_shard_take(s, n, smaller(n, PIECE_LEAST), got, now_ns);
    if (piece)
        *got = mg_region_cost(*got); /* its granules are ours to the end */
    return piece;
}

struct mg_cache_body *mg_cache_body_new(struct mg_cache_shard *s, int64_t length, uint64_t now_ns)
{
    size_t wanted = length >= 0 ? smaller((size_t)length, MG_REGION_PIECE_MAX) : PIECE_GUESS;
    size_t got;
    struct mg_cache_body *b = take(s, sizeof *b, wanted, now_ns, &got);
    if (!b)
        return NULL;
    *b = (struct mg_cache_body){.refs = 1, .cost = got, .last = &b->first};
    b->first.room = (uint32_t)(got - sizeof *b);
    mg_list_init(&b->waiters);
    return b;
}

void mg_cache_body_unref(struct mg_cache_body *b, struct mg_region *region)
{
    if (--b->refs)
        return;
    for (struct mg_cache_chunk *c = b->first.next, *next; c; c = next) {
        next = c->next;
        mg_region_give(region, c, sizeof *c + c->room);
    }
    mg_region_give(region, b, sizeof *b + b->first.room);
}

size_t mg_cache_body_cost(const struct mg_cache_body *b)
{
    return b->cost;
}

static struct mg_cache_chunk *add_chunk(struct mg_cache_shard *s, struct mg_cache_body *b,
                                        size_t wanted, uint64_t now_ns)
{
    size_t got;
    struct mg_cache_chunk *c = take(s, sizeof *c, wanted, now_ns, &got);
    if (!c)
        return NULL;
    *c = (struct mg_cache_chunk){.room = (uint32_t)(got - sizeof *c)};
    b->cost += got;
    b->last->next = c;
    b->last = c;
    return c;
}

char *mg_cache_body_room(struct mg_cache_shard *s, struct mg_cache_body *b, size_t expected,
                         uint64_t now_ns, size_t *room)
{
    struct mg_cache_chunk *c = b->last;
    if (c->used == c->room) {
        /* A body of unknown length asks for as much again as it has. */
        size_t guess = larger(PIECE_GUESS, smaller((size_t)b->length, PIECE_GUESS_MAX));
        c = add_chunk(s, b, larger(expected, guess), now_ns);
        if (!c)
            return NULL;
    }
    *room = c->room - c->used;
    return c->bytes + c->used;
}

void mg_cache_body_grow(struct mg_cache_body *b, size_t n)
{
    b->last->used += (uint32_t)n;
    b->length += n;
}

void mg_cache_body_tell(struct mg_cache_body *b)
{
    while (!mg_list_empty(&b->waiters)) {
        struct mg_cache_waiter *w = MG_CONTAINER_OF(b->waiters.next, struct mg_cache_waiter, _link);
        mg_list_remove(&w->_link);
        w->word = MG_CACHE_MORE;
        w->wake(w->arg);
    }
}

static void cut(struct mg_cache_shard *s, struct mg_cache_body *b, struct mg_cache_chunk *c)
{
    size_t front = front_of(b, c), whole = front + c->room;
    size_t kept = mg_region_cost(front + c->used);
    if (kept >= whole)
        return;
    mg_region_shrink(s->region, piece_of(b, c), whole, kept);
    b->cost -= whole - kept;
    c->room = (uint32_t)(kept - front);
}

void mg_cache_body_end(struct mg_cache_shard *s, struct mg_cache_body *b,
                       enum mg_cache_body_state state)
{
    if (state == MG_CACHE_BODY_COMPLETE)
        cut(s, b, b->last);
    atomic_store_explicit(&b->state, state, memory_order_release);
    mg_cache_body_tell(b);
}
