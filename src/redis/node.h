/*
 * One Redis server: a few connections to one address, and what is known of it. Many commands share
 * a connection; another one is made when those there have much to do. One thread.
 *
 * A server that cannot be reached, refuses us, or is late several times in a row is down: commands
 * fail at once, and in the background it is tried again, less and less often. Nothing is kept for
 * later: a command waits for a connection only while the first one is being made, and no longer
 * than its time-out.
 */
#ifndef MG_REDIS_NODE_H
#define MG_REDIS_NODE_H

#include "base/error.h"
#include "redis/conn.h"

/* A stream to the server, open and secured, which the callee takes; or NULL, and why not
 * (borrowed). Does not come before the dial's start returns. */
typedef void (*mg_redis_dialled_fn)(void *arg, struct mg_stream *stream, const char *reason);

/* How servers are reached; an upper row fills it in. */
struct mg_redis_dialer {
    /* To an address that a server has named, "10.0.0.1:6379", borrowed for the call; NULL: to where
     * the config says. NULL comes back: it cannot be tried, `*reason` (static) says why; on_done
     * does not come then. */
    void *(*start)(void *ctx, const char *address, mg_redis_dialled_fn on_done, void *arg,
                   const char **reason);
    /* No call follows. Not after on_done. */
    void (*cancel)(void *ctx, void *dial);
    void *ctx;
};

struct mg_redis_node {
    const char *name;     /* for the log; borrowed */
    const char *_address; /* borrowed */
    struct mg_loop *_loop;
    struct mg_pool *_chunks;
    const struct mg_redis_settings *_settings;
    struct mg_redis_dialer _dialer;
    struct mg_link _conns; /* those that are ready; the first is used first */
    uint32_t _count;
    struct mg_link _waiting; /* calls, for the first connection */
    struct mg_timer _waiting_timer;
    void *_dial;                     /* a stream is being made */
    struct mg_redis_conn *_greeting; /* or it is being greeted; one at a time */
    struct mg_timer _connect_timer;  /* for both */
    struct mg_timer _retry;          /* while down */
    uint64_t _retry_ns;              /* the wait before the next try, but for its lot */
    uint64_t _grow_ns;               /* no connection beside those there is made before */
    uint64_t _random;
    uint32_t _late; /* in a row */
    bool _down;
    char _reason[192]; /* why it is down */
};

/* Borrows name, address (as the dialer takes it), pool and settings for its life. Connects when
 * first asked to. `seed`: not 0. */
void mg_redis_node_init(struct mg_redis_node *n, const char *name, const char *address,
                        struct mg_loop *loop, struct mg_pool *chunks,
                        const struct mg_redis_settings *settings,
                        const struct mg_redis_dialer *dialer, uint64_t seed);
/* Closes all; calls that are not over fail first. */
void mg_redis_node_release(struct mg_redis_node *n);

/* Sends an array of calls, in this order and one right after the other, so that it may hold a
 * transaction. MG_REDIS_OK: on_done will come for each, not before this returns. Else nothing was
 * done, and each says why. */
enum mg_redis_error mg_redis_node_start(struct mg_redis_node *n, struct mg_redis_call *calls,
                                        uint32_t count) MG_MUST_CHECK;
/* The same for calls that mg_redis_call_init has made ready: they keep their time. */
enum mg_redis_error mg_redis_node_send(struct mg_redis_node *n, struct mg_redis_call *calls,
                                       uint32_t count) MG_MUST_CHECK;

bool mg_redis_node_is_down(const struct mg_redis_node *n);
/* Are no calls under way? */
bool mg_redis_node_is_idle(const struct mg_redis_node *n);

#endif
