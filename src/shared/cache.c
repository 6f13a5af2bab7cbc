/* The cache as its users see it: life, finding, reading, purging. Any thread. */
#include "shared/cache.h"

#include <stdlib.h>

#include "base/memory.h"
#include "shared/cache_body.h"
#include "shared/cache_fill.h"
#include "shared/purge_log.h"

#define SHARD_BITS_MAX 6
#define OBJECTS_PER_SHARD 8 /* of the largest there may be */

static size_t shard_count(const struct mg_cache *c)
{
    return (size_t)1 << c->shard_bits;
}

struct mg_cache *mg_cache_new(size_t bytes, size_t object_bytes)
{
    struct mg_cache *c = mg_calloc(1, sizeof *c);
    size_t least = object_bytes * OBJECTS_PER_SHARD;
    if (least < MG_CACHE_BYTES_MIN)
        least = MG_CACHE_BYTES_MIN;
    mg_hash_random_key(c->hash_key);
    c->object_bytes = object_bytes;
    c->limit_bytes = bytes > least ? bytes : least;
    while (c->shard_bits < SHARD_BITS_MAX && c->limit_bytes >> (c->shard_bits + 1) >= least)
        c->shard_bits++;
    c->shards = aligned_alloc(64, shard_count(c) * sizeof *c->shards);
    MG_BUG_ON(!c->shards);
    for (size_t i = 0; i < shard_count(c); i++)
        mg_cache_shard_init(&c->shards[i], c->limit_bytes >> c->shard_bits);
    return c;
}

void mg_cache_free(struct mg_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < shard_count(c); i++)
        mg_cache_shard_release(&c->shards[i]);
    mg_purge_log_free(c->purge_log);
    free(c->shards);
    free(c);
}

/* Finding
 * ---------------------------------------------------------------------------------------------- */

struct mg_cache_entry *mg_cache_find(struct mg_cache *c, const struct mg_cache_key *key,
                                     uint64_t now_ns)
{
    const struct mg_cache_hash hash = mg_cache_hash(c, key);
    struct mg_cache_shard *s = mg_cache_shard_at(c, &hash);
    pthread_mutex_lock(&s->lock);
    struct mg_cache_item *item = mg_cache_index_find_live(s, hash.whole, key, now_ns);
    if (item)
        s->hits++;
    else
        s->misses++;
    pthread_mutex_unlock(&s->lock);
    return item ? &item->entry : NULL;
}

struct mg_cache_entry *mg_cache_ref(struct mg_cache_entry *e)
{
    atomic_fetch_add(&mg_cache_item_of(e)->refs, 1);
    return e;
}

/* The index holds a reference, so when the last one goes nobody can find the entry any more. */
void mg_cache_unref(struct mg_cache *c, struct mg_cache_entry *e)
{
    if (!e)
        return;
    struct mg_cache_item *item = mg_cache_item_of(e);
    unsigned refs = atomic_load(&item->refs);
    while (refs > 1)
        if (atomic_compare_exchange_weak(&item->refs, &refs, refs - 1))
            return;
    struct mg_cache_shard *s = mg_cache_shard_of(c, e->key.primary);
    pthread_mutex_lock(&s->lock);
    mg_cache_item_unref(s, item);
    pthread_mutex_unlock(&s->lock);
}

/* Waiting
 * ---------------------------------------------------------------------------------------------- */

void mg_cache_waiter_init(struct mg_cache_waiter *w, void (*wake)(void *arg), void *arg)
{
    *w = (struct mg_cache_waiter){.wake = wake, .arg = arg};
    mg_list_init(&w->_link);
}

void mg_cache_waiter_cancel(struct mg_cache *c, const struct mg_cache_key *key,
                            struct mg_cache_waiter *w)
{
    struct mg_cache_shard *s = mg_cache_shard_of(c, key->primary);
    pthread_mutex_lock(&s->lock);
    mg_list_remove(&w->_link);
    pthread_mutex_unlock(&s->lock);
}

/* Reading
 * ---------------------------------------------------------------------------------------------- */

static struct mg_cache_body *body_of(const struct mg_cache_entry *e)
{
    return MG_CONTAINER_OF(e, const struct mg_cache_item, entry)->body;
}

static enum mg_cache_body_state state_of(const struct mg_cache_body *b)
{
    return atomic_load_explicit(&b->state, memory_order_acquire);
}

bool mg_cache_reader_init(struct mg_cache_reader *r, struct mg_cache *cache,
                          struct mg_cache_entry *entry)
{
    struct mg_cache_body *b = body_of(entry);
    *r = (struct mg_cache_reader){.cache = cache, .entry = entry, ._chunk = b ? &b->first : NULL};
    if (!b || state_of(b) == MG_CACHE_BODY_COMPLETE)
        return true;
    struct mg_cache_shard *s = mg_cache_shard_of(cache, entry->key.primary);
    pthread_mutex_lock(&s->lock);
    bool joined = mg_cache_body_join(b, r);
    pthread_mutex_unlock(&s->lock);
    return joined;
}

void mg_cache_reader_release(struct mg_cache_reader *r)
{
    struct mg_cache_body *b = r->_counted ? body_of(r->entry) : NULL;
    if (!b || state_of(b) == MG_CACHE_BODY_COMPLETE)
        return; /* nobody waits for readers any more */
    struct mg_cache_shard *s = mg_cache_shard_of(r->cache, r->entry->key.primary);
    pthread_mutex_lock(&s->lock);
    mg_cache_body_leave(b, r);
    pthread_mutex_unlock(&s->lock);
}

/* What lies at its place; goes on to the next chunk at the end of one. False: nothing. */
static bool look(struct mg_cache_reader *r, struct mg_str *bytes)
{
    struct mg_cache_chunk *c = r->_chunk;
    while (r->_offset == c->used && c->next) {
        r->_chunk = c = c->next;
        r->_offset = 0;
    }
    *bytes = mg_str(c->bytes + r->_offset, c->used - r->_offset);
    return bytes->n > 0;
}

static enum mg_cache_read read_or_wait(struct mg_cache_reader *r, struct mg_cache_body *b,
                                       struct mg_str *bytes, struct mg_cache_waiter *w)
{
    if (mg_cache_body_read(b, r, bytes))
        return MG_CACHE_READ_BYTES;
    switch (state_of(b)) {
    case MG_CACHE_BODY_COMPLETE:
    case MG_CACHE_BODY_PASSED:
        return MG_CACHE_READ_END;
    case MG_CACHE_BODY_BROKEN:
    case MG_CACHE_BODY_LEFT:
        return MG_CACHE_READ_BROKEN;
    case MG_CACHE_BODY_GROWS:
    case MG_CACHE_BODY_PASSES:
        break;
    }
    w->word = MG_CACHE_PENDING;
    mg_list_remove(&w->_link);
    mg_list_push_back(&b->waiters, &w->_link);
    return MG_CACHE_READ_WAIT;
}

enum mg_cache_read mg_cache_read(struct mg_cache_reader *r, struct mg_str *bytes,
                                 struct mg_cache_waiter *waiter)
{
    struct mg_cache_body *b = body_of(r->entry);
    if (!b)
        return MG_CACHE_READ_END;
    if (state_of(b) == MG_CACHE_BODY_COMPLETE) /* nobody writes any more */
        return look(r, bytes) ? MG_CACHE_READ_BYTES : MG_CACHE_READ_END;
    struct mg_cache_shard *s = mg_cache_shard_of(r->cache, r->entry->key.primary);
    pthread_mutex_lock(&s->lock);
    enum mg_cache_read result = read_or_wait(r, b, bytes, waiter);
    pthread_mutex_unlock(&s->lock);
    return result;
}

void mg_cache_consume(struct mg_cache_reader *r, size_t n)
{
    r->_offset += n;
}

bool mg_cache_is_complete(const struct mg_cache_entry *e, uint64_t *length)
{
    const struct mg_cache_body *b = body_of(e);
    if (b && state_of(b) != MG_CACHE_BODY_COMPLETE)
        return false;
    *length = b ? b->length : 0;
    return true;
}

void mg_cache_skip(struct mg_cache_reader *r, uint64_t n)
{
    struct mg_str bytes;
    while (n && r->_chunk && look(r, &bytes)) {
        size_t step = bytes.n < n ? bytes.n : (size_t)n;
        r->_offset += step;
        n -= step;
    }
}

/* Purging
 * ---------------------------------------------------------------------------------------------- */

struct purge {
    enum mg_cache_purge_by by;
    struct mg_str what;
    bool soft;
};

static bool has_tag(struct mg_str tags, struct mg_str wanted)
{
    while (tags.n) {
        ptrdiff_t blank = mg_str_find(tags, ' ');
        struct mg_str tag = blank < 0 ? tags : mg_str(tags.p, (size_t)blank);
        if (mg_str_eq(tag, wanted))
            return true;
        size_t used = blank < 0 ? tags.n : tag.n + 1;
        tags = mg_str(tags.p + used, tags.n - used);
    }
    return false;
}

static bool concerns(const struct purge *p, const struct mg_cache_item *item)
{
    switch (p->by) {
    case MG_CACHE_BY_KEY:
        return mg_str_eq(item->entry.key.primary, p->what);
    case MG_CACHE_BY_PREFIX:
        return mg_str_starts(item->entry.key.primary, p->what);
    case MG_CACHE_BY_TAG:
        return has_tag(item->tags, p->what);
    case MG_CACHE_ALL:
        break;
    }
    return true;
}

static size_t purge_family(struct mg_cache_shard *s, struct mg_cache_item *item,
                           const struct purge *p)
{
    size_t count = 0;
    for (struct mg_cache_item *next; item; item = next) {
        next = item->sibling;
        if (!concerns(p, item))
            continue;
        count++;
        if (p->soft)
            atomic_store_explicit(&item->entry.stale, true, memory_order_relaxed);
        else
            mg_cache_index_drop(s, item);
    }
    return count;
}

static size_t purge_shard(struct mg_cache_shard *s, const struct purge *p)
{
    size_t count = 0;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->slots; i++)
        count += purge_family(s, s->families[i], p);
    s->purges += count;
    pthread_mutex_unlock(&s->lock);
    return count;
}

/* Unsafe requests do this, so it looks at no more than the variants of that key. */
static size_t purge_key(struct mg_cache *c, const struct purge *p)
{
    const struct mg_cache_key key = {p->what, MG_STR_NONE};
    const struct mg_cache_hash hash = mg_cache_hash(c, &key);
    struct mg_cache_shard *s = mg_cache_shard_at(c, &hash);
    pthread_mutex_lock(&s->lock);
    s->key_purges[hash.primary % MG_CACHE_FILL_BUCKETS]++;
    mg_cache_fills_outdate(s, p->what);
    size_t count = purge_family(s, mg_cache_index_family(s, hash.primary), p);
    s->purges += count;
    pthread_mutex_unlock(&s->lock);
    return count;
}

size_t mg_cache_purge_here(struct mg_cache *c, enum mg_cache_purge_by by, struct mg_str what,
                           bool soft)
{
    const struct purge p = {.by = by, .what = what, .soft = soft};
    if (by == MG_CACHE_BY_KEY)
        return purge_key(c, &p);
    atomic_fetch_add(&c->purges, 1);
    size_t count = 0;
    for (size_t i = 0; i < shard_count(c); i++)
        count += purge_shard(&c->shards[i], &p);
    return count;
}

/* The others' log first: what is found in the second tier from now on is judged by it, and what was
 * found before is outdated by the purge here. */
size_t mg_cache_purge(struct mg_cache *c, enum mg_cache_purge_by by, struct mg_str what, bool soft)
{
    if (c->purge_log)
        mg_purge_log_add(c->purge_log, &(struct mg_purge){.by = by, .what = what, .soft = soft});
    return mg_cache_purge_here(c, by, what, soft);
}

/* The second tier
 * ---------------------------------------------------------------------------------------------- */

void mg_cache_share(struct mg_cache *c)
{
    c->purge_log = mg_purge_log_new();
}

struct mg_purge_log *mg_cache_purge_log(const struct mg_cache *c)
{
    return c->purge_log;
}

struct mg_str mg_cache_tags(const struct mg_cache_entry *e)
{
    return MG_CONTAINER_OF(e, const struct mg_cache_item, entry)->tags;
}

struct mg_cache_tier_counts *mg_cache_tier_counts(struct mg_cache *c)
{
    return &c->tier;
}

uint64_t mg_cache_purge_count(struct mg_cache *c, struct mg_str primary)
{
    const struct mg_cache_key key = {primary, MG_STR_NONE};
    const struct mg_cache_hash hash = mg_cache_hash(c, &key);
    struct mg_cache_shard *s = mg_cache_shard_at(c, &hash);
    pthread_mutex_lock(&s->lock);
    uint64_t count = s->key_purges[hash.primary % MG_CACHE_FILL_BUCKETS];
    pthread_mutex_unlock(&s->lock);
    return count + atomic_load(&c->purges);
}

/* ---------------------------------------------------------------------------------------------- */

static void add_stats(struct mg_cache_shard *s, struct mg_cache_stats *out)
{
    pthread_mutex_lock(&s->lock);
    out->entries += s->entries;
    out->bytes += mg_region_used(s->region) + mg_region_bytes(s->region) / MG_REGION_GRANULE +
                  mg_cache_shard_tables(s);
    out->hits += s->hits;
    out->misses += s->misses;
    out->fills += s->started;
    out->waits += s->waits;
    out->evictions += s->evictions;
    out->purges += s->purges;
    pthread_mutex_unlock(&s->lock);
}

struct mg_cache_stats mg_cache_stats(struct mg_cache *c)
{
    struct mg_cache_stats out = {.limit_bytes = c->limit_bytes};
    for (size_t i = 0; i < shard_count(c); i++)
        add_stats(&c->shards[i], &out);
    return out;
}
