/* What a cache did with a request, told in Cache-Status (RFC 9211). Pure; any thread. */
#ifndef MG_HTTP_CACHE_STATUS_H
#define MG_HTTP_CACHE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* Why a request went on to the origin (2.2). */
enum mg_cache_forward {
    MG_CACHE_HIT, /* it did not: the member says "hit" */
    MG_CACHE_BYPASS,
    MG_CACHE_METHOD,
    MG_CACHE_URI_MISS,
    MG_CACHE_VARY_MISS,
    MG_CACHE_MISS,
    MG_CACHE_REQUEST, /* the request's own directives asked for it */
    MG_CACHE_STALE,
    MG_CACHE_PARTIAL,
};

struct mg_cache_status {
    struct mg_str cache; /* who speaks: "moongate" */
    enum mg_cache_forward forward;
    uint16_t forward_status; /* the origin's; 0: not told. With a forward only */
    bool has_ttl;
    int64_t ttl; /* seconds of freshness that are left; negative when stale */
    bool stored, collapsed;
    struct mg_str key;    /* empty: not told; what is not printable ASCII is left out */
    struct mg_str detail; /* empty: none; a token or a string */
};

/* The member's text, in the arena, to be added behind those of caches nearer to the origin. */
struct mg_str mg_cache_status_text(struct mg_arena *arena, const struct mg_cache_status *status);

/* "uri-miss" and so on; "" for a hit. */
struct mg_str mg_cache_forward_name(enum mg_cache_forward forward);

#endif
