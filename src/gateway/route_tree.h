/*
 * The paths of all routes of one host, as a tree that a search walks.
 *
 * A node stands for a position in the path that is at the end or before a slash. It knows what ends
 * here, what ends behind that slash, the regexes that are tried there, the child behind a
 * parameter, and its literal children: one child is compared, several are found by the hash of
 * their first segment, so a path costs about as much among ten thousand routes as among ten. A run
 * of literals without a fork is one node.
 *
 * A parameter takes exactly one segment, and a literal its own bytes: so for a given path each node
 * stands for one position, and backtracking reaches it once.
 *
 * Built by the control thread, immutable afterwards: any thread may search.
 */
#ifndef MG_GATEWAY_ROUTE_TREE_H
#define MG_GATEWAY_ROUTE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "gateway/route_pattern.h"
#include "gateway/route_rule.h"

/* One host and pattern of a rule. */
struct mg_route_entry {
    struct mg_str host; /* lower case; "" for any */
    struct mg_route_pattern pattern;
    const struct mg_route_rule *rule;
};

/* Any number of trees in one block of words, each known by the offset of its root. */
struct mg_route_tree {
    uint32_t *words;
    size_t n, room;
};

void mg_route_tree_init(struct mg_route_tree *tree);
void mg_route_tree_release(struct mg_route_tree *tree);

/* The order in which entries of one host must be added, which is also that in which a search tries
 * those of one node. */
int mg_route_tree_compare(const struct mg_route_entry *a, const struct mg_route_entry *b);

/* Adds a tree of the entries, which are sorted. They must outlive the tree. Returns its root, never
 * 0. */
uint32_t mg_route_tree_add(struct mg_route_tree *tree, struct mg_route_entry *const *sorted,
                           size_t n);

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

/* What a trace tells of one entry whose path matches. */
enum mg_route_verdict {
    MG_ROUTE_FITS,       /* takes the request, unless one that was told before it does */
    MG_ROUTE_REFUSES,    /* a condition does not hold */
    MG_ROUTE_OTHER_HOST, /* whatever its conditions say */
    MG_ROUTE_TOO_COSTLY, /* its regex met its bound, which ends the search */
};

struct mg_route_tried {
    const struct mg_route_entry *entry;
    enum mg_route_verdict verdict;
    struct mg_route_fault fault; /* MG_ROUTE_REFUSES */
};

/* Whoever wants to know how a search comes to its end. */
struct mg_route_trace {
    void (*on_tried)(void *arg, const struct mg_route_tried *tried);
    void *arg;
    uint32_t method; /* of the request, one bit: the search itself has none, so that no leaf ends it
                      */
    bool other_host;
};

struct mg_route_search {
    const struct mg_route_tree *tree;
    const struct mg_route_query *query; /* its path begins with '/' */
    struct mg_route_found *found;       /* `allow` gathers */
    uint32_t method;                    /* one bit */
    const struct mg_route_trace *trace; /* NULL: none, which costs nothing */
    bool gave_up;                       /* out: a regex met its bound; nothing was found */
};

/* Finds the first route below `root` that takes the request, or false. */
bool mg_route_tree_find(struct mg_route_search *search, uint32_t root);

#endif
