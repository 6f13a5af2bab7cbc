/*
 * The write side of an HTTP/1 connection: a head, then a body with its framing, in as few writes as
 * the socket takes. Head and first bytes of the body go out together. One thread.
 */
#ifndef MG_HTTP_H1_OUTPUT_H
#define MG_HTTP_H1_OUTPUT_H

#include "http/body.h"
#include "http/h1_parse.h"
#include "net/stream.h"

enum mg_h1_output_state {
    MG_H1_OUT_DONE,        /* all is written */
    MG_H1_OUT_WAIT_SOCKET, /* watch the stream for writing */
    MG_H1_OUT_WAIT_BODY,   /* the body will say when it goes on */
    MG_H1_OUT_BODY_BROKEN, /* body->reason; the message is cut short */
    MG_H1_OUT_SOCKET_BROKEN,
};

struct mg_h1_output {
    struct mg_str head;               /* bytes to go before anything of the body; in the arena */
    struct mg_body *body;             /* NULL: none, or not yet known */
    const struct mg_message *message; /* whose body it is; says which trailers may follow it */
    enum mg_h1_framing_kind framing;
    uint64_t left;             /* MG_H1_LENGTH: body bytes still owed */
    uint64_t sent;             /* body bytes written */
    bool ended;                /* nothing more will be taken from the body */
    uint8_t _line_at, _line_n; /* the part of _line not yet written */
    char _line[24];            /* chunk size line */
    size_t _piece;             /* bytes of the present piece of the body still to be written */
    struct mg_pipe *_pipe;     /* bytes go from socket to socket; NULL: through memory */
    bool _stuck;               /* the source cannot move what comes next */
    struct mg_str _post;       /* what follows the present piece */
};

void mg_h1_output_init(struct mg_h1_output *o);

/* Lets go of the body and of what is still held of it. The struct must be set up anew. */
void mg_h1_output_release(struct mg_h1_output *o);

/* Adds bytes to go out before the body. They live in the arena. */
void mg_h1_output_queue(struct mg_h1_output *o, struct mg_arena *arena, struct mg_str bytes);

/* The body to follow. For MG_H1_NO_BODY and a NULL body there is none. Borrows the message whose
 * body it is: what is settled in it (mg_message_settle) when the body ends does not trail. */
void mg_h1_output_body(struct mg_h1_output *o, const struct mg_message *m, struct mg_body *body,
                       enum mg_h1_framing_kind framing, uint64_t length);

/* Writes as much as can be. Never calls back. `arena` takes trailers. */
enum mg_h1_output_state mg_h1_output_pump(struct mg_h1_output *o, struct mg_stream *stream,
                                          struct mg_arena *arena);

#endif
