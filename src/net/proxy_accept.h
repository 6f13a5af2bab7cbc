/*
 * Connections that begin with a PROXY header: waits for it between the listener and whoever serves
 * the connection, and makes the stream's addresses those of the client.
 *
 * Of the stream the header is read and not a byte more, so that TLS or HTTP can begin there. What
 * is no header, or comes from somebody who may not send one, is cut off with a line in the log.
 * Loop thread.
 */
#ifndef MG_NET_PROXY_ACCEPT_H
#define MG_NET_PROXY_ACCEPT_H

#include "net/proxy_protocol.h"
#include "net/stream.h"

/* The connections of one worker whose header is awaited. Embedded. */
struct mg_proxy_gate {
    struct mg_loop *loop;
    struct mg_link waiting;
    uint32_t count; /* of those that wait; for others to read */
    /* Set by the owner, at any time; for connections that come after that. */
    uint64_t header_time_ns; /* from the start to the whole header. PP 2: 3 seconds at least */
    uint32_t limit;          /* of connections; more are closed at once */
    const uint32_t *others;  /* how many more count against the limit; NULL: none */
};

/* The callee takes the stream and gives it callbacks of its own, as if it came from a listener.
 * `peer` and `local` are the client's now, where the header knows them. The header and its texts
 * are borrowed for the call. */
typedef void (*mg_proxy_accepted_fn)(void *arg, struct mg_stream *stream,
                                     const struct mg_proxy_header *header);

void mg_proxy_accept_init(struct mg_proxy_gate *g, struct mg_loop *loop);

/* Takes a stream from a listener; it must be one that can peek. `trusted` says from whom a header
 * is believed (NULL: from nobody) and is borrowed for the call. A unix socket has no address: there
 * the mode of its file says who may connect. Calls `on_accepted` later, never before it returns;
 * or never, when the stream was closed. */
void mg_proxy_accept_start(struct mg_proxy_gate *g, struct mg_stream *stream,
                           const struct mg_cidr_set *trusted, mg_proxy_accepted_fn on_accepted,
                           void *arg);

/* Closes all that wait, without calls. The gate stays usable; with nothing waiting in it, it needs
 * no release. */
void mg_proxy_accept_cancel(struct mg_proxy_gate *g);

#endif
