/*
 * Adaptive concurrency: how many requests may be under way at once, found from how long they take
 * and how many fail. One limit for all workers, in a shared dictionary.
 *
 * The limit falls when latency rises above `tolerance` times what it used to be, as then requests
 * are queueing somewhere, and with the share of requests that fail; it rises again, by about its
 * square root a step, when neither is so and at least half of it is in use. A step is taken at most
 * every 100 ms to 1 s (twice the usual latency, within these), from all requests that ended since
 * the last. What latency is usual is a moving average over some hundred steps, so a backend that
 * stays slow is the new normal in the end. This is the gradient limit of Netflix'
 * concurrency-limits.
 *
 * A key whose requests are all over can be evicted, and is forgotten after ten minutes: it begins
 * with `initial` again. One with requests under way is never evicted.
 *
 * Time, threads and return codes as in shared/dict.h.
 */
#ifndef MG_SHARED_ADAPTIVE_H
#define MG_SHARED_ADAPTIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/dict.h"

struct mg_adaptive_rule {
    double min, max, initial; /* 1 <= min <= initial <= max <= 1e6 */
    double tolerance;         /* 1 to 100: what latency may be, in times of the usual one */
};

/* Whether all numbers are in range. */
bool mg_adaptive_rule_ok(const struct mg_adaptive_rule *rule);

struct mg_adaptive_result {
    bool ok;     /* granted, and counted: mg_adaptive_release is due, once */
    double held; /* with this one */
    double limit;
};

enum mg_dict_rc mg_adaptive_acquire(struct mg_dict *dict, struct mg_str key,
                                    const struct mg_adaptive_rule *rule, int64_t now_ms,
                                    struct mg_adaptive_result *out);

/* A request that was granted is over. `latency_s` below 0: it says nothing about the backend (the
 * client left, a policy answered). MG_DICT_ABSENT when nothing is held. */
enum mg_dict_rc mg_adaptive_release(struct mg_dict *dict, struct mg_str key,
                                    const struct mg_adaptive_rule *rule, double latency_s,
                                    bool failed, int64_t now_ms);

#endif
