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
 * search allocates nothing, and visits each node of the tree at most once (route_tree.h), so its
 * cost is bounded by the configured routes and the length of the path, whatever a client sends.
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
#include "gateway/route_rule.h"
#include "gateway/route_tree.h"

struct mg_router;

/* A route that can never match under this host by this pattern, because `by` takes all it would
 * get, with others before it perhaps that take other methods. */
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

/* The same once more, at any time after it. */
void mg_router_shadows(const struct mg_router *router,
                       void (*on_shadow)(void *arg, const struct mg_route_shadow *shadow),
                       void *arg);

/* Every host and pattern of every route, in the order they were added. */
void mg_router_each(const struct mg_router *router,
                    void (*each)(void *arg, const void *route, struct mg_str host,
                                 const struct mg_route_pattern *pattern),
                    void *arg);

enum mg_router_result {
    MG_ROUTER_FOUND,
    MG_ROUTER_NONE,
    MG_ROUTER_WRONG_METHOD, /* routes match but for their methods */
    MG_ROUTER_GAVE_UP, /* a regex met its bound: refuse the request, for the route could have been
                          one that guards something */
};

/* Members of `found` other than `allow` are set only with MG_ROUTER_FOUND. Calls back only what
 * `query` names. */
enum mg_router_result mg_router_find(const struct mg_router *router,
                                     const struct mg_route_query *query,
                                     struct mg_route_found *found);

/* Why of two entries that both take a request one comes first. */
enum mg_router_precedence {
    MG_ROUTER_BY_HOST,       /* its host is more specific */
    MG_ROUTER_BY_PATH,       /* its path is */
    MG_ROUTER_BY_CONDITIONS, /* it has more of them */
    MG_ROUTER_BY_ORDER,      /* it stands before the other in the file */
};

/* Tells of every entry whose path matches, in the order in which mg_router_find tries them; it
 * takes the first that fits. Then of those that are for other hosts. The search is the same one;
 * what is told of does not end it. Calls back before it returns. */
void mg_router_trace(const struct mg_router *router, const struct mg_route_query *query,
                     void (*on_tried)(void *arg, const struct mg_route_tried *tried), void *arg);

/* `first` comes before `second`, which fits as well. */
enum mg_router_precedence mg_router_precedence(const struct mg_route_entry *first,
                                               const struct mg_route_entry *second);

/* The value of an Allow field (RFC 9110 10.2.1), in the arena. */
struct mg_str mg_router_allow(const struct mg_router *router, uint32_t allow,
                              struct mg_arena *arena);

/* Value of the parameter of that name; false when the pattern has none. */
bool mg_router_param(const struct mg_route_found *found, struct mg_str name, struct mg_str *value);

#endif
