/*
 * Sticky sessions: a cookie that brings a client back to the backend it was first served by. What
 * the cookie holds names the backend to us and tells others nothing: a keyed digest. Pure.
 */
#ifndef MG_UPSTREAM_STICKY_H
#define MG_UPSTREAM_STICKY_H

#include <stdbool.h>

#include "base/arena.h"
#include "upstream/backend.h"

#define MG_STICKY_TOKEN_CHARS 32

struct mg_sticky_config {
    struct mg_str cookie; /* its name; empty: the service has no sticky sessions */
    struct mg_str path;   /* of the cookie */
    struct mg_str secret; /* what digests are keyed by; empty: a random one of this process */
    uint64_t ttl_ns;      /* 0: as long as the browser runs */
    bool secure;          /* only over TLS */
};

/* Not NUL-terminated. Two services that share a backend name it differently. */
void mg_sticky_token(const struct mg_sticky_config *config, struct mg_str service,
                     const struct mg_backend *b, char out[MG_STICKY_TOKEN_CHARS]);
/* The value of a Set-Cookie field (RFC 6265 4.1), in the arena. */
struct mg_str mg_sticky_set_cookie(const struct mg_sticky_config *config, struct mg_str token,
                                   struct mg_arena *arena);

#endif
