/*
 * Inside of the shared dictionary: one shard's table, its order of use and its bytes.
 *
 * Only dict.c, limiter.c and adaptive.c include this. A caller opens a slot (which locks the key's
 * shard), works on the slot's entry, and closes it; nothing is called back meanwhile. Who works on
 * several keys at once prepares their slots, locks each shard once, in the order of their
 * addresses, and finds the entries then.
 *
 *     slot.entry   the live entry of the key, or NULL; expired ones are gone by then
 *     lru          hottest first; pinned entries are in no list and are never evicted
 */
#ifndef MG_SHARED_DICT_SHARD_H
#define MG_SHARED_DICT_SHARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/str.h"
#include "shared/dict.h"

enum mg_dict_entry_kind {
    MG_DICT_ENTRY_STRING,
    MG_DICT_ENTRY_INTEGER,
    MG_DICT_ENTRY_NUMBER,
    MG_DICT_ENTRY_BOOLEAN,
    MG_DICT_ENTRY_HELD,         /* limiters from here on */
    MG_DICT_ENTRY_FIXED_WINDOW, /* these have their state as payload */
    MG_DICT_ENTRY_SLIDING_WINDOW,
    MG_DICT_ENTRY_TOKEN_BUCKET,
    MG_DICT_ENTRY_LEAKY_BUCKET,
    MG_DICT_ENTRY_ADAPTIVE,
};

#define MG_DICT_NEVER INT64_MAX

struct mg_dict_entry {
    struct mg_dict_entry *next; /* in its chain */
    struct mg_link lru;         /* alone when pinned */
    uint64_t hash;
    int64_t expires_ms; /* gone when this is not after now; MG_DICT_NEVER */
    union {
        size_t payload_bytes;
        int64_t integer;
        double number;
        bool boolean;
        int64_t held; /* 1 or more */
    } as;
    uint16_t key_bytes;
    uint8_t kind;
    bool pinned;  /* counts what is out and will come back */
    char bytes[]; /* the key, then the payload: a string, or a limiter's state, unaligned */
};

struct mg_dict_shard {
    pthread_mutex_t lock;
    /* set once */
    size_t limit_bytes;
    /* under lock */
    struct mg_dict_entry **chains;
    size_t chain_count; /* a power of two */
    size_t sweep_at;    /* the chain that is looked through for expired entries next */
    struct mg_link lru;
    size_t entries;
    size_t bytes;        /* chains and entries */
    size_t pinned_bytes; /* of these, chains and pinned entries: what eviction cannot free */
    uint64_t evictions;
} __attribute__((aligned(64)));

struct mg_dict {
    /* set once */
    uint8_t hash_key[MG_HASH_KEY_BYTES];
    unsigned shard_bits;
    struct mg_dict_shard *shards;
};

struct mg_dict_slot {
    struct mg_dict_shard *shard;
    struct mg_str key; /* borrowed */
    uint64_t hash;
    int64_t now_ms;
    struct mg_dict_entry *entry;
};

void mg_dict_shard_init(struct mg_dict_shard *shard, size_t limit_bytes);
void mg_dict_shard_release(struct mg_dict_shard *shard);

/* Locks the key's shard, finds the key and makes it the hottest. On MG_DICT_BAD_KEY nothing is
 * locked. */
enum mg_dict_rc mg_dict_slot_open(struct mg_dict_slot *slot, struct mg_dict *dict,
                                  struct mg_str key, int64_t now_ms);
void mg_dict_slot_close(struct mg_dict_slot *slot);

/* The three parts of opening, for calls on several keys. With the shard unlocked only `shard` is
 * of use. Finding again is fine: after puts into other slots of the shard it tells who was evicted.
 */
enum mg_dict_rc mg_dict_slot_prepare(struct mg_dict_slot *slot, struct mg_dict *dict,
                                     struct mg_str key, int64_t now_ms);
void mg_dict_shard_lock(struct mg_dict_shard *shard);
void mg_dict_shard_unlock(struct mg_dict_shard *shard);
void mg_dict_slot_find(struct mg_dict_slot *slot);

/* Gives the slot an entry of that kind, with room for a payload of `payload_bytes`, in place of
 * what it had, unpinned. Evicts others when it must. The caller sets `as`; expires_ms is kept from
 * the old entry, or MG_DICT_NEVER. On MG_DICT_TOO_LARGE, _FULL and _NO_MEMORY all is as it was. */
enum mg_dict_rc mg_dict_slot_put(struct mg_dict_slot *slot, enum mg_dict_entry_kind kind,
                                 size_t payload_bytes);
/* The slot's entry, which there must be, cannot be evicted from here on, or can again. Both may be
 * called twice. */
void mg_dict_slot_pin(struct mg_dict_slot *slot);
void mg_dict_slot_unpin(struct mg_dict_slot *slot);
/* Removes the slot's entry, which there must be. */
void mg_dict_slot_remove(struct mg_dict_slot *slot);

static inline char *mg_dict_entry_payload(struct mg_dict_entry *e)
{
    return e->bytes + e->key_bytes;
}

static inline bool mg_dict_entry_limits(const struct mg_dict_entry *e)
{
    return e->kind >= MG_DICT_ENTRY_HELD;
}

/* now + ms, or MG_DICT_NEVER when that is too far away. */
static inline int64_t mg_dict_after(int64_t now_ms, int64_t ms)
{
    int64_t sum;
    return __builtin_add_overflow(now_ms, ms, &sum) ? MG_DICT_NEVER : sum;
}

#endif
