/*
 * Cache directives: Cache-Control of requests and responses (RFC 9111 5.2, with RFC 5861 and 8246),
 * and targeted fields such as CDN-Cache-Control (RFC 9213). Pure; any thread.
 *
 * Where a field can be read in two ways, the reading that caches less counts: of several values for
 * a directive the strictest, and an argument that is no number makes a response stale at once.
 */
#ifndef MG_HTTP_CACHE_CONTROL_H
#define MG_HTTP_CACHE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "http/message.h"

/* The greatest number of seconds; what is larger is read as this (RFC 9111 1.2.2). */
#define MG_CACHE_SECONDS_MAX UINT32_C(2147483648)

enum mg_cache_directive {
    MG_CC_MAX_AGE = 1 << 0,
    MG_CC_S_MAXAGE = 1 << 1,
    MG_CC_NO_CACHE = 1 << 2, /* without field names */
    MG_CC_NO_STORE = 1 << 3,
    MG_CC_NO_TRANSFORM = 1 << 4,
    MG_CC_PUBLIC = 1 << 5,
    MG_CC_PRIVATE = 1 << 6, /* without field names */
    MG_CC_MUST_REVALIDATE = 1 << 7,
    MG_CC_PROXY_REVALIDATE = 1 << 8,
    MG_CC_MUST_UNDERSTAND = 1 << 9,
    MG_CC_IMMUTABLE = 1 << 10,
    MG_CC_STALE_WHILE_REVALIDATE = 1 << 11,
    MG_CC_STALE_IF_ERROR = 1 << 12,
    MG_CC_ONLY_IF_CACHED = 1 << 13,
    MG_CC_MAX_STALE = 1 << 14,
    MG_CC_MIN_FRESH = 1 << 15,
};

struct mg_cache_control {
    uint32_t present; /* of enum mg_cache_directive */
    /* Seconds, at most MG_CACHE_SECONDS_MAX; 0 when not present. */
    uint32_t max_age, s_maxage, stale_while_revalidate, stale_if_error, min_fresh;
    uint32_t max_stale; /* without an argument: MG_CACHE_SECONDS_MAX */
    /* Field names of no-cache="..." and private="...", as in the fields, with ',' or blanks
     * between. Empty when there are none. Borrowed or in the arena. */
    struct mg_str no_cache_fields, private_fields;
};

static inline bool mg_cache_control_has(const struct mg_cache_control *cc,
                                        enum mg_cache_directive directive)
{
    return cc->present & directive;
}

/* Takes the next directive off the text of a Cache-Control field, as it is written, without the
 * blanks around it; commas in a quoted string are its own. `*quotes` is true at first, and kept
 * between calls. False at the end; an empty one is one. */
bool mg_cache_control_next(struct mg_str *rest, bool *quotes, struct mg_str *directive);

/* Reads all Cache-Control fields. Directives that are not known are passed over. */
void mg_cache_control_read(const struct mg_fields *fields, struct mg_arena *arena,
                           struct mg_cache_control *out);

/* Reads the first of `names` that the response has as a dictionary that is valid, is not empty, and
 * has arguments of the right types (RFC 9213 2.2); that one stands instead of Cache-Control and
 * Expires. False, and an empty `*out`, when there is none. */
bool mg_cache_control_read_targeted(const struct mg_fields *fields, const struct mg_str *names,
                                    size_t count, struct mg_arena *arena,
                                    struct mg_cache_control *out);

/* Is `name` one of the field names in such a list? */
bool mg_cache_control_names(struct mg_str list, struct mg_str name);

/* Seconds of a number of digits (RFC 9111 1.2.2), MG_CACHE_SECONDS_MAX for any greater one; false
 * for anything else. */
bool mg_cache_seconds(struct mg_str digits, uint32_t *out);

#endif
