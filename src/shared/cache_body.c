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
    *b = (struct mg_cache_body){.refs = 1, .cost = got, .last = &b->first, .front = &b->first};
    b->first.room = (uint32_t)(got - sizeof *b);
    mg_list_init(&b->waiters);
    return b;
}

void mg_cache_body_unref(struct mg_cache_body *b, struct mg_region *region)
{
    if (--b->refs)
        return;
    for (struct mg_cache_chunk *c = b->front, *next; c; c = next) {
        next = c->next;
        if (c != &b->first)
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
    b->up_to_date = 0;
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
    b->filler = NULL;
    mg_cache_body_tell(b);
}

/* Readers
 * ---------------------------------------------------------------------------------------------- */

static void wake_filler(struct mg_cache_body *b)
{
    struct mg_cache_waiter *w = b->filler;
    b->filler = NULL;
    if (!w)
        return;
    w->word = MG_CACHE_MORE;
    w->wake(w->arg);
}

bool mg_cache_body_join(struct mg_cache_body *b, struct mg_cache_reader *r)
{
    if (b->moved || atomic_load_explicit(&b->state, memory_order_relaxed) == MG_CACHE_BODY_LEFT)
        return false;
    r->_chunk = &b->first;
    r->_has_all = UINT64_MAX;
    r->_counted = true;
    b->first.readers++;
    b->readers++;
    return true;
}

static void go_on(struct mg_cache_body *b, struct mg_cache_reader *r)
{
    struct mg_cache_chunk *from = r->_chunk, *c = from;
    if (r->_lap != b->lap) { /* it had all of the chunk when that began anew */
        r->_lap = b->lap;
        r->_offset = 0;
    }
    while (r->_offset == c->used && c->next) {
        c = c->next;
        r->_offset = 0;
    }
    if (c == from)
        return;
    r->_chunk = c;
    from->readers--;
    c->readers++;
    wake_filler(b);
}

bool mg_cache_body_read(struct mg_cache_body *b, struct mg_cache_reader *r, struct mg_str *bytes)
{
    go_on(b, r);
    const struct mg_cache_chunk *c = r->_chunk;
    *bytes = mg_str(c->bytes + r->_offset, c->used - r->_offset);
    if (bytes->n)
        return true;
    if (r->_has_all != b->length) {
        r->_has_all = b->length;
        b->up_to_date++;
        wake_filler(b);
    }
    return false;
}

void mg_cache_body_leave(struct mg_cache_body *b, struct mg_cache_reader *r)
{
    ((struct mg_cache_chunk *)r->_chunk)->readers--;
    b->readers--;
    b->up_to_date -= r->_has_all == b->length;
    r->_counted = false;
    wake_filler(b);
}

/* The window
 * ---------------------------------------------------------------------------------------------- */

/* Makes the oldest chunk the newest one, if nobody is in it any more. */
static bool turn(struct mg_cache_body *b)
{
    struct mg_cache_chunk *c = b->front;
    if (c == b->last) { /* the only one: when all have all of it */
        if (b->up_to_date < b->readers)
            return false;
        b->lap++;
    } else {
        if (c->readers)
            return false;
        b->front = c->next;
        c->next = NULL;
        b->last->next = c;
        b->last = c;
    }
    c->used = 0;
    b->moved = true;
    return true;
}

char *mg_cache_body_window(struct mg_cache_body *b, size_t *room)
{
    if (b->last->used == b->last->room && !turn(b))
        return NULL;
    *room = b->last->room - b->last->used;
    return b->last->bytes + b->last->used;
}
