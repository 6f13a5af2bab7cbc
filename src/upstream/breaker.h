/*
 * A circuit breaker: requests to a service that fails anyway are refused at once, so that it can
 * recover and clients need not wait. One for all workers, without a lock. Pure; the time is an
 * argument. Any thread.
 *
 *     closed --failures in a row, or too large a share--> open --open_ns--> half-open
 *     half-open: one request is let through, as a trial. It closes the circuit, or opens it again.
 */
#ifndef MG_UPSTREAM_BREAKER_H
#define MG_UPSTREAM_BREAKER_H

#include "upstream/window.h"

/* Times in nanoseconds. All zero but open_ns would never open. */
struct mg_breaker_config {
    uint32_t failures; /* in a row; 0: not looked at */
    uint64_t open_ns;
    uint32_t ratio;        /* percent of the answers in the window; 0: not looked at */
    uint32_t min_requests; /* so many must be in the window before the ratio counts */
    uint64_t window_ns;
    uint64_t slow_ns; /* an answer that took longer is a failure; 0: never */
};

enum mg_breaker_outcome {
    MG_BREAKER_SUCCESS, /* ends a row of failures */
    MG_BREAKER_NEUTRAL, /* says nothing of the service's health, but that it answers */
    MG_BREAKER_FAILURE,
    MG_BREAKER_UNKNOWN, /* nobody waited for the answer */
};

enum mg_breaker_change { MG_BREAKER_SAME, MG_BREAKER_OPENED, MG_BREAKER_CLOSED };

struct mg_breaker; /* counted */

struct mg_breaker *mg_breaker_new(const struct mg_breaker_config *config);
struct mg_breaker *mg_breaker_ref(struct mg_breaker *b);
void mg_breaker_unref(struct mg_breaker *b); /* NULL is fine */
const struct mg_breaker_config *mg_breaker_config(const struct mg_breaker *b);

/* Would a request be refused now? */
bool mg_breaker_refuses(const struct mg_breaker *b, uint64_t now_ns);
/* Lets a request through, or not. True: `*ticket` is to be reported exactly once. */
bool mg_breaker_admit(struct mg_breaker *b, uint64_t now_ns, uint64_t *ticket);
/* What became of it. Reports of requests that began before the circuit last opened or closed count
 * no more: they tell of the past. */
enum mg_breaker_change mg_breaker_report(struct mg_breaker *b, uint64_t ticket,
                                         enum mg_breaker_outcome outcome, uint64_t now_ns);
/* Is that the ticket of the trial? */
bool mg_breaker_is_trial(uint64_t ticket);
/* When it is worth coming back: nanoseconds from now; 0: at once, or when the trial has ended. */
uint64_t mg_breaker_retry_after(const struct mg_breaker *b, uint64_t now_ns);

/* An answer with that status after so long a time. */
enum mg_breaker_outcome mg_breaker_judge(const struct mg_breaker_config *c, unsigned status,
                                         uint64_t took_ns);

#endif
