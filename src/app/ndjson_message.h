/*
 * The messages of `moongate ndjson`, and the replies to them:
 *
 *     {"src": "client", "dest": "gateway", "body":
 *         {"type": "api_request", "msg_id": 2, "method": "GET", "path": "/api/users/123"}}
 *     {"src": "gateway", "dest": "client", "body":
 *         {"type": "api_response", "in_reply_to": 2, "status": 200, ...}}
 *
 * A message may come without its envelope; then so does the reply. What a reply repeats (src, dest,
 * msg_id) may be any JSON value. Unknown keys are passed over. Pure.
 */
#ifndef MG_APP_NDJSON_MESSAGE_H
#define MG_APP_NDJSON_MESSAGE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#define MG_NDJSON_HEADERS_MAX 256

struct mg_ndjson_header {
    struct mg_str name, value;
};

/* Texts in the arena, or views into the message. */
struct mg_ndjson_message {
    bool enveloped;
    struct mg_str src, dest, msg_id;        /* JSON, on one line; empty: not there */
    struct mg_str type;                     /* empty: none that is a string */
    struct mg_str method, path;             /* p NULL: none that is a string */
    struct mg_str routes;                   /* a list as it came, or "null"; empty: not there */
    const struct mg_ndjson_header *headers; /* those that are strings */
    size_t header_count;
};

/* Members that are empty are left out; so is a status of 0. */
struct mg_ndjson_reply {
    struct mg_str type;
    unsigned status;
    struct mg_str service, version, backend, body, text;
};

/* Borrows `text`; `scratch` is written. After MG_FAIL the members that were read before the fault
 * are set, so that the reply finds its way. */
enum mg_rc mg_ndjson_message_read(struct mg_arena *arena, struct mg_str text,
                                  struct mg_buf *scratch, struct mg_ndjson_message *out,
                                  struct mg_error *err) MG_MUST_CHECK;

/* Appends the reply to `m` and the end of the line. */
void mg_ndjson_reply_write(struct mg_buf *out, const struct mg_ndjson_message *m,
                           const struct mg_ndjson_reply *reply);

#endif
