/*
 * Verified tokens, for all workers: who finds a token here need not verify it again.
 *
 * An entry is a token as it was sent, byte for byte, under a *realm*: a number of the caller's that
 * stands for the keys and the rules that the token passed. Under another realm it is not found:
 * keys that are replaced have another one, and what was verified by those before ends unasked. Its
 * value is the decoded payload and the second when it ends. Only what was verified may be put here.
 *
 * The budget counts all there is: the tables, and entries with their bytes and malloc's overhead.
 * Room is kept for tokens that come back (after S3-FIFO, SOSP 2023): a new entry waits in a
 * small queue, a tenth of its shard, and leaves at its end unless it was found meanwhile; then it
 * moves to the main queue, a clock where each hit (three count) buys a round. A thousand tokens
 * that are used once pass through the small queue and push out none of the main one. What has left
 * the small queue is remembered by its hash for a while, and goes into the main queue at once when
 * it comes again.
 *
 * Any thread may call anything but new and free; shards have a lock each. Nothing is called back.
 */
#ifndef MG_SHARED_TOKEN_CACHE_H
#define MG_SHARED_TOKEN_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

#define MG_TOKEN_CACHE_BYTES_DEFAULT ((size_t)8 << 20)
#define MG_TOKEN_CACHE_BYTES_MIN ((size_t)64 << 10)

struct mg_token_cache;

/* `bytes` is raised to MG_TOKEN_CACHE_BYTES_MIN. */
struct mg_token_cache *mg_token_cache_new(size_t bytes);
void mg_token_cache_free(struct mg_token_cache *cache); /* NULL is fine */

struct mg_token_hit {
    struct mg_str payload; /* in the arena, with a NUL after it */
    int64_t exp_s;
};

/* True and a copy of the payload, which for its size is cheaper than a count that all workers
 * write to. An entry whose `exp_s` is not after `now_s` is a miss, and gone. */
MG_MUST_CHECK bool mg_token_cache_find(struct mg_token_cache *cache, uint64_t realm,
                                       struct mg_str token, int64_t now_s, struct mg_arena *arena,
                                       struct mg_token_hit *hit);

/* Keeps copies of both until `exp_s` (whoever grants a leeway has added it; INT64_MAX: no end), in
 * place of what was there. Keeps nothing when it has expired, when it is larger than a small queue,
 * or when memory is out. */
void mg_token_cache_put(struct mg_token_cache *cache, uint64_t realm, struct mg_str token,
                        struct mg_str payload, int64_t exp_s, int64_t now_s);

struct mg_token_cache_stats {
    size_t entries;     /* with expired ones that nobody has met yet */
    size_t bytes;       /* in use, never more than limit_bytes */
    size_t limit_bytes; /* as asked for */
    uint64_t hits, misses;
    uint64_t evictions; /* since the beginning; expired ones count only when room was needed */
};

struct mg_token_cache_stats mg_token_cache_stats(struct mg_token_cache *cache);

#endif
