/*
 * Fills: who fetches, who waits for it, and how the entry grows. Any thread; a fill's own members
 * belong to the thread that leads it, but for those under the shard's lock.
 */
#include "shared/cache_fill.h"

#include <stdlib.h>

#include "base/memory.h"
#include "shared/cache_body.h"

struct mg_cache_fill {
    /* Set once. */
    struct mg_cache *cache;
    struct mg_cache_shard *shard;
    struct mg_cache_hash hash;
    uint64_t purges; /* of the cache, when it began */
    struct mg_cache_key key;
    /* The leader's. */
    struct mg_cache_item *item; /* a reference; NULL: not begun */
    /* Under the lock. */
    struct mg_link link; /* in its bucket, until those who wait are told */
    struct mg_link waiters;
    bool outdated;
    bool quiet; /* they are told when the body is complete */
    char bytes[];
};

static struct mg_link *bucket_of(struct mg_cache_shard *s, uint64_t hash)
{
    return &s->fills[hash % MG_CACHE_FILL_BUCKETS];
}

static struct mg_cache_fill *find(struct mg_cache_shard *s, uint64_t hash,
                                  const struct mg_cache_key *key)
{
    struct mg_link *bucket = bucket_of(s, hash);
    MG_LIST_FOREACH(it, bucket)
    {
        struct mg_cache_fill *f = MG_CONTAINER_OF(it, struct mg_cache_fill, link);
        if (f->hash.whole == hash && mg_str_eq(f->key.primary, key->primary) &&
            mg_str_eq(f->key.variant, key->variant))
            return f;
    }
    return NULL;
}

void mg_cache_fills_outdate(struct mg_cache_shard *s, struct mg_str primary)
{
    for (unsigned i = 0; i < MG_CACHE_FILL_BUCKETS; i++)
        MG_LIST_FOREACH(it, &s->fills[i])
        {
            struct mg_cache_fill *f = MG_CONTAINER_OF(it, struct mg_cache_fill, link);
            f->outdated |= mg_str_eq(f->key.primary, primary);
        }
}

/* Leading
 * ---------------------------------------------------------------------------------------------- */

static struct mg_cache_fill *new_fill(struct mg_cache *c, struct mg_cache_shard *s,
                                      const struct mg_cache_hash *hash,
                                      const struct mg_cache_key *key)
{
    size_t n = key->primary.n, more = key->variant.n;
    struct mg_cache_fill *f = mg_malloc(sizeof *f + n + more);
    *f = (struct mg_cache_fill){.cache = c, .shard = s, .hash = *hash};
    f->purges = atomic_load(&c->purges);
    memcpy(f->bytes, key->primary.p, n);
    if (more)
        memcpy(f->bytes + n, key->variant.p, more);
    f->key = (struct mg_cache_key){mg_str(f->bytes, n), mg_str(f->bytes + n, more)};
    mg_list_init(&f->waiters);
    mg_list_push_front(bucket_of(s, hash->whole), &f->link);
    s->started++;
    return f;
}

static void wait_for(struct mg_cache_shard *s, struct mg_cache_fill *f, struct mg_cache_waiter *w)
{
    s->waits++;
    if (!w)
        return;
    w->word = MG_CACHE_PENDING;
    mg_list_push_back(&f->waiters, &w->_link);
}

enum mg_cache_lead mg_cache_lead(struct mg_cache *c, const struct mg_cache_key *key,
                                 const struct mg_cache_entry *over, uint64_t now_ns,
                                 struct mg_cache_waiter *waiter, struct mg_cache_fill **fill,
                                 struct mg_cache_entry **entry)
{
    const struct mg_cache_hash hash = mg_cache_hash(c, key);
    struct mg_cache_shard *s = mg_cache_shard_at(c, &hash);
    enum mg_cache_lead result = MG_CACHE_LEAD;
    pthread_mutex_lock(&s->lock);
    struct mg_cache_item *item = mg_cache_index_find(s, hash.whole, key);
    struct mg_cache_fill *other = find(s, hash.whole, key);
    if (item && &item->entry != over && item->entry.expires_ns > now_ns) {
        result = MG_CACHE_FOUND;
        *entry = mg_cache_ref(&item->entry);
    } else if (other) {
        result = MG_CACHE_WAIT;
        wait_for(s, other, waiter);
    } else {
        *fill = new_fill(c, s, &hash, key);
    }
    pthread_mutex_unlock(&s->lock);
    return result;
}

/* Nobody finds it any more, and all who wait know why. */
static void announce(struct mg_cache_fill *f, enum mg_cache_word word)
{
    mg_list_remove(&f->link);
    while (!mg_list_empty(&f->waiters)) {
        struct mg_cache_waiter *w = MG_CONTAINER_OF(f->waiters.next, struct mg_cache_waiter, _link);
        mg_list_remove(&w->_link);
        w->word = word;
        w->wake(w->arg);
    }
}

/* Beginning
 * ---------------------------------------------------------------------------------------------- */

static bool is_outdated(const struct mg_cache_fill *f)
{
    return f->outdated || f->purges != atomic_load(&f->cache->purges);
}

static struct mg_cache_item *new_item(struct mg_cache_fill *f, const struct mg_cache_new *what,
                                      uint64_t now_ns)
{
    const struct mg_cache_key key = {f->key.primary, what->variant};
    const struct mg_cache_hash hash =
        mg_cache_hash_variant(f->cache, f->hash.primary, what->variant);
    return mg_cache_item_new(f->shard, &hash, &key, what, now_ns);
}

static struct mg_cache_item *begin(struct mg_cache_fill *f, const struct mg_cache_new *what,
                                   uint64_t now_ns)
{
    struct mg_cache_item *item = is_outdated(f) ? NULL : new_item(f, what, now_ns);
    if (!item)
        return NULL;
    item->body = mg_cache_body_new(f->shard, what->length, now_ns);
    if (!item->body) {
        mg_cache_item_unref(f->shard, item);
        return NULL;
    }
    f->quiet = what->quiet;
    if (!f->quiet) {
        mg_cache_index_put(f->shard, item);
        announce(f, MG_CACHE_BEGUN);
    }
    return item;
}

struct mg_cache_entry *mg_cache_fill_begin(struct mg_cache_fill *f, const struct mg_cache_new *what,
                                           uint64_t now_ns)
{
    if (what->length > 0 && (uint64_t)what->length > f->cache->object_bytes)
        return NULL;
    pthread_mutex_lock(&f->shard->lock);
    f->item = begin(f, what, now_ns);
    pthread_mutex_unlock(&f->shard->lock);
    return f->item ? mg_cache_ref(&f->item->entry) : NULL;
}

/* The old one is held by the caller, so its body is there. */
static struct mg_cache_item *renew(struct mg_cache_fill *f, struct mg_cache_item *old,
                                   const struct mg_cache_new *what, uint64_t now_ns)
{
    bool whole = !old->body || atomic_load(&old->body->state) == MG_CACHE_BODY_COMPLETE;
    struct mg_cache_item *item = whole && !is_outdated(f) ? new_item(f, what, now_ns) : NULL;
    if (!item)
        return NULL;
    item->body = old->body;
    if (item->body)
        item->body->refs++;
    mg_cache_index_put(f->shard, item);
    mg_cache_queue_add(f->shard, item);
    return item;
}

struct mg_cache_entry *mg_cache_fill_renew(struct mg_cache_fill *f, struct mg_cache_entry *old,
                                           const struct mg_cache_new *what, uint64_t now_ns)
{
    pthread_mutex_lock(&f->shard->lock);
    struct mg_cache_item *item = renew(f, mg_cache_item_of(old), what, now_ns);
    announce(f, item ? MG_CACHE_BEGUN : MG_CACHE_PASS);
    pthread_mutex_unlock(&f->shard->lock);
    free(f);
    return item ? &item->entry : NULL; /* the reference that it was made with */
}

/* Growing
 * ---------------------------------------------------------------------------------------------- */

static size_t still_expected(const struct mg_cache_item *item, size_t at_hand)
{
    uint64_t length = (uint64_t)item->entry.length, has = item->body->length;
    return item->entry.length > 0 && length > has + at_hand ? (size_t)(length - has) : at_hand;
}

static char *find_room(struct mg_cache_fill *f, size_t n, uint64_t now_ns, size_t *room)
{
    struct mg_cache_body *b = f->item->body;
    if (b->length + n > f->cache->object_bytes)
        return NULL;
    pthread_mutex_lock(&f->shard->lock);
    char *p = mg_cache_body_room(f->shard, b, still_expected(f->item, n), now_ns, room);
    pthread_mutex_unlock(&f->shard->lock);
    return p;
}

static void publish(struct mg_cache_fill *f, size_t n)
{
    pthread_mutex_lock(&f->shard->lock);
    mg_cache_body_grow(f->item->body, n);
    mg_cache_body_tell(f->item->body);
    pthread_mutex_unlock(&f->shard->lock);
}

size_t mg_cache_fill_add(struct mg_cache_fill *f, struct mg_str bytes, uint64_t now_ns)
{
    size_t done = 0, room;
    while (done < bytes.n) {
        size_t n = bytes.n - done;
        char *p = find_room(f, n, now_ns, &room);
        if (!p)
            break;
        if (n > room)
            n = room;
        memcpy(p, bytes.p + done, n); /* nobody looks there before it is published */
        publish(f, n);
        done += n;
    }
    return done;
}

/* Passing on
 * ---------------------------------------------------------------------------------------------- */

bool mg_cache_fill_let_go(struct mg_cache_fill *f, unsigned own)
{
    struct mg_cache_shard *s = f->shard;
    struct mg_cache_body *b = f->item->body;
    pthread_mutex_lock(&s->lock);
    bool wanted = b->readers > own;
    mg_cache_index_drop(s, f->item);
    if (wanted) {
        atomic_store_explicit(&b->state, MG_CACHE_BODY_PASSES, memory_order_release);
    } else {
        mg_cache_body_end(s, b, MG_CACHE_BODY_LEFT);
        mg_cache_item_unref(s, f->item);
        if (f->quiet)
            announce(f, MG_CACHE_PASS);
    }
    pthread_mutex_unlock(&s->lock);
    if (!wanted)
        free(f);
    return wanted;
}

/* Where the next bytes can be put; NULL: nowhere, and the waiter is told when. */
static char *find_window(struct mg_cache_fill *f, struct mg_cache_waiter *w, size_t *room,
                         bool *wanted)
{
    struct mg_cache_body *b = f->item->body;
    pthread_mutex_lock(&f->shard->lock);
    *wanted = b->readers > 0;
    char *p = mg_cache_body_window(b, room);
    b->filler = p ? NULL : w;
    pthread_mutex_unlock(&f->shard->lock);
    return p;
}

enum mg_cache_push mg_cache_fill_push(struct mg_cache_fill *f, struct mg_str bytes, size_t *taken,
                                      struct mg_cache_waiter *w)
{
    bool wanted;
    size_t room;
    char *p = find_window(f, w, &room, &wanted);
    if (!wanted)
        return MG_CACHE_PUSH_UNWANTED;
    if (!p)
        return MG_CACHE_PUSH_WAIT;
    *taken = bytes.n < room ? bytes.n : room;
    memcpy(p, bytes.p, *taken);
    publish(f, *taken);
    return MG_CACHE_PUSH_TAKEN;
}

/* All at once
 * ---------------------------------------------------------------------------------------------- */

/* In no index, so nobody reads while it grows. */
static struct mg_cache_item *prepare(struct mg_cache_fill *f, const struct mg_cache_new *what,
                                     uint64_t now_ns)
{
    pthread_mutex_lock(&f->shard->lock);
    struct mg_cache_item *item = is_outdated(f) ? NULL : new_item(f, what, now_ns);
    if (item && !(item->body = mg_cache_body_new(f->shard, what->length, now_ns))) {
        mg_cache_item_unref(f->shard, item);
        item = NULL;
    }
    pthread_mutex_unlock(&f->shard->lock);
    return item;
}

/* It may have been purged while it was copied. */
static bool finish(struct mg_cache_fill *f, struct mg_cache_item *item)
{
    mg_cache_body_end(f->shard, item->body, MG_CACHE_BODY_COMPLETE);
    if (is_outdated(f))
        return false;
    mg_cache_index_put(f->shard, item);
    mg_cache_queue_add(f->shard, item);
    announce(f, MG_CACHE_BEGUN);
    return true;
}

struct mg_cache_entry *mg_cache_fill_whole(struct mg_cache_fill *f, const struct mg_cache_new *what,
                                           struct mg_str body, uint64_t now_ns)
{
    struct mg_cache_shard *s = f->shard;
    struct mg_cache_item *item = f->item = prepare(f, what, now_ns);
    if (!item)
        return NULL;
    bool copied = mg_cache_fill_add(f, body, now_ns) == body.n;
    f->item = NULL;
    pthread_mutex_lock(&s->lock);
    bool done = copied && finish(f, item);
    if (!done)
        mg_cache_item_unref(s, item);
    pthread_mutex_unlock(&s->lock);
    if (!done)
        return NULL;
    free(f);
    return &item->entry; /* the reference that it was made with */
}

/* Ending
 * ---------------------------------------------------------------------------------------------- */

static void end_quietly(struct mg_cache_fill *f)
{
    bool good = !is_outdated(f);
    if (good)
        mg_cache_index_put(f->shard, f->item);
    announce(f, good ? MG_CACHE_BEGUN : MG_CACHE_PASS);
}

void mg_cache_fill_end(struct mg_cache_fill *f)
{
    struct mg_cache_shard *s = f->shard;
    struct mg_cache_body *b = f->item->body;
    pthread_mutex_lock(&s->lock);
    bool passes = atomic_load(&b->state) == MG_CACHE_BODY_PASSES;
    mg_cache_body_end(s, b, passes ? MG_CACHE_BODY_PASSED : MG_CACHE_BODY_COMPLETE);
    if (f->quiet)
        end_quietly(f);
    if (f->item->indexed)
        mg_cache_queue_add(s, f->item);
    mg_cache_item_unref(s, f->item);
    pthread_mutex_unlock(&s->lock);
    free(f);
}

void mg_cache_fill_fail(struct mg_cache_fill *f, enum mg_cache_word word)
{
    struct mg_cache_shard *s = f->shard;
    pthread_mutex_lock(&s->lock);
    if (f->item) {
        mg_cache_index_drop(s, f->item);
        mg_cache_body_end(s, f->item->body, MG_CACHE_BODY_BROKEN);
        mg_cache_item_unref(s, f->item);
    }
    if (!f->item || f->quiet)
        announce(f, word);
    pthread_mutex_unlock(&s->lock);
    free(f);
}

void mg_cache_mark(struct mg_cache *c, const struct mg_cache_key *key, struct mg_str head,
                   uint64_t expires_ns, uint64_t now_ns)
{
    const struct mg_cache_new what = {.head = head, .expires_ns = expires_ns};
    const struct mg_cache_hash hash = mg_cache_hash(c, key);
    struct mg_cache_shard *s = mg_cache_shard_at(c, &hash);
    pthread_mutex_lock(&s->lock);
    struct mg_cache_item *item = mg_cache_item_new(s, &hash, key, &what, now_ns);
    if (item) {
        mg_cache_index_put(s, item);
        mg_cache_queue_add(s, item);
        mg_cache_item_unref(s, item);
    }
    pthread_mutex_unlock(&s->lock);
}
