/*
 * What is known of a backend's health: judged once for all workers. Active checks and outlier
 * ejection write it, every pick reads it. Any thread.
 */
#ifndef MG_UPSTREAM_HEALTH_H
#define MG_UPSTREAM_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Embedded in a backend; all zero: healthy, and always was. Times are loop time, which is one clock
 * for all threads. */
struct mg_health {
    /* Atomic. */
    atomic_bool down;                        /* active checks say so */
    atomic_uint_fast64_t ejected_until_ns;   /* its own errors put it aside; 0: nothing did */
    atomic_uint_fast64_t recovered_since_ns; /* usable again, or new, from then on; 0: always was */
    atomic_uint errors;                      /* in a row; see upstream/outlier.h */
    atomic_uint ejections;                   /* in succession */
};

/* May it get requests? */
static inline bool mg_health_is_usable(const struct mg_health *h, uint64_t now_ns)
{
    return !atomic_load_explicit(&h->down, memory_order_relaxed) &&
           atomic_load_explicit(&h->ejected_until_ns, memory_order_relaxed) <= now_ns;
}

#endif
