/* Which route a request gets: tables, and random ones against a matcher that just tries all. */
#include "gateway/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* A route as a row of a table. Lists are separated by commas; NULL is nothing. */
struct spec {
    const char *path, *host, *methods;
    const char *header, *query; /* "name=value,name=value" */
    const char *listener, *prefix, *base;
};

static size_t split(const char *text, struct mg_str *items)
{
    struct mg_str rest = mg_str_c(text);
    size_t n = 0;
    while (mg_str_split(&rest, ',', &items[n]))
        n++;
    return n;
}

static size_t split_pairs(const char *text, struct mg_route_pair *pairs)
{
    struct mg_str items[8];
    size_t n = split(text, items);
    for (size_t i = 0; i < n; i++) {
        mg_str_split(&items[i], '=', &pairs[i].name);
        pairs[i].value = items[i];
    }
    return n;
}

static enum mg_rc add(struct mg_router *r, const struct spec *spec, struct mg_error *err)
{
    struct mg_str hosts[8], paths[8], methods[40];
    struct mg_route_pair headers[8], query[8];
    struct mg_route_match match = {
        .hosts = hosts,
        .host_count = split(spec->host, hosts),
        .paths = paths,
        .path_count = split(spec->path, paths),
        .path_prefix = mg_str_c(spec->prefix),
        .methods = methods,
        .method_count = split(spec->methods, methods),
        .headers = headers,
        .header_count = split_pairs(spec->header, headers),
        .query = query,
        .query_count = split_pairs(spec->query, query),
        .listener = mg_str_c(spec->listener),
        .base_path = mg_str_c(spec->base),
    };
    return mg_router_add(r, &match, spec, err);
}

static struct mg_router *built(const struct spec *specs, size_t n)
{
    struct mg_router *r = mg_router_new();
    struct mg_error err;
    for (size_t i = 0; i < n; i++)
        if (add(r, &specs[i], &err))
            fail_msg("route %zu: %s", i, err.text);
    mg_router_finish(r, NULL, NULL);
    return r;
}

/* Headers of a request in the form of a query string. */
static bool has_header(void *arg, struct mg_str name, const struct mg_str *value)
{
    struct mg_str rest = mg_str_c(arg), item, key;
    while (mg_str_split(&rest, '&', &item)) {
        mg_str_split(&item, '=', &key);
        if (mg_str_ieq(key, name) && (!value || mg_str_eq(item, *value)))
            return true;
    }
    return false;
}

static struct mg_route_query get(const char *path)
{
    return (struct mg_route_query){
        .host = MG_STR("h.x"), .path = mg_str_c(path), .method = MG_STR("GET")};
}

/* Index of the route that the query gets, or -1. */
static long find(const struct mg_router *r, const struct spec *specs,
                 const struct mg_route_query *q, struct mg_route_found *found)
{
    if (mg_router_find(r, q, found) != MG_ROUTER_FOUND)
        return -1;
    return (const struct spec *)found->route - specs;
}

struct path_case {
    const char *path;
    long route;
    const char *params; /* "name=value," each; NULL: not looked at */
    size_t literal_bytes;
};

static void assert_params(const struct mg_route_found *found, const char *expected)
{
    char text[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < found->param_count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%.*s=%.*s,",
                              MG_STR_ARGS(found->pattern->names[i]), MG_STR_ARGS(found->values[i]));
    assert_string_equal(text, expected);
}

static void check_paths(const struct spec *specs, size_t n, const struct path_case *cases,
                        size_t count)
{
    struct mg_router *r = built(specs, n);
    for (size_t i = 0; i < count; i++) {
        struct mg_route_query q = get(cases[i].path);
        struct mg_route_found found;
        long route = find(r, specs, &q, &found);
        if (route != cases[i].route)
            fail_msg("%s: got route %ld, not %ld", cases[i].path, route, cases[i].route);
        if (cases[i].params) {
            assert_params(&found, cases[i].params);
            assert_int_equal(found.literal_bytes, cases[i].literal_bytes);
        }
    }
    mg_router_free(r);
}

static void paths(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "/a/*"},                         /* 0 */
        {.path = "/a"},                           /* 1 */
        {.path = "/users/{id}"},                  /* 2 */
        {.path = "/users/me"},                    /* 3 */
        {.path = "/users/{id}/orders/{order-1}"}, /* 4 */
        {.path = "/users/{id}/*"},                /* 5 */
        {.path = "/files/{rest+}"},               /* 6 */
        {.path = "/slash/"},                      /* 7 */
        {.prefix = "/whole/seg"},                 /* 8 */
        {.prefix = "/below/"},                    /* 9 */
        {.path = "/caf%C3%A9/a b,/%2fx/100%25"},  /* 10 */
        {.path = "/users/{id}/orders/all/x"},     /* 11 */
        {.path = "/deep/{a}/{b}/{c}/end"},        /* 12 */
        {.path = "/literal%2A/%7Bx%7D"},          /* 13 */
    };
    static const struct path_case CASES[] = {
        {"/a", 1, "", 2},
        {"/a/", 0, "*=,", 3},
        {"/a/b/c", 0, "*=b/c,", 3},
        {"/ab", -1, NULL, 0},
        {"/", -1, NULL, 0},
        {"/A", -1, NULL, 0},
        {"/users/7", 2, "id=7,", 7},
        {"/users/me", 3, "", 9},
        {"/users/mexico", 2, "id=mexico,", 7},
        {"/users/", -1, NULL, 0},
        {"/users", -1, NULL, 0},
        {"/users/me/orders/9", 4, "id=me,order-1=9,", 7},
        {"/users/7/orders/all", 4, "id=7,order-1=all,", 7},
        {"/users/7/orders/all/x", 11, "id=7,", 7},
        {"/users/7/orders/all/y", 5, "id=7,*=orders/all/y,", 7},
        {"/users/7/", 5, "id=7,*=,", 7},
        {"/files/", 6, "rest=,", 7},
        {"/files/x/y", 6, "rest=x/y,", 7},
        {"/files", -1, NULL, 0},
        {"/slash/", 7, "", 7},
        {"/slash", -1, NULL, 0},
        {"/slash/x", -1, NULL, 0},
        {"/whole/seg", 8, "", 10},
        {"/whole/seg/", 8, "*=,", 11},
        {"/whole/seg/x", 8, "*=x,", 11},
        {"/whole/segment", -1, NULL, 0},
        {"/below", -1, NULL, 0},
        {"/below/", 9, "*=,", 7},
        {"/caf\xc3\xa9/a b", 10, "", 10},
        {"/%2Fx/100%25", 10, "", 12},
        {"/deep/1/2/3/end", 12, "a=1,b=2,c=3,", 6},
        {"/deep/1/2/end", -1, NULL, 0},
        {"/literal*/{x}", 13, "", 13},
        {"", -1, NULL, 0},
        {"*", -1, NULL, 0},
    };
    check_paths(SPECS, COUNT(SPECS), CASES, COUNT(CASES));
}

static void precedence(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "/*"},                       /* 0 */
        {.path = "/a/*"},                     /* 1 */
        {.path = "/a/b/*"},                   /* 2 */
        {.path = "/a/{x}"},                   /* 3 */
        {.path = "/a/b"},                     /* 4 */
        {.path = "/{x}/b/c"},                 /* 5 */
        {.path = "/{x}/b"},                   /* 6 */
        {.path = "~^/a/[0-9]+$"},             /* 7 */
        {.path = "~^/a/b[0-9]+$"},            /* 8 */
        {.prefix = "/p"},                     /* 9 */
        {.path = "/p"},                       /* 10 */
        {.path = "~\\.php$"},                 /* 11 */
        {.path = "/a/{x}", .methods = "GET"}, /* 12 */
    };
    static const struct path_case CASES[] = {
        {"/", 0, "*=,", 1},      {"/z/b", 6, "x=z,", 1},      {"/z/b/c", 5, "x=z,", 1},
        {"/z/b/d", 0, NULL, 0},  {"/a/b", 4, "", 4},          {"/a/b/c", 2, "*=c,", 5},
        {"/a/x", 12, "x=x,", 3}, {"/a/x/y", 1, "*=x/y,", 3},  {"/a/7", 7, "", 3},
        {"/a/b7", 8, "", 4},     {"/a/b7c", 12, "x=b7c,", 3}, {"/p", 10, "", 2},
        {"/p/q", 9, "*=q,", 3},  {"/x.php", 11, "", 1},       {"/a/b/x.php", 2, "*=x.php,", 5},
    };
    check_paths(SPECS, COUNT(SPECS), CASES, COUNT(CASES));
}

static void regexes(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "~^/v(\\d+)/(?<name>[a-z]+)(\\.json)?$"},  /* 0 */
        {.path = "~^/x\\.y|^/z"},                           /* 1: alternatives, so no literal */
        {.path = "~^/opt/ab?c"},                            /* 2 */
        {.path = "~^/rep/ab+c$"},                           /* 3 */
        {.path = "~^/[|(]$"},                               /* 4 */
        {.path = "~^(?i)/CASE$"},                           /* 5 */
        {.path = "~^/dot\\.x/(a|b)$"},                      /* 6 */
        {.path = "~^/quote\\Q|\\E$"},                       /* 7 */
        {.path = "~^/users/(\\d+)", .base = "/base/path/"}, /* 8 */
        {.path = "~^/q\\Q(\\E|^/q2$"}, /* 9: from here on, what looks like a group and is none */
        {.path = "~^/c[(]|^/c2$"},     /* 10 */
        {.path = "~^/dd[^](]|^/d2$"},  /* 11 */
        {.path = "~^/e[[:alpha:](]|^/e2$"}, /* 12 */
        {.path = "~^/f\\(|^/f2$"},          /* 13 */
        {.path = "~^/g(?#()x|^/g2$"},       /* 14 */
        {.path = "~^/h(*MARK:()x|^/h2$"},   /* 15 */
    };
    static const struct path_case CASES[] = {
        {"/v12/ab.json", 0, "1=12,name=ab,3=.json,", 2},
        {"/v12/ab", 0, "1=12,name=ab,3=,", 2},
        {"/v/ab", -1, NULL, 0},
        {"/x.y", 1, "", 1},
        {"/zebra", 1, "", 1},
        {"/opt/ac", 2, "", 6},
        {"/opt/abc/d", 2, "", 6},
        {"/opt/a", -1, NULL, 0},
        {"/rep/abbc", 3, "", 7},
        {"/|", 4, "", 1},
        {"/case", 5, "", 1},
        {"/dot.x/b", 6, "1=b,", 7},
        {"/dot-x/b", -1, NULL, 0},
        {"/quote|", 7, "", 1},
        {"/base/path/users/7/x", 8, "1=7,", 17},
        {"/users/7", -1, NULL, 0},
        {"/q2", 9, "", 1},
        {"/c2", 10, "", 1},
        {"/d2", 11, "", 1},
        {"/e2", 12, "", 1},
        {"/f2", 13, "", 1},
        {"/g2", 14, "", 1},
        {"/h2", 15, "", 1},
    };
    check_paths(SPECS, COUNT(SPECS), CASES, COUNT(CASES));
}

static void base_paths(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "/*", .base = "/prod"},
        {.path = "/users/{id}", .base = "/prod/"},
        {.path = "/x", .base = "/"},
        {.prefix = "/y", .base = "/caf%C3%A9"},
    };
    static const struct path_case CASES[] = {
        {"/prod/", 0, "*=,", 6},      {"/prod/a", 0, "*=a,", 6},
        {"/prod", -1, NULL, 0},       {"/prod/users/1", 1, "id=1,", 12},
        {"/users/1", -1, NULL, 0},    {"/x", 2, "", 2},
        {"/caf\xc3\xa9/y", 3, "", 8}, {"/caf\xc3\xa9/y/z", 3, "*=z,", 9},
    };
    check_paths(SPECS, COUNT(SPECS), CASES, COUNT(CASES));
}

static void hosts(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "/*"},                                     /* 0 */
        {.path = "/a", .host = "api.example.com"},          /* 1 */
        {.path = "/*", .host = "*.example.com"},            /* 2 */
        {.path = "/b", .host = "*.eu.example.com"},         /* 3 */
        {.path = "/c", .host = "One.test,two.test."},       /* 4 */
        {.path = "/d", .host = "[2001:db8::1],10.0.0.1,*"}, /* 5 */
    };
    static const struct {
        const char *host, *path;
        long route;
    } CASES[] = {
        {"api.example.com", "/a", 1},
        {"API.Example.COM", "/a", 1},
        {"api.example.com.", "/a", 1},
        {"api.example.com", "/z", 2},
        {"x.eu.example.com", "/b", 3},
        {"x.y.eu.example.com", "/b", 3},
        {"x.eu.example.com", "/c", 2},
        {"eu.example.com", "/b", 2},
        {"example.com", "/b", 0},
        {"notexample.com", "/b", 0},
        {".example.com", "/b", 0},
        {"one.test", "/c", 4},
        {"two.test", "/c", 4},
        {"three.test", "/c", 0},
        {"2001:db8::1", "/d", 5},
        {"10.0.0.1", "/d", 5},
        {"any", "/d", 5},
        {"", "/a", 0},
        {".", "/a", 0},
        {"..", "/a", 0},
    };
    struct mg_router *r = built(SPECS, COUNT(SPECS));
    struct mg_route_found found;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_route_query q = get(CASES[i].path);
        q.host = mg_str_c(CASES[i].host);
        if (find(r, SPECS, &q, &found) != CASES[i].route)
            fail_msg("%s%s", CASES[i].host, CASES[i].path);
    }

    char dots[400];
    memset(dots, '.', sizeof dots);
    for (size_t n = 250; n < 260; n++) {
        struct mg_route_query q = get("/z");
        q.host = mg_str(dots, n);
        assert_int_equal(find(r, SPECS, &q, &found), 0);
        memset(dots, 'a', 1);
        assert_int_equal(find(r, SPECS, &q, &found), 0);
    }
    mg_router_free(r);
}

static void conditions(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "/x"},                                           /* 0 */
        {.path = "/x", .header = "x-beta=*"},                     /* 1 */
        {.path = "/x", .header = "x-beta=*,x-eu=1"},              /* 2 */
        {.path = "/x", .header = "X-Beta=2", .query = "debug=1"}, /* 3 */
        {.path = "/x", .query = "debug=*"},                       /* 4 */
        {.path = "/x", .listener = "inside"},                     /* 5 */
        {.path = "/x", .methods = "PUT"},                         /* 6 */
        {.path = "/x/*", .header = "never=*"},                    /* 7 */
        {.path = "/*"},                                           /* 8 */
    };
    static const struct {
        const char *path, *headers, *query, *listener, *method;
        long route;
    } CASES[] = {
        {"/x", NULL, NULL, NULL, "GET", 0},
        {"/x", "x-beta=", NULL, NULL, "GET", 1},
        {"/x", "X-BETA=2", NULL, NULL, "GET", 1},
        {"/x", "x-beta=1&x-eu=1", NULL, NULL, "GET", 2},
        {"/x", "x-beta=1&x-eu=2", NULL, NULL, "GET", 1},
        {"/x", "x-beta=2&x-eu=1", "debug=%31", NULL, "GET", 3},
        {"/x", "x-beta=1&x-beta=2", "debug=1", NULL, "GET", 3},
        {"/x", "x-beta=3", "debug=1", NULL, "GET", 1},
        {"/x", NULL, "a=b&debug", NULL, "GET", 4},
        {"/x", NULL, "debug=0", "inside", "GET", 4},
        {"/x", NULL, NULL, "inside", "GET", 5},
        {"/x", NULL, NULL, "outside", "GET", 0},
        {"/x", NULL, NULL, "inside", "PUT", 5},
        {"/x", NULL, NULL, NULL, "PUT", 6},
        {"/x/y", NULL, NULL, NULL, "GET", 8},
        {"/x/y", "never=x", NULL, NULL, "GET", 7},
    };
    struct mg_router *r = built(SPECS, COUNT(SPECS));
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_route_query q = get(CASES[i].path);
        struct mg_route_found found;
        q.method = mg_str_c(CASES[i].method);
        q.query = mg_str_c(CASES[i].query);
        q.listener = mg_str_c(CASES[i].listener);
        if (CASES[i].headers) {
            q.has_header = has_header;
            q.header_arg = (void *)CASES[i].headers;
        }
        long route = find(r, SPECS, &q, &found);
        if (route != CASES[i].route)
            fail_msg("case %zu: got route %ld, not %ld", i, route, CASES[i].route);
    }
    mg_router_free(r);
}

static void methods(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "/x", .methods = "GET,PURGE"},
        {.path = "/x", .methods = "DELETE", .listener = "inside"},
        {.path = "/*", .methods = "POST", .host = "h.x"},
        {.path = "/any"},
        {.path = "~^/r/(a)", .methods = "PUT"},
    };
    static const struct {
        const char *method, *path;
        long route;
        const char *allow; /* NULL: found, or no route at all */
    } CASES[] = {
        {"GET", "/x", 0, NULL},
        {"HEAD", "/x", 0, NULL},
        {"PURGE", "/x", 0, NULL},
        {"POST", "/x", 2, NULL},
        {"PUT", "/x", -1, "GET, HEAD, PURGE, POST"},
        {"get", "/x", -1, "GET, HEAD, PURGE, POST"},
        {"OPTIONS", "/y", -1, "POST"},
        {"BREW", "/any", 3, NULL},
        {"GET", "/r/a", -1, "POST, PUT"},
        {"GET", "/r/b", -1, "POST"},
    };
    struct mg_router *r = built(SPECS, COUNT(SPECS));
    struct mg_pool pool;
    struct mg_arena arena;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_route_query q = get(CASES[i].path);
        struct mg_route_found found;
        q.method = mg_str_c(CASES[i].method);
        enum mg_router_result result = mg_router_find(r, &q, &found);
        if (CASES[i].allow) {
            assert_int_equal(result, MG_ROUTER_WRONG_METHOD);
            struct mg_str allow = mg_router_allow(r, found.allow, &arena);
            assert_int_equal(allow.n, strlen(CASES[i].allow));
            assert_memory_equal(allow.p, CASES[i].allow, allow.n);
        } else {
            assert_int_equal(result, MG_ROUTER_FOUND);
            assert_int_equal((const struct spec *)found.route - SPECS, CASES[i].route);
        }
    }
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    mg_router_free(r);
}

static void bad_routes_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct spec spec;
        const char *why;
    } CASES[] = {
        {{.host = "a"}, "needs a path"},
        {{.path = "a"}, "path 'a': must begin with '/'"},
        {{.path = "*"}, "must begin with '/'"},
        {{.path = "/a//b"}, "path '/a//b': has an empty segment"},
        {{.path = "/a/../b"}, "dot segments"},
        {{.path = "/a/%2e"}, "dot segments"},
        {{.path = "/a/%zz"}, "two hex digits"},
        {{.path = "/a/%00"}, "NUL"},
        {{.path = "/a?b"}, "'?' and '#'"},
        {{.path = "/a*"}, "must be whole segments"},
        {{.path = "/a/*/b"}, "can only be last"},
        {{.path = "/a/{x+}/b"}, "can only be last"},
        {{.path = "/a/x{y}"}, "must be whole segments"},
        {{.path = "/a/{x}y"}, "must be a whole segment"},
        {{.path = "/a/{"}, "must be a whole segment"},
        {{.path = "/a/{}"}, "parameter's name"},
        {{.path = "/a/{+}"}, "parameter's name"},
        {{.path = "/a/{a b}"}, "parameter's name"},
        {{.path = "/{a}/{a}"}, "stands twice"},
        {{.path = "/{1}/{2}/{3}/{4}/{5}/{6}/{7}/{8}/{9}/{10}/{11}/{12}/{13}/{14}/{15}/{16}/*"},
         "more than 16"},
        {{.path = "~^/(a"}, "path '~^/(a': bad regular expression at byte 4"},
        {{.path = "~^a"}, "can never match"},
        {{.prefix = "a"}, "must begin with '/'"},
        {{.prefix = "~^/a"}, "a prefix must begin with '/'"},
        {{.prefix = "/{a}"}, "cannot stand here"},
        {{.prefix = "/a/*"}, "cannot stand here"},
        {{.path = "/a", .base = "b"}, "path 'b': must begin with '/'"},
        {{.path = "/a", .base = "/b//"}, "empty segment"},
        {{.path = "/a", .base = "/*"}, "cannot stand here"},
        {{.path = "/a", .host = "a:80"}, "host 'a:80': expected"},
        {{.path = "/a", .host = "a..b"}, "host 'a..b'"},
        {{.path = "/a", .host = "*."}, "host '*.'"},
        {{.path = "/a", .host = "*a"}, "host '*a'"},
        {{.path = "/a", .host = "a.*"}, "host 'a.*'"},
        {{.path = "/a", .host = ".a"}, "host '.a'"},
        {{.path = "/a", .host = "[::1"}, "host '[::1'"},
        {{.path = "/a", .methods = "get"}, "method 'get': expected upper-case"},
        {{.path = "/a", .methods = "A,B,C,D,E,F,G,H,I,J,K,L,M,N,O,P,Q,R,S,T,U,V,W,X,Y,Z,1,2,3,4"},
         "method '4': more than 31"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_router *r = mg_router_new();
        struct mg_error err;
        assert_int_equal(add(r, &CASES[i].spec, &err), MG_FAIL);
        if (!strstr(err.text, CASES[i].why))
            fail_msg("'%s' has no '%s'", err.text, CASES[i].why);
        mg_router_free(r);
    }

    char text[MG_ROUTE_PATTERN_MAX + 2] = "";
    memset(text, '/', 1);
    memset(text + 1, 'a', MG_ROUTE_PATTERN_MAX);
    struct spec spec = {.path = text};
    struct mg_router *r = mg_router_new();
    struct mg_error err;
    assert_int_equal(add(r, &spec, &err), MG_FAIL);
    text[MG_ROUTE_PATTERN_MAX] = '\0';
    assert_int_equal(add(r, &spec, &err), MG_OK);
    mg_router_free(r);
}

struct shadow_log {
    const struct spec *specs;
    char text[256];
    size_t n;
};

static void on_shadow(void *arg, const struct mg_route_shadow *s)
{
    struct shadow_log *log = arg;
    log->n += (size_t)snprintf(log->text + log->n, sizeof log->text - log->n, "%td<%td ",
                               (const struct spec *)s->route - log->specs,
                               (const struct spec *)s->by - log->specs);
}

static void shadows_are_told(void **state)
{
    (void)state;
    static const struct {
        struct spec specs[2];
        const char *told;
    } CASES[] = {
        {{{.path = "/a"}, {.path = "/a"}}, "1<0 "},
        {{{.path = "/a/{x}"}, {.path = "/a/{y}"}}, "1<0 "},
        {{{.path = "/a/*"}, {.path = "/a/{r+}"}}, "1<0 "},
        {{{.path = "/%61"}, {.path = "/a", .host = "*"}}, "1<0 "},
        {{{.path = "/a,/a"}, {.path = "/b"}}, ""},
        {{{.path = "/a"}, {.path = "/a/"}}, ""},
        {{{.path = "/a"}, {.prefix = "/a"}}, ""},
        {{{.path = "/a", .host = "h.x"}, {.path = "/a"}}, ""},
        {{{.path = "/a", .host = "h.x"}, {.path = "/a", .host = "H.X."}}, "1<0 "},
        {{{.path = "/a"}, {.path = "/a", .methods = "GET"}}, ""},
        {{{.path = "/a", .methods = "GET,PUT"}, {.path = "/a", .methods = "PUT"}}, "1<0 "},
        {{{.path = "/a", .methods = "PUT"}, {.path = "/a", .methods = "GET,PUT"}}, ""},
        {{{.path = "/a", .header = "x=*"}, {.path = "/a", .header = "X=1"}}, "1<0 "},
        {{{.path = "/a", .header = "x=1"}, {.path = "/a", .header = "x=*"}}, ""},
        {{{.path = "/a", .header = "x=1,y=2"}, {.path = "/a", .header = "y=2,x=1"}}, "1<0 "},
        {{{.path = "/a", .query = "x=1"}, {.path = "/a", .header = "x=1"}}, ""},
        {{{.path = "/a", .query = "x=1"}, {.path = "/a", .query = "x=1"}}, "1<0 "},
        {{{.path = "/a", .query = "x=1"}, {.path = "/a", .query = "X=1"}}, ""},
        {{{.path = "/a", .listener = "i"}, {.path = "/a", .listener = "i"}}, "1<0 "},
        {{{.path = "/a", .listener = "i"}, {.path = "/a", .listener = "j"}}, ""},
        {{{.path = "~^/a(.)"}, {.path = "~^/a(.)"}}, "1<0 "},
        {{{.path = "~^/a(.)"}, {.path = "~^/a(..)"}}, ""},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct shadow_log log = {.specs = CASES[i].specs};
        struct mg_router *r = mg_router_new();
        struct mg_error err;
        assert_int_equal(add(r, &CASES[i].specs[0], &err), MG_OK);
        assert_int_equal(add(r, &CASES[i].specs[1], &err), MG_OK);
        mg_router_finish(r, on_shadow, &log);
        if (strcmp(log.text, CASES[i].told) != 0)
            fail_msg("case %zu: told '%s'", i, log.text);
        mg_router_free(r);
    }
}

static void on_each(void *arg, const void *route, struct mg_str host,
                    const struct mg_route_pattern *pattern)
{
    struct shadow_log *log = arg;
    log->n += (size_t)snprintf(log->text + log->n, sizeof log->text - log->n, "%td:%.*s%.*s ",
                               (const struct spec *)route - log->specs, MG_STR_ARGS(host),
                               MG_STR_ARGS(pattern->text));
}

static void all_are_listed(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "/b/{id},~^/c", .host = "B.x,*.c.x"},
        {.path = "/a", .prefix = "/p"},
    };
    struct shadow_log log = {.specs = SPECS};
    struct mg_router *r = built(SPECS, COUNT(SPECS));
    mg_router_each(r, on_each, &log);
    assert_string_equal(log.text, "0:b.x/b/{id} 0:b.x~^/c 0:*.c.x/b/{id} 0:*.c.x~^/c "
                                  "1:/a 1:/p 1:/p ");
    mg_router_free(r);
}

static void methods_of_several_routes_make_a_shadow(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "/a", .methods = "GET"},      {.path = "/a", .methods = "PUT"},
        {.path = "/a", .methods = "GET,PUT"},  {.path = "/a", .methods = "GET,POST"},
        {.path = "/b", .methods = "GET,HEAD"}, {.path = "/b"},
    };
    struct shadow_log log = {.specs = SPECS};
    struct mg_router *r = built(SPECS, COUNT(SPECS));
    mg_router_shadows(r, on_shadow, &log);
    assert_string_equal(log.text, "2<1 ");
    mg_router_free(r);
}

static void on_tried(void *arg, const struct mg_route_tried *tried)
{
    struct shadow_log *log = arg;
    const struct mg_route_rule *rule = tried->entry->rule;
    static const char words[] = {[MG_ROUTE_FITS] = '+',
                                 [MG_ROUTE_REFUSES] = '-',
                                 [MG_ROUTE_OTHER_HOST] = 'h',
                                 [MG_ROUTE_TOO_COSTLY] = '!'};
    bool by_pair = tried->verdict == MG_ROUTE_REFUSES &&
                   (tried->fault.by == MG_ROUTE_BY_HEADER || tried->fault.by == MG_ROUTE_BY_QUERY);
    log->n +=
        (size_t)snprintf(log->text + log->n, sizeof log->text - log->n, "%td%c",
                         (const struct spec *)rule->route - log->specs, words[tried->verdict]);
    if (tried->verdict == MG_ROUTE_REFUSES)
        log->n += (size_t)snprintf(log->text + log->n, sizeof log->text - log->n, "%d",
                                   (int)tried->fault.by);
    if (by_pair)
        log->n += (size_t)snprintf(log->text + log->n, sizeof log->text - log->n, "(%.*s)",
                                   MG_STR_ARGS(tried->fault.pair->name));
    log->n += (size_t)snprintf(log->text + log->n, sizeof log->text - log->n, " ");
}

static void a_trace_tells_what_a_search_passes_over(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "/a", .methods = "PUT"},
        {.path = "/a", .listener = "inside"},
        {.path = "/{x}", .header = "x=*"},
        {.path = "/*", .query = "q=1"},
        {.path = "/b"},
    };
    struct shadow_log log = {.specs = SPECS};
    struct mg_router *r = built(SPECS, COUNT(SPECS));
    struct mg_route_query q = get("/a");
    struct mg_route_found found;
    assert_int_equal(mg_router_find(r, &q, &found), MG_ROUTER_WRONG_METHOD);
    mg_router_trace(r, &q, on_tried, &log);
    assert_string_equal(log.text, "0-0 1-1 2-2(x) 3-3(q) ");
    mg_router_free(r);
}

static void a_trace_goes_on_behind_what_fits(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "/*"},
        {.path = "/a/*"},
        {.path = "/a/b", .methods = "PUT"},
        {.path = "/a/{x}"},
        {.path = "/a/b", .host = "*.x"},
        {.path = "/a/b", .host = "h.x"},
        {.path = "/c", .host = "h.x"},
        {.path = "/*", .host = "other"},
        {.path = "/c", .host = "other"},
        {.path = "/*", .host = "*.h.x"},
    };
    struct shadow_log log = {.specs = SPECS};
    struct mg_router *r = built(SPECS, COUNT(SPECS));
    struct mg_route_query q = get("/a/b");
    struct mg_route_found found;
    q.host = MG_STR("h.x");
    assert_int_equal(find(r, SPECS, &q, &found), 5);
    mg_router_trace(r, &q, on_tried, &log);
    log.text[19] = '\0'; /* other hosts come in no order */
    assert_string_equal(log.text, "5+ 4+ 2-0 3+ 1+ 0+ ");
    mg_router_free(r);
}

static void other_hosts_are_traced_once(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "/a", .host = "x"}, {.path = "/b", .host = "x"}, {.path = "/{p}", .host = "y"}};
    struct shadow_log log = {.specs = SPECS};
    struct mg_router *r = built(SPECS, COUNT(SPECS));
    struct mg_route_query q = get("/a");
    q.host = MG_STR("x");
    mg_router_trace(r, &q, on_tried, &log);
    assert_string_equal(log.text, "0+ 2h ");
    log.n = 0;
    q.path = MG_STR("/none/of/them");
    log.text[0] = '\0';
    mg_router_trace(r, &q, on_tried, &log);
    q.path = MG_STR("");
    mg_router_trace(r, &q, on_tried, &log);
    assert_string_equal(log.text, "");
    mg_router_free(r);
}

static void first_entry(void *arg, const struct mg_route_tried *tried)
{
    const struct mg_route_entry **v = arg;
    while (*v)
        v++;
    *v = tried->entry;
}

static void precedence_has_a_reason(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "/a", .host = "x"},
        {.path = "/a", .header = "h=1"},
        {.path = "/a"},
        {.path = "/a"},
        {.path = "/{p}"},
    };
    const struct mg_route_entry *v[6] = {NULL};
    struct mg_router *r = built(SPECS, COUNT(SPECS));
    struct mg_route_query q = get("/a");
    q.host = MG_STR("x");
    mg_router_trace(r, &q, first_entry, v);
    assert_int_equal(mg_router_precedence(v[0], v[1]), MG_ROUTER_BY_HOST);
    assert_int_equal(mg_router_precedence(v[1], v[2]), MG_ROUTER_BY_CONDITIONS);
    assert_int_equal(mg_router_precedence(v[2], v[3]), MG_ROUTER_BY_ORDER);
    assert_int_equal(mg_router_precedence(v[3], v[4]), MG_ROUTER_BY_PATH);
    mg_router_free(r);
}

static void parameters_have_names(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {{.path = "/{a}/{b}/*"}};
    struct mg_router *r = built(SPECS, 1);
    struct mg_route_query q = get("/1/2/3/4");
    struct mg_route_found found;
    struct mg_str value;
    assert_int_equal(find(r, SPECS, &q, &found), 0);
    assert_true(mg_router_param(&found, MG_STR("b"), &value));
    assert_true(mg_str_eq(value, MG_STR("2")));
    assert_true(mg_router_param(&found, MG_STR("*"), &value));
    assert_true(mg_str_eq(value, MG_STR("3/4")));
    assert_false(mg_router_param(&found, MG_STR("c"), &value));
    mg_router_free(r);
}

/* A route that guards something must not be passed over because its expression gave up. */
static void hard_regexes_end_the_search(void **state)
{
    (void)state;
    static const struct spec SPECS[] = {
        {.path = "~^/x/(a+)+$"}, {.path = "/x/{y}"},
        {.path = "/*"},          {.path = "~^/y/(a+)+$", .host = "h.x"},
        {.path = "~^/x"},
    };
    struct shadow_log log = {.specs = SPECS};
    struct mg_router *r = built(SPECS, COUNT(SPECS));
    struct mg_route_found found;
    char path[MG_REGEX_SUBJECT_MAX + 2];
    memset(path, 'a', sizeof path);
    memcpy(path, "/x/", 3);
    struct mg_route_query q = get("/x/a");
    assert_int_equal(find(r, SPECS, &q, &found), 0);
    q.path = MG_STR("/x/b");
    assert_int_equal(find(r, SPECS, &q, &found), 1);
    path[1000] = '!';
    q.path = mg_str(path, 1001);
    assert_int_equal(mg_router_find(r, &q, &found), MG_ROUTER_GAVE_UP);
    mg_router_trace(r, &q, on_tried, &log);
    assert_string_equal(log.text, "0! ");
    path[1] = 'y';
    assert_int_equal(mg_router_find(r, &q, &found), MG_ROUTER_GAVE_UP);
    q.host = MG_STR("other");
    assert_int_equal(find(r, SPECS, &q, &found), 2);
    path[1] = 'x';
    q.path = mg_str(path, sizeof path);
    assert_int_equal(mg_router_find(r, &q, &found), MG_ROUTER_GAVE_UP);
    mg_router_free(r);
}

static void no_routes_at_all(void **state)
{
    (void)state;
    struct mg_router *r = built(NULL, 0);
    struct mg_route_query q = get("/");
    struct mg_route_found found;
    assert_int_equal(mg_router_find(r, &q, &found), MG_ROUTER_NONE);
    mg_router_free(r);
    mg_router_free(NULL);
}

static void many_routes(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct spec *specs = calloc(N, sizeof *specs);
    char(*texts)[64] = calloc(N, sizeof *texts);
    for (size_t i = 0; i < N; i++) {
        snprintf(texts[i], sizeof texts[i], i % 2 ? "/api/s%zu/*" : "/api/s%zu/users/{id}/x",
                 i / 2);
        specs[i].path = texts[i];
    }
    struct mg_router *r = built(specs, N);
    for (size_t i = 0; i < N; i++) {
        char path[64];
        struct mg_route_found found;
        snprintf(path, sizeof path, i % 2 ? "/api/s%zu/users/7" : "/api/s%zu/users/7/x", i / 2);
        struct mg_route_query q = get(path);
        assert_int_equal(find(r, specs, &q, &found), i);
    }
    struct mg_route_query q = get("/api/s2500/users/7");
    struct mg_route_found found;
    assert_int_equal(find(r, specs, &q, &found), -1);
    mg_router_free(r);
    free(texts);
    free(specs);
}

/* ---- random tables, and a matcher that tries every route ---- */

static uint32_t random_state;

static uint32_t rnd(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

#define PICK(list) (list)[rnd(COUNT(list))]

static const struct {
    const char *text;
    size_t literal_n;
} REGEXES[] = {
    {"~^/a/(b+)$", 3},  {"~^/a", 2},      {"~^/ab?/", 2}, {"~b$", 1},
    {"~^/a/b/(.*)", 5}, {"~^/(a|b)/", 1}, {"~^/b/a+", 4}, {"~(a)/(b)", 1},
};

struct random_spec {
    struct spec spec;
    char path[64];
    size_t regex_literal_n;
};

static void random_path(struct random_spec *s)
{
    static const char *const SEGMENTS[] = {"/a", "/a", "/b", "/ab"};
    static const char *const ENDS[] = {"", "", "/", "/*", "/{t+}"};
    *s = (struct random_spec){0};
    if (rnd(8) == 0) {
        size_t i = rnd(COUNT(REGEXES));
        s->spec.path = REGEXES[i].text;
        s->regex_literal_n = REGEXES[i].literal_n;
        return;
    }
    bool prefix = rnd(8) == 0;
    size_t n = 0, last = rnd(4);
    for (size_t i = 0; i < last; i++) {
        if (!prefix && rnd(3) == 0)
            n += (size_t)snprintf(s->path + n, sizeof s->path - n, "/{p%zu}", i);
        else
            n += (size_t)snprintf(s->path + n, sizeof s->path - n, "%s", PICK(SEGMENTS));
    }
    const char *end = prefix ? "" : PICK(ENDS);
    snprintf(s->path + n, sizeof s->path - n, "%s", n || *end ? end : "/");
    if (prefix)
        s->spec.prefix = s->path;
    else
        s->spec.path = s->path;
}

static void random_route(struct random_spec *s)
{
    static const char *const HOSTS[] = {NULL, NULL, "h.x", "*.x", "*.h.x", "a.h.x"};
    static const char *const METHODS[] = {NULL, NULL, "GET", "PUT", "GET,PUT"};
    static const char *const HEADERS[] = {NULL, NULL, NULL, "x=*", "x=1", "x=1,y=*"};
    static const char *const QUERIES[] = {NULL, NULL, NULL, "q=*", "q=1"};
    static const char *const LISTENERS[] = {NULL, NULL, NULL, "l"};
    random_path(s);
    s->spec.host = PICK(HOSTS);
    s->spec.methods = PICK(METHODS);
    s->spec.header = PICK(HEADERS);
    s->spec.query = PICK(QUERIES);
    s->spec.listener = PICK(LISTENERS);
}

enum { AT_END, AT_PREFIX, AT_REGEX, AT_PARAM, AT_TAIL };

/* How a route matches, such that the smaller one wins. */
struct rank {
    int host; /* 0 exact; 1000 - length of the suffix; 2000 any */
    size_t n;
    struct {
        size_t at; /* the further, the better */
        int kind;
    } path[8];
    int kinds, singles;
    size_t order;
    size_t tail; /* where the tail begins, or SIZE_MAX */
};

static bool segment_next(const char **p, size_t *n)
{
    *n = strcspn(*p, "/");
    return **p == '/';
}

/* By segments, from the left. */
static bool matches_pattern(const char *pattern, const char *path, struct rank *rank)
{
    const char *p = pattern, *at = path;
    size_t pn, an;
    while (*p == '/' && *at == '/') {
        p++, at++;
        segment_next(&p, &pn);
        segment_next(&at, &an);
        size_t here = (size_t)(at - path);
        if (p[0] == '*' || (p[0] == '{' && p[pn - 2] == '+')) {
            rank->path[rank->n].at = here;
            rank->path[rank->n++].kind = AT_TAIL;
            rank->tail = here;
            return true;
        }
        if (p[0] == '{' && an > 0) {
            rank->path[rank->n].at = here;
            rank->path[rank->n++].kind = AT_PARAM;
        } else if (pn != an || memcmp(p, at, an) != 0) {
            return false;
        }
        p += pn;
        at += an;
    }
    rank->path[rank->n].at = (size_t)(at - path);
    rank->path[rank->n++].kind = AT_END;
    return !*p && !*at;
}

static bool matches_prefix(const char *prefix, const char *path, struct rank *rank)
{
    size_t n = strlen(prefix);
    if (strncmp(prefix, path, n) != 0)
        return false;
    bool slash = prefix[n - 1] == '/';
    rank->n = 1;
    rank->path[0].at = slash || !path[n] ? n : n + 1;
    rank->path[0].kind = slash || path[n] ? AT_TAIL : AT_PREFIX;
    rank->tail = slash || path[n] ? rank->path[0].at : SIZE_MAX;
    return slash || !path[n] || path[n] == '/';
}

static bool matches_regex(const struct random_spec *s, const char *path, struct rank *rank)
{
    struct mg_error err;
    struct mg_regex *re = mg_regex_new(mg_str_c(s->spec.path + 1), 0, NULL, &err);
    bool matches = mg_regex_match(re, mg_str_c(path), 0, NULL, 0) > 0;
    mg_regex_free(re);
    rank->n = 1;
    rank->path[0].at = s->regex_literal_n;
    rank->path[0].kind = AT_REGEX;
    return matches;
}

static bool matches_host(const char *pattern, struct mg_str host, struct rank *rank)
{
    rank->host = !pattern ? 2000 : pattern[0] == '*' ? 1000 - (int)strlen(pattern) : 0;
    if (!pattern)
        return true;
    struct mg_str want = mg_str_c(pattern);
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    if (pattern[0] != '*')
        return mg_str_ieq(want, host);
    want = mg_str(want.p + 1, want.n - 1);
    return host.n > want.n && mg_str_ieq(want, mg_str(host.p + host.n - want.n, want.n));
}

/* Everything but the method. */
static bool matches(const struct random_spec *s, size_t order, const struct mg_route_query *q,
                    struct rank *rank)
{
    struct mg_route_pair pairs[8];
    *rank = (struct rank){.order = order, .tail = SIZE_MAX};
    bool path = s->spec.prefix       ? matches_prefix(s->spec.prefix, q->path.p, rank)
                : s->regex_literal_n ? matches_regex(s, q->path.p, rank)
                                     : matches_pattern(s->spec.path, q->path.p, rank);
    if (!path || !matches_host(s->spec.host, q->host, rank))
        return false;
    if (s->spec.listener && !mg_str_eq(mg_str_c(s->spec.listener), q->listener))
        return false;
    size_t n = split_pairs(s->spec.header, pairs);
    rank->kinds = (n > 0) + !!s->spec.listener + !!s->spec.methods + !!s->spec.query;
    rank->singles = (int)n + !!s->spec.listener + !!s->spec.methods + !!s->spec.query;
    for (size_t i = 0; i < n; i++)
        if (!has_header(q->header_arg, pairs[i].name,
                        pairs[i].value.p[0] == '*' ? NULL : &pairs[i].value))
            return false;
    if (!s->spec.query)
        return true;
    return q->query.n > 0 &&
           (s->spec.query[2] == '*' || mg_str_eq(mg_str_c(s->spec.query), q->query));
}

static bool method_fits(const char *list, struct mg_str method)
{
    struct mg_str items[4];
    size_t n = split(list, items);
    for (size_t i = 0; i < n; i++)
        if (mg_str_eq(items[i], method) ||
            (mg_str_eq(items[i], MG_STR("GET")) && mg_str_eq(method, MG_STR("HEAD"))))
            return true;
    return n == 0;
}

static bool is_better(const struct rank *a, const struct rank *b)
{
    if (a->host != b->host)
        return a->host < b->host;
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        if (a->path[i].at != b->path[i].at)
            return a->path[i].at > b->path[i].at;
        if (a->path[i].kind != b->path[i].kind)
            return a->path[i].kind < b->path[i].kind;
    }
    if (a->kinds != b->kinds)
        return a->kinds > b->kinds;
    if (a->singles != b->singles)
        return a->singles > b->singles;
    return a->order < b->order;
}

/* The values of the parameters stand where the rank says. */
static void assert_values(const struct mg_route_found *found, const struct rank *rank,
                          struct mg_str path)
{
    size_t n = 0;
    for (size_t i = 0; i < rank->n; i++) {
        size_t at = rank->path[i].at;
        if (rank->path[i].kind == AT_REGEX)
            return;
        if (rank->path[i].kind != AT_PARAM && rank->path[i].kind != AT_TAIL)
            continue;
        assert_true(n < found->param_count);
        assert_ptr_equal(found->values[n].p, path.p + at);
        size_t len = at == rank->tail ? path.n - at : strcspn(path.p + at, "/");
        assert_int_equal(found->values[n].n, len);
        n++;
    }
    assert_int_equal(found->param_count, n);
}

static void compare_one(const struct mg_router *r, const struct random_spec *specs, size_t n,
                        const struct mg_route_query *q)
{
    struct rank best = {0}, rank;
    const struct random_spec *winner = NULL;
    bool wrong_method = false;
    for (size_t i = 0; i < n; i++) {
        if (!matches(&specs[i], i, q, &rank))
            continue;
        if (!method_fits(specs[i].spec.methods, q->method)) {
            wrong_method = true;
        } else if (!winner || is_better(&rank, &best)) {
            winner = &specs[i];
            best = rank;
        }
    }
    struct mg_route_found found;
    enum mg_router_result result = mg_router_find(r, q, &found);
    if (!winner) {
        assert_int_equal(result, wrong_method ? MG_ROUTER_WRONG_METHOD : MG_ROUTER_NONE);
        return;
    }
    assert_int_equal(result, MG_ROUTER_FOUND);
    if (found.route != &winner->spec) {
        const struct spec *got = found.route;
        fail_msg("%.*s on %.*s: got %s%s, not %s%s", MG_STR_ARGS(q->path), MG_STR_ARGS(q->host),
                 got->path ? got->path : "prefix ", got->prefix ? got->prefix : "",
                 winner->spec.path ? winner->spec.path : "prefix ",
                 winner->spec.prefix ? winner->spec.prefix : "");
    }
    assert_values(&found, &best, q->path);
}

static void random_query(struct mg_route_query *q, char path[64])
{
    static const char *const SEGMENTS[] = {"/a", "/b", "/ab", "/abb", "/c", "/a"};
    static const char *const HOSTS[] = {"h.x", "a.h.x", "b.a.H.x", "x", "y", "", "A.h.x."};
    static const char *const METHODS[] = {"GET", "PUT", "HEAD", "POST"};
    static const char *const HEADERS[] = {NULL, "x=1", "x=2", "x=1&y=1", "y=3"};
    static const char *const QUERIES[] = {NULL, "q=1", "q=2"};
    static const char *const LISTENERS[] = {NULL, "l", "m"};
    size_t n = 0, last = rnd(6);
    for (size_t i = 0; i < last; i++)
        n += (size_t)snprintf(path + n, 64 - n, "%s", PICK(SEGMENTS));
    if (n == 0 || rnd(3) == 0)
        path[n++] = '/';
    path[n] = '\0';
    *q = (struct mg_route_query){
        .host = mg_str_c(PICK(HOSTS)),
        .path = mg_str(path, n),
        .method = mg_str_c(PICK(METHODS)),
        .query = mg_str_c(PICK(QUERIES)),
        .listener = mg_str_c(PICK(LISTENERS)),
        .has_header = has_header,
        .header_arg = (void *)PICK(HEADERS),
    };
}

static void random_tables(void **state)
{
    (void)state;
    random_state = 20240607;
    for (size_t round = 0; round < 400; round++) {
        struct random_spec specs[60];
        size_t n = 1 + rnd(COUNT(specs));
        struct mg_router *r = mg_router_new();
        struct mg_error err;
        for (size_t i = 0; i < n; i++) {
            random_route(&specs[i]);
            if (add(r, &specs[i].spec, &err))
                fail_msg("%s", err.text);
        }
        mg_router_finish(r, NULL, NULL);
        for (size_t i = 0; i < 300; i++) {
            struct mg_route_query q;
            char path[64];
            random_query(&q, path);
            compare_one(r, specs, n, &q);
        }
        mg_router_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(precedence),
        cmocka_unit_test(regexes),
        cmocka_unit_test(base_paths),
        cmocka_unit_test(hosts),
        cmocka_unit_test(conditions),
        cmocka_unit_test(methods),
        cmocka_unit_test(bad_routes_are_refused),
        cmocka_unit_test(shadows_are_told),
        cmocka_unit_test(all_are_listed),
        cmocka_unit_test(methods_of_several_routes_make_a_shadow),
        cmocka_unit_test(a_trace_tells_what_a_search_passes_over),
        cmocka_unit_test(a_trace_goes_on_behind_what_fits),
        cmocka_unit_test(other_hosts_are_traced_once),
        cmocka_unit_test(precedence_has_a_reason),
        cmocka_unit_test(parameters_have_names),
        cmocka_unit_test(hard_regexes_end_the_search),
        cmocka_unit_test(no_routes_at_all),
        cmocka_unit_test(many_routes),
        cmocka_unit_test(random_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
