/* Each line is read as a path, a query, an authority and a URL. */
#include "base/uri.h"

#include "base/error.h"

static void check_normal(struct mg_str path)
{
    MG_BUG_ON(path.n == 0 || path.p[0] != '/');
    MG_BUG_ON(memmem(path.p, path.n, "//", 2) || memchr(path.p, '\0', path.n));
    struct mg_str rest = mg_str(path.p + 1, path.n - 1), segment;
    while (mg_str_split(&rest, '/', &segment))
        MG_BUG_ON(mg_str_eq(segment, MG_STR(".")) || mg_str_eq(segment, MG_STR("..")));
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] == '%')
            MG_BUG_ON(i + 3 > path.n ||
                      (memcmp(path.p + i, "%2F", 3) != 0 && memcmp(path.p + i, "%25", 3) != 0));
}

/* What a normalised path is encoded to is normalised to the same path. */
static void check_path(struct mg_arena *arena, struct mg_str raw)
{
    struct mg_str path, again;
    if (mg_uri_path_normalize(arena, raw, &path))
        return;
    MG_BUG_ON(path.n > raw.n && raw.n > 0);
    check_normal(path);
    struct mg_str encoded = mg_uri_encode_arena(arena, path, MG_URI_PATH);
    MG_BUG_ON(mg_uri_path_normalize(arena, encoded, &again) != MG_URI_OK);
    MG_BUG_ON(!mg_str_eq(path, again));
}

static void check_coding(struct mg_arena *arena, struct mg_str text)
{
    static const enum mg_uri_part PARTS[] = {MG_URI_SEGMENT, MG_URI_QUERY};
    struct mg_str decoded;
    for (size_t i = 0; i < 2; i++) {
        struct mg_str encoded = mg_uri_encode_arena(arena, text, PARTS[i]);
        MG_BUG_ON(mg_str_find(encoded, '/') >= 0 || encoded.n > 3 * text.n);
        MG_BUG_ON(mg_uri_decode(arena, encoded, PARTS[i] == MG_URI_QUERY, &decoded) != MG_URI_OK);
        MG_BUG_ON(!mg_str_eq(decoded, text));
    }
}

/* Every item that can be decoded is found again. */
static void check_query(struct mg_arena *arena, struct mg_str query)
{
    struct mg_str rest = query, key, value, k, v;
    for (size_t items = 0; items < 64 && mg_uri_query_next(&rest, &key, &value); items++) {
        MG_BUG_ON(key.p < query.p || key.n + value.n > query.n);
        if (mg_uri_decode(arena, key, true, &k) || mg_uri_decode(arena, value, true, &v))
            continue;
        MG_BUG_ON(!mg_uri_query_has(query, k, NULL) || !mg_uri_query_has(query, k, &v));
    }
}

static void check_authority(struct mg_str text)
{
    struct mg_uri_authority a;
    if (mg_uri_parse_authority(text, true, &a))
        return;
    MG_BUG_ON(a.host.n > 255 || a.host.n > text.n);
    for (size_t i = 0; i < a.host.n; i++)
        MG_BUG_ON(a.host.p[i] <= ' ' || a.host.p[i] == 0x7f || strchr("/?#@[]\\", a.host.p[i]));
}

static void check_url(struct mg_str text)
{
    struct mg_uri u;
    if (mg_uri_parse(text, &u))
        return;
    MG_BUG_ON(u.at.port == 0 || u.at.host.n == 0 || u.path.n == 0 || u.path.p[0] != '/');
    MG_BUG_ON(mg_str_find(u.path, '?') >= 0 || mg_str_find(u.query, '#') >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_pool pool;
    struct mg_arena arena;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    struct mg_str rest = mg_str((const char *)data, size), line;
    while (mg_str_split(&rest, '\n', &line)) {
        check_path(&arena, line);
        check_coding(&arena, line);
        check_query(&arena, line);
        check_authority(line);
        check_url(line);
    }
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    return 0;
}
