/*
 * How many requests of a service may be under way at a time, over all workers, and a queue of those
 * that wait for their turn. Exact, and first come first served, whichever workers they are on.
 *
 * Getting in and out takes no lock while nobody waits. Any thread, but for what is said of one.
 */
#ifndef MG_UPSTREAM_GATE_H
#define MG_UPSTREAM_GATE_H

#include <pthread.h>

#include "base/list.h"
#include "net/loop.h"

/* `max_requests` 0: there is no gate. */
struct mg_gate_config {
    uint32_t max_requests;
    uint32_t queue_size; /* 0: nobody waits */
    uint64_t queue_ns;   /* for so long at most; the one who waits keeps the time */
};

struct mg_gate; /* counted */

/* Where a worker is told that one of its requests may go in. Must outlive all of its waits. */
struct mg_gate_inbox {
    struct mg_loop *loop; /* set once */
    /* Under lock. */
    pthread_mutex_t lock;
    struct mg_link entered;
};

void mg_gate_inbox_init(struct mg_gate_inbox *inbox, struct mg_loop *loop);
void mg_gate_inbox_release(struct mg_gate_inbox *inbox);

/* Embedded in the one who waits. */
struct mg_gate_wait {
    void (*on_entered)(struct mg_gate_wait *w); /* it has a place, to be left with mg_gate_leave */
    /* Private; under the gate's lock. */
    struct mg_gate *_gate;
    struct mg_gate_inbox *_inbox;
    struct mg_link _link;
    enum { MG_GATE_IDLE, MG_GATE_QUEUED, MG_GATE_ENTERED } _state;
};

struct mg_gate *mg_gate_new(const struct mg_gate_config *config);
struct mg_gate *mg_gate_ref(struct mg_gate *g);
void mg_gate_unref(struct mg_gate *g); /* NULL is fine. Nobody waits any more */
const struct mg_gate_config *mg_gate_config(const struct mg_gate *g);

/* Takes a place. False: there is none, or others wait for it. */
bool mg_gate_enter(struct mg_gate *g);
/* Gives it to the one who waits longest. */
void mg_gate_leave(struct mg_gate *g);

/* Waits for a place; `w->on_entered` is set. It is called later, on the inbox's thread, which this
 * one is. False: the queue is full. */
bool mg_gate_queue(struct mg_gate *g, struct mg_gate_wait *w, struct mg_gate_inbox *inbox);
/* Waits no more; on_entered does not come. The same thread. Does nothing when it came. */
void mg_gate_give_up(struct mg_gate_wait *w);

/* Somebody was turned away. Returns how many were since this was last told, when it is time to tell
 * it again, so that a log has one line for many; else 0. */
uint32_t mg_gate_count_refusal(struct mg_gate *g, uint64_t now_ns);

#endif
