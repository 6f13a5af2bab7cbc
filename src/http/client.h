/*
 * HTTP/1.1 connections to backends. One request at a time; kept alive in between. Loop thread.
 */
#ifndef MG_HTTP_CLIENT_H
#define MG_HTTP_CLIENT_H

#include "http/outbound.h"
#include "net/stream.h"

struct mg_client_conn;

/* What the owner of a connection (the pool) is told. */
struct mg_client_conn_events {
    /* It is idle and can take another request. Comes from mg_outbound_end or later. The callee
     * keeps it, or closes it with mg_client_conn_close. */
    void (*on_free)(void *owner, struct mg_client_conn *c);
    /* It is closed (by the backend while idle, or after an exchange that could not be completed)
     * and will be freed at the end of the turn. */
    void (*on_closed)(void *owner, struct mg_client_conn *c);
};

struct mg_client_conn {
    struct mg_link
        link; /* the owner's, for its list of idle ones; an element in no list at first */
    void *owner;
    uint64_t idle_since_ns;
    uint32_t requests; /* sent on it so far */
};

/* Takes the stream. `blocks` as for the server; `head` limits responses' heads. */
struct mg_client_conn *mg_client_conn_new(struct mg_stream *stream, struct mg_pool *blocks,
                                          const struct mg_h1_limits *head,
                                          const struct mg_client_conn_events *events, void *owner);

/* Sends a request on an idle connection. Callbacks come later, never before it returns. */
void mg_client_conn_send(struct mg_client_conn *c, struct mg_outbound *o);

/* True when the backend has not closed it, as far as can be known now: one system call. Worth it
 * before a request that must not be sent twice. */
bool mg_client_conn_is_alive(struct mg_client_conn *c);

/* Closes an idle connection; on_closed does not come. */
void mg_client_conn_close(struct mg_client_conn *c);
/* The same, and on_closed comes: for one that was taken from its owner. */
void mg_client_conn_discard(struct mg_client_conn *c);

#endif
