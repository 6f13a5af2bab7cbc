/*
 * A call: one command and its reply, as whoever wants it sees it. One thread.
 *
 * Life: the caller owns the struct and what it points at, starts it (mg_redis_client_start), and
 * leaves it alone until on_done; or takes it back before that (mg_redis_call_cancel). Commands of
 * others on the same connection do not notice either.
 */
#ifndef MG_REDIS_CALL_H
#define MG_REDIS_CALL_H

#include "base/list.h"
#include "redis/reply.h"

enum mg_redis_error {
    MG_REDIS_OK,
    MG_REDIS_DOWN,    /* not reached, and known to be so; nothing was sent */
    MG_REDIS_TIMEOUT, /* no reply in time; the command may still be carried out */
    MG_REDIS_CLOSED,  /* the connection broke; the command may have been carried out */
    MG_REDIS_BUSY,    /* too many commands wait already; nothing was sent */
    MG_REDIS_BAD,     /* what came was no reply */
    MG_REDIS_ROUTE,   /* a cluster: the keys have no node, or more than one; nothing was done */
};

struct mg_redis_cluster;
struct mg_redis_conn;

struct mg_redis_call {
    /* Set by the caller. Borrowed until it is over. */
    int argc;
    const char **argv;
    size_t *lengths; /* of argv */
    /* Exactly one of `error` and `reply` is set. May start other calls, and cancel any. */
    void (*on_done)(struct mg_redis_call *call);
    void *owner;

    /* Results. */
    enum mg_redis_error error;
    const char *detail;                 /* why; borrowed for on_done */
    const struct mg_redis_reply *reply; /* borrowed for on_done; may be an error of the server */

    /* Private. */
    struct mg_link _link;        /* in its node's list while it waits for a connection */
    struct mg_redis_conn *_conn; /* that it was sent on; NULL: none */
    uint64_t _number;            /* among those sent on it */
    uint64_t _deadline_ns;
    struct mg_redis_cluster *_cluster; /* which may send it elsewhere yet; NULL: none */
    struct mg_link _detour;            /* in its list of those that it watches the time of */
    int _slot;                         /* of its keys; when bound, of all */
    uint8_t _redirections;
    bool _asking; /* ASKING goes before it: its slot is on its way to that node */
    bool _bound;  /* to others, as a transaction is: it cannot be sent again alone */
};

/* Takes it back: on_done does not come. A reply that still comes is dropped. Does nothing to one
 * that is over, or that never started but was zeroed. */
void mg_redis_call_cancel(struct mg_redis_call *call);

/* For this folder. Makes it ready for mg_redis_node_send. */
void mg_redis_call_init(struct mg_redis_call *call, uint64_t deadline_ns);
/* For this folder. It is on no connection and no list any more; this is what came of it: `error`
 * with `detail`, or `reply`. Calls on_done, unless its cluster sends it elsewhere. */
void mg_redis_call_finish(struct mg_redis_call *call, enum mg_redis_error error, const char *detail,
                          const struct mg_redis_reply *reply);

#endif
