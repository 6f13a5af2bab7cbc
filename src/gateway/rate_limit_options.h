/* What a step of the policy `rate-limit` was told. Immutable, in the generation's arena. */
#ifndef MG_GATEWAY_RATE_LIMIT_OPTIONS_H
#define MG_GATEWAY_RATE_LIMIT_OPTIONS_H

#include <stdatomic.h>

#include "base/calendar.h"
#include "gateway/client_key.h"
#include "shared/limiter.h"

#define MG_RATE_LIMITS_MAX 8 /* in one set */

struct mg_rate_limit {
    struct mg_limiter_rule rule;
    struct mg_client_key by;
    struct mg_str name;         /* what clients call it */
    struct mg_str prefix;       /* what its keys in this gateway begin with */
    struct mg_str head;         /* what its item of RateLimit begins with */
    struct mg_str members;      /* of a refusal's problem: ",\"violated-policies\":[...]" */
    struct mg_str redis_head;   /* what its keys in Redis begin with */
    struct mg_str redis_client; /* the same where the client stands in braces; n 0: nowhere */
};

/* Limits that a request takes from all at once, or from none. */
struct mg_rate_limit_set {
    struct mg_str tier; /* whose it is; empty: of all others */
    const struct mg_rate_limit *limits;
    uint32_t count;                  /* 1 to MG_RATE_LIMITS_MAX */
    bool one_key;                    /* all of them count by the same */
    struct mg_str policy;            /* the value of RateLimit-Policy */
    size_t field_room;               /* for a value of RateLimit */
    const struct mg_str *redis_args; /* of the script, behind the cost */
    size_t redis_arg_count;
};

/* What becomes of requests that cannot be counted where they should be. */
enum mg_rate_limit_when_down {
    MG_RATE_LIMIT_DOWN_LOCAL, /* this gateway counts; where it cannot either, they are refused */
    MG_RATE_LIMIT_DOWN_ALLOW,
    MG_RATE_LIMIT_DOWN_DENY,
};

/* Limits in Redis; gateway/rate_limit_redis.h. */
struct mg_rate_limit_redis {
    struct mg_str name;
    uint32_t index; /* of the generation's */
    struct mg_str script, sha1;
    double batch;         /* units that are taken at a time */
    atomic_bool *is_down; /* that was told; all workers write it */
};

enum mg_rate_limit_legacy {
    MG_RATE_LIMIT_LEGACY_NEVER,
    MG_RATE_LIMIT_LEGACY_REFUSED, /* on refusals */
    MG_RATE_LIMIT_LEGACY_ALWAYS,
};

/* What X-RateLimit-Reset is. */
enum mg_rate_limit_reset {
    MG_RATE_LIMIT_RESET_EPOCH,   /* seconds since 1970 */
    MG_RATE_LIMIT_RESET_DATE,    /* as JavaScript's Date prints itself */
    MG_RATE_LIMIT_RESET_SECONDS, /* from now */
};

struct mg_rate_limit_options {
    struct mg_dict *dict;                    /* of the generation; NULL: nothing is going to run */
    const struct mg_rate_limit_redis *redis; /* NULL: it counts in the dictionary */
    enum mg_rate_limit_when_down when_down;
    const struct mg_rate_limit_set *sets; /* the first: of those who have no tier */
    uint32_t set_count;
    /* A quota: what is counted begins anew with each stretch of the calendar, whose name is part of
     * the keys. MG_CALENDAR_NONE: with the windows of the limits. */
    enum mg_calendar calendar;
    struct mg_str tier;      /* a template that gives the tier; n 0: by the client's groups */
    double cost;             /* units of a request */
    struct mg_str cost_expr; /* a template in its place; n 0: none */
    double cost_max;         /* more than that counts as that */
    bool headers;            /* RateLimit-Policy and RateLimit */
    enum mg_rate_limit_legacy legacy;
    enum mg_rate_limit_reset reset;
    uint16_t status;    /* of a refusal */
    struct mg_str body; /* of a refusal; n 0: a problem */
    struct mg_str type; /* of that body */
    bool dry_run;       /* counts and logs, and does nothing to anybody */
};

#endif
