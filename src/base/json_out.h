/*
 * Writing JSON member by member into a buffer: commas come by themselves. For what the gateway
 * tells of itself; the texts in it are those of configs and clients, which need not be UTF-8.
 *
 * `name` NULL: an item of an array. Output that is too long sets the buffer's `failed`.
 */
#ifndef MG_BASE_JSON_OUT_H
#define MG_BASE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* What has no other function here follows the call. */
void mg_json_out_name(struct mg_buf *out, const char *name);
/* A text that is no UTF-8 is "?". */
void mg_json_out_text(struct mg_buf *out, const char *name, struct mg_str text);
/* The same; null when it is empty. */
void mg_json_out_text_or_null(struct mg_buf *out, const char *name, struct mg_str text);
void mg_json_out_integer(struct mg_buf *out, const char *name, uint64_t v);
void mg_json_out_flag(struct mg_buf *out, const char *name, bool v);
void mg_json_out_null(struct mg_buf *out, const char *name);
/* Milliseconds of nanoseconds, to the microsecond. */
void mg_json_out_ms(struct mg_buf *out, const char *name, uint64_t ns);
/* An object or array; its end is one character, '}' or ']', of the caller's. */
void mg_json_out_begin(struct mg_buf *out, const char *name, char bracket);

#endif
