/*
 * Shared dictionary: values under keys, for all workers.
 *
 * Keys are spread over 16 to 64 shards, each with its lock, its equal part of the byte budget and
 * its order of use. The budget counts entries with their keys and values, malloc's overhead, and
 * the tables. When a shard is full, expired entries go first where a short look finds them, then
 * the least recently used ones. Expired entries are never seen; until somebody meets them they
 * still take room.
 *
 * Limiters (shared/limiter.h) live in the same dictionaries under keys of their own.
 *
 * Time is what the caller says: `now_ms` is monotonic, and clocks that differ by a little between
 * threads do no harm. Any thread may call anything; each call is one atomic step and calls nothing
 * back. Only new and free want the dictionary to themselves.
 */
#ifndef MG_SHARED_DICT_H
#define MG_SHARED_DICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#define MG_DICT_KEY_MAX 4096
/* Below this a shard could not hold the longest key. */
#define MG_DICT_BYTES_MIN ((size_t)128 * 1024)

enum mg_dict_rc {
    MG_DICT_OK,
    MG_DICT_ABSENT,
    MG_DICT_EXISTS,   /* add: the key is taken */
    MG_DICT_DIFFERS,  /* cas: the value is not the old one */
    MG_DICT_BAD_TYPE, /* a limiter where a value was asked for, the reverse, or incr on no number */
    MG_DICT_BAD_KEY,  /* longer than MG_DICT_KEY_MAX */
    MG_DICT_BAD_ARGUMENT, /* a negative time or limit, no value, not a finite number */
    MG_DICT_OVERFLOW,     /* incr: the result is no int64, or not finite; nothing changed */
    MG_DICT_TOO_LARGE,    /* more than a whole shard holds, or than `text` may; nothing changed */
    MG_DICT_FULL,         /* concurrency counters in use leave no room; nothing changed */
    MG_DICT_NO_MEMORY,    /* nothing changed */
};

/* Lower case, fit for an error message. */
const char *mg_dict_rc_text(enum mg_dict_rc rc);

enum mg_dict_kind {
    MG_DICT_NONE, /* no value */
    MG_DICT_STRING,
    MG_DICT_INTEGER,
    MG_DICT_NUMBER,
    MG_DICT_BOOLEAN,
};

struct mg_dict_value {
    enum mg_dict_kind kind;
    union {
        struct mg_str string; /* as argument: borrowed for the call */
        int64_t integer;
        double number;
        bool boolean;
    };
};

struct mg_dict;

/* NULL with an error when `bytes` is below MG_DICT_BYTES_MIN. */
struct mg_dict *mg_dict_new(size_t bytes, struct mg_error *err) MG_MUST_CHECK;
void mg_dict_free(struct mg_dict *dict); /* NULL is fine */

/* A string is appended to `text`, and `out->string` is there until `text` changes. (Into a buffer
 * and not through a callback, for what makes Lua strings may raise, and would leave the lock
 * behind.) */
enum mg_dict_rc mg_dict_get(struct mg_dict *dict, struct mg_str key, int64_t now_ms,
                            struct mg_dict_value *out, struct mg_buf *text);

/* `ttl_ms` 0 is for ever; set and replace start the time anew. */
enum mg_dict_rc mg_dict_set(struct mg_dict *dict, struct mg_str key, struct mg_dict_value value,
                            int64_t ttl_ms, int64_t now_ms);
enum mg_dict_rc mg_dict_add(struct mg_dict *dict, struct mg_str key, struct mg_dict_value value,
                            int64_t ttl_ms, int64_t now_ms);
enum mg_dict_rc mg_dict_replace(struct mg_dict *dict, struct mg_str key, struct mg_dict_value value,
                                int64_t ttl_ms, int64_t now_ms);

/* Also of a limiter, which is reset thereby. */
enum mg_dict_rc mg_dict_delete(struct mg_dict *dict, struct mg_str key, int64_t now_ms);

/* What is left, at least 1; -1 when it does not expire. Also of a limiter. */
enum mg_dict_rc mg_dict_ttl(struct mg_dict *dict, struct mg_str key, int64_t now_ms,
                            int64_t *ttl_ms);
/* Sets what is left; 0 is for ever. */
enum mg_dict_rc mg_dict_expire(struct mg_dict *dict, struct mg_str key, int64_t ttl_ms,
                               int64_t now_ms);

/* Adds `by` (integer or number) to the value and gives the sum: an integer when both are, else a
 * number. An absent key counts as `init` and gets `ttl_ms`; with an `init` of no value it is
 * MG_DICT_ABSENT. A key that is there keeps its time. */
enum mg_dict_rc mg_dict_incr(struct mg_dict *dict, struct mg_str key, struct mg_dict_value by,
                             struct mg_dict_value init, int64_t ttl_ms, int64_t now_ms,
                             struct mg_dict_value *sum);

/* Puts `new_value` in the place of `old`; the remaining time is kept. An `old` of no value means
 * that the key must be absent, a `new_value` of no value deletes. Integer 1 and number 1.0 are
 * equal. */
enum mg_dict_rc mg_dict_cas(struct mg_dict *dict, struct mg_str key, struct mg_dict_value old,
                            struct mg_dict_value new_value, int64_t now_ms);

struct mg_dict_stats {
    size_t entries;     /* with expired ones that nobody has met yet */
    size_t bytes;       /* in use, never above limit_bytes */
    size_t limit_bytes; /* the budget, in whole shards */
    uint64_t evictions; /* live entries that had to go; limiters among them were reset early */
};

/* Shard by shard, so not one moment for all. */
void mg_dict_stats(struct mg_dict *dict, struct mg_dict_stats *out);

#endif
