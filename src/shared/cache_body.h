/*
 * Inside of the cache: a body, as a chain of pieces of the region. It grows at one end, under the
 * shard's lock but for the copying; it is read from the other.
 *
 * One that will not be kept is let go: it takes no more memory, and the chunk that all readers have
 * behind them comes next at the end. So its chunks are a window on what passes through.
 */
#ifndef MG_SHARED_CACHE_BODY_H
#define MG_SHARED_CACHE_BODY_H

#include "shared/cache_shard.h"

struct mg_cache_chunk {
    /* Under the lock; set once from when the body is complete. */
    struct mg_cache_chunk *next;
    uint32_t used;
    uint32_t readers; /* whose place is here; only while it grows or passes */
    /* Set once (the last one's is cut at the end). */
    uint32_t room;
    char bytes[];
};

enum mg_cache_body_state {
    MG_CACHE_BODY_GROWS,
    MG_CACHE_BODY_COMPLETE,
    MG_CACHE_BODY_BROKEN,
    MG_CACHE_BODY_PASSES, /* let go: a window is kept */
    MG_CACHE_BODY_PASSED, /* the window has its end */
    MG_CACHE_BODY_LEFT,   /* let go, and nobody was there to see it pass */
};

/* In front of its first chunk, in one piece. */
struct mg_cache_body {
    /* Atomic; written under the lock. */
    _Atomic enum mg_cache_body_state state;
    /* Under the lock; set once from when it is complete. */
    uint64_t length;
    size_t cost; /* of its pieces */
    struct mg_cache_chunk *last;
    uint32_t refs; /* entries; always under the lock */
    struct mg_link waiters;
    /* While it grows or passes. */
    struct mg_cache_chunk *front;   /* the oldest */
    uint32_t readers;               /* all of them */
    uint32_t up_to_date;            /* of these: have all that there is */
    uint32_t lap;                   /* how often the only chunk began anew */
    bool moved;                     /* the beginning is not there any more */
    struct mg_cache_waiter *filler; /* waits for room in the window; NULL: it does not */
    struct mg_cache_chunk first;
};

/* With one reference, and room for a beginning of what will be `length` bytes (-1: unknown). NULL:
 * no room. */
struct mg_cache_body *mg_cache_body_new(struct mg_cache_shard *s, int64_t length, uint64_t now_ns);
void mg_cache_body_unref(struct mg_cache_body *b, struct mg_region *region);
/* What its pieces take. */
size_t mg_cache_body_cost(const struct mg_cache_body *b);

/* Room at the end: at least one byte, NULL: none. `expected` is what is still to come, as far as
 * that is known. Only who fills it may write there, without the lock, and then grow it. */
char *mg_cache_body_room(struct mg_cache_shard *s, struct mg_cache_body *b, size_t expected,
                         uint64_t now_ns, size_t *room);
void mg_cache_body_grow(struct mg_cache_body *b, size_t n);
/* No more will come. Gives back what is left of the last piece, and wakes readers. */
void mg_cache_body_end(struct mg_cache_shard *s, struct mg_cache_body *b,
                       enum mg_cache_body_state state);
/* Wakes readers. */
void mg_cache_body_tell(struct mg_cache_body *b);

/* Readers of a body that grows or passes. `join` is at its beginning; false: that has gone. `read`
 * gives the bytes at its place; false: there are none (yet). */
bool mg_cache_body_join(struct mg_cache_body *b, struct mg_cache_reader *r);
bool mg_cache_body_read(struct mg_cache_body *b, struct mg_cache_reader *r, struct mg_str *bytes);
void mg_cache_body_leave(struct mg_cache_body *b, struct mg_cache_reader *r);

/* Room in the window: at least one byte, NULL: none before a reader goes on. */
char *mg_cache_body_window(struct mg_cache_body *b, size_t *room);

#endif
