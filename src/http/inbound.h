/*
 * A request that came in, and the way back for its response: what the gateway sees of a client,
 * whatever the HTTP version. The drivers (h1_server.c, later HTTP/2) make it; the handler above
 * answers it.
 *
 * Life: the driver allocates it together with its arena and gives it to handler->on_request; from
 * then on the handler owns it and must end with mg_inbound_free. The connection may go first: then
 * on_gone comes, and all calls on it but mg_inbound_free do nothing. One thread.
 */
#ifndef MG_HTTP_INBOUND_H
#define MG_HTTP_INBOUND_H

#include "base/ip.h"
#include "http/body.h"

struct mg_inbound;

#define MG_NO_LISTENER UINT32_MAX

/* What a connection says about its client; shared by the requests on it, valid while in->conn is.
 */
struct mg_client {
    struct mg_addr peer; /* family 0: unix socket */
    struct mg_addr local;
    uint32_t listener; /* its index in the config in force; MG_NO_LISTENER: it has gone */
    bool secure;       /* by TLS, ours or that of a proxy we believe */
    struct mg_security *security; /* net/security.h; NULL: not our TLS */
    uint64_t id;                  /* number of the connection, for logs */
};

struct mg_inbound_ops {
    void (*respond)(struct mg_inbound *in, struct mg_message *res, struct mg_body *body);
    void (*inform)(struct mg_inbound *in, struct mg_message *res);
    void (*set_deadline)(struct mg_inbound *in, uint64_t deadline_ns);
    void (*abort)(struct mg_inbound *in);
};

struct mg_inbound {
    const struct mg_inbound_ops *ops;
    struct mg_arena arena; /* of the exchange; this struct lies in it */
    struct mg_message request;
    struct mg_body *body; /* never NULL */
    const struct mg_client *client;
    void *conn;          /* the driver's; NULL once the connection is gone */
    void *exchange;      /* the handler's */
    uint64_t started_ns; /* when the head was complete */
    uint64_t sent_bytes; /* of the response's body, so far */
    bool responded;      /* a final response has begun */
};

struct mg_inbound_handler {
    /* A request. May respond before it returns. Takes `in`. */
    void (*on_request)(void *ctx, struct mg_inbound *in);
    /* A head that was refused: `in->request` holds what could be read, maybe nothing. The handler
     * responds (the connection closes after it) or aborts. Takes `in`. */
    void (*on_refused)(void *ctx, struct mg_inbound *in, int status, const char *reason);
    /* The response is out (reason NULL), or was cut short because its body broke. Comes from
     * respond or later; once. */
    void (*on_done)(struct mg_inbound *in, const char *reason);
    /* The client is gone before the response was out. Comes instead of on_done, also from respond
     * or inform. */
    void (*on_gone)(struct mg_inbound *in, const char *reason);
    /* The deadline that was set has come. */
    void (*on_deadline)(struct mg_inbound *in);
};

/* Starts the final response, once. Borrows `res` and `body` until on_done or on_gone; they live in
 * the arena. `body` may be NULL for none. A 101 turns the connection into a tunnel: from then on
 * in->body gives what the client sends, raw, until it ends, and `body` is sent raw. */
static inline void mg_inbound_respond(struct mg_inbound *in, struct mg_message *res,
                                      struct mg_body *body)
{
    in->responded = true;
    in->ops->respond(in, res, body);
}

/* Sends an interim response (1xx, not 101). 100 is sent by itself when the body is first looked at,
 * so passing one on is only for other statuses. HTTP/1.0 clients get none. */
static inline void mg_inbound_inform(struct mg_inbound *in, struct mg_message *res)
{
    in->ops->inform(in, res);
}

/* Asks for on_deadline at that loop time; 0 takes it back. Costs one store. */
static inline void mg_inbound_set_deadline(struct mg_inbound *in, uint64_t deadline_ns)
{
    in->ops->set_deadline(in, deadline_ns);
}

/* Cuts the connection (HTTP/2: the stream) so that the client cannot take what it has for a whole
 * response. Neither on_done nor on_gone comes. */
static inline void mg_inbound_abort(struct mg_inbound *in)
{
    in->ops->abort(in);
}

/* Frees the arena and all in it. The response must be out, or the connection gone or aborted. */
void mg_inbound_free(struct mg_inbound *in);

#endif
