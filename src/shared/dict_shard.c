/*
 * Chained hash table with an LRU list and a byte budget. Under the shard's lock, whatever the
 * thread.
 *
 * Entries that expired cost room until somebody meets them: the key's next visitor, the two chains
 * that each new entry sweeps, or, when room is short, a longer sweep before anything live is
 * evicted. All of it is bounded per call.
 */
#include "shared/dict_shard.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"

#define FIRST_CHAINS 16
#define MALLOC_WORD 8
#define SWEEP_ALWAYS 2
#define SWEEP_WHEN_SHORT 8

/* What malloc takes for an entry: a word of its own, in steps of 16. Even without key and payload
 * that is no less than the struct. */
static size_t entry_cost(size_t key_bytes, size_t payload_bytes)
{
    return (offsetof(struct mg_dict_entry, bytes) + key_bytes + payload_bytes + MALLOC_WORD + 15) &
           ~(size_t)15;
}

_Static_assert(((offsetof(struct mg_dict_entry, bytes) + MALLOC_WORD + 15) & ~(size_t)15) -
                       MALLOC_WORD >=
                   sizeof(struct mg_dict_entry),
               "an entry without key and payload has room for the struct");

static size_t payload_bytes_of(const struct mg_dict_entry *e)
{
    bool has_payload = e->kind == MG_DICT_ENTRY_STRING || e->kind > MG_DICT_ENTRY_HELD;
    return has_payload ? e->as.payload_bytes : 0;
}

static size_t cost_of(const struct mg_dict_entry *e)
{
    return entry_cost(e->key_bytes, payload_bytes_of(e));
}

static struct mg_dict_entry **chain_of(const struct mg_dict_shard *s, uint64_t hash)
{
    return &s->chains[hash & (s->chain_count - 1)];
}

/* Takes the entry at `link` out and frees it. */
static void drop_at(struct mg_dict_shard *s, struct mg_dict_entry **link)
{
    struct mg_dict_entry *e = *link;
    *link = e->next;
    mg_list_remove(&e->lru);
    s->entries--;
    s->bytes -= cost_of(e);
    if (e->pinned)
        s->pinned_bytes -= cost_of(e);
    free(e);
}

static void drop(struct mg_dict_shard *s, struct mg_dict_entry *e)
{
    struct mg_dict_entry **link = chain_of(s, e->hash);
    while (*link != e)
        link = &(*link)->next;
    drop_at(s, link);
}

static void sweep(struct mg_dict_shard *s, size_t chains, int64_t now_ms)
{
    for (size_t i = 0; i < chains && i < s->chain_count; i++) {
        struct mg_dict_entry **link = &s->chains[s->sweep_at++ & (s->chain_count - 1)];
        while (*link) {
            if ((*link)->expires_ms <= now_ms)
                drop_at(s, link);
            else
                link = &(*link)->next;
        }
    }
}

static void evict_coldest(struct mg_dict_shard *s, int64_t now_ms)
{
    struct mg_dict_entry *e = MG_CONTAINER_OF(s->lru.prev, struct mg_dict_entry, lru);
    s->evictions += e->expires_ms > now_ms;
    drop(s, e);
}

/* False when pinned entries stand in the way. */
static bool make_room(struct mg_dict_shard *s, size_t need, int64_t now_ms)
{
    if (need > s->limit_bytes - s->pinned_bytes)
        return false;
    if (s->bytes + need > s->limit_bytes)
        sweep(s, SWEEP_WHEN_SHORT, now_ms);
    while (s->bytes + need > s->limit_bytes)
        evict_coldest(s, now_ms);
    return true;
}

static void move_chains(struct mg_dict_shard *s, struct mg_dict_entry **to, size_t count)
{
    for (size_t i = 0; i < s->chain_count; i++) {
        for (struct mg_dict_entry *e = s->chains[i], *next; e; e = next) {
            next = e->next;
            struct mg_dict_entry **head = &to[e->hash & (count - 1)];
            e->next = *head;
            *head = e;
        }
    }
    free(s->chains);
    s->chains = to;
    s->chain_count = count;
}

/*
 * Doubles the table, all at once: with the shard's budget its size is bounded, and a shard grows
 * but a few times in its life. When there is no room for a longer table the chains grow longer
 * instead.
 */
static void grow(struct mg_dict_shard *s, size_t entry_bytes, int64_t now_ms)
{
    size_t count = s->chain_count * 2, more = s->chain_count * sizeof *s->chains;
    if (!make_room(s, more + entry_bytes, now_ms))
        return;
    struct mg_dict_entry **chains = calloc(count, sizeof *chains);
    if (!chains)
        return;
    move_chains(s, chains, count);
    s->bytes += more;
    s->pinned_bytes += more;
}

static void link_entry(struct mg_dict_shard *s, struct mg_dict_entry *e)
{
    struct mg_dict_entry **head = chain_of(s, e->hash);
    e->next = *head;
    *head = e;
    s->entries++;
    s->bytes += cost_of(e);
    mg_list_push_front(&s->lru, &e->lru);
}

static struct mg_dict_entry *find(struct mg_dict_shard *s, struct mg_str key, uint64_t hash,
                                  int64_t now_ms)
{
    struct mg_dict_entry **link = chain_of(s, hash), *e;
    while ((e = *link) && !(e->hash == hash && mg_str_eq(mg_str(e->bytes, e->key_bytes), key)))
        link = &e->next;
    if (e && e->expires_ms <= now_ms) {
        drop_at(s, link);
        return NULL;
    }
    return e;
}

void mg_dict_shard_init(struct mg_dict_shard *s, size_t limit_bytes)
{
    *s = (struct mg_dict_shard){.limit_bytes = limit_bytes, .chain_count = FIRST_CHAINS};
    MG_BUG_ON(pthread_mutex_init(&s->lock, NULL) != 0);
    s->chains = mg_calloc(FIRST_CHAINS, sizeof *s->chains);
    s->bytes = s->pinned_bytes = FIRST_CHAINS * sizeof *s->chains;
    mg_list_init(&s->lru);
}

void mg_dict_shard_release(struct mg_dict_shard *s)
{
    for (size_t i = 0; i < s->chain_count; i++)
        while (s->chains[i])
            drop_at(s, &s->chains[i]);
    free(s->chains);
    pthread_mutex_destroy(&s->lock);
}

enum mg_dict_rc mg_dict_slot_prepare(struct mg_dict_slot *slot, struct mg_dict *dict,
                                     struct mg_str key, int64_t now_ms)
{
    if (key.n > MG_DICT_KEY_MAX)
        return MG_DICT_BAD_KEY;
    uint64_t hash = mg_hash(dict->hash_key, key);
    /* The high bits choose the shard, the low ones the chain in it. */
    struct mg_dict_shard *s = &dict->shards[hash >> (64 - dict->shard_bits)];
    *slot = (struct mg_dict_slot){s, key, hash, now_ms, NULL};
    return MG_DICT_OK;
}

void mg_dict_shard_lock(struct mg_dict_shard *s)
{
    pthread_mutex_lock(&s->lock);
}

void mg_dict_shard_unlock(struct mg_dict_shard *s)
{
    pthread_mutex_unlock(&s->lock);
}

void mg_dict_slot_find(struct mg_dict_slot *slot)
{
    struct mg_dict_shard *s = slot->shard;
    struct mg_dict_entry *e = slot->entry = find(s, slot->key, slot->hash, slot->now_ms);
    if (e && !e->pinned && s->lru.next != &e->lru) {
        mg_list_remove(&e->lru);
        mg_list_push_front(&s->lru, &e->lru);
    }
}

enum mg_dict_rc mg_dict_slot_open(struct mg_dict_slot *slot, struct mg_dict *dict,
                                  struct mg_str key, int64_t now_ms)
{
    enum mg_dict_rc rc = mg_dict_slot_prepare(slot, dict, key, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    mg_dict_shard_lock(slot->shard);
    mg_dict_slot_find(slot);
    return MG_DICT_OK;
}

void mg_dict_slot_close(struct mg_dict_slot *slot)
{
    mg_dict_shard_unlock(slot->shard);
}

void mg_dict_slot_pin(struct mg_dict_slot *slot)
{
    struct mg_dict_entry *e = slot->entry;
    if (e->pinned)
        return;
    e->pinned = true;
    mg_list_remove(&e->lru);
    slot->shard->pinned_bytes += cost_of(e);
}

void mg_dict_slot_unpin(struct mg_dict_slot *slot)
{
    struct mg_dict_entry *e = slot->entry;
    if (!e->pinned)
        return;
    e->pinned = false;
    mg_list_push_front(&slot->shard->lru, &e->lru);
    slot->shard->pinned_bytes -= cost_of(e);
}

static struct mg_dict_entry *new_entry(const struct mg_dict_slot *slot,
                                       enum mg_dict_entry_kind kind, size_t payload_bytes)
{
    /* All that malloc gives for the cost: a payload of the same cost may take its place later. */
    struct mg_dict_entry *e = malloc(entry_cost(slot->key.n, payload_bytes) - MALLOC_WORD);
    if (!e)
        return NULL;
    *e = (struct mg_dict_entry){
        .hash = slot->hash,
        .expires_ms = slot->entry ? slot->entry->expires_ms : MG_DICT_NEVER,
        .as.payload_bytes = payload_bytes,
        .key_bytes = (uint16_t)slot->key.n,
        .kind = (uint8_t)kind,
    };
    if (slot->key.n)
        memcpy(e->bytes, slot->key.p, slot->key.n);
    return e;
}

enum mg_dict_rc mg_dict_slot_put(struct mg_dict_slot *slot, enum mg_dict_entry_kind kind,
                                 size_t payload_bytes)
{
    struct mg_dict_shard *s = slot->shard;
    struct mg_dict_entry *old = slot->entry;
    if (payload_bytes > s->limit_bytes)
        return MG_DICT_TOO_LARGE; /* also keeps the sum below from overflowing */
    size_t cost = entry_cost(slot->key.n, payload_bytes);
    if (old && !old->pinned && cost_of(old) == cost) {
        old->kind = (uint8_t)kind;
        old->as.payload_bytes = payload_bytes;
        return MG_DICT_OK;
    }
    if (cost > s->limit_bytes - s->chain_count * sizeof *s->chains)
        return MG_DICT_TOO_LARGE;
    if (cost > s->limit_bytes - s->pinned_bytes)
        return MG_DICT_FULL;
    struct mg_dict_entry *e = new_entry(slot, kind, payload_bytes);
    if (!e)
        return MG_DICT_NO_MEMORY;
    if (old)
        drop(s, old);
    sweep(s, SWEEP_ALWAYS, slot->now_ms);
    if (s->entries >= s->chain_count)
        grow(s, cost, slot->now_ms);
    bool room = make_room(s, cost, slot->now_ms);
    MG_BUG_ON(!room);
    link_entry(s, e);
    slot->entry = e;
    return MG_DICT_OK;
}

void mg_dict_slot_remove(struct mg_dict_slot *slot)
{
    drop(slot->shard, slot->entry);
    slot->entry = NULL;
}
