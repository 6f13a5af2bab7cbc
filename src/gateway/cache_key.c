/* Keys of stored responses. Pure. */
#include "gateway/cache_key.h"

#include "base/uri.h"
#include "gateway/exchange.h"

void mg_cache_key_target(struct mg_request *req, struct mg_cache_target *out)
{
    *out = (struct mg_cache_target){.https = mg_request_scheme(req).n == 5,
                                    .authority = req->msg->authority,
                                    .path = req->path,
                                    .query = req->msg->query};
}

/* The port that nobody needs to write (RFC 9110 4.2.3). */
static struct mg_str without_default_port(struct mg_str authority, bool https)
{
    struct mg_str port = https ? MG_STR(":443") : MG_STR(":80");
    return mg_str_ends(authority, port) ? mg_str(authority.p, authority.n - port.n) : authority;
}

static char *add(char *at, struct mg_str s)
{
    if (s.n)
        memcpy(at, s.p, s.n);
    return at + s.n;
}

static char *add_lower(char *at, struct mg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        *at++ = mg_lower(s.p[i]);
    return at;
}

struct mg_str mg_cache_key_text(const struct mg_cache_target *target, struct mg_arena *arena)
{
    struct mg_str scheme = target->https ? MG_STR("https") : MG_STR("http");
    struct mg_str host = without_default_port(target->authority, target->https);
    size_t room = scheme.n + host.n + target->path.n + target->query.n + 3;
    char *text = mg_arena_alloc(arena, room), *at = text;
    at = add(at, scheme);
    *at++ = '\0';
    at = add_lower(at, host);
    *at++ = '\0';
    at = add(at, target->path);
    if (target->query.p) { /* "/a" and "/a?" may differ */
        *at++ = '\0';
        at = add(at, target->query);
    }
    return mg_str(text, (size_t)(at - text));
}

bool mg_cache_key_of_url(struct mg_str url, bool prefix, struct mg_arena *arena, struct mg_str *out)
{
    struct mg_uri uri;
    struct mg_cache_target target;
    if (mg_uri_parse(url, &uri) != MG_URI_OK)
        return false;
    target = (struct mg_cache_target){
        .https = uri.https, .authority = uri.authority, .query = prefix ? MG_STR_NONE : uri.query};
    if (mg_uri_path_normalize(arena, uri.path, &target.path) != MG_URI_OK)
        return false;
    *out = mg_cache_key_text(&target, arena);
    return true;
}
