/*
 * Two queues and a hash table in each shard. Under the shard's lock, whatever the thread.
 *
 *     put ──▶ small ──▶ main ──▶ out      found meanwhile: to main, and there round again
 *               └─────▶ out               else: its hash stays in `ghosts`, and when it is put
 *                                         again it goes straight to main
 *
 * The table has a fixed size, so nothing is ever moved while others wait for the lock.
 */
#include "shared/token_cache.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/memory.h"

#define SHARD_BYTES ((size_t)256 << 10)
#define SHARD_BITS_MAX 6
#define BYTES_PER_CHAIN 512 /* a small token with its payload */
#define SMALL_PART 10       /* of the shard */
#define HITS_MAX 3
#define HASHED_BYTES 128

struct entry {
    struct entry *next;   /* in its chain */
    struct mg_link queue; /* newest first */
    uint64_t hash;
    uint64_t realm;
    int64_t exp_s;
    uint32_t token_bytes, payload_bytes;
    uint8_t hits; /* up to HITS_MAX, since it last moved */
    bool in_main;
    char bytes[]; /* the token, then the payload */
};

struct shard {
    pthread_mutex_t lock;
    /* set once */
    size_t limit_bytes, small_limit_bytes;
    size_t slots; /* of both tables, a power of two */
    struct entry **chains;
    uint32_t *ghosts; /* parts of hashes; a newer one takes the place of an older; 0: none */
    /* under lock */
    struct mg_link small, main;
    size_t entries;
    size_t bytes; /* this struct, the tables, all entries */
    size_t small_bytes;
    uint64_t hits, misses, evictions;
} __attribute__((aligned(64)));

struct mg_token_cache {
    /* set once */
    uint8_t hash_key[MG_HASH_KEY_BYTES];
    unsigned shard_bits;
    size_t bytes;
    struct shard *shards;
};

/* Entries
 * ---------------------------------------------------------------------------------------------- */

/* What malloc takes: a word of its own, in steps of 16. */
static size_t malloc_cost(size_t n)
{
    return (n + 8 + 15) & ~(size_t)15;
}

static size_t entry_cost(size_t token_bytes, size_t payload_bytes)
{
    return malloc_cost(sizeof(struct entry) + token_bytes + payload_bytes);
}

static size_t cost_of(const struct entry *e)
{
    return entry_cost(e->token_bytes, e->payload_bytes);
}

/*
 * Only the end of a token is hashed: that is its signature, which nobody chooses, and hashing all
 * of a long one would take longer than the rest of a hit. Many that end alike would share a chain,
 * but only those that were verified get into one.
 */
static uint64_t hash_of(const struct mg_token_cache *cache, uint64_t realm, struct mg_str token)
{
    size_t n = token.n < HASHED_BYTES ? token.n : HASHED_BYTES;
    uint64_t hash = mg_hash(cache->hash_key, mg_str(token.p + token.n - n, n));
    return hash ^ realm * 0x9e3779b97f4a7c15;
}

static struct shard *shard_of(const struct mg_token_cache *cache, uint64_t hash)
{
    return &cache->shards[cache->shard_bits ? hash >> (64 - cache->shard_bits) : 0];
}

static struct entry **chain_of(const struct shard *s, uint64_t hash)
{
    return &s->chains[hash & (s->slots - 1)];
}

static struct entry **find(const struct shard *s, uint64_t hash, uint64_t realm,
                           struct mg_str token)
{
    struct entry **link = chain_of(s, hash);
    for (struct entry *e; (e = *link); link = &e->next)
        if (e->hash == hash && e->realm == realm &&
            mg_str_eq(mg_str(e->bytes, e->token_bytes), token))
            break;
    return link;
}

/* Takes the entry at `link` out and frees it. */
static void drop_at(struct shard *s, struct entry **link)
{
    struct entry *e = *link;
    size_t cost = cost_of(e);
    *link = e->next;
    mg_list_remove(&e->queue);
    s->entries--;
    s->bytes -= cost;
    s->small_bytes -= e->in_main ? 0 : cost;
    free(e);
}

static void drop(struct shard *s, struct entry *e)
{
    struct entry **link = chain_of(s, e->hash);
    while (*link != e)
        link = &(*link)->next;
    drop_at(s, link);
}

/* The queues
 * ---------------------------------------------------------------------------------------------- */

/* The table's slot tells some bits of the hash, the value others. Never 0. */
static uint32_t ghost_of(uint64_t hash)
{
    return (uint32_t)(hash >> 24) | 1;
}

static uint32_t *ghost_slot(const struct shard *s, uint64_t hash)
{
    return &s->ghosts[hash & (s->slots - 1)];
}

static bool take_ghost(struct shard *s, uint64_t hash)
{
    uint32_t *slot = ghost_slot(s, hash);
    if (*slot != ghost_of(hash))
        return false;
    *slot = 0;
    return true;
}

static void evict(struct shard *s, struct entry *e)
{
    s->evictions++;
    drop(s, e);
}

static void push_main(struct shard *s, struct entry *e)
{
    mg_list_remove(&e->queue);
    mg_list_push_front(&s->main, &e->queue);
}

/* The oldest of the small queue: out, or on to the main one. */
static void turn_small(struct shard *s, int64_t now_s)
{
    struct entry *e = MG_CONTAINER_OF(s->small.prev, struct entry, queue);
    if (e->hits == 0 || e->exp_s <= now_s) {
        *ghost_slot(s, e->hash) = ghost_of(e->hash);
        evict(s, e);
        return;
    }
    s->small_bytes -= cost_of(e);
    e->in_main = true;
    e->hits = 0;
    push_main(s, e);
}

/* The oldest of the main queue: out, or round again for one of its hits. */
static void turn_main(struct shard *s, int64_t now_s)
{
    struct entry *e = MG_CONTAINER_OF(s->main.prev, struct entry, queue);
    if (e->hits == 0 || e->exp_s <= now_s) {
        evict(s, e);
        return;
    }
    e->hits--;
    push_main(s, e);
}

/* Ends: each turn takes an entry out of a queue, or one of its hits away. */
static void make_room(struct shard *s, size_t need, int64_t now_s)
{
    while (s->bytes + need > s->limit_bytes) {
        if (s->small_bytes > s->small_limit_bytes || mg_list_empty(&s->main))
            turn_small(s, now_s);
        else
            turn_main(s, now_s);
    }
}

static void insert(struct shard *s, struct entry *e, int64_t now_s)
{
    size_t cost = cost_of(e);
    e->in_main = take_ghost(s, e->hash); /* before what has to go leaves one in its place */
    make_room(s, cost, now_s);
    mg_list_push_front(e->in_main ? &s->main : &s->small, &e->queue);
    s->small_bytes += e->in_main ? 0 : cost;
    s->bytes += cost;
    s->entries++;
    struct entry **head = chain_of(s, e->hash);
    e->next = *head;
    *head = e;
}

/* Life
 * ---------------------------------------------------------------------------------------------- */

static void shard_init(struct shard *s, size_t limit_bytes)
{
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    mg_list_init(&s->small);
    mg_list_init(&s->main);
    s->limit_bytes = limit_bytes;
    s->slots = 1;
    while (s->slots * 2 * BYTES_PER_CHAIN <= limit_bytes)
        s->slots *= 2;
    s->chains = mg_calloc(s->slots, sizeof *s->chains);
    s->ghosts = mg_calloc(s->slots, sizeof *s->ghosts);
    s->bytes = sizeof *s + malloc_cost(s->slots * sizeof *s->chains) +
               malloc_cost(s->slots * sizeof *s->ghosts);
    s->small_limit_bytes = (limit_bytes - s->bytes) / SMALL_PART;
}

static void release_queue(struct mg_link *queue)
{
    MG_LIST_FOREACH_SAFE(it, queue)
    free(MG_CONTAINER_OF(it, struct entry, queue));
}

static void shard_release(struct shard *s)
{
    release_queue(&s->small);
    release_queue(&s->main);
    free(s->chains);
    free(s->ghosts);
    pthread_mutex_destroy(&s->lock);
}

static size_t shard_count(const struct mg_token_cache *cache)
{
    return (size_t)1 << cache->shard_bits;
}

struct mg_token_cache *mg_token_cache_new(size_t bytes)
{
    struct mg_token_cache *cache = mg_calloc(1, sizeof *cache);
    mg_hash_random_key(cache->hash_key);
    cache->bytes = bytes > MG_TOKEN_CACHE_BYTES_MIN ? bytes : MG_TOKEN_CACHE_BYTES_MIN;
    while (cache->shard_bits < SHARD_BITS_MAX && cache->bytes >> cache->shard_bits > SHARD_BYTES)
        cache->shard_bits++;
    cache->shards = aligned_alloc(64, shard_count(cache) * sizeof *cache->shards);
    MG_BUG_ON(!cache->shards);
    size_t share = (cache->bytes - malloc_cost(sizeof *cache)) >> cache->shard_bits;
    for (size_t i = 0; i < shard_count(cache); i++)
        shard_init(&cache->shards[i], share);
    return cache;
}

void mg_token_cache_free(struct mg_token_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < shard_count(cache); i++)
        shard_release(&cache->shards[i]);
    free(cache->shards);
    free(cache);
}

/* Use
 * ---------------------------------------------------------------------------------------------- */

/* The live entry, with one hit more, or NULL. */
static struct entry *visit(struct shard *s, uint64_t hash, uint64_t realm, struct mg_str token,
                           int64_t now_s)
{
    struct entry **link = find(s, hash, realm, token);
    if (!*link)
        return NULL;
    if ((*link)->exp_s <= now_s) {
        drop_at(s, link);
        return NULL;
    }
    if ((*link)->hits < HITS_MAX)
        (*link)->hits++;
    return *link;
}

bool mg_token_cache_find(struct mg_token_cache *cache, uint64_t realm, struct mg_str token,
                         int64_t now_s, struct mg_arena *arena, struct mg_token_hit *hit)
{
    uint64_t hash = hash_of(cache, realm, token);
    struct shard *s = shard_of(cache, hash);
    pthread_mutex_lock(&s->lock);
    const struct entry *e = visit(s, hash, realm, token, now_s);
    if (e) {
        s->hits++;
        hit->exp_s = e->exp_s;
        hit->payload = mg_arena_str(arena, mg_str(e->bytes + e->token_bytes, e->payload_bytes));
    } else {
        s->misses++;
    }
    pthread_mutex_unlock(&s->lock);
    return e != NULL;
}

static struct entry *new_entry(uint64_t realm, struct mg_str token, struct mg_str payload,
                               int64_t exp_s)
{
    struct entry *e = malloc(sizeof *e + token.n + payload.n);
    if (!e)
        return NULL;
    *e = (struct entry){
        .realm = realm,
        .exp_s = exp_s,
        .token_bytes = (uint32_t)token.n,
        .payload_bytes = (uint32_t)payload.n,
    };
    if (token.n)
        memcpy(e->bytes, token.p, token.n);
    if (payload.n)
        memcpy(e->bytes + token.n, payload.p, payload.n);
    return e;
}

static void replace(struct shard *s, struct entry *e, int64_t now_s)
{
    struct entry **old = find(s, e->hash, e->realm, mg_str(e->bytes, e->token_bytes));
    if (*old)
        drop_at(s, old);
    insert(s, e, now_s);
}

void mg_token_cache_put(struct mg_token_cache *cache, uint64_t realm, struct mg_str token,
                        struct mg_str payload, int64_t exp_s, int64_t now_s)
{
    uint64_t hash = hash_of(cache, realm, token);
    struct shard *s = shard_of(cache, hash);
    size_t limit = s->small_limit_bytes;
    if (exp_s <= now_s || token.n > limit || payload.n > limit ||
        entry_cost(token.n, payload.n) > limit)
        return;
    struct entry *e = new_entry(realm, token, payload, exp_s);
    if (!e)
        return;
    e->hash = hash;
    pthread_mutex_lock(&s->lock);
    replace(s, e, now_s);
    pthread_mutex_unlock(&s->lock);
}

struct mg_token_cache_stats mg_token_cache_stats(struct mg_token_cache *cache)
{
    struct mg_token_cache_stats all = {.limit_bytes = cache->bytes,
                                       .bytes = malloc_cost(sizeof *cache)};
    for (size_t i = 0; i < shard_count(cache); i++) {
        struct shard *s = &cache->shards[i];
        pthread_mutex_lock(&s->lock);
        all.entries += s->entries;
        all.bytes += s->bytes;
        all.hits += s->hits;
        all.misses += s->misses;
        all.evictions += s->evictions;
        pthread_mutex_unlock(&s->lock);
    }
    return all;
}
