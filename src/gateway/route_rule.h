/*
 * What a route asks for beside its host and path, and the request that it is asked about.
 *
 * Rules are made by the control thread and immutable afterwards.
 */
#ifndef MG_GATEWAY_ROUTE_RULE_H
#define MG_GATEWAY_ROUTE_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

#define MG_ROUTE_ANY_METHOD UINT32_MAX

struct mg_route_pair {
    struct mg_str name, value; /* value "*": any, but it must be there */
};

/* All of it must hold. A list that is empty, and a text that is, ask for nothing; but one of
 * `paths` and `path_prefix` must be there. */
struct mg_route_match {
    const struct mg_str *hosts; /* a name or address, "*.example.com" (any depth below), or "*" */
    size_t host_count;
    const struct mg_str *paths; /* patterns of gateway/route_pattern.h */
    size_t path_count;
    struct mg_str path_prefix;    /* one more path, by whole segments */
    const struct mg_str *methods; /* upper case; GET serves HEAD too */
    size_t method_count;
    const struct mg_route_pair *headers;
    size_t header_count;
    const struct mg_route_pair *query; /* decoded */
    size_t query_count;
    struct mg_str listener;  /* name */
    struct mg_str base_path; /* before every path */
};

/* The condition that does not hold. */
enum mg_route_refusal {
    MG_ROUTE_BY_METHOD,
    MG_ROUTE_BY_LISTENER,
    MG_ROUTE_BY_HEADER,
    MG_ROUTE_BY_QUERY,
};

struct mg_route_fault {
    enum mg_route_refusal by;
    const struct mg_route_pair *pair; /* the header or query pair; else undefined */
};

struct mg_route_query {
    struct mg_str host;  /* without port and brackets, in any case; one dot at its end is ignored */
    struct mg_str path;  /* as mg_uri_path_normalize gives it */
    struct mg_str query; /* raw, without '?' */
    struct mg_str method;   /* case matters */
    struct mg_str listener; /* name */
    /* Is there a header `name` (without case) and, unless `value` is NULL, with that value? May be
     * NULL when there are no headers. */
    bool (*has_header)(void *arg, struct mg_str name, const struct mg_str *value);
    void *header_arg;
};

/* What a route asks for beside host and path. */
struct mg_route_rule {
    const void *route;
    const struct mg_route_pair *headers, *query;
    size_t header_count, query_count;
    struct mg_str listener;
    uint32_t methods; /* bits, or MG_ROUTE_ANY_METHOD */
    unsigned kinds;   /* of conditions, 0 to 4 */
    size_t singles;   /* a header or query pair is one, the methods are one, the listener is one */
    uint64_t signature; /* a bit for each name of a header or query pair, by hash */
    size_t order;       /* in the file */
};

/* In the arena, with copies of all texts. `methods` are the bits of those in `match`, or
 * MG_ROUTE_ANY_METHOD; `order` is the place in the file. */
struct mg_route_rule *mg_route_rule_new(struct mg_arena *arena, const struct mg_route_match *match,
                                        const void *route, uint32_t methods, size_t order);

/* Below 0 when `a` is tried before `b`. Never 0 for two rules. */
int mg_route_rule_compare(const struct mg_route_rule *a, const struct mg_route_rule *b);

/* Does `a` hold for every request for which `b` does? Methods apart. */
bool mg_route_rule_covers(const struct mg_route_rule *a, const struct mg_route_rule *b);

/* Has it conditions other than methods? */
bool mg_route_rule_has_conditions(const struct mg_route_rule *rule);

/* Do those hold? When not, `*fault` says which does not. */
bool mg_route_rule_holds(const struct mg_route_rule *rule, const struct mg_route_query *query,
                         struct mg_route_fault *fault);

#endif
