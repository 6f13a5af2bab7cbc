/*
 * Server-sent events (WHATWG HTML, 9.2 "Server-sent events"): a stream of bytes read as events, and
 * events written as such bytes. Pure: bytes in, events out. One thread.
 *
 *     while (in.n) {
 *         switch (mg_sse_read(&r, &in)) {
 *         case MG_SSE_MORE:      break;                     // all of `in` was taken
 *         case MG_SSE_EVENT:     use(&r.event); break;      // and call again with the rest
 *         case MG_SSE_BARE:      ... id and retry ...; break;
 *         case MG_SSE_COMMENT:   ... r.comment ...; break;
 *         case MG_SSE_TOO_LARGE: ... no further call ...
 *         }
 *     }
 *
 * What stands behind the last empty line is no event: the stream may have been cut there. Bytes are
 * taken for UTF-8 and not looked at.
 */
#ifndef MG_HTTP_SSE_H
#define MG_HTTP_SSE_H

#include <stdint.h>

#include "base/buf.h"

/* All of it is borrowed: of the reader until its next call, or of whoever has it written. */
struct mg_sse_event {
    struct mg_str name; /* n 0: "message" */
    struct mg_str data; /* lines joined with LF */
    struct mg_str id;   /* the last one that was told, by this event or an earlier one */
    int64_t retry_ms;   /* -1: it tells none */
    bool has_id;        /* false: none was told */
    bool has_data;      /* false: it is none, or only a part of one */
};

enum mg_sse_state {
    MG_SSE_MORE,
    MG_SSE_EVENT,
    MG_SSE_BARE, /* a block that is no event, for it has no data, but tells an id or a time */
    MG_SSE_COMMENT,
    MG_SSE_TOO_LARGE,
};

struct mg_sse_reader {
    struct mg_sse_event event; /* after MG_SSE_EVENT and MG_SSE_BARE */
    struct mg_str comment;     /* after MG_SSE_COMMENT; borrowed until the next call */

    size_t _limit;
    struct mg_buf _line; /* the part of a line that came with earlier calls */
    struct mg_buf _data, _name, _id;
    int64_t _retry_ms;
    bool _tells; /* the block has an id or a time */
    bool _has_id;
    bool _any_line; /* the first line, before which a byte order mark may stand, is over */
    bool _after_cr; /* an LF here belongs to the line before */
    bool _told;     /* the event was given: the next call begins a new block */
};

/* `limit_bytes` is for all that is held of one event: its fields, and the line that is not over. */
void mg_sse_reader_init(struct mg_sse_reader *r, size_t limit_bytes);
void mg_sse_reader_release(struct mg_sse_reader *r);

/* Takes from the front of `in`, up to the end of what it gives. */
enum mg_sse_state mg_sse_read(struct mg_sse_reader *r, struct mg_str *in);

/* Is it one that a stream can carry? Names and ids have no line breaks, ids no NUL. */
bool mg_sse_is_name(struct mg_str s);
bool mg_sse_is_id(struct mg_str s);

/* Appends the event, with the empty line that ends it. Name and id must be such. Any line break in
 * the data (CRLF, LF, CR) is read back as LF. */
void mg_sse_write(struct mg_buf *out, const struct mg_sse_event *event);
/* Appends a comment: a line for each of its lines. */
void mg_sse_write_comment(struct mg_buf *out, struct mg_str text);

#endif
