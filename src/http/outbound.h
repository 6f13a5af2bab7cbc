/*
 * A request on its way to a backend, and its response: what the upstream layer sees of a backend
 * connection, whatever the HTTP version.
 *
 * Life: the caller owns the struct (in its arena), fills in the first part, and sends it on a
 * connection. It must end with mg_outbound_end before the arena goes, at any time, also from inside
 * the callbacks. That gives the connection back to its pool when both messages were complete, and
 * closes it when not. One thread.
 */
#ifndef MG_HTTP_OUTBOUND_H
#define MG_HTTP_OUTBOUND_H

#include "http/body.h"
#include "http/h1_input.h"
#include "http/h1_write.h"

struct mg_outbound;
struct mg_client_conn;

enum mg_outbound_failure {
    MG_OUT_CLOSED,       /* the backend closed or reset before the first byte of a response */
    MG_OUT_RESET,        /* ... within the response's head */
    MG_OUT_BAD_RESPONSE, /* not HTTP, or refused as ambiguous; `reason` says why */
    MG_OUT_FIRST_BYTE,   /* no response in time */
    MG_OUT_IDLE,         /* the backend does not take the request's body */
    MG_OUT_BODY_BROKEN,  /* the request's body broke: its own reason and status tell */
};

struct mg_outbound {
    /* Set by the caller. Borrowed. */
    const struct mg_message *request;
    struct mg_body *body;    /* NULL: none */
    struct mg_arena *arena;  /* takes the response's head and fields */
    struct mg_str target;    /* n 0: the request's own path and query */
    struct mg_str authority; /* p NULL: the request's own */
    struct mg_str extra;     /* whole field lines to add to the head */
    uint64_t first_byte_ns, idle_ns;
    void (*on_inform)(
        struct mg_outbound *o); /* o->response is a 1xx, not 100 or 101; may be NULL */
    void (*on_response)(struct mg_outbound *o); /* head complete: o->response, o->response_body */
    void (*on_failed)(struct mg_outbound *o, enum mg_outbound_failure failure, const char *reason);
    void *owner;

    /* Results. */
    struct mg_message response;
    struct mg_body response_body;
    uint64_t sent_body_bytes; /* of the request; 0: it can be sent again */
    bool began;               /* the first byte of a response has come */

    /* The driver's. */
    struct mg_client_conn *_conn;
    struct mg_h1_body _decoder;
    struct mg_fields _trailers;
    struct mg_h1_input
        _rest; /* payload left behind by the connection when it went to serve others */
    bool _broken, _got_head, _tunnel;
};

/* Detaches from the connection. No callback comes afterwards; response_body must not be used any
 * more. */
void mg_outbound_end(struct mg_outbound *o);

#endif
