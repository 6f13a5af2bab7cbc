/*
 * One line for each request that was answered, or whose client left: as JSON, in Apache's combined
 * format, or as a template says.
 *
 * Templates have the names of gateway/expr.h, and these, which are known at the end only:
 *
 *   - time            2026-01-31T23:59:59.123Z, when the request came
 *   - time.clf        31/Jan/2026:23:59:59 +0000
 *   - url             path and query as the client sent them
 *   - user            auth.subject, or its consumer
 *   - bytes           of the response's body, as sent
 *   - duration_ms     from the request's head to the last byte
 *   - backend         the address that answered last
 *   - attempts        tries of it
 *   - connect_ms, first_byte_ms   from the start of the fetch
 *   - reason          why it ended early
 *   - error           the gateway's own error code
 *   - source          upstream, cache, policy or gateway
 *
 * What is not there is "-"; quotes, backslashes and control characters are escaped ("\x22"), so
 * that no client can forge a line. Header fields with secrets (base/redact.h) are not shown. Worker
 * thread.
 */
#ifndef MG_GATEWAY_ACCESS_LOG_H
#define MG_GATEWAY_ACCESS_LOG_H

#include "base/buf.h"
#include "base/redact.h"
#include "gateway/exchange.h"

struct mg_access_format;

/* A field of JSON lines that the config adds. */
struct mg_access_field {
    struct mg_str name, text; /* a template */
};

/* In the arena; borrows the texts, and `redact` for the call. */
struct mg_access_format *mg_access_format_template(struct mg_arena *arena, struct mg_str text,
                                                   const struct mg_redact *redact);
struct mg_access_format *mg_access_format_json(struct mg_arena *arena,
                                               const struct mg_access_field *fields, size_t count,
                                               const struct mg_redact *redact);
extern const struct mg_str mg_access_combined; /* a template */

/* Appends the line of an exchange that is over, with its newline. */
void mg_access_write(const struct mg_access_format *f, struct mg_exchange *ex, struct mg_buf *out);
/* Puts it into the worker's ring, when the generation wants lines. */
void mg_access_log(struct mg_exchange *ex);

#endif
