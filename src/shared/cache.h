/*
 * A store of responses for all workers: heads that it does not look into, and bodies in chunks.
 * What may be stored, for how long and for whom is decided above; here are keys, bytes, and who
 * fetches what.
 *
 * Entries. An entry's head and key never change; its body grows until it is complete. Whoever has a
 * reference reads on, also when the entry is replaced, purged or evicted meanwhile; its memory
 * counts until the last one is given back. A key is a primary part and a variant (what Vary chose;
 * empty: none), and all variants of one primary key lie in one shard.
 *
 * Memory. The budget is what there is: each shard has a region (shared/region.h) for entries and
 * bodies, and tables of fixed size. When the region is full, the queues are turned after S3-FIFO
 * (SOSP 2023, as in shared/token_cache.h): what was used once leaves soon, what is used again
 * stays. What cannot get room is not stored, and its clients do not notice.
 *
 * Fills. For each key at most one fetch is under way: who asks first leads, others wait for its
 * word. When the head has come, the leader begins the entry, and everybody reads it while it grows:
 *
 *     mg_cache_lead ─▶ LEAD ─▶ mg_cache_fill_begin ─▶ _add ... ─▶ _end
 *                  │                 │ BEGUN              ├▶ _fail: readers' bodies are broken
 *                  │                 │                    └▶ _let_go: it is too large to be kept
 *                  │                 └▶ _fail(PASS): nobody may share it; each asks for itself
 *                  └▶ WAIT: the waiter is woken at BEGUN, PASS or FAILED
 *
 * Waiters are woken from any thread, under a lock: `wake` may do no more than post to a loop.
 *
 * Any thread may call anything but new and free; shards have a lock each, and no call holds one for
 * longer than one turn of the queues. Times are loop time.
 */
#ifndef MG_SHARED_CACHE_H
#define MG_SHARED_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "base/str.h"

#define MG_CACHE_BYTES_MIN ((size_t)1 << 20)
#define MG_CACHE_KEY_MAX 8192         /* both parts together */
#define MG_CACHE_HEAD_MAX (64 * 1024) /* with the tags */

struct mg_cache;
struct mg_cache_fill;
struct mg_purge_log;

struct mg_cache_key {
    struct mg_str primary;
    struct mg_str variant; /* n 0: none */
};

/* What others see of an entry. Set once, but for `stale`. */
struct mg_cache_entry {
    struct mg_str head; /* as it was given; at a multiple of 8 bytes */
    struct mg_cache_key key;
    int64_t length;      /* of the body, when it was known from the beginning; else -1 */
    uint64_t expires_ns; /* of no use to anybody from then on */
    atomic_bool stale;   /* a soft purge: to be validated before it is used */
};

/* `object_bytes`: the largest body. The budget is raised to MG_CACHE_BYTES_MIN, and to eight times
 * the largest body, so that no object can push out a whole shard. */
struct mg_cache *mg_cache_new(size_t bytes, size_t object_bytes);
/* No entry, fill or waiter may be left. NULL is fine. */
void mg_cache_free(struct mg_cache *cache);

/* --- finding --- */

/* A reference to the entry, or NULL. */
struct mg_cache_entry *mg_cache_find(struct mg_cache *cache, const struct mg_cache_key *key,
                                     uint64_t now_ns);
struct mg_cache_entry *mg_cache_ref(struct mg_cache_entry *e);
void mg_cache_unref(struct mg_cache *cache, struct mg_cache_entry *e); /* NULL is fine */

/* --- waiting --- */

enum mg_cache_word {
    MG_CACHE_PENDING,
    MG_CACHE_BEGUN,  /* look again: there is an entry, here or at the variant that it belongs to */
    MG_CACHE_PASS,   /* the response is not for sharing */
    MG_CACHE_FAILED, /* there was none */
    MG_CACHE_MORE,   /* of a body: read again; of a window: push again */
};

/* Embedded in whoever waits. Woken once; its memory may go when it was woken or cancelled. */
struct mg_cache_waiter {
    void (*wake)(void *arg); /* see above; `word` is set by then */
    void *arg;
    enum mg_cache_word word;
    struct mg_link _link;
};

/* It will not be woken any more, unless that has happened already. A waiter in no list: no effect,
 * once it was initialised. */
void mg_cache_waiter_init(struct mg_cache_waiter *w, void (*wake)(void *arg), void *arg);
void mg_cache_waiter_cancel(struct mg_cache *cache, const struct mg_cache_key *key,
                            struct mg_cache_waiter *w);

/* --- reading bodies --- */

enum mg_cache_read {
    MG_CACHE_READ_BYTES,
    MG_CACHE_READ_WAIT, /* the waiter will be woken with MG_CACHE_MORE */
    MG_CACHE_READ_END,
    MG_CACHE_READ_BROKEN, /* there will be no more of it, and it is not whole */
};

/* A place in a body. Borrows the entry. */
struct mg_cache_reader {
    struct mg_cache *cache;
    struct mg_cache_entry *entry;
    void *_chunk;
    size_t _offset;    /* in the chunk */
    uint64_t _has_all; /* the length of the body when it last had all of it */
    uint32_t _lap;     /* of the body's window */
    bool _counted;
};

/* At the beginning. False: that has gone, for the store has let go of the body; look for the entry
 * again. Of a body that grows, each reader is waited for, once it was let go: release those that
 * read no further. */
bool mg_cache_reader_init(struct mg_cache_reader *r, struct mg_cache *cache,
                          struct mg_cache_entry *entry) MG_MUST_CHECK;
/* It reads no more. Safe to call twice, and on a zeroed one. */
void mg_cache_reader_release(struct mg_cache_reader *r);
/* The bytes at its place, valid until it goes on. */
enum mg_cache_read mg_cache_read(struct mg_cache_reader *r, struct mg_str *bytes,
                                 struct mg_cache_waiter *waiter);
/* Goes on by `n`, at most what the latest read gave. */
void mg_cache_consume(struct mg_cache_reader *r, size_t n);
/* Is the body complete? Then `*length` is all of it. */
bool mg_cache_is_complete(const struct mg_cache_entry *e, uint64_t *length);
/* Goes on by `n`, over chunks; of a complete body, and at most to its end. */
void mg_cache_skip(struct mg_cache_reader *r, uint64_t n);

/* --- filling --- */

enum mg_cache_lead {
    MG_CACHE_LEAD,  /* *fill: end it with _end, _renew or _fail */
    MG_CACHE_WAIT,  /* another one is at it; the waiter will be woken */
    MG_CACHE_FOUND, /* *entry, a reference: it came meanwhile */
};

/* Who asks for a key whose entry, if there is one, is not enough. `over` is that entry, or NULL. */
enum mg_cache_lead mg_cache_lead(struct mg_cache *cache, const struct mg_cache_key *key,
                                 const struct mg_cache_entry *over, uint64_t now_ns,
                                 struct mg_cache_waiter *waiter, struct mg_cache_fill **fill,
                                 struct mg_cache_entry **entry);

/* What an entry is made of. All is copied. */
struct mg_cache_new {
    struct mg_str variant; /* of the fill's primary key */
    struct mg_str head;
    struct mg_str tags;  /* separated by blanks */
    int64_t length;      /* of the body; -1: unknown */
    uint64_t expires_ns; /* UINT64_MAX: never */
    bool stale;          /* as after a soft purge */
    bool quiet; /* others find it, and hear of it, when its body is complete, not before: for
                   a source that may go away any time */
};

/* Makes the entry, in place of what was there, and wakes who waits. The reference is for the
 * leader's own client. NULL: there is no room for it, it is too large, or it was purged while it
 * was on its way; the leader fails the fill with MG_CACHE_PASS. */
struct mg_cache_entry *mg_cache_fill_begin(struct mg_cache_fill *fill,
                                           const struct mg_cache_new *what, uint64_t now_ns);
/* Appends to the body. How many: less than there are when there is no room, or when it is larger
 * than it may be; the leader fails the fill, or lets go of it. */
size_t mg_cache_fill_add(struct mg_cache_fill *fill, struct mg_str bytes, uint64_t now_ns);

/* It will not be stored, but nobody who reads it shall lose the rest: the entry goes, and the
 * memory that the body has becomes a window, which moves with the slowest of its readers. `own` of
 * them (0 or 1) have another way to the rest. False: there are no others, and the fill is taken;
 * the own one finds its body broken behind what is there. */
bool mg_cache_fill_let_go(struct mg_cache_fill *fill, unsigned own) MG_MUST_CHECK;

enum mg_cache_push {
    MG_CACHE_PUSH_TAKEN,    /* *taken of the bytes, at least one */
    MG_CACHE_PUSH_WAIT,     /* the waiter is woken when a reader has made room, or has gone */
    MG_CACHE_PUSH_UNWANTED, /* nobody reads any more; the leader fails the fill */
};
/* Appends to the window of a fill that was let go of. The waiter is forgotten when the fill ends.
 */
enum mg_cache_push mg_cache_fill_push(struct mg_cache_fill *fill, struct mg_str bytes,
                                      size_t *taken, struct mg_cache_waiter *waiter);
/* The body is complete. Takes the fill. */
void mg_cache_fill_end(struct mg_cache_fill *fill);
/* `old` with another head, and the body it has: a 304. The reference is for the caller. NULL as
 * with begin, and when that body is not complete. Takes the fill. */
struct mg_cache_entry *mg_cache_fill_renew(struct mg_cache_fill *fill, struct mg_cache_entry *old,
                                           const struct mg_cache_new *what, uint64_t now_ns);
/* All at once, for who has the body already: nobody reads it before it is complete. The reference
 * is for the caller, and the fill is taken. NULL as with begin; the fill is as it was then. */
struct mg_cache_entry *mg_cache_fill_whole(struct mg_cache_fill *fill,
                                           const struct mg_cache_new *what, struct mg_str body,
                                           uint64_t now_ns);
/* It came to nothing. Before begin: who waits gets `word` (MG_CACHE_PASS or MG_CACHE_FAILED).
 * After: the entry goes, and its body is broken for who reads it. Takes the fill. */
void mg_cache_fill_fail(struct mg_cache_fill *fill, enum mg_cache_word word);

/* An entry without a body, in place of what was there: what the caller wants to know at this key.
 * Keeps nothing when there is no room. */
void mg_cache_mark(struct mg_cache *cache, const struct mg_cache_key *key, struct mg_str head,
                   uint64_t expires_ns, uint64_t now_ns);

/* --- purging --- */

enum mg_cache_purge_by { MG_CACHE_BY_KEY, MG_CACHE_BY_PREFIX, MG_CACHE_BY_TAG, MG_CACHE_ALL };

/* Grows whenever something with that primary key may have been purged. Who has fetched without a
 * fill leads one, and then asks whether it is what it was before the fetch. */
uint64_t mg_cache_purge_count(struct mg_cache *cache, struct mg_str primary);

/* Drops entries, or makes them stale: with that primary key in all variants, with a primary key
 * that begins so, or with that tag. What is being fetched meanwhile, and may be older than the
 * purge, is not kept. By key it looks at the variants of that key alone; else through all shards,
 * with a lock for each. How many entries that were. */
size_t mg_cache_purge(struct mg_cache *cache, enum mg_cache_purge_by by, struct mg_str what,
                      bool soft);

/* --- a second tier, which other gateways use too --- */

/* Purges are for all who share it from now on: see shared/purge_log.h. Once, before anybody else
 * has the cache. */
void mg_cache_share(struct mg_cache *cache);
/* NULL: it is not shared. */
struct mg_purge_log *mg_cache_purge_log(const struct mg_cache *cache);
/* The same as mg_cache_purge, but nobody is told: for what others have purged. */
size_t mg_cache_purge_here(struct mg_cache *cache, enum mg_cache_purge_by by, struct mg_str what,
                           bool soft);
/* The tags that the entry was made with. */
struct mg_str mg_cache_tags(const struct mg_cache_entry *e);

/* What came of asking there. Atomic; whoever asks counts. */
struct mg_cache_tier_counts {
    atomic_uint_fast64_t hits, misses; /* searches that found what was of use, or did not */
    atomic_uint_fast64_t stores;
    atomic_uint_fast64_t waits;    /* searches that waited for another gateway's fetch */
    atomic_uint_fast64_t refused;  /* found, and damaged, purged or not what was looked for */
    atomic_uint_fast64_t failures; /* commands that were not done */
};
struct mg_cache_tier_counts *mg_cache_tier_counts(struct mg_cache *cache);

struct mg_cache_stats {
    size_t entries, bytes, limit_bytes; /* bytes: in use, tables counted */
    uint64_t hits, misses;              /* of mg_cache_find */
    uint64_t fills, waits, evictions, purges;
};
struct mg_cache_stats mg_cache_stats(struct mg_cache *cache);

#endif
