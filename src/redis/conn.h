/*
 * One connection to a Redis. Commands go out in the order in which they were given, those of one
 * turn of the loop in one write; replies come back in that order. One thread.
 *
 * A command that is late fails its caller; its reply is dropped when it comes. A connection that
 * says nothing for one time-out more is closed.
 */
#ifndef MG_REDIS_CONN_H
#define MG_REDIS_CONN_H

#include "base/buf.h"
#include "net/stream.h"
#include "redis/call.h"

/* Strings are borrowed for the life of the connections. */
struct mg_redis_settings {
    struct mg_str username; /* empty: the default user */
    struct mg_str password; /* empty: none is sent */
    uint32_t database;
    uint64_t timeout_ns;         /* of a command, in line and under way */
    uint64_t connect_timeout_ns; /* of a connection, until it may be used */
    uint32_t pool;               /* most connections to one address */
    bool master;                 /* nothing but a master will do */
    bool cluster;                /* servers that share the keys, of which some are named */
    struct mg_redis_limits limits;
};

/* None comes before mg_redis_conn_new or mg_redis_conn_send returns. */
struct mg_redis_conn_events {
    /* The server has let us in. */
    void (*on_ready)(void *owner, struct mg_redis_conn *c);
    /* It answered one more command in time. */
    void (*on_answer)(void *owner, struct mg_redis_conn *c);
    /* One more command was not answered in time. May close the connection. */
    void (*on_late)(void *owner, struct mg_redis_conn *c);
    /* It is closed, for this reason (borrowed); what was sent on it fails next. */
    void (*on_closed)(void *owner, struct mg_redis_conn *c, const char *reason);
};

#define MG_REDIS_GREETING 5 /* AUTH, CLIENT SETNAME, SELECT, ROLE, PING */

/* A sent command. */
struct mg_redis_sent {
    struct mg_redis_call *call; /* NULL: nobody wants the reply any more */
    uint64_t deadline_ns;
};

struct mg_redis_conn {
    struct mg_link link; /* the owner's */
    uint32_t pending;    /* commands without a reply */
    bool late;           /* the oldest of them is late: others should go elsewhere */

    struct mg_loop *_loop;
    struct mg_stream *_stream;
    const struct mg_redis_settings *_settings;
    const struct mg_redis_conn_events *_events;
    void *_owner;
    struct mg_redis_reader _reader;
    struct mg_buf _out;
    size_t _written; /* of _out */
    struct mg_soon _flush;
    struct mg_redis_sent *_ring; /* the pending ones, oldest at _first */
    uint32_t _room;              /* of it; a power of 2 */
    uint64_t _first;             /* number of the oldest */
    uint32_t _expired;           /* how many, from the oldest on, are late */
    uint64_t _heard_ns;          /* when the last bytes came */
    struct mg_timer _timer;
    struct mg_redis_call _greeting[MG_REDIS_GREETING];
    uint32_t _greeting_count;
    bool _closed;
    char _refusal[128]; /* what the server said against us */
};

/* Takes the stream and greets the server: who we are, which database; on_ready or on_closed
 * follows. Borrows the settings and the pool for its life. */
struct mg_redis_conn *mg_redis_conn_new(struct mg_loop *loop, struct mg_stream *stream,
                                        struct mg_pool *chunks,
                                        const struct mg_redis_settings *settings,
                                        const struct mg_redis_conn_events *events, void *owner);

/* Puts commands in line, all or (MG_REDIS_BUSY: too much is in line) none. */
enum mg_redis_error mg_redis_conn_send(struct mg_redis_conn *c, struct mg_redis_call *calls,
                                       uint32_t count);

/* Closes it, calls on_closed, and fails what was sent with `error`. Frees it at the end of the
 * turn. */
void mg_redis_conn_close(struct mg_redis_conn *c, enum mg_redis_error error, const char *reason);

/* Nobody waits for the reply to that command any more. */
void mg_redis_conn_drop(struct mg_redis_conn *c, const struct mg_redis_call *call);

#endif
