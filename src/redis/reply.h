/*
 * What a Redis says (RESP2), as a tree in memory. hiredis' reader does the parsing; the limits are
 * ours. Bytes in, replies out: no socket, no clock. One thread.
 *
 * RESP2, for Debian 12's reader knows no RESP3, and nothing of ours needs it: a server answers in
 * RESP2 until it is asked otherwise, whatever its version.
 */
#ifndef MG_REDIS_REPLY_H
#define MG_REDIS_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

enum mg_redis_type {
    MG_REDIS_NIL,
    MG_REDIS_STRING,
    MG_REDIS_STATUS, /* "OK" */
    MG_REDIS_ERROR,  /* "WRONGTYPE Operation against a key ..." */
    MG_REDIS_INTEGER,
    MG_REDIS_ARRAY,
};

struct mg_redis_reply {
    enum mg_redis_type type;
    struct mg_str str; /* STRING, STATUS, ERROR */
    int64_t integer;
    struct mg_redis_reply *items; /* ARRAY */
    size_t count;
};

/* What one reply may take; larger ones are bad. Depth is limited to 7 by hiredis. */
struct mg_redis_limits {
    size_t reply_bytes; /* on the wire */
    size_t items;       /* of all its arrays together */
};

struct mg_redis_reader {
    struct mg_arena arena; /* of the reply that mg_redis_reader_next gave last */
    struct mg_redis_limits limits;
    const char *error; /* why it is bad; lives as long as the reader */
    struct redisReader *_hiredis;
    size_t _items;
    size_t _fed; /* bytes since the last whole reply */
    struct mg_redis_reply *_reply;
};

/* Borrows the pool, which the arena takes its chunks from, for the reader's life. */
void mg_redis_reader_init(struct mg_redis_reader *r, struct mg_pool *chunks,
                          const struct mg_redis_limits *limits);
void mg_redis_reader_release(struct mg_redis_reader *r);

/* Copies the bytes. Then mg_redis_reader_next until it gives no more. */
void mg_redis_reader_feed(struct mg_redis_reader *r, const char *bytes, size_t n);
/* 1: `*reply` is the next, in the arena until the next call; 0: more bytes are needed; -1: what
 * came is no reply, or beyond the limits, and nothing that follows can be understood. */
int mg_redis_reader_next(struct mg_redis_reader *r, struct mg_redis_reply **reply);

/* A copy of all of it in another arena. */
struct mg_redis_reply *mg_redis_reply_copy(struct mg_arena *arena,
                                           const struct mg_redis_reply *reply);

/* Is it an error that begins with this word, such as "NOSCRIPT"? */
bool mg_redis_reply_is_error(const struct mg_redis_reply *reply, struct mg_str word);

#endif
