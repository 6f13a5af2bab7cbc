/*
 * A sliding window over events, some of which are marked: failures among answers, retries among
 * requests. Shared by all workers without a lock: each tenth of the window is one atomic word.
 * Pure; the time is an argument. Any thread.
 */
#ifndef MG_UPSTREAM_WINDOW_H
#define MG_UPSTREAM_WINDOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MG_WINDOW_SLOTS 10
/* A slot stops counting there, so a sum stays far below 2^32. */
#define MG_WINDOW_SLOT_MAX ((UINT32_C(1) << 20) - 1)

struct mg_window {
    uint64_t slot_ns; /* set once */
    atomic_uint_fast64_t slots[MG_WINDOW_SLOTS];
};

struct mg_window_sum {
    uint32_t total, marked;
};

void mg_window_init(struct mg_window *w, uint64_t window_ns);
/* Forgets all events. */
void mg_window_reset(struct mg_window *w);
/* An event; a marked one is among the total as well. */
void mg_window_add(struct mg_window *w, bool marked, uint64_t now_ns);
/* Marks an event that was counted before, or none, when no more than `percent` of the total plus
 * `floor` are marked then. False: they would be more. Exact, whoever asks at the same time. */
bool mg_window_mark(struct mg_window *w, uint32_t percent, uint32_t floor, uint64_t now_ns);
struct mg_window_sum mg_window_sum(const struct mg_window *w, uint64_t now_ns);

#endif
