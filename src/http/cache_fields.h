/*
 * Header fields of stored responses: which are kept, how a validation renews them, which are sent
 * (RFC 9111 3.1, 3.2, 4.3.4, 4.3.5). Pure; any thread.
 *
 * Names and values are borrowed from the lists they come from.
 */
#ifndef MG_HTTP_CACHE_FIELDS_H
#define MG_HTTP_CACHE_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "http/cache_control.h"
#include "http/message.h"

/* Adds to `own`, copied into the arena, the fields that no-cache="..." and private="..." name: they
 * are for the client whose request brought them, and for nobody after it. */
void mg_cache_fields_own(const struct mg_fields *response, const struct mg_cache_control *control,
                         struct mg_arena *arena, struct mg_fields *own);

/* The fields of a response that are kept: without those of the connection, of proxies, those that
 * no-cache="..." and private="..." name, and Age, which is told anew each time. A Date is added
 * when there is none (RFC 9110 6.6.1). `*kept` is a new list in the arena. */
void mg_cache_fields_keep(const struct mg_fields *response, const struct mg_cache_control *control,
                          int64_t received, struct mg_arena *arena, struct mg_fields *kept);

/* Is a 304 about this stored response (4.3.4)? A strong ETag must be the same; a weak one, or the
 * Last-Modified, must not contradict; a 304 without validators is about the one that was asked for.
 * When not: the stored response is of no use, fetch it whole. */
bool mg_cache_fields_confirmed(const struct mg_fields *stored, const struct mg_fields *not_modified,
                               int64_t now);

/* The stored response's fields, renewed by those of a 304 (3.2). What
 * describes the stored bytes stays: Content-Encoding and Content-Range. Age is that of the newer
 * one. `*out` is a new list in the arena; judge it as a response again, then keep what may be kept.
 */
void mg_cache_fields_update(const struct mg_fields *stored, const struct mg_fields *newer,
                            struct mg_arena *arena, struct mg_fields *out);

/* Makes the response to a condition that holds from a stored one: status 304, without what
 * describes content that is not sent (RFC 9110 15.4.5). */
void mg_cache_fields_not_modified(struct mg_message *response);

/* Sets Age (5.1), in the message's arena. */
void mg_cache_fields_set_age(struct mg_message *response, uint32_t seconds);

#endif
