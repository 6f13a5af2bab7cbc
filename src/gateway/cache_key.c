/* Keys of stored responses. Variants are a row of parts, each with its length in front; rows of
 * different kinds have different numbers of them, so that no two are alike. */
#include "gateway/cache_key.h"

#include "base/uri.h"
#include "gateway/exchange.h"
#include "gateway/forwarded.h"
#include "gateway/worker.h"
#include "http/vary.h"

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

/* --- variants --- */

static struct mg_str service_name(const struct mg_request *req)
{
    int32_t service = req->service;
    if (service == MG_NO_SERVICE && req->route)
        service = req->route->service; /* of a split any will do: none of them is asked for */
    if (service == MG_NO_SERVICE)
        return MG_STR_NONE;
    return mg_service_config(req->wg->gen->services[service])->name;
}

static struct mg_str unusual_path(const struct mg_request *req)
{
    return mg_str_eq(req->msg->path, req->path) ? MG_STR_NONE : req->msg->path;
}

/* Where all requests come to one port it tells nothing; and gateways that answer at different ones
 * can share what they store. */
static bool has_ports(const struct mg_generation *gen)
{
    return gen->listen_count > 1 || (gen->listen_count && gen->listens[0].proxy_protocol);
}

#define LENGTH_MAX 21 /* digits and ':' */

static char *add_part(char *at, struct mg_str s)
{
    at += mg_u64_to_dec(s.n, at);
    *at++ = ':';
    return add(at, s);
}

static struct mg_str join_parts(const struct mg_str *parts, size_t count, struct mg_arena *arena)
{
    size_t room = count * LENGTH_MAX;
    for (size_t i = 0; i < count; i++)
        room += parts[i].n;
    char *text = mg_arena_alloc(arena, room), *at = text;
    for (size_t i = 0; i < count; i++)
        at = add_part(at, parts[i]);
    return mg_str(text, (size_t)(at - text));
}

void mg_cache_key_of_request(struct mg_request *req, const struct mg_cache_target *target,
                             struct mg_str extra, struct mg_cache_key *out)
{
    char port[20];
    const struct mg_str parts[] = {
        req->route ? req->route->name : MG_STR_NONE,
        service_name(req),
        has_ports(req->wg->gen) ? mg_str(port, mg_u64_to_dec(req->local.port, port)) : MG_STR_NONE,
        unusual_path(req),
        mg_forwarded_relayed(req),
        extra,
    };
    out->primary = mg_cache_key_text(target, req->arena);
    out->variant = join_parts(parts, sizeof parts / sizeof *parts, req->arena);
}

/* The names are a part of it: one value may stand in two fields. */
struct mg_str mg_cache_key_vary(struct mg_str variant, struct mg_str names,
                                const struct mg_fields *request, struct mg_arena *arena)
{
    const struct mg_str parts[] = {variant, names, mg_vary_key(names, request, arena)};
    return join_parts(parts, sizeof parts / sizeof *parts, arena);
}

struct mg_str mg_cache_key_part(struct mg_str variant, const struct mg_range_asked *part,
                                struct mg_arena *arena)
{
    const struct mg_str parts[] = {variant, mg_range_text(arena, part)};
    return join_parts(parts, sizeof parts / sizeof *parts, arena);
}

/* No range is written so. */
struct mg_str mg_cache_key_widest(struct mg_str variant, struct mg_arena *arena)
{
    const struct mg_str parts[] = {variant, MG_STR("widest")};
    return join_parts(parts, sizeof parts / sizeof *parts, arena);
}

/* --- URLs --- */

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
