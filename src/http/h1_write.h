/* HTTP/1.1 heads and chunk framing, written. Pure. */
#ifndef MG_HTTP_H1_WRITE_H
#define MG_HTTP_H1_WRITE_H

#include "http/h1_parse.h"

/*
 * How the body that follows is framed. MG_H1_NO_BODY writes no length at all for requests and for
 * 1xx/204/304; for HEAD answers the declared content_length is written as it is. An answer without
 * content to any other request must say MG_H1_LENGTH with 0. A 1xx or 204 gets neither
 * Content-Length nor Transfer-Encoding, whatever is asked for (RFC 9110 8.6, RFC 9112 6.1).
 */
struct mg_h1_write {
    enum mg_h1_framing_kind framing;
    uint64_t length;         /* MG_H1_LENGTH: writes Content-Length */
    bool keep_alive;         /* false: writes "Connection: close" */
    bool say_keep_alive;     /* writes "Connection: keep-alive" (to HTTP/1.0 clients) */
    struct mg_str upgrade;   /* not empty: "Connection: upgrade" and "Upgrade: <this>" */
    bool te_trailers;        /* request: "TE: trailers", with Connection: TE */
    bool expect_continue;    /* request */
    struct mg_str date;      /* response: Date, when the message has none; may be empty */
    struct mg_str server;    /* response: Server, when the message has none; may be empty */
    struct mg_str extra;     /* whole field lines with CRLF each, put before the empty line */
    struct mg_str target;    /* request: not empty: written instead of path and query */
    struct mg_str authority; /* request: Host; p NULL: the message's authority */
};

/* The head as bytes in the message's arena; always HTTP/1.1 (RFC 9110 2.5). Field names and values
 * were checked when they were set, so nothing here can split the message. Fields that belong to the
 * codec (Connection, Transfer-Encoding, Content-Length, Host, ...) are skipped should they be in
 * the message all the same. */
struct mg_str mg_h1_write_request(const struct mg_message *m, const struct mg_h1_write *w);
struct mg_str mg_h1_write_response(const struct mg_message *m, const struct mg_h1_write *w);

/* "1f4\r\n" for a chunk of n bytes; out has room for 20. Returns its length. */
size_t mg_h1_write_chunk_size(char *out, uint64_t n);

/* What ends a chunked body after the last chunk's CRLF: "0\r\n", the trailers, "\r\n"; in the
 * arena. `trailers` may be NULL or empty. Fields that must not follow this message's body
 * (mg_message_may_trail) are skipped. */
struct mg_str mg_h1_write_last_chunk(struct mg_arena *arena, const struct mg_message *m,
                                     const struct mg_fields *trailers);

#endif
