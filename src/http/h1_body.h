/*
 * The payload of an HTTP/1.x message: takes the framing off (RFC 9112 6 and 7). Pure and
 * incremental; works in place, so that payload is never copied to another buffer.
 */
#ifndef MG_HTTP_H1_BODY_H
#define MG_HTTP_H1_BODY_H

#include "http/h1_parse.h"

struct mg_h1_body {
    enum mg_h1_framing_kind kind;
    uint64_t left;  /* of the length, or of the current chunk */
    uint64_t total; /* payload bytes decoded so far */
    bool done;      /* the end was seen */
    uint8_t _state;
    uint8_t _digits;         /* of the current chunk size */
    uint16_t _line;          /* bytes of the current chunk line */
    struct mg_h1_scan _scan; /* for the trailers' end */
    struct mg_h1_limits _limits;
    struct mg_fields *_trailers; /* NULL: read and dropped */
    struct mg_arena *_arena;
};

/* `trailers` (may be NULL) is filled when the body ends; its bytes are copied into `arena`. Both,
 * and nothing else, are borrowed for the life of `b`. `b->done` is set at once when there is no
 * body. */
void mg_h1_body_init(struct mg_h1_body *b, const struct mg_h1_framing *framing,
                     const struct mg_h1_limits *limits, struct mg_fields *trailers,
                     struct mg_arena *arena);

/*
 * Decodes src[0..n). Payload is moved to dst, which is at or before src in the same buffer (so that
 * it joins what was decoded earlier); no move happens when dst == src and there is no framing in
 * between. The caller may give less than it has, to bound one round. Sets `*used` (bytes of src
 * done with) and `*payload` (bytes now at dst). What is not used must be offered again, together
 * with more bytes: that happens only for an incomplete trailer block, which must fit
 * `limits.head_bytes`. Stops at the end of the body: bytes after it are not used. Returns 0, or -1
 * with `fault` set: the connection cannot be used any more.
 *
 * Chunk sizes: hex digits only, at most 15; chunk extensions are refused unless well-formed
 * (RFC 9112 7.1.1) and are dropped; a line of more than 256 bytes is refused; every line ends in
 * CRLF.
 */
int mg_h1_body_decode(struct mg_h1_body *b, char *dst, const char *src, size_t n, size_t *used,
                      size_t *payload, struct mg_h1_fault *fault);

/* `n` bytes of a MG_H1_LENGTH body, at most `left`, went another way than through decode. */
void mg_h1_body_skip(struct mg_h1_body *b, uint64_t n);

/* The connection ended: 0 if that is a proper end (MG_H1_UNTIL_CLOSE, or already done), else -1. */
int mg_h1_body_eof(struct mg_h1_body *b);

#endif
