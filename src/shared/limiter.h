/*
 * Limiters in shared dictionaries: each call asks and takes in one atomic step, for all workers, of
 * one key or of several at once. What is computed is in shared/limiter_rules.h; limits that find
 * themselves are in shared/adaptive.h.
 *
 * A limiter's key holds nothing else: a plain value there, or a limiter of another sort, is
 * MG_DICT_BAD_TYPE. Numbers (rate, burst, limit, window) come with each call, so a reload that
 * changes them goes on with the counts as they stand.
 *
 * What a full dictionary does. A bucket or window that is evicted starts afresh, that is, its
 * client gets its whole limit again. Every call, refused ones too, makes the limiter the hottest,
 * so it hits those unused for longest; most of these are expired (a bucket expires when it is full
 * again, a window when it ends) and lose nothing. But a client that can make many keys can push out
 * others' limiters: key them by what a client cannot invent, size the dictionary for the clients of
 * one window, about 100 bytes and the key each (230 for a sliding window), and watch the evictions
 * in mg_dict_stats. Concurrency counters are never evicted, as releases would then be counted
 * against a new counter; they exist only while something is held.
 *
 * Time, threads and return codes as in shared/dict.h. With another code than MG_DICT_OK nothing was
 * taken and `out` is untouched.
 */
#ifndef MG_SHARED_LIMITER_H
#define MG_SHARED_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/dict.h"
#include "shared/limiter_rules.h"

#define MG_LIMITER_ASKS_MAX 16

struct mg_limiter_ask {
    const struct mg_limiter_rule *rule; /* borrowed */
    struct mg_str key;                  /* borrowed; no other ask of the call has it */
    double cost;
};

/*
 * Takes from all keys, or from none. `out` has a place for each ask; all has been granted when `ok`
 * is set in each of them. Else nothing was taken, and the results are of a look at things as they
 * are, with `ok` where that ask alone would have been granted.
 *
 * MG_DICT_BAD_ARGUMENT for numbers out of range, a key twice, or a count that is not 1 to
 * MG_LIMITER_ASKS_MAX; MG_DICT_FULL also when one shard cannot hold all keys that fall into it.
 */
enum mg_dict_rc mg_limiter_take_all(struct mg_dict *dict, const struct mg_limiter_ask *asks,
                                    size_t count, int64_t now_ms, struct mg_limiter_result *out);

/* Which of the results of such a call an answer is about: the one that refuses for longest, or has
 * the fewest units left. */
size_t mg_limiter_tightest(const struct mg_limiter_result *results, size_t count);

/* One token bucket: `burst` tokens when full, `rate` more a second; takes `cost` of them. */
enum mg_dict_rc mg_limiter_take(struct mg_dict *dict, struct mg_str key, double rate, double burst,
                                double cost, int64_t now_ms, struct mg_limiter_result *out);

/* One fixed window: at most `limit` in `seconds` from the key's first granted call on. The next
 * window begins with the first call after the end. */
enum mg_dict_rc mg_limiter_window(struct mg_dict *dict, struct mg_str key, double limit,
                                  double seconds, double cost, int64_t now_ms,
                                  struct mg_limiter_result *out);

/* Concurrency: at most `max` held at a time. Whoever was granted calls release once, also after a
 * reload. When refused, retry_after_s is 0: nobody knows. */
enum mg_dict_rc mg_limiter_acquire(struct mg_dict *dict, struct mg_str key, int64_t max,
                                   int64_t now_ms, struct mg_limiter_result *out);
/* MG_DICT_ABSENT when nothing is held. The last release removes the entry. */
enum mg_dict_rc mg_limiter_release(struct mg_dict *dict, struct mg_str key, int64_t now_ms);

#endif
