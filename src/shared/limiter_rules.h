/*
 * What limiters compute: one decision of one algorithm, from a rule, the state of a key, a cost and
 * a time. Pure: no clock, no lock, no dictionary; any thread.
 *
 * How good each algorithm is (`limit` in `seconds`):
 *
 *     fixed window     never more than `limit` from the first granted call on; around the end of a
 *                      window up to twice that in one stretch of `seconds`
 *     sliding window   never more than `limit` in any stretch of `seconds`. Counts lie in cells of
 *                      1/15 of the time, and a cell leaves as a whole: what was taken is given back
 *                      up to 1/15 of `seconds` later than it could be (and, for cells are whole
 *                      milliseconds, 15 ms)
 *     token bucket     at most `burst` + `limit` * t / `seconds` in any stretch of t
 *     leaky bucket     the same with what leaves: `burst` at once, all else evenly, one unit each
 *                      `seconds` / `limit`; at most `queue` units wait for that, what is beyond
 *                      is refused
 */
#ifndef MG_SHARED_LIMITER_RULES_H
#define MG_SHARED_LIMITER_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum mg_limiter_algorithm {
    MG_LIMITER_FIXED_WINDOW,
    MG_LIMITER_SLIDING_WINDOW,
    MG_LIMITER_TOKEN_BUCKET,
    MG_LIMITER_LEAKY_BUCKET,
};

/* By its name, "fixed-window" and so on; false: there is none of that name. */
bool mg_limiter_algorithm_find(struct mg_str name, enum mg_limiter_algorithm *out);

/* Units are at most 2^53 and times at most 1e9 seconds. */
struct mg_limiter_rule {
    enum mg_limiter_algorithm algorithm;
    double limit;   /* units in `seconds`; of buckets above 0 */
    double seconds; /* above 0 */
    double burst;   /* buckets: units at once; in at most 1e9 seconds they are there again */
    double queue;   /* leaky bucket: units that may wait */
};

struct mg_limiter_result {
    bool ok;          /* granted, and counted; when not, nothing was counted */
    double remaining; /* whole units that are left, rounded down */
    double reset_s;   /* until the limiter is as new */
    double
        retry_after_s; /* 0 when granted; else when the same cost would be, if nobody else takes */
    double delay_s;    /* leaky bucket, granted: the request may go on after that */
};

#define MG_LIMITER_CELLS 16

union mg_limiter_state {
    struct {
        double count;
        int64_t start_ms;
    } fixed;
    struct {
        double level; /* at at_ms: tokens that are there, or units that have not leaked out */
        int64_t at_ms;
    } bucket;
    struct {
        int64_t cell_ms;                 /* how long a cell is */
        int64_t newest;                  /* the newest cell's number: its time in cells */
        double counts[MG_LIMITER_CELLS]; /* by number modulo the count */
    } sliding;
};

/* What of the union the algorithm uses. */
size_t mg_limiter_state_bytes(enum mg_limiter_algorithm algorithm);

/* Whether all numbers are in range. */
bool mg_limiter_rule_ok(const struct mg_limiter_rule *rule);
bool mg_limiter_units_ok(double units);

struct mg_limiter_decision {
    struct mg_limiter_result result;
    union mg_limiter_state next; /* granted: what the state becomes */
    int64_t expires_ms;          /* from when on it is as new */
};

/* `state` NULL: the key is new. A cost of 0 looks and takes nothing. A cost that can never be
 * granted is refused with the time of a whole limiter to retry. Time that seems to run back
 * (threads read the clock at different moments) stands still. */
void mg_limiter_decide(const struct mg_limiter_rule *rule, const union mg_limiter_state *state,
                       double cost, int64_t now_ms, struct mg_limiter_decision *out);

#endif
