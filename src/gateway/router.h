/*
 * Finds the route of a request.
 *
 * Precedence: exact host, then wildcard hosts from the longest suffix, then routes without host; a
 * host under which nothing matches yields to the next. Under one host paths compare from the left:
 * longer literal text first; where the literals end alike, the end of the path, then a regex, then
 * a parameter, then a tail. Among equal paths more kinds of conditions (methods, headers, query,
 * listener), then more single ones, then file order.
 *
 * Filled and finished by the control thread, immutable from then on: any thread may search. A
 * search allocates nothing, and visits each node of the tree at most once (below), so its cost is
 * bounded by the configured routes and the length of the path, whatever a client sends.
 */
#ifndef MG_GATEWAY_ROUTER_H
#define MG_GATEWAY_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "gateway/route_pattern.h"

struct mg_router;

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

/* A route that can never match under this host by this pattern, because `by` takes all it would
 * get. */
struct mg_route_shadow {
    const void *route, *by;
    struct mg_str host; /* "" for any */
    struct mg_str pattern;
};

struct mg_router *mg_router_new(void);
void mg_router_free(struct mg_router *router); /* NULL is fine */

/* Borrows `match` for the call and `route` for good (it is only handed back). On MG_FAIL the router
 * must be thrown away. */
enum mg_rc mg_router_add(struct mg_router *router, const struct mg_route_match *match,
                         const void *route, struct mg_error *err) MG_MUST_CHECK;

/* Builds the tree; nothing is added afterwards. Tells of shadowed routes before it returns;
 * `on_shadow` may be NULL. */
void mg_router_finish(struct mg_router *router,
                      void (*on_shadow)(void *arg, const struct mg_route_shadow *shadow),
                      void *arg);

/* Every host and pattern of every route, in the order they were added. */
void mg_router_each(const struct mg_router *router,
                    void (*each)(void *arg, const void *route, struct mg_str host,
                                 const struct mg_route_pattern *pattern),
                    void *arg);

enum mg_route_refusal {
    MG_ROUTE_BY_METHOD,
    MG_ROUTE_BY_LISTENER,
    MG_ROUTE_BY_HEADER,
    MG_ROUTE_BY_QUERY,
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
    /* Told of each route whose host and path matched, and why it was passed over. May be NULL. */
    void (*on_refused)(void *arg, const void *route, enum mg_route_refusal why);
    void *refused_arg;
};

enum mg_router_result {
    MG_ROUTER_FOUND,
    MG_ROUTER_NONE,
    MG_ROUTER_WRONG_METHOD, /* routes match but for their methods */
    MG_ROUTER_GAVE_UP, /* a regex met its bound: refuse the request, for the route could have been
                          one that guards something */
};

struct mg_route_found {
    const void *route;
    const struct mg_route_pattern *pattern;    /* in the router; names of the parameters */
    size_t param_count;                        /* 0 also for the bare prefix of a path_prefix */
    struct mg_str values[MG_ROUTE_PARAMS_MAX]; /* views into the path; p is NULL for a group that
                                                  took no part */
    size_t literal_bytes; /* of the path, up to its first parameter or tail; all of it when there is
                             none */
    uint32_t allow;       /* after MG_ROUTER_WRONG_METHOD, for mg_router_allow */
};

/* Members of `found` other than `allow` are set only with MG_ROUTER_FOUND. Calls back only what
 * `query` names. */
enum mg_router_result mg_router_find(const struct mg_router *router,
                                     const struct mg_route_query *query,
                                     struct mg_route_found *found);

/* The value of an Allow field (RFC 9110 10.2.1), in the arena. */
struct mg_str mg_router_allow(const struct mg_router *router, uint32_t allow,
                              struct mg_arena *arena);

/* Value of the parameter of that name; false when the pattern has none. */
bool mg_route_found_param(const struct mg_route_found *found, struct mg_str name,
                          struct mg_str *value);

#endif
