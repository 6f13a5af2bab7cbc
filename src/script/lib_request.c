/* The request as policies see it. Worker thread. */
#include "script/lib_request.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/uri.h"
#include "gateway/cookie.h"
#include "http/target.h"
#include "net/security.h"
#include "script/expr.h"
#include "script/fail.h"
#include "script/lib_body.h"
#include "script/lib_message.h"
#include "script/lib_tls.h"
#include "script/table.h"

enum field {
    F_ID,
    F_METHOD,
    F_SCHEME,
    F_HOST,
    F_PORT,
    F_PATH,
    F_RAW_PATH,
    F_QUERY,
    F_VERSION,
    F_CLIENT_IP,
    F_CLIENT_PORT,
    F_TLS,
    F_ROUTE,
    F_PARAMS,
    F_SERVICE,
    F_AUTH,
    F_CTX,
    F_STARTED,
    F_DEADLINE,
    F_PEER_TRUSTED,
};

static const char *const fields[] = {
    [F_ID] = "id",
    [F_METHOD] = "method",
    [F_SCHEME] = "scheme",
    [F_HOST] = "host",
    [F_PORT] = "port",
    [F_PATH] = "path",
    [F_RAW_PATH] = "raw_path",
    [F_QUERY] = "query",
    [F_VERSION] = "version",
    [F_CLIENT_IP] = "client_ip",
    [F_CLIENT_PORT] = "client_port",
    [F_TLS] = "tls",
    [F_ROUTE] = "route",
    [F_PARAMS] = "params",
    [F_SERVICE] = "service",
    [F_AUTH] = "auth",
    [F_CTX] = "ctx",
    [F_STARTED] = "started",
    [F_DEADLINE] = "deadline",
    [F_PEER_TRUSTED] = "peer_trusted",
    [F_PEER_TRUSTED + 1] = NULL,
};

static void push(lua_State *L, struct mg_str s)
{
    lua_pushlstring(L, s.n ? s.p : "", s.n);
}

/* --- reading fields --- */

static void push_host(lua_State *L, struct mg_request *req, bool port)
{
    struct mg_uri_authority at = {0};
    if (req->msg->authority.n)
        mg_uri_parse_authority(req->msg->authority, true, &at);
    if (!port)
        push(L, at.host);
    else if (at.port)
        lua_pushinteger(L, at.port);
    else
        lua_pushinteger(L, mg_str_eq(mg_request_scheme(req), MG_STR("https")) ? 443 : 80);
}

static void push_version(lua_State *L, const struct mg_request *req)
{
    lua_pushfstring(L, "%d.%d", req->msg->version / 10, req->msg->version % 10);
}

static void push_client_ip(lua_State *L, struct mg_request *req)
{
    char text[MG_IP_TEXT_MAX];
    const struct mg_addr *addr = mg_request_client(req);
    if (addr->family)
        lua_pushlstring(L, text, mg_ip_format(addr, text));
    else
        lua_pushliteral(L, "unix");
}

static void push_route(lua_State *L, const struct mg_request *req)
{
    if (!req->route) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 3);
    mg_table_set_text(L, "name", req->route->name);
    mg_table_set_text(L, "pattern", req->found.pattern ? req->found.pattern->text : MG_STR_NONE);
    if (req->route->version.n)
        mg_table_set_text(L, "version", req->route->version);
}

/* Groups of a regular expression without names go by number. */
static void push_param_name(lua_State *L, struct mg_str name)
{
    uint64_t number;
    if (mg_str_to_u64(name, MG_ROUTE_PARAMS_MAX, &number))
        lua_pushinteger(L, (lua_Integer)number);
    else
        push(L, name);
}

static void push_params(lua_State *L, const struct mg_request *req)
{
    if (lua_getiuservalue(L, 1, MG_HANDLE_PARAMS) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, (int)req->found.param_count);
    for (size_t i = 0; req->route && i < req->found.param_count; i++) {
        if (!req->found.values[i].p)
            continue;
        push_param_name(L, req->found.pattern->names[i]);
        push(L, req->found.values[i]);
        lua_rawset(L, -3);
    }
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, MG_HANDLE_PARAMS);
}

static void push_service(lua_State *L, const struct mg_request *req)
{
    int32_t service = req->service;
    if (service == MG_NO_SERVICE && req->route)
        service = req->route->service;
    if (service == MG_NO_SERVICE)
        lua_pushnil(L);
    else
        push(L, mg_service_config(req->wg->gen->services[service])->name);
}

static void push_ctx(lua_State *L)
{
    if (lua_getiuservalue(L, 1, MG_HANDLE_CTX) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, MG_HANDLE_CTX);
}

/* Made once: a certificate is taken apart for it. */
static void push_tls(lua_State *L, const struct mg_request *req)
{
    if (lua_getiuservalue(L, 1, MG_HANDLE_TLS) == LUA_TTABLE || !req->security)
        return;
    lua_pop(L, 1);
    mg_lib_tls_push(L, req->security);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, MG_HANDLE_TLS);
}

/* Loop time as the seconds of mg.now(). */
static double wall_of(const struct mg_context *ctx, uint64_t ns)
{
    struct mg_loop *loop = ctx->script->loop;
    return mg_loop_wall(loop) + ((double)ns - (double)mg_loop_now(loop)) / 1e9;
}

static double started_of(const struct mg_context *ctx)
{
    return ctx->ex ? wall_of(ctx, ctx->ex->in->started_ns) : ctx->started;
}

static void push_deadline(lua_State *L, const struct mg_handle *h)
{
    if (h->ctx->ex && h->ctx->ex->deadline_ns)
        lua_pushnumber(L, wall_of(h->ctx, h->ctx->ex->deadline_ns));
    else
        lua_pushnil(L);
}

static void get(lua_State *L, struct mg_handle *h, int field)
{
    struct mg_request *req = h->object;
    switch ((enum field)field) {
    case F_ID:
        push(L, mg_request_id(req));
        break;
    case F_METHOD:
        push(L, req->msg->method);
        break;
    case F_SCHEME:
        push(L, mg_request_scheme(req));
        break;
    case F_HOST:
        push_host(L, req, false);
        break;
    case F_PORT:
        push_host(L, req, true);
        break;
    case F_PATH:
        push(L, req->path);
        break;
    case F_RAW_PATH:
        push(L, req->msg->path);
        break;
    case F_QUERY:
        if (req->msg->query.p)
            push(L, req->msg->query);
        else
            lua_pushnil(L);
        break;
    case F_VERSION:
        push_version(L, req);
        break;
    case F_CLIENT_IP:
        push_client_ip(L, req);
        break;
    case F_CLIENT_PORT:
        lua_pushinteger(L, req->peer.port);
        break;
    case F_TLS:
        push_tls(L, req);
        break;
    case F_ROUTE:
        push_route(L, req);
        break;
    case F_PARAMS:
        push_params(L, req);
        break;
    case F_SERVICE:
        push_service(L, req);
        break;
    case F_AUTH:
        lua_getiuservalue(L, 1, MG_HANDLE_AUTH);
        break;
    case F_CTX:
        push_ctx(L);
        break;
    case F_STARTED:
        lua_pushnumber(L, started_of(h->ctx));
        break;
    case F_DEADLINE:
        push_deadline(L, h);
        break;
    case F_PEER_TRUSTED:
        lua_pushboolean(L, mg_request_peer_trusted(req));
        break;
    }
}

/* --- setting fields --- */

static void check_kind(lua_State *L, enum field field, const char *kind, bool fits)
{
    if (!fits)
        luaL_error(L, "req.%s: expected %s, got %s", fields[field], kind, luaL_typename(L, 3));
}

static void set_method(lua_State *L, struct mg_handle *h)
{
    struct mg_request *req = h->object;
    check_kind(L, F_METHOD, "string", lua_isstring(L, 3));
    struct mg_str method = mg_context_copy(h->ctx, L, 3);
    if (!mg_is_token(method) || method.n > 32)
        luaL_error(L, "req.method: not a method");
    if (mg_method_id(method) == MG_METHOD_CONNECT) /* it asks for a tunnel, and names no path */
        luaL_error(L, "req.method: cannot be CONNECT");
    req->msg->method = method;
    req->msg->method_id = mg_method_id(method);
}

static void set_host(lua_State *L, struct mg_handle *h)
{
    struct mg_request *req = h->object;
    struct mg_uri_authority at;
    check_kind(L, F_HOST, "string", lua_isstring(L, 3));
    struct mg_str authority = mg_context_copy(h->ctx, L, 3);
    if (mg_uri_parse_authority(authority, false, &at) != MG_URI_OK)
        luaL_error(L, "req.host: not a host name");
    req->msg->authority = authority;
}

static void set_path(lua_State *L, struct mg_handle *h)
{
    struct mg_request *req = h->object;
    struct mg_str normal = MG_STR_NONE, whole, query;
    check_kind(L, F_PATH, "string", lua_isstring(L, 3));
    struct mg_str path = mg_context_copy(h->ctx, L, 3);
    enum mg_uri_rc rc = MG_URI_NOT_ABSOLUTE;
    if (path.n)
        rc = mg_uri_path_normalize(h->ctx->arena, path, &normal);
    if (rc == MG_URI_OK && (!mg_target_split(path, &whole, &query) || query.p))
        rc = MG_URI_BAD_BYTE;
    if (rc != MG_URI_OK)
        luaL_error(L, "req.path: %s (mg.url escapes values)", mg_uri_rc_text(rc));
    req->msg->path = path;
    req->path = normal;
    req->path_set = true;
}

static void set_query(lua_State *L, struct mg_handle *h)
{
    struct mg_request *req = h->object;
    if (lua_isnil(L, 3)) {
        req->msg->query = MG_STR_NONE;
        return;
    }
    check_kind(L, F_QUERY, "string", lua_isstring(L, 3));
    struct mg_str query = mg_context_copy(h->ctx, L, 3);
    if (!mg_target_is_query(query))
        luaL_error(L, "req.query: must be percent-encoded (req:set_arg does that)");
    req->msg->query = query;
}

static void set_service(lua_State *L, struct mg_handle *h)
{
    struct mg_request *req = h->object;
    size_t n;
    check_kind(L, F_SERVICE, "string", lua_isstring(L, 3));
    const char *name = lua_tolstring(L, 3, &n);
    int32_t service = mg_generation_service(req->wg->gen, mg_str(name, n));
    if (service == MG_NO_SERVICE)
        luaL_error(L, "req.service: there is no service '%s'", name);
    req->service = service;
}

static void set_id(lua_State *L, struct mg_handle *h)
{
    struct mg_request *req = h->object;
    check_kind(L, F_ID, "string", lua_isstring(L, 3));
    struct mg_str id = mg_context_copy(h->ctx, L, 3);
    if (!mg_request_is_id(id))
        luaL_error(L, "req.id: expected 1 to 128 of letters, digits, '.', '_' and '-'");
    req->id = id;
}

static void set_auth(lua_State *L)
{
    check_kind(L, F_AUTH, "table or nil", lua_isnil(L, 3) || lua_istable(L, 3));
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, 1, MG_HANDLE_AUTH);
}

static void set_deadline(lua_State *L, struct mg_handle *h)
{
    check_kind(L, F_DEADLINE, "number", lua_isnumber(L, 3));
    lua_Number at = lua_tonumber(L, 3);
    struct mg_exchange *ex = h->ctx->ex;
    struct mg_loop *loop = h->ctx->script->loop;
    double wait = at - mg_loop_wall(loop);
    if (!ex || ex->answered)
        luaL_error(L, "req.deadline: the response is on its way already");
    if (!(wait < 86400.0 * 365))
        luaL_error(L, "req.deadline: too far away");
    uint64_t ns = mg_loop_now(loop) + (uint64_t)(wait > 0 ? wait * 1e9 : 1);
    ex->deadline_ns = ex->wait.deadline_ns = ns;
    mg_inbound_set_deadline(ex->in, ns);
}

static void set(lua_State *L, struct mg_handle *h, int field)
{
    switch ((enum field)field) {
    case F_ID:
        set_id(L, h);
        break;
    case F_METHOD:
        set_method(L, h);
        break;
    case F_HOST:
        set_host(L, h);
        break;
    case F_PATH:
        set_path(L, h);
        break;
    case F_QUERY:
        set_query(L, h);
        break;
    case F_SERVICE:
        set_service(L, h);
        break;
    case F_AUTH:
        set_auth(L);
        break;
    case F_DEADLINE:
        set_deadline(L, h);
        break;
    default:
        luaL_error(L, "req.%s cannot be set", fields[field]);
    }
}

/* --- query and cookies --- */

static int l_arg(lua_State *L)
{
    struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_REQUEST);
    struct mg_str name, value;
    name.p = luaL_checklstring(L, 2, &name.n);
    if (mg_cookie_arg(h->object, name, h->ctx->arena, &value))
        push(L, value);
    else
        lua_pushnil(L);
    return 1;
}

/* Adds a decoded value to a table; a name that comes again gets a list. */
static void add_pair(lua_State *L, struct mg_arena *arena, struct mg_str key, struct mg_str raw)
{
    struct mg_str k = key, v = raw.p ? raw : MG_STR("");
    if (mg_uri_decode(arena, key, true, &k) != MG_URI_OK)
        k = key;
    if (mg_uri_decode(arena, v, true, &v) != MG_URI_OK)
        v = raw;
    push(L, k);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        push(L, v);
        lua_rawset(L, -3);
        return;
    }
    if (!lua_istable(L, -1)) {
        lua_createtable(L, 2, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
    }
    push(L, v);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_rawset(L, -3);
}

static void push_pairs(lua_State *L, struct mg_arena *arena, struct mg_str text)
{
    struct mg_str key, value;
    lua_newtable(L);
    while (mg_uri_query_next(&text, &key, &value))
        add_pair(L, arena, key, value);
}

static int l_args(lua_State *L)
{
    struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_REQUEST);
    push_pairs(L, h->ctx->arena, ((struct mg_request *)h->object)->msg->query);
    return 1;
}

static void append_pair(luaL_Buffer *b, struct mg_arena *arena, struct mg_str key,
                        struct mg_str value)
{
    struct mg_str k = mg_uri_encode_arena(arena, key, MG_URI_QUERY);
    struct mg_str v = mg_uri_encode_arena(arena, value, MG_URI_QUERY);
    if (luaL_bufflen(b))
        luaL_addchar(b, '&');
    luaL_addlstring(b, k.p, k.n);
    luaL_addchar(b, '=');
    luaL_addlstring(b, v.p, v.n);
}

/* Replaces all arguments of that name where the first stood; the others stay as they are written.
 */
static int l_set_arg(lua_State *L)
{
    struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_REQUEST);
    struct mg_request *req = h->object;
    struct mg_arena *arena = h->ctx->arena;
    struct mg_str name, value = MG_STR_NONE, rest = req->msg->query, key, raw, decoded;
    luaL_Buffer b;
    name.p = luaL_checklstring(L, 2, &name.n);
    bool remove = lua_isnoneornil(L, 3), placed = remove;
    if (!remove) {
        value.p = luaL_checklstring(L, 3, &value.n);
    }
    luaL_buffinit(L, &b);
    while (mg_uri_query_next(&rest, &key, &raw)) {
        if (mg_uri_decode(arena, key, true, &decoded) == MG_URI_OK && mg_str_eq(decoded, name)) {
            if (!placed)
                append_pair(&b, arena, name, value);
            placed = true;
            continue;
        }
        if (luaL_bufflen(&b))
            luaL_addchar(&b, '&');
        luaL_addlstring(&b, key.p, key.n);
        if (raw.p) {
            luaL_addchar(&b, '=');
            luaL_addlstring(&b, raw.p, raw.n);
        }
    }
    if (!placed)
        append_pair(&b, arena, name, value);
    luaL_pushresult(&b);
    struct mg_str query = mg_context_copy(h->ctx, L, -1);
    req->msg->query = query.n ? query : MG_STR_NONE;
    return 0;
}

static int l_cookie(lua_State *L)
{
    struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_REQUEST);
    struct mg_str name, value;
    name.p = luaL_checklstring(L, 2, &name.n);
    if (mg_cookie_find(((struct mg_request *)h->object)->msg, name, &value))
        push(L, value);
    else
        lua_pushnil(L);
    return 1;
}

/* --- the form --- */

static int form_ready(lua_State *L, int status, lua_KContext k)
{
    (void)status, (void)k;
    if (lua_type(L, -2) != LUA_TSTRING)
        return 2; /* nil and an error */
    lua_pop(L, 1);
    struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_REQUEST);
    struct mg_str text;
    text.p = lua_tolstring(L, -1, &text.n);
    push_pairs(L, h->ctx->arena, text);
    return 1;
}

static int l_form(lua_State *L)
{
    struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_REQUEST);
    const struct mg_field *type =
        mg_fields_get(&((struct mg_request *)h->object)->msg->fields, MG_FIELD_CONTENT_TYPE);
    struct mg_str form = MG_STR("application/x-www-form-urlencoded");
    lua_settop(L, 1);
    if (!type || type->value_len < form.n || !mg_str_ieq(mg_str(type->value, form.n), form)) {
        return mg_fail_push(L, "content_type",
                            "the content type is not application/x-www-form-urlencoded");
    }
    lua_pushcfunction(L, mg_lib_body_content);
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 2, 0, form_ready);
    return form_ready(L, LUA_OK, 0);
}

/* --- copies --- */

#define COPY_CHUNK_BYTES 2048

/* Memory of one copy, which the copy's handle keeps, and each exchange that it goes through. It has
 * nothing of the worker's, which it may outlive: in a spec's state, until the collector finds it.
 */
struct box {
    uint32_t refs;
    struct mg_context ctx;
    struct mg_pool chunks;
    struct mg_arena arena;
    struct mg_message msg;
    struct mg_request req;
};

static void unref_box(void *arg)
{
    struct box *b = arg;
    if (--b->refs)
        return;
    mg_security_unref(b->req.security);
    mg_arena_release(&b->arena);
    mg_pool_release(&b->chunks);
    free(b);
}

static int box_gc(lua_State *L)
{
    struct box **place = lua_touserdata(L, 1);
    if (*place)
        unref_box(*place);
    return 0;
}

/* Of a copy in an exchange; in its arena. */
struct stay {
    struct box *box;
    const struct mg_exchange *ex;
};

static void end_stay(void *arg)
{
    const struct stay *s = arg;
    if (s->box->req.seen_in == s->ex)
        s->box->req.seen_in = NULL;
    unref_box(s->box);
}

void mg_lib_request_keep(struct mg_request *copy, struct mg_exchange *ex, struct mg_arena *arena)
{
    struct box *b = MG_CONTAINER_OF(copy, struct box, req);
    struct stay *s = mg_arena_alloc(arena, sizeof *s);
    *s = (struct stay){b, ex};
    b->refs++;
    if (ex)
        copy->seen_in = ex;
    mg_arena_on_release(arena, end_stay, s);
}

/* Pushes what keeps it. */
static struct box *new_box(lua_State *L, struct mg_worker_generation *wg)
{
    struct box **place = lua_newuserdatauv(L, sizeof *place, 0);
    *place = NULL;
    if (luaL_newmetatable(L, "moongate.RequestCopy")) {
        lua_pushcfunction(L, box_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    struct box *b = *place = mg_calloc(1, sizeof *b);
    b->refs = 1;
    mg_pool_init(&b->chunks, COPY_CHUNK_BYTES);
    mg_arena_init(&b->arena, &b->chunks);
    b->ctx.script = mg_script_of(L);
    b->ctx.wg = wg;
    b->ctx.arena = &b->arena;
    mg_list_init(&b->ctx.tasks);
    mg_list_init(&b->ctx.handles);
    return b;
}

static void copy_value(lua_State *L, int value)
{
    lua_getiuservalue(L, 1, value);
    lua_setiuservalue(L, -2, value);
}

/* The request as it is now, with memory of its own: it outlives the exchange. A body comes along
 * when it was read whole before. */
static int l_copy(lua_State *L)
{
    struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_REQUEST);
    const struct mg_request *req = h->object;
    struct box *b = new_box(L, h->ctx->wg);
    struct mg_arena *arena = &b->arena;
    b->req = *req;
    b->req.ex = b->req.seen_in = NULL;
    b->req.arena = arena;
    b->req.msg = &b->msg;
    b->req.security = mg_security_ref(req->security);
    mg_message_copy(&b->msg, arena, req->msg);
    b->req.path = mg_arena_str(arena, req->path);
    b->req.id = mg_arena_str(arena, mg_request_id(h->object));
    for (size_t i = 0; i < req->found.param_count && req->route; i++)
        if (req->found.values[i].p)
            b->req.found.values[i] = mg_arena_str(arena, req->found.values[i]);
    mg_request_client(&b->req);
    mg_request_set_body(&b->req,
                        req->is_buffered ? mg_arena_str(arena, req->buffered) : MG_STR_NONE);
    b->ctx.req = &b->req;
    b->ctx.started = started_of(h->ctx);
    mg_handle_push_loose(L, &b->ctx, MG_HANDLE_REQUEST, &b->req, -1);
    copy_value(L, MG_HANDLE_AUTH);
    copy_value(L, MG_HANDLE_TLS);
    return 1;
}

static const luaL_Reg methods[] = {
    MG_LIB_MESSAGE_METHODS, MG_LIB_BODY_METHODS,  {"arg", l_arg},   {"args", l_args},
    {"set_arg", l_set_arg}, {"cookie", l_cookie}, {"form", l_form}, {"expr", mg_expr_method},
    {"copy", l_copy},       {NULL, NULL},
};

static const struct mg_handle_type type = {
    .name = "moongate.Request", .methods = methods, .fields = fields, .get = get, .set = set};

void mg_lib_request_open(lua_State *L)
{
    mg_handle_register(L, MG_HANDLE_REQUEST, &type);
}
