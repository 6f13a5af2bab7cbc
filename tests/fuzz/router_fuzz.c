/* A fixed set of routes, asked with "host path" on each line; what is found must really match. */
#include "gateway/router.h"

#include "base/uri.h"

static const struct {
    const char *host, *path, *method;
    bool prefix;
} ROUTES[] = {
    {"", "/*", "", false},
    {"", "/a", "", false},
    {"", "/a/", "POST", false},
    {"", "/a/*", "", false},
    {"", "/a/{x}/c", "", false},
    {"", "/a/{x}/*", "POST", false},
    {"", "/{x}/{y}/{z}", "", false},
    {"", "/{x}/b/{rest+}", "", false},
    {"", "/caf%C3%A9/a%2Fb", "", false},
    {"", "/long/literal/run/here", "", false},
    {"", "/long/literal/road", "", false},
    {"", "/p/q", "", true},
    {"", "~^/r/([a-z]+)/(\\d+)$", "", false},
    {"", "~\\.(php|asp)$", "", false},
    {"", "~^/(x+x+)+y", "", false},
    {"h.x", "/a/b/c", "", false},
    {"h.x", "/s1/*", "", false},
    {"h.x", "/s2/*", "", false},
    {"h.x", "/s3/{id}", "", false},
    {"*.x", "/a/{y}", "", false},
    {"*.h.x", "/{y}", "", false},
    {"*.h.x", "~^/s", "", false},
    {"a.h.x", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/*", "", false},
    {"::1", "/a", "", true},
};

static struct mg_router *built(void)
{
    struct mg_router *r = mg_router_new();
    struct mg_error err;
    for (size_t i = 0; i < sizeof ROUTES / sizeof ROUTES[0]; i++) {
        bool v6 = strchr(ROUTES[i].host, ':') != NULL;
        struct mg_str host = v6 ? MG_STR("[::1]") : mg_str_c(ROUTES[i].host);
        struct mg_str path = mg_str_c(ROUTES[i].path), method = mg_str_c(ROUTES[i].method);
        struct mg_route_match match = {
            .hosts = &host,
            .host_count = host.n > 0,
            .paths = &path,
            .path_count = !ROUTES[i].prefix,
            .path_prefix = ROUTES[i].prefix ? path : MG_STR_NONE,
            .methods = &method,
            .method_count = method.n > 0,
        };
        MG_BUG_ON(mg_router_add(r, &match, &ROUTES[i], &err) != MG_OK);
    }
    mg_router_finish(r, NULL, NULL);
    return r;
}

static void check_host(const char *pattern, struct mg_str host)
{
    struct mg_str want = mg_str_c(pattern);
    if (mg_str_ends(host, MG_STR(".")))
        host.n--;
    if (want.n == 0)
        return;
    if (want.p[0] != '*') {
        MG_BUG_ON(!mg_str_ieq(host, want));
        return;
    }
    want = mg_str(want.p + 1, want.n - 1);
    MG_BUG_ON(host.n <= want.n);
    MG_BUG_ON(!mg_str_ieq(mg_str(host.p + host.n - want.n, want.n), want));
}

/* Puts the path together again from the pattern's key and the values. */
static void check_path(const struct mg_route_found *found, struct mg_str path)
{
    struct mg_str key = found->pattern->key;
    size_t at = 0, used = 0;
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] != '\0') {
            MG_BUG_ON(at == path.n || path.p[at++] != key.p[i]);
            continue;
        }
        struct mg_str value = found->values[used++];
        MG_BUG_ON(value.p != path.p + at || value.n == 0 || mg_str_find(value, '/') >= 0);
        at += value.n;
    }
    if (found->pattern->end == MG_ROUTE_TAIL) {
        struct mg_str tail = found->values[used++];
        MG_BUG_ON(tail.p != path.p + at);
        at += tail.n;
    }
    if (!found->pattern->regex)
        MG_BUG_ON(at != path.n || used != found->param_count);
}

static void check_found(const struct mg_route_found *found, struct mg_str host, struct mg_str path)
{
    size_t i = (size_t)((const char *)found->route - (const char *)ROUTES) / sizeof ROUTES[0];
    MG_BUG_ON(i >= sizeof ROUTES / sizeof ROUTES[0] || ROUTES[i].method[0]);
    MG_BUG_ON(found->literal_bytes > path.n);
    for (size_t k = 0; k < found->param_count; k++) {
        struct mg_str value = found->values[k];
        MG_BUG_ON(value.p && (value.p < path.p || value.p + value.n > path.p + path.n));
    }
    check_host(ROUTES[i].host, host);
    check_path(found, path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mg_router *router;
    struct mg_pool pool;
    struct mg_arena arena;
    struct mg_str rest = mg_str((const char *)data, size), line;
    if (!router)
        router = built();
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    while (mg_str_split(&rest, '\n', &line)) {
        struct mg_route_query q = {.method = MG_STR("GET")};
        struct mg_route_found found;
        mg_str_split(&line, ' ', &q.host);
        if (mg_uri_path_normalize(&arena, line, &q.path))
            q.path = line; /* no caller does this; it must be harmless */
        if (mg_router_find(router, &q, &found) == MG_ROUTER_FOUND)
            check_found(&found, q.host, q.path);
    }
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    return 0;
}
