/*
 * Places in dictionaries (mg_limiter_acquire), and who waits for them: those of one worker.
 *
 * Who waits gets the next place of its key, first come first served. One that is given back in this
 * worker is passed on at once; those of other workers are looked for every MG_CONCURRENCY_LOOK_NS.
 * One thread; what the workers share is the dictionary.
 */
#ifndef MG_GATEWAY_CONCURRENCY_QUEUE_H
#define MG_GATEWAY_CONCURRENCY_QUEUE_H

#include "base/hash.h"
#include "base/list.h"
#include "net/loop.h"
#include "shared/dict.h"

#define MG_CONCURRENCY_LOOK_NS (20 * MG_MILLISECOND)

struct mg_concurrency_line;

/* A worker's; embedded. */
struct mg_concurrency_queue {
    struct mg_loop *_loop;
    uint8_t _hash_key[MG_HASH_KEY_BYTES];
    struct mg_concurrency_line **_chains; /* NULL: nobody has waited yet */
    size_t _chain_count;                  /* a power of two */
    size_t _line_count;
    struct mg_link _called; /* waits that have their place, and are told soon */
    struct mg_soon _tell;
};

/* What is asked for: one of `max` places under a key. */
struct mg_concurrency_ask {
    struct mg_dict *dict;
    struct mg_str key; /* borrowed for the call, and by a wait until it ends */
    int64_t max;
};

/* Embedded in the one who waits. */
struct mg_concurrency_wait {
    struct mg_concurrency_ask ask;
    uint64_t until_ns;
    /* Never before mg_concurrency_queue_wait has returned. `rc` OK: it has a place. ABSENT: its
     * time is over. Else the dictionary could not say. */
    void (*on_done)(struct mg_concurrency_wait *w, enum mg_dict_rc rc);
    /* Private. */
    struct mg_concurrency_queue *_queue;
    struct mg_concurrency_line *_line; /* NULL: called */
    struct mg_link _link;
    struct mg_timer _timer;
};

void mg_concurrency_queue_init(struct mg_concurrency_queue *q, struct mg_loop *loop);
/* Nobody waits any more. */
void mg_concurrency_queue_release(struct mg_concurrency_queue *q);

/* Takes a place that nobody in this worker waits for. MG_DICT_ABSENT: there is none. */
enum mg_dict_rc mg_concurrency_take(struct mg_concurrency_queue *q,
                                    const struct mg_concurrency_ask *ask);
void mg_concurrency_give_back(struct mg_concurrency_queue *q, struct mg_dict *dict,
                              struct mg_str key);

/* Waits behind those who do already; all of `w` that is not private is set. */
void mg_concurrency_queue_wait(struct mg_concurrency_queue *q, struct mg_concurrency_wait *w);
/* Waits no more: on_done does not come. Gives back a place that it was not told of. */
void mg_concurrency_queue_leave(struct mg_concurrency_wait *w);

#endif
