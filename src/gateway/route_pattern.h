// Path patterns of routes: what a user writes, and the form that the router sorts and walks.
//
//     /a/b        itself only               /a/{id}/c    one segment, not empty
//     /a/*        "/a/" and all below       /a/{rest+}   the same, with a name
//     ~^/v(\d+)/  a regular expression, its groups are the parameters
//
// Literal text is written as in a request, or raw (a space, UTF-8), and held as a normalised path
// holds it (base/uri.h). Built on the control thread; immutable afterwards.
#ifndef MG_GATEWAY_ROUTE_PATTERN_H
#define MG_GATEWAY_ROUTE_PATTERN_H

#include "base/arena.h"
#include "base/error.h"
#include "base/regex.h"
#include "base/str.h"

#define MG_ROUTE_PARAMS_MAX 16
#define MG_ROUTE_PATTERN_MAX 2048 /* bytes, base path not counted */

/* What the end of the key stands for. In order of precedence where keys are equal. */
enum mg_route_end {
    MG_ROUTE_EXACT,  /* the path ends there */
    MG_ROUTE_PREFIX, /* the same, for a path_prefix: it yields to MG_ROUTE_EXACT */
    MG_ROUTE_REGEX,  /* an expression decides */
    MG_ROUTE_TAIL,   /* anything follows */
};

struct mg_route_pattern {
    struct mg_str text; /* as configured */
    /* Base path and pattern, decoded; each parameter is a segment of one NUL byte, which no
     * normalised path holds. Of a regex or a tail: up to and with its last slash. */
    struct mg_str key;
    enum mg_route_end end;
    const struct mg_str
        *names; /* of the parameters, in the order of the path; a tail is the last */
    size_t name_count;
    struct mg_regex *regex;      /* freed when the arena is released */
    struct mg_str regex_literal; /* what a matching path has after `key` */
    size_t regex_from;           /* where in the path the expression looks: behind the base path */
};

/* Both borrow the texts; what they make is in the arena. `base` is "" or a literal path; a slash at
 * its end does not count. On MG_FAIL `err` quotes the pattern. */
enum mg_rc mg_route_pattern_parse(struct mg_arena *arena, struct mg_str base, struct mg_str text,
                                  struct mg_route_pattern *out, struct mg_error *err) MG_MUST_CHECK;

/* Whole segments: "/a" gives two patterns, for "/a" and for all below "/a/"; "/a/" gives the
 * latter. */
enum mg_rc mg_route_pattern_prefix(struct mg_arena *arena, struct mg_str base, struct mg_str text,
                                   struct mg_route_pattern out[2], size_t *count,
                                   struct mg_error *err) MG_MUST_CHECK;

#endif
