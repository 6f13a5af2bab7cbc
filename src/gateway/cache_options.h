/* What a step of the policy `cache` was told. Immutable, in the generation's arena. */
#ifndef MG_GATEWAY_CACHE_OPTIONS_H
#define MG_GATEWAY_CACHE_OPTIONS_H

#include "base/ip.h"
#include "http/cache_rules.h"
#include "shared/cache.h"

/* Who may purge by a request. */
struct mg_cache_purging {
    struct mg_str method;              /* "PURGE" */
    const struct mg_cidr_set *allowed; /* clients' addresses; NULL: any */
    const struct mg_str *when;         /* templates of which one must give text other than "" or */
    size_t when_count;                 /* "0"; none: no matter */
};

struct mg_cache_options {
    struct mg_cache *store; /* of the generation; NULL: nothing is going to run */
    struct mg_cache_settings rules;
    struct mg_str key;           /* a template for what tells entries of one URL apart; n 0: none */
    const struct mg_str *bypass; /* templates: where one gives text other than "" or "0", the */
    size_t bypass_count;         /* request passes */
    const struct mg_str *tags;   /* names of response fields with tags */
    size_t tag_count;
    const struct mg_cache_purging *purging; /* NULL: no request purges */
    bool answer_head;                       /* HEAD may be answered from a stored GET */
    uint64_t wait_ns;     /* for another one's fetch of the same thing; 0: nobody waits */
    uint64_t unshared_ns; /* how long nobody waits for what was not for sharing */
    uint64_t keep_ns;     /* entries that can be validated stay so much longer */
    bool status_header;   /* Cache-Status */
    bool legacy_headers;  /* X-Cache */
};

#endif
