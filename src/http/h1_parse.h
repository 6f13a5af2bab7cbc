/*
 * HTTP/1.x heads, read strictly (RFC 9112). Pure: bytes in, message out; no socket, no clock.
 *
 * What RFC 9112 calls a smuggling risk is refused, not repaired: bare LF or CR, line folding, space
 * before the colon, Content-Length beside Transfer-Encoding, a doubled or odd Content-Length,
 * Transfer-Encoding that is not exactly "chunked", any Transfer-Encoding in HTTP/1.0, NUL and other
 * control bytes, a missing or doubled Host.
 */
#ifndef MG_HTTP_H1_PARSE_H
#define MG_HTTP_H1_PARSE_H

#include "http/message.h"

/*
 * Why something was refused: a status, and a stable word for log and body. In a request the status
 * is the one for the client (400 where the list names none). For a bad response head the parser
 * says 502; faults of mg_h1_head_end and of bodies are as for a request, and the caller knows
 * better.
 *
 *   any line      bare-lf  bare-cr  head-incomplete  head-too-large (431)
 *   request line  blank-lines  method  method-too-long (501)  request-line  target
 *                 target-fragment  target-too-long (414)  connect (501)  version
 *                 version-unsupported (505)
 *   status line   status-line  status  version  version-unsupported
 *   field line    field-name  field-name-too-long (431)  space-before-colon  line-folding
 *                 field-value  too-many-fields (431)
 *   Host          host  host-missing  host-twice  host-mismatch (with an absolute-form target)
 *   framing       content-length  content-length-twice  length-and-transfer-encoding
 *                 transfer-encoding  transfer-encoding-twice  transfer-encoding-in-1.0
 *                 transfer-coding-unknown (501; as in "gzip, chunked")
 *                 framing-lookalike (as in "Content_Length")  framing-in-1xx
 *   other fields  connection  expectation (417)  upgrade-missing (in a 101)
 *   chunked body  chunk-size  chunk-size-too-large  chunk-extension  chunk-line-too-long
 *                 chunk-end  trailers-incomplete  trailers-too-large (431), those of field lines
 */
struct mg_h1_fault {
    int status;         /* 400, 414, 417, 431, 501, 502, 505 */
    const char *reason; /* static */
};

struct mg_h1_limits {
    uint32_t head_bytes;   /* whole head, at most 1 GiB; 431 beyond it, 414 in the request line */
    uint32_t field_count;  /* 431 beyond it; never more than 65535 */
    uint32_t target_bytes; /* request target; 414 beyond it */
};

enum mg_h1_framing_kind {
    MG_H1_NO_BODY,
    MG_H1_LENGTH,      /* exactly `length` bytes */
    MG_H1_CHUNKED,     /* RFC 9112 7.1 */
    MG_H1_UNTIL_CLOSE, /* responses only (RFC 9112 6.3 rule 8) */
};

/* What the head says of the connection and of the body's end. */
struct mg_h1_framing {
    enum mg_h1_framing_kind kind;
    uint64_t length; /* MG_H1_LENGTH */
    bool keep_alive; /* the connection may be used again after this message (RFC 9112 9.3) */
};

/* Progress of the search for a head's end over several reads; zero it for each head. */
struct mg_h1_scan {
    uint32_t seen;   /* bytes looked at */
    uint32_t line;   /* where the current line begins */
    bool first_done; /* the start line is complete */
};

/*
 * Looks for the end of the head in p[0..n), which holds all bytes of it so far.
 * Returns its size in bytes (with the empty line), 0 for "more please", or -1 with `fault` set.
 * Empty lines before a request line are skipped (RFC 9112 2.2), at most 4: `*skip` says how many
 * bytes of them there are (in each call that returns a size); they are part of the returned size.
 * What can be told at once is not waited for: a bare LF, a first byte that no method has, a line or
 * head beyond its limit. The rest is for the parsers below.
 */
int mg_h1_head_end(struct mg_h1_scan *scan, const char *p, size_t n,
                   const struct mg_h1_limits *limits, bool is_request, uint32_t *skip,
                   struct mg_h1_fault *fault);

/*
 * Parses one whole head of `n` bytes as found by mg_h1_head_end (without the skipped empty lines)
 * into `m`, fresh from mg_message_init. The message borrows from `head`, so that must lie in the
 * message's arena. Absolute-form and asterisk-form targets are understood; authority-form (CONNECT)
 * is 501. Returns 0, or -1 with `fault` set; then `m` holds what was understood until then, for the
 * log, and `framing` is undefined.
 *
 * `m->authority` is empty when Host is, and when HTTP/1.0 has none. Fields named by Connection are
 * gone, known or not. `m->upgrade` is set only by HTTP/1.1 with Connection: upgrade, and never for
 * h2c. `m->te_trailers` needs Connection: TE. `m->expect_continue` is set only when a body is to
 * come.
 */
int mg_h1_parse_request(const char *head, size_t n, const struct mg_h1_limits *limits,
                        struct mg_message *m, struct mg_h1_framing *framing,
                        struct mg_h1_fault *fault);

/* The same for a response. `request_method` decides about the body (HEAD; RFC 9112 6.3). A 1xx has
 * no body; 101 neither: what follows is the new protocol. `keep_alive` is false for
 * MG_H1_UNTIL_CLOSE. */
int mg_h1_parse_response(const char *head, size_t n, const struct mg_h1_limits *limits,
                         enum mg_method request_method, struct mg_message *m,
                         struct mg_h1_framing *framing, struct mg_h1_fault *fault);

/* Parses a block of field lines (trailers), ended by the empty line, into `fields`, whose bytes are
 * copied into `arena`. Fields that must not come in trailers (mg_field_may_trail) are left out.
 * With `fields` NULL the block is only checked, and `arena` may be NULL. Returns 0, or -1 with
 * `fault` set. */
int mg_h1_parse_trailers(const char *block, size_t n, const struct mg_h1_limits *limits,
                         struct mg_fields *fields, struct mg_arena *arena,
                         struct mg_h1_fault *fault);

#endif
