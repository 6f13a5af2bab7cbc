/* References are resolved against the target (RFC 3986 5.2); bad ones name nothing. */
#include "http/cache_invalidate.h"

bool mg_cache_invalidates(enum mg_method method, unsigned status)
{
    switch (method) {
    case MG_METHOD_GET:
    case MG_METHOD_HEAD:
    case MG_METHOD_OPTIONS:
    case MG_METHOD_TRACE:
    case MG_METHOD_CONNECT:
        return false;
    default:
        return status >= 200 && status <= 399;
    }
}

static struct mg_str until(struct mg_str s, char c)
{
    ptrdiff_t at = mg_str_find(s, c);
    return at < 0 ? s : mg_str(s.p, (size_t)at);
}

static uint16_t port_of(const struct mg_uri_authority *a, bool https)
{
    return a->port ? a->port : https ? 443 : 80;
}

static bool same_authority(const struct mg_cache_target *target, struct mg_str other)
{
    struct mg_uri_authority a, b;
    return mg_uri_parse_authority(target->authority, false, &a) == MG_URI_OK &&
           mg_uri_parse_authority(other, false, &b) == MG_URI_OK && mg_str_ieq(a.host, b.host) &&
           port_of(&a, target->https) == port_of(&b, target->https);
}

static void split_query(struct mg_str text, struct mg_str *path, struct mg_str *query)
{
    *path = until(text, '?');
    *query = path->n < text.n ? mg_str(text.p + path->n + 1, text.n - path->n - 1) : MG_STR_NONE;
}

/* "//host:port/path?query", after the scheme: its path and query, if it is of the same origin. */
static bool take_authority(const struct mg_cache_target *target, struct mg_str text,
                           struct mg_str *path, struct mg_str *query)
{
    struct mg_str rest = mg_str(text.p + 2, text.n - 2);
    struct mg_str authority = until(until(rest, '/'), '?');
    if (!same_authority(target, authority))
        return false;
    split_query(mg_str(rest.p + authority.n, rest.n - authority.n), path, query);
    return true;
}

/* The raw path of a reference without scheme and authority. */
static struct mg_str merge(const struct mg_cache_target *target, struct mg_str path,
                           struct mg_arena *arena)
{
    size_t directory = target->path.n;
    if (path.p[0] == '/')
        return path;
    while (directory > 0 && target->path.p[directory - 1] != '/')
        directory--;
    /* What the target's path holds decoded has to be encoded again before it is normalised. */
    struct mg_str base = mg_uri_encode_arena(arena, mg_str(target->path.p, directory), MG_URI_PATH);
    return mg_arena_printf(arena, "%.*s%.*s", MG_STR_ARGS(base), MG_STR_ARGS(path));
}

/* The target that a reference names; false when it is malformed or of another origin. */
static bool resolve(const struct mg_cache_target *target, struct mg_str reference,
                    struct mg_arena *arena, struct mg_cache_target *out)
{
    struct mg_str scheme = target->https ? MG_STR("https:") : MG_STR("http:"), path, query;
    reference = until(reference, '#');
    *out = *target;
    if (reference.n > scheme.n && mg_str_ieq(mg_str(reference.p, scheme.n), scheme))
        reference = mg_str(reference.p + scheme.n, reference.n - scheme.n);
    if (mg_str_starts(reference, MG_STR("//"))) {
        if (!take_authority(target, reference, &path, &query))
            return false;
        if (path.n == 0)
            path = MG_STR("/");
    } else {
        /* Another scheme, or a relative path that looks like one (RFC 3986 4.2). */
        if (mg_str_find(until(until(reference, '/'), '?'), ':') >= 0)
            return false;
        split_query(reference, &path, &query);
        if (path.n == 0) {
            if (query.p)
                out->query = query;
            return true;
        }
        path = merge(target, path, arena);
    }
    out->query = query;
    return mg_uri_path_normalize(arena, path, &out->path) == MG_URI_OK;
}

static bool is_same(const struct mg_cache_target *a, const struct mg_cache_target *b)
{
    return mg_str_eq(a->path, b->path) && (a->query.p != NULL) == (b->query.p != NULL) &&
           mg_str_eq(a->query, b->query);
}

static bool find(const struct mg_cache_target *target, const struct mg_fields *response,
                 enum mg_field_id id, struct mg_arena *arena, struct mg_cache_target *out)
{
    const struct mg_field *f = mg_fields_get(response, id);
    return f && !mg_fields_next(response, f) && resolve(target, mg_field_value(f), arena, out);
}

unsigned mg_cache_invalid_targets(const struct mg_cache_target *target,
                                  const struct mg_fields *response, struct mg_arena *arena,
                                  struct mg_cache_target out[MG_CACHE_INVALID_MAX])
{
    unsigned n = 0;
    if (find(target, response, MG_FIELD_LOCATION, arena, &out[n]) && !is_same(&out[n], target))
        n++;
    if (find(target, response, MG_FIELD_CONTENT_LOCATION, arena, &out[n]) &&
        !is_same(&out[n], target) && (n == 0 || !is_same(&out[n], &out[0])))
        n++;
    return n;
}
