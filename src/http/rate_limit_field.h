/*
 * The value of the field RateLimit, which tells clients what is left of limits
 * (draft-ietf-httpapi-ratelimit-headers-11):
 *
 *     "minute";r=42;t=17, "day";r=900;t=3600
 *
 * Pure; any thread.
 */
#ifndef MG_HTTP_RATE_LIMIT_FIELD_H
#define MG_HTTP_RATE_LIMIT_FIELD_H

#include "base/str.h"
#include "shared/limiter_rules.h"

/* Writes what an item begins with, `"minute";r=`, at `out` (room for 2 * name.n + 5), and returns
 * how long it is. The name is printable ASCII: a String of RFC 9651 3.3.3. */
size_t mg_rate_limit_field_head(struct mg_str name, char *out);

/* What an item takes beside its head, with what parts it from the one before. */
#define MG_RATE_LIMIT_FIELD_MORE 48

/* Adds an item at `out`, where `used` bytes of items are; gives how many there are then. `t` is
 * when there is more: of one that refuses, when it would not. So Retry-After, the longest of these,
 * is never before a `t`. */
size_t mg_rate_limit_field_add(char *out, size_t used, struct mg_str head,
                               const struct mg_limiter_result *result);

#endif
