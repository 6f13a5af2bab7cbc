/*
 * The client side of one worker: its HTTP connections, their limits and time-outs.
 */
#ifndef MG_HTTP_SERVER_H
#define MG_HTTP_SERVER_H

#include "http/h1_parse.h"
#include "http/inbound.h"
#include "net/stream.h"

struct mg_server_limits {
    struct mg_h1_limits head;
    uint64_t body_bytes;      /* 413 beyond it */
    uint64_t header_time_ns;  /* for a whole head; 408. Also the longest silence inside a body */
    uint64_t request_time_ns; /* for a whole body, plus time for bytes that did come; 408 */
    uint64_t
        idle_time_ns; /* between requests; and the longest silence of a client that does not read */
    uint32_t connections; /* more are closed at once */
};

/* Everything that connections of one worker share. One thread. */
struct mg_server {
    struct mg_loop *loop;
    struct mg_pool *chunks; /* of arenas */
    struct mg_pool *blocks; /* read buffers; each holds the largest head that is allowed */
    const struct mg_inbound_handler *handler;
    void *ctx; /* for the handler */
    struct mg_server_limits limits;
    bool draining; /* every response says "Connection: close" */
    struct mg_link connections;
    uint32_t connection_count;
    uint64_t last_id;
};

void mg_server_init(struct mg_server *s, struct mg_loop *loop, struct mg_pool *chunks,
                    struct mg_pool *blocks, const struct mg_inbound_handler *handler, void *ctx);
/* Cuts all connections; on_gone comes for every open exchange. */
void mg_server_release(struct mg_server *s);

/* Serves HTTP/1.x on an accepted stream; takes it. `secure`: nobody could read along. */
void mg_server_accept(struct mg_server *s, struct mg_stream *stream, uint32_t listener,
                      bool secure);

/* Listeners have other numbers from now on: numbers[old] is the new one, for `count` old ones. */
void mg_server_renumber(struct mg_server *s, const uint32_t *numbers, uint32_t count);

/* Closes what is idle and lets the rest finish; new requests on open connections are still
 * answered, with "Connection: close". */
void mg_server_drain(struct mg_server *s);
/* More patient: what is idle stays open for one more request, or until its idle time is over. So no
 * request of a client is lost that has not heard yet that its connection was closed. */
void mg_server_retire(struct mg_server *s);

#endif
