/* Cookies and query arguments. Pure. */
#include "gateway/cookie.h"

#include "base/uri.h"

static bool find_in(struct mg_str list, struct mg_str name, struct mg_str *value)
{
    struct mg_str pair;
    while (mg_str_split(&list, ';', &pair)) {
        pair = mg_str_trim(pair);
        ptrdiff_t eq = mg_str_find(pair, '=');
        if (eq < 0 || !mg_str_eq(mg_str_trim(mg_str(pair.p, (size_t)eq)), name))
            continue;
        struct mg_str v = mg_str_trim(mg_str(pair.p + eq + 1, pair.n - (size_t)eq - 1));
        if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
            v = mg_str(v.p + 1, v.n - 2);
        *value = v;
        return true;
    }
    return false;
}

bool mg_cookie_find(const struct mg_message *m, struct mg_str name, struct mg_str *value)
{
    const struct mg_field *f = mg_fields_get(&m->fields, MG_FIELD_COOKIE);
    for (; f; f = mg_fields_next(&m->fields, f))
        if (find_in(mg_field_value(f), name, value))
            return true;
    return false;
}

bool mg_cookie_arg(const struct mg_request *req, struct mg_str name, struct mg_arena *arena,
                   struct mg_str *value)
{
    struct mg_str rest = req->msg->query, key, raw, decoded;
    while (mg_uri_query_next(&rest, &key, &raw)) {
        if (mg_uri_decode(arena, key, true, &decoded) != MG_URI_OK || !mg_str_eq(decoded, name))
            continue;
        if (!raw.p)
            raw = MG_STR("");
        if (mg_uri_decode(arena, raw, true, value) != MG_URI_OK)
            *value = raw;
        return true;
    }
    return false;
}
