/*
 * The event loop of one thread: time, timers, work for later, and messages from other threads.
 *
 * There are two kinds. A real loop waits in libevent. A simulated one has no descriptors: its clock
 * is moved by whoever runs it, and jumps to the next timer when nothing is runnable, so that a test
 * of a ten-minute wait takes no time and runs the same way each time.
 *
 * All calls are for the loop's own thread, but for mg_loop_post.
 */
#ifndef MG_NET_LOOP_H
#define MG_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"

struct mg_loop;

#define MG_SECOND UINT64_C(1000000000) /* loop time is in nanoseconds */
#define MG_MILLISECOND UINT64_C(1000000)

/* A real loop. NULL with `err` set when the system refuses. */
struct mg_loop *mg_loop_new(struct mg_error *err);
/* A simulated loop. Its clock starts at 0 on 2026-01-01T00:00:00Z; `seed` orders what is ready
 * together. */
struct mg_loop *mg_loop_new_simulated(uint64_t seed);
void mg_loop_free(struct mg_loop *loop);
bool mg_loop_is_simulated(const struct mg_loop *loop);

/* Monotonic nanoseconds, as of the start of the current turn. Never 0. */
uint64_t mg_loop_now(const struct mg_loop *loop);
/* The same clock as it stands now, for what takes less than a turn. 20 ns. */
uint64_t mg_loop_clock(const struct mg_loop *loop);
/* Seconds since 1970, as of the current turn. */
double mg_loop_wall(const struct mg_loop *loop);

/* Runs until mg_loop_stop. */
void mg_loop_run(struct mg_loop *loop);
void mg_loop_stop(struct mg_loop *loop);

/* Simulation: runs everything that is ready at the present time; then, when `until_ns` is later,
 * moves the clock from timer to timer up to it, running what becomes ready. Returns when `*stop`
 * (may be NULL) is true, or nothing is left to do before `until_ns`; the clock then stands at
 * `until_ns` unless that is UINT64_MAX. */
void mg_loop_simulate(struct mg_loop *loop, uint64_t until_ns, const bool *stop);

/* Simulation: when the next timer is due; 0: none is set. */
uint64_t mg_loop_next_timer(struct mg_loop *loop);
/* Simulation: how often it went round to look for what is ready, since its start. */
uint64_t mg_loop_turns(const struct mg_loop *loop);

/* --- timers --- */

typedef void (*mg_timer_fn)(void *arg);

/* Embedded in what it times out. Moving a deadline further away costs one store: the timer fires
 * early inside, and is put back. So one timer a connection, set anew for each request, is nearly
 * free. */
struct mg_timer {
    struct mg_loop *_loop;
    mg_timer_fn _fn;
    void *_arg;
    uint64_t _deadline; /* 0: not set */
    uint64_t _key;      /* place in the heap; never later than _deadline while that is set */
    uint64_t _seq;
    uint32_t _index; /* in the heap, from 1; 0: not in it */
};

void mg_timer_init(struct mg_timer *t, struct mg_loop *loop, mg_timer_fn fn, void *arg);
/* Fires once, at or after `deadline_ns` of mg_loop_now. Replaces an earlier setting. */
void mg_timer_set(struct mg_timer *t, uint64_t deadline_ns);
void mg_timer_stop(struct mg_timer *t);
/* Takes it off the loop; to be called before its memory goes. */
void mg_timer_release(struct mg_timer *t);
static inline bool mg_timer_is_set(const struct mg_timer *t)
{
    return t->_deadline != 0;
}

/* --- later in this turn --- */

/* Work that must not run inside the caller: runs after the present callback has returned, before
 * the loop waits again. Embedded in its owner. */
struct mg_soon {
    struct mg_link _link;
    void (*_fn)(void *arg);
    void *_arg;
};

void mg_soon_init(struct mg_soon *s, void (*fn)(void *arg), void *arg);
void mg_soon_run(struct mg_loop *loop, struct mg_soon *s); /* again while waiting: no effect */
void mg_soon_cancel(struct mg_soon *s);
bool mg_soon_is_waiting(const struct mg_soon *s);

/* Frees `memory` with `release` (free() when NULL) at the end of this turn, when no callback that
 * might still look at it is on the stack. */
void mg_loop_free_later(struct mg_loop *loop, void *memory, void (*release)(void *memory));

/* Does at once what waits for the end of the turn. For taking things down, with nothing on the
 * stack. */
void mg_loop_settle(struct mg_loop *loop);

/* --- from other threads --- */

/* Runs fn(arg) on the loop's thread. Any thread. In the order of the calls. Messages left when the
 * loop is freed are dropped. */
void mg_loop_post(struct mg_loop *loop, void (*fn)(void *arg), void *arg);

#endif
