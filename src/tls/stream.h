/*
 * TLS over another stream: handshakes, records, and their end (RFC 5246, RFC 8446). A TLS stream is
 * an ordinary mg_stream to whoever uses it.
 *
 * One worker's TLS streams share a desk: the buffers for records and for bytes on the wire, which a
 * connection holds only while it has something in them. One thread: the loop's.
 */
#ifndef MG_TLS_STREAM_H
#define MG_TLS_STREAM_H

#include <mbedtls/ssl.h>

#include "base/pool.h"
#include "net/stream.h"
#include "tls/shelf.h"

struct mg_tls_stream;

struct mg_tls_desk {
    struct mg_loop *loop;
    struct mg_pool wire; /* bytes that came, or are to go, over the network */
    struct mg_tls_shelf shelf;
    uint8_t *staging;         /* for writing small pieces as one record */
    struct mg_link streams;   /* all there are */
    uint32_t handshakes;      /* of them in their handshake */
    uint32_t leaving;         /* of them sending their last bytes */
    struct mg_tls_stream *at; /* whose handshake is being worked on: for the library's callbacks */
};

void mg_tls_desk_init(struct mg_tls_desk *desk, struct mg_loop *loop);
/* Gives back what is kept in reserve; now and then. */
void mg_tls_desk_trim(struct mg_tls_desk *desk);
/* Cuts clients that are in their handshake, those of servers of ours; nobody hears of it. */
void mg_tls_desk_cut(struct mg_tls_desk *desk);
/* Cuts streams that are in a handshake, or are only sending their last bytes; their owners hear
 * nothing. All others must have been closed. */
void mg_tls_desk_release(struct mg_tls_desk *desk);

/* The handshake is over: `stream` is open and the callee takes it; or it is NULL, all is closed,
 * and `failure` says why (borrowed for the call). Comes once, never before the start returns. */
typedef void (*mg_tls_done_fn)(void *arg, struct mg_stream *stream, const char *failure);

/* Who made the stream, server.c or client.c, as seen from here. */
struct mg_tls_role {
    /* A server's first bytes have been looked at. Gives the configuration to use. */
    const mbedtls_ssl_config *(*choose)(void *owner, bool prefers_chacha20);
    /* The handshake is over. NULL: good; else why it is not. */
    const char *(*completed)(void *owner, struct mg_tls_stream *s);
    /* It failed; `by_alert`: the peer said so. NULL: nobody wants to know. */
    void (*failed)(void *owner, bool by_alert);
    /* The stream needs its owner no more. */
    void (*release)(void *owner);
    bool is_server;
};

struct mg_tls_start {
    struct mg_tls_desk *desk;
    struct mg_stream *lower; /* taken */
    const struct mg_tls_role *role;
    void *owner; /* kept until role->release */
    uint64_t deadline_ns;
    mg_tls_done_fn on_done;
    void *arg;
};

/* Begins a handshake. A server waits for the client's first bytes; a client must call
 * mg_tls_stream_begin next. */
struct mg_tls_stream *mg_tls_stream_new(const struct mg_tls_start *start);
/* Sets a client's configuration and session up (`session` may be NULL; `host` NULL: no name to send
 * or to check). */
void mg_tls_stream_begin(struct mg_tls_stream *s, const mbedtls_ssl_config *conf, const char *host,
                         const mbedtls_ssl_session *session);
/* Gives a handshake up; on_done does not come. */
void mg_tls_stream_cancel(struct mg_tls_stream *s);

/* For roles, in their callbacks and the library's. */
mbedtls_ssl_context *mg_tls_stream_context(struct mg_tls_stream *s);
void *mg_tls_stream_owner(const struct mg_tls_stream *s);
void mg_tls_stream_set_server_name(struct mg_tls_stream *s, struct mg_str name);
void mg_tls_stream_set_resumed(struct mg_tls_stream *s);

#endif
