/* Template expressions, filled in from a request (and a response). Worker thread. */
#include "gateway/expr.h"

#include "base/uri.h"
#include "gateway/cookie.h"
#include "gateway/worker.h"

/* More than any header block; what does not fit is cut off. */
#define TEXT_MAX ((size_t)1 << 20)

bool mg_expr_next(struct mg_str *rest, struct mg_str *literal, struct mg_str *name)
{
    struct mg_str all = *rest;
    *name = MG_STR_NONE;
    if (all.n == 0)
        return false;
    for (size_t i = 0; i + 1 < all.n; i++) {
        if (all.p[i] != '$' || all.p[i + 1] != '{')
            continue;
        struct mg_str after = mg_str(all.p + i + 2, all.n - i - 2);
        ptrdiff_t close = mg_str_find(after, '}');
        if (close < 0)
            break;
        *literal = mg_str(all.p, i);
        *name = mg_str(after.p, (size_t)close);
        *rest = mg_str(after.p + close + 1, after.n - (size_t)close - 1);
        return true;
    }
    *literal = all;
    *rest = MG_STR_NONE;
    return true;
}

/* --- names with a dot --- */

static bool value_of_kind(struct mg_request *req, const struct mg_response *res, struct mg_str kind,
                          struct mg_str name, struct mg_arena *arena, struct mg_str *value)
{
    if (mg_str_eq(kind, MG_STR("header"))) {
        if (!mg_message_field(req->msg, name, arena, value))
            *value = MG_STR_NONE;
    } else if (mg_str_eq(kind, MG_STR("params"))) {
        if (!mg_router_param(&req->found, name, value))
            *value = MG_STR_NONE;
    } else if (mg_str_eq(kind, MG_STR("arg"))) {
        if (!mg_cookie_arg(req, name, arena, value))
            *value = MG_STR_NONE;
    } else if (mg_str_eq(kind, MG_STR("cookie"))) {
        if (!mg_cookie_find(req->msg, name, value))
            *value = MG_STR_NONE;
    } else if (mg_str_eq(kind, MG_STR("res"))) {
        if (!res || !mg_str_starts(name, MG_STR("header.")) ||
            !mg_message_field(res->msg, mg_str(name.p + 7, name.n - 7), arena, value))
            *value = MG_STR_NONE;
    } else {
        return false;
    }
    return true;
}

/* --- names without --- */

static struct mg_str number(struct mg_arena *arena, unsigned n)
{
    return mg_arena_printf(arena, "%u", n);
}

static struct mg_str host_of(struct mg_request *req, struct mg_arena *arena, bool port)
{
    struct mg_uri_authority at = {0};
    if (req->msg->authority.n)
        mg_uri_parse_authority(req->msg->authority, true, &at);
    if (!port)
        return at.host;
    bool secure = mg_str_eq(mg_request_scheme(req), MG_STR("https"));
    return number(arena, at.port ? at.port : secure ? 443 : 80);
}

static struct mg_str client_ip(struct mg_request *req, struct mg_arena *arena)
{
    char text[MG_IP_TEXT_MAX];
    const struct mg_addr *addr = mg_request_client(req);
    if (!addr->family)
        return MG_STR("unix");
    return mg_arena_str(arena, mg_str(text, mg_ip_format(addr, text)));
}

static struct mg_str service_name(const struct mg_request *req)
{
    int32_t service = req->service;
    if (service == MG_NO_SERVICE && req->route)
        service = req->route->service;
    if (service == MG_NO_SERVICE)
        return MG_STR_NONE;
    return mg_service_config(req->wg->gen->services[service])->name;
}

static struct mg_str plain_value(struct mg_request *req, const struct mg_response *res,
                                 struct mg_str name, struct mg_arena *arena)
{
    if (mg_str_eq(name, MG_STR("client_ip")))
        return client_ip(req, arena);
    if (mg_str_eq(name, MG_STR("path")))
        return req->path;
    if (mg_str_eq(name, MG_STR("raw_path")))
        return req->msg->path;
    if (mg_str_eq(name, MG_STR("query")))
        return req->msg->query;
    if (mg_str_eq(name, MG_STR("method")))
        return req->msg->method;
    if (mg_str_eq(name, MG_STR("host")))
        return host_of(req, arena, false);
    if (mg_str_eq(name, MG_STR("port")))
        return host_of(req, arena, true);
    if (mg_str_eq(name, MG_STR("scheme")))
        return mg_request_scheme(req);
    if (mg_str_eq(name, MG_STR("id")))
        return mg_request_id(req);
    if (mg_str_eq(name, MG_STR("route")))
        return req->route ? req->route->name : MG_STR_NONE;
    if (mg_str_eq(name, MG_STR("service")))
        return service_name(req);
    if (mg_str_eq(name, MG_STR("client_port")))
        return number(arena, req->peer.port);
    if (mg_str_eq(name, MG_STR("version")))
        return mg_arena_printf(arena, "%u.%u", req->msg->version / 10u, req->msg->version % 10u);
    if (mg_str_eq(name, MG_STR("status")) && res)
        return number(arena, res->msg->status);
    return MG_STR_NONE;
}

bool mg_expr_value(struct mg_request *req, const struct mg_response *res, struct mg_str name,
                   struct mg_arena *arena, struct mg_str *value)
{
    ptrdiff_t dot = mg_str_find(name, '.');
    *value = MG_STR_NONE;
    if (dot < 0) {
        *value = plain_value(req, res, name, arena);
        return true;
    }
    return value_of_kind(req, res, mg_str(name.p, (size_t)dot),
                         mg_str(name.p + dot + 1, name.n - (size_t)dot - 1), arena, value);
}

/* --- names, whoever knows them --- */

/* NULL: it knows nothing of the request. */
static const struct mg_script_hooks *hooks_of(const struct mg_request *req)
{
    return req->seen_in ? req->wg->worker->hooks : NULL;
}

struct mg_str mg_expr_subject(struct mg_request *req)
{
    const struct mg_script_hooks *hooks = hooks_of(req);
    return hooks ? hooks->request_subject(req) : MG_STR_NONE;
}

bool mg_expr_item(struct mg_request *req, struct mg_str name, uint32_t index, struct mg_str *item)
{
    const struct mg_script_hooks *hooks = hooks_of(req);
    return hooks && hooks->request_item(req, name, index, item);
}

struct mg_str mg_expr_named(struct mg_request *req, struct mg_str name)
{
    struct mg_str value;
    const struct mg_script_hooks *hooks = hooks_of(req);
    if (mg_expr_value(req, NULL, name, req->arena, &value))
        return value;
    return hooks ? hooks->request_value(req, name) : MG_STR_NONE;
}

/* --- whole templates --- */

struct mg_str mg_expr_text(struct mg_request *req, struct mg_str text)
{
    struct mg_str literal, name, rest = text;
    struct mg_buf b;
    if (mg_expr_next(&rest, &literal, &name) && literal.n == 0 && rest.n == 0)
        return mg_expr_named(req, name); /* one name is all there is */
    mg_buf_init(&b, TEXT_MAX);
    for (rest = text; mg_expr_next(&rest, &literal, &name);) {
        mg_buf_add_str(&b, literal);
        if (name.p)
            mg_buf_add_str(&b, mg_expr_named(req, name));
    }
    struct mg_str whole = mg_arena_str(req->arena, mg_buf_str(&b));
    mg_buf_release(&b);
    return whole;
}

bool mg_expr_any(struct mg_request *req, const struct mg_str *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mg_str text = mg_expr_text(req, texts[i]);
        if (text.n && !mg_str_eq(text, MG_STR("0")))
            return true;
    }
    return false;
}
