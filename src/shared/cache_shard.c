/*
 * A shard of the cache. Its lock is held.
 *
 *     add ──▶ small ──▶ main ──▶ out      hit meanwhile: to main, and there round again
 *               └─────▶ out               else: its hash stays in `ghosts`, and when it is added
 *                                         again it goes straight to main
 *
 * Entries that are being filled are in no queue, so they stay.
 */
#include "shared/cache_shard.h"

#include <stdlib.h>

#include "base/memory.h"
#include "shared/cache_body.h"

#define BYTES_PER_CHAIN 2048 /* an entry with a small body */
#define SMALL_PART 10        /* of the region */
#define TURNS_MAX 4096       /* of the queues, for one piece of memory */

/* Life
 * ---------------------------------------------------------------------------------------------- */

void mg_cache_shard_init(struct mg_cache_shard *s, size_t bytes)
{
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    mg_list_init(&s->small);
    mg_list_init(&s->main);
    for (unsigned i = 0; i < MG_CACHE_FILL_BUCKETS; i++)
        mg_list_init(&s->fills[i]);
    s->slots = 1;
    while (s->slots * 2 * BYTES_PER_CHAIN <= bytes)
        s->slots *= 2;
    s->chains = mg_calloc(s->slots, sizeof *s->chains);
    s->families = mg_calloc(s->slots, sizeof *s->families);
    s->ghosts = mg_calloc(s->slots, sizeof *s->ghosts);
    /* The region keeps a byte for each granule. */
    s->region = mg_region_new((bytes - mg_cache_shard_tables(s)) / (MG_REGION_GRANULE + 1) *
                              MG_REGION_GRANULE);
    s->small_limit_bytes = mg_region_bytes(s->region) / SMALL_PART;
}

size_t mg_cache_shard_tables(const struct mg_cache_shard *s)
{
    return s->slots * (sizeof *s->chains + sizeof *s->families + sizeof *s->ghosts);
}

static void drop_queue(struct mg_cache_shard *s, struct mg_link *queue)
{
    while (!mg_list_empty(queue))
        mg_cache_index_drop(s, MG_CONTAINER_OF(queue->next, struct mg_cache_item, link));
}

void mg_cache_shard_release(struct mg_cache_shard *s)
{
    drop_queue(s, &s->small);
    drop_queue(s, &s->main);
    MG_BUG_ON(mg_region_used(s->region) != 0); /* somebody still reads, or fills */
    mg_region_free(s->region);
    free(s->chains);
    free(s->families);
    free(s->ghosts);
    pthread_mutex_destroy(&s->lock);
}

struct mg_cache_hash mg_cache_hash_variant(const struct mg_cache *c, uint64_t primary,
                                           struct mg_str variant)
{
    uint64_t whole = primary;
    if (variant.n)
        whole ^= mg_hash(c->hash_key, variant) * UINT64_C(0x9e3779b97f4a7c15);
    return (struct mg_cache_hash){primary, whole};
}

struct mg_cache_hash mg_cache_hash(const struct mg_cache *c, const struct mg_cache_key *key)
{
    return mg_cache_hash_variant(c, mg_hash(c->hash_key, key->primary), key->variant);
}

struct mg_cache_shard *mg_cache_shard_at(const struct mg_cache *c, const struct mg_cache_hash *h)
{
    return &c->shards[c->shard_bits ? h->primary >> (64 - c->shard_bits) : 0];
}

struct mg_cache_shard *mg_cache_shard_of(const struct mg_cache *c, struct mg_str primary)
{
    const struct mg_cache_hash h = {.primary = mg_hash(c->hash_key, primary)};
    return mg_cache_shard_at(c, &h);
}

/* Items
 * ---------------------------------------------------------------------------------------------- */

static struct mg_str add(char **at, struct mg_str s)
{
    struct mg_str copy = mg_str(*at, s.n);
    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

struct mg_cache_item *mg_cache_item_new(struct mg_cache_shard *s, const struct mg_cache_hash *hash,
                                        const struct mg_cache_key *key,
                                        const struct mg_cache_new *what, uint64_t now_ns)
{
    if (what->head.n + what->tags.n > MG_CACHE_HEAD_MAX ||
        key->primary.n + key->variant.n > MG_CACHE_KEY_MAX)
        return NULL;
    size_t n = sizeof(struct mg_cache_item) + what->head.n + key->primary.n + key->variant.n +
               what->tags.n;
    size_t got;
    struct mg_cache_item *item = mg_cache_shard_take(s, n, n, &got, now_ns);
    if (!item)
        return NULL;
    memset(item, 0, sizeof *item);
    item->hash = *hash;
    item->piece_bytes = got;
    item->refs = 1;
    item->entry.length = what->length;
    item->entry.expires_ns = what->expires_ns;
    item->entry.stale = what->stale;
    mg_list_init(&item->link);
    char *at = item->bytes;
    item->entry.head = add(&at, what->head); /* first, for its alignment */
    item->entry.key.primary = add(&at, key->primary);
    item->entry.key.variant = add(&at, key->variant);
    item->tags = add(&at, what->tags);
    return item;
}

_Static_assert(offsetof(struct mg_cache_item, bytes) % 8 == 0, "heads are aligned");

void mg_cache_item_unref(struct mg_cache_shard *s, struct mg_cache_item *item)
{
    if (atomic_fetch_sub(&item->refs, 1) != 1)
        return;
    if (item->body)
        mg_cache_body_unref(item->body, s->region);
    mg_region_give(s->region, item, item->piece_bytes);
}

/* The index
 * ---------------------------------------------------------------------------------------------- */

static struct mg_cache_item **chain_of(struct mg_cache_shard *s, uint64_t hash)
{
    return &s->chains[hash & (s->slots - 1)];
}

struct mg_cache_item *mg_cache_index_find(struct mg_cache_shard *s, uint64_t hash,
                                          const struct mg_cache_key *key)
{
    for (struct mg_cache_item *i = *chain_of(s, hash); i; i = i->next)
        if (i->hash.whole == hash && mg_str_eq(i->entry.key.primary, key->primary) &&
            mg_str_eq(i->entry.key.variant, key->variant))
            return i;
    return NULL;
}

static struct mg_cache_item **family_of(struct mg_cache_shard *s, uint64_t primary_hash)
{
    return &s->families[primary_hash & (s->slots - 1)];
}

struct mg_cache_item *mg_cache_index_family(struct mg_cache_shard *s, uint64_t primary_hash)
{
    return *family_of(s, primary_hash);
}

static void join_family(struct mg_cache_shard *s, struct mg_cache_item *item)
{
    struct mg_cache_item **head = family_of(s, item->hash.primary);
    item->sibling = *head;
    item->sibling_at = head;
    if (*head)
        (*head)->sibling_at = &item->sibling;
    *head = item;
}

static void leave_family(struct mg_cache_item *item)
{
    *item->sibling_at = item->sibling;
    if (item->sibling)
        item->sibling->sibling_at = item->sibling_at;
}

void mg_cache_index_put(struct mg_cache_shard *s, struct mg_cache_item *item)
{
    struct mg_cache_item *old = mg_cache_index_find(s, item->hash.whole, &item->entry.key);
    if (old)
        mg_cache_index_drop(s, old);
    struct mg_cache_item **head = chain_of(s, item->hash.whole);
    item->next = *head;
    *head = item;
    join_family(s, item);
    item->indexed = true;
    atomic_fetch_add(&item->refs, 1);
    s->entries++;
}

struct mg_cache_item *mg_cache_index_find_live(struct mg_cache_shard *s, uint64_t hash,
                                               const struct mg_cache_key *key, uint64_t now_ns)
{
    struct mg_cache_item *item = mg_cache_index_find(s, hash, key);
    if (!item)
        return NULL;
    if (item->entry.expires_ns <= now_ns) {
        mg_cache_index_drop(s, item);
        return NULL;
    }
    if (item->hits < MG_CACHE_HITS_MAX)
        item->hits++;
    atomic_fetch_add(&item->refs, 1);
    return item;
}

static void leave_queue(struct mg_cache_shard *s, struct mg_cache_item *item)
{
    if (item->queue == MG_CACHE_QUEUE_SMALL)
        s->small_bytes -= item->cost;
    item->queue = MG_CACHE_QUEUE_NONE;
    mg_list_remove(&item->link);
}

void mg_cache_index_drop(struct mg_cache_shard *s, struct mg_cache_item *item)
{
    if (!item->indexed)
        return;
    struct mg_cache_item **at = chain_of(s, item->hash.whole);
    while (*at != item)
        at = &(*at)->next;
    *at = item->next;
    leave_family(item);
    item->indexed = false;
    s->entries--;
    leave_queue(s, item);
    mg_cache_item_unref(s, item);
}

/* The queues
 * ---------------------------------------------------------------------------------------------- */

static uint32_t ghost_of(uint64_t hash)
{
    return (uint32_t)(hash >> 24) | 1;
}

static uint32_t *ghost_slot(const struct mg_cache_shard *s, uint64_t hash)
{
    return &s->ghosts[hash & (s->slots - 1)];
}

static bool take_ghost(struct mg_cache_shard *s, uint64_t hash)
{
    uint32_t *slot = ghost_slot(s, hash);
    if (*slot != ghost_of(hash))
        return false;
    *slot = 0;
    return true;
}

static void enter_queue(struct mg_cache_shard *s, struct mg_cache_item *item,
                        enum mg_cache_queue queue)
{
    item->queue = queue;
    if (queue == MG_CACHE_QUEUE_SMALL)
        s->small_bytes += item->cost;
    mg_list_push_front(queue == MG_CACHE_QUEUE_SMALL ? &s->small : &s->main, &item->link);
}

void mg_cache_queue_add(struct mg_cache_shard *s, struct mg_cache_item *item)
{
    item->cost =
        mg_region_cost(item->piece_bytes) + (item->body ? mg_cache_body_cost(item->body) : 0);
    enter_queue(s, item,
                take_ghost(s, item->hash.whole) ? MG_CACHE_QUEUE_MAIN : MG_CACHE_QUEUE_SMALL);
}

static bool is_worth_keeping(const struct mg_cache_item *item, uint64_t now_ns)
{
    return item->hits > 0 && item->entry.expires_ns > now_ns;
}

static void evict(struct mg_cache_shard *s, struct mg_cache_item *item)
{
    s->evictions++;
    mg_cache_index_drop(s, item);
}

/* The oldest of the small queue: out, or on to the main one. */
static void turn_small(struct mg_cache_shard *s, uint64_t now_ns)
{
    struct mg_cache_item *item = MG_CONTAINER_OF(s->small.prev, struct mg_cache_item, link);
    if (!is_worth_keeping(item, now_ns)) {
        *ghost_slot(s, item->hash.whole) = ghost_of(item->hash.whole);
        evict(s, item);
        return;
    }
    leave_queue(s, item);
    item->hits = 0;
    enter_queue(s, item, MG_CACHE_QUEUE_MAIN);
}

/* The oldest of the main queue: out, or round again for one of its hits. */
static void turn_main(struct mg_cache_shard *s, uint64_t now_ns)
{
    struct mg_cache_item *item = MG_CONTAINER_OF(s->main.prev, struct mg_cache_item, link);
    if (!is_worth_keeping(item, now_ns)) {
        evict(s, item);
        return;
    }
    item->hits--;
    leave_queue(s, item);
    enter_queue(s, item, MG_CACHE_QUEUE_MAIN);
}

/* False: there is nothing to turn. */
static bool turn(struct mg_cache_shard *s, uint64_t now_ns)
{
    bool small = !mg_list_empty(&s->small), main = !mg_list_empty(&s->main);
    if (!small && !main)
        return false;
    if (small && (!main || s->small_bytes > s->small_limit_bytes))
        turn_small(s, now_ns);
    else
        turn_main(s, now_ns);
    return true;
}

void *mg_cache_shard_take(struct mg_cache_shard *s, size_t n, size_t least, size_t *got,
                          uint64_t now_ns)
{
    for (unsigned turns = 0;; turns++) {
        void *piece = mg_region_take_some(s->region, n, least, got);
        if (piece || turns == TURNS_MAX || !turn(s, now_ns))
            return piece;
    }
}
