/*
 * Which stored response fits a request: Vary (RFC 9110 12.5.5, RFC 9111 4.1). Pure; any thread.
 *
 * A response names the request fields it was chosen by. The names, normalised, lie with the primary
 * key; the values that a request has for them are the secondary key. Both keys of one exchange are
 * made from the same request: as it came to the cache, before anything below changes it.
 */
#ifndef MG_HTTP_VARY_H
#define MG_HTTP_VARY_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"
#include "http/message.h"

/* A response that names more, or something that is no field name, fits no other request. */
#define MG_VARY_NAMES_MAX 32

/* Names of all Vary fields of a response, and of `extra` (a list such as "Accept-Language, X-Plan";
 * may be empty): lower case, sorted, each once, ',' between. In the arena; empty when there is
 * none. False for "*" and its like, and for fields that a gateway makes of the client's address
 * (X-Forwarded-For): the response fits no other request and is not worth storing. */
bool mg_vary_read(const struct mg_fields *response, struct mg_str extra, struct mg_arena *arena,
                  struct mg_str *names);

/* The secondary key: values of those normalised names in the request, in the arena. Two requests
 * have the same key only if the fields mean the same:
 *   - lines of one name are one list, white space around its commas does not count; one without the
 *     field differs from one where it is empty;
 *   - Accept-Encoding and Accept-Language are read as weights: order, case, white space, and what
 *     is not acceptable anyway do not count.
 * Keys are injective: no value can look like two. The fields of one connection, which no message
 * holds, count as absent; Host is part of the primary key. */
struct mg_str mg_vary_key(struct mg_str names, const struct mg_fields *request,
                          struct mg_arena *arena);

#endif
