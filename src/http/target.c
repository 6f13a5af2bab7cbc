/* Request targets. Pure; any thread. */
#include "http/target.h"

#include "base/uri.h"
#include "http/chars.h"

static bool is_triplet(const char *p, const char *end)
{
    return end - p >= 3 && p[0] == '%' && mg_chars_is(p[1], MG_CHARS_HEX) &&
           mg_chars_is(p[2], MG_CHARS_HEX);
}

bool mg_target_is_query(struct mg_str query)
{
    for (size_t i = 0; i < query.n; i++)
        if (!mg_chars_is(query.p[i], MG_CHARS_QUERY))
            return false;
    return true;
}

bool mg_target_split(struct mg_str target, struct mg_str *path, struct mg_str *query)
{
    if (target.n == 0 || target.p[0] != '/')
        return false;
    const char *p = target.p, *end = target.p + target.n;
    while (p < end && *p != '?') {
        if (mg_chars_is(*p, MG_CHARS_PATH))
            p++;
        else if (is_triplet(p, end))
            p += 3;
        else
            return false;
    }
    *path = mg_str(target.p, (size_t)(p - target.p));
    *query = MG_STR_NONE;
    if (p == end)
        return true;
    *query = mg_str(p + 1, (size_t)(end - p) - 1);
    return mg_target_is_query(*query);
}

/* Takes "http://" or "https://" off the front. */
static bool take_scheme(struct mg_str *rest, struct mg_str *scheme)
{
    static const struct mg_str known[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < 2; i++) {
        size_t n = known[i].n;
        if (rest->n >= n && mg_str_ieq(mg_str(rest->p, n), known[i])) {
            *scheme = mg_str(known[i].p, n - 3);
            *rest = mg_str(rest->p + n, rest->n - n);
            return true;
        }
    }
    return false;
}

bool mg_target_split_absolute(struct mg_str target, struct mg_str *scheme, struct mg_str *authority,
                              struct mg_str *path, struct mg_str *query)
{
    struct mg_str rest = target;
    if (!take_scheme(&rest, scheme))
        return false;
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    *authority = mg_str(rest.p, n);
    struct mg_uri_authority parts;
    if (mg_uri_parse_authority(*authority, false, &parts))
        return false;
    rest = mg_str(rest.p + n, rest.n - n);
    if (rest.n && rest.p[0] == '/')
        return mg_target_split(rest, path, query);
    *path = MG_STR("");
    *query = MG_STR_NONE;
    if (!rest.n)
        return true;
    *query = mg_str(rest.p + 1, rest.n - 1);
    for (size_t i = 0; i < query->n; i++)
        if (!mg_chars_is(query->p[i], MG_CHARS_QUERY))
            return false;
    return true;
}
