/*
 * Inside of the cache: a shard with its index, its queues and its memory. All of it under the
 * shard's lock, which the callers hold.
 */
#ifndef MG_SHARED_CACHE_SHARD_H
#define MG_SHARED_CACHE_SHARD_H

#include <pthread.h>

#include "base/hash.h"
#include "shared/cache.h"
#include "shared/region.h"

struct mg_cache_body;

#define MG_CACHE_FILL_BUCKETS 64
#define MG_CACHE_HITS_MAX 3

enum mg_cache_queue { MG_CACHE_QUEUE_NONE, MG_CACHE_QUEUE_SMALL, MG_CACHE_QUEUE_MAIN };

struct mg_cache_hash {
    uint64_t primary; /* of that part alone: chooses shard and family */
    uint64_t whole;   /* chooses the chain */
};

/* An entry as it lies in the region, in one piece with its key, its tags and its head. */
struct mg_cache_item {
    struct mg_cache_entry entry;
    /* Set once. */
    struct mg_cache_hash hash;
    size_t piece_bytes;
    struct mg_str tags;
    struct mg_cache_body *body; /* counted; NULL: none */
    /* Atomic. */
    atomic_uint refs; /* the index holds one */
    /* Under the lock. */
    struct mg_cache_item *next;                  /* in its chain */
    struct mg_cache_item *sibling, **sibling_at; /* in the list of its primary key, and where */
    struct mg_link link;                         /* in its queue, newest first */
    size_t cost;                                 /* as counted in the queue */
    enum mg_cache_queue queue;
    bool indexed;
    uint8_t hits; /* up to MG_CACHE_HITS_MAX, since it last moved */
    char bytes[] __attribute__((aligned(8)));
};

struct mg_cache_shard {
    pthread_mutex_t lock;
    /* Set once. */
    size_t slots;                    /* of the tables; a power of two */
    struct mg_cache_item **chains;   /* by the whole key */
    struct mg_cache_item **families; /* by the primary key: all variants are in one list */
    uint32_t *ghosts;                /* parts of hashes of what left the small queue; 0: none */
    size_t small_limit_bytes;
    /* Under the lock. */
    struct mg_region *region;
    struct mg_link small, main;
    size_t small_bytes;
    struct mg_link fills[MG_CACHE_FILL_BUCKETS]; /* of struct mg_cache_fill, before they begin */
    uint64_t key_purges[MG_CACHE_FILL_BUCKETS];  /* by the primary key's hash */
    size_t entries;
    uint64_t hits, misses, started, waits, evictions, purges;
} __attribute__((aligned(64)));

struct mg_cache {
    /* Set once. */
    uint8_t hash_key[MG_HASH_KEY_BYTES];
    unsigned shard_bits;
    size_t object_bytes, limit_bytes;
    struct mg_cache_shard *shards;
    struct mg_purge_log *purge_log; /* NULL: it is not shared */
    /* Atomic. */
    atomic_uint_fast64_t purges; /* other than by key; moves before the first entry is looked at */
    struct mg_cache_tier_counts tier;
};

/* All the memory that a shard takes is `bytes`. */
void mg_cache_shard_init(struct mg_cache_shard *s, size_t bytes);
void mg_cache_shard_release(struct mg_cache_shard *s);

/* What its tables take. */
size_t mg_cache_shard_tables(const struct mg_cache_shard *s);

struct mg_cache_shard *mg_cache_shard_of(const struct mg_cache *c, struct mg_str primary);
struct mg_cache_shard *mg_cache_shard_at(const struct mg_cache *c, const struct mg_cache_hash *h);
struct mg_cache_hash mg_cache_hash(const struct mg_cache *c, const struct mg_cache_key *key);
/* The same primary key with another variant. */
struct mg_cache_hash mg_cache_hash_variant(const struct mg_cache *c, uint64_t primary,
                                           struct mg_str variant);

/* Memory of the region; entries are evicted for it, but not more than a bounded number. NULL: no
 * room. See mg_region_take_some. */
void *mg_cache_shard_take(struct mg_cache_shard *s, size_t n, size_t least, size_t *got,
                          uint64_t now_ns);

/* In no chain and no queue, with one reference and without a body. NULL: no room. */
struct mg_cache_item *mg_cache_item_new(struct mg_cache_shard *s, const struct mg_cache_hash *hash,
                                        const struct mg_cache_key *key,
                                        const struct mg_cache_new *what, uint64_t now_ns);
void mg_cache_item_unref(struct mg_cache_shard *s, struct mg_cache_item *item);

/* The live one, hit once more and with a reference for the caller. One that has expired goes. */
struct mg_cache_item *mg_cache_index_find_live(struct mg_cache_shard *s, uint64_t hash,
                                               const struct mg_cache_key *key, uint64_t now_ns);
/* NULL when there is none. Expired ones are found, too. */
struct mg_cache_item *mg_cache_index_find(struct mg_cache_shard *s, uint64_t hash,
                                          const struct mg_cache_key *key);
/* The first of those whose primary key may be that one; others follow by `sibling`. */
struct mg_cache_item *mg_cache_index_family(struct mg_cache_shard *s, uint64_t primary_hash);
/* Puts it in the place of what is there. The index takes a reference of its own. */
void mg_cache_index_put(struct mg_cache_shard *s, struct mg_cache_item *item);
/* Takes it out of index and queue, and gives their reference back. Not there: no effect. */
void mg_cache_index_drop(struct mg_cache_shard *s, struct mg_cache_item *item);

/* From now on it can be evicted; it is complete, and in the index. */
void mg_cache_queue_add(struct mg_cache_shard *s, struct mg_cache_item *item);

static inline struct mg_cache_item *mg_cache_item_of(struct mg_cache_entry *e)
{
    return MG_CONTAINER_OF(e, struct mg_cache_item, entry);
}

#endif
