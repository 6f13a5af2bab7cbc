/* Template expressions, filled in from a request (and a response). Worker thread. */
#include "script/expr.h"

#include "base/uri.h"
#include "script/cookie.h"
#include "script/lib_message.h"

struct scope {
    lua_State *L;
    struct mg_handle *handle; /* of the request, at index 1 */
    struct mg_request *req;
    struct mg_response *res; /* NULL: none */
};

/* Adds the value on top of the stack, popping it; tables and the like have no text. */
static void add_value(lua_State *L, luaL_Buffer *b)
{
    if (lua_isstring(L, -1)) {
        luaL_addvalue(b);
    } else if (lua_isboolean(L, -1)) {
        const char *text = lua_toboolean(L, -1) ? "true" : "false";
        lua_pop(L, 1);
        luaL_addstring(b, text);
    } else {
        lua_pop(L, 1);
    }
}

static void add_field(luaL_Buffer *b, const struct mg_message *m, struct mg_str name,
                      struct mg_arena *arena)
{
    struct mg_str value;
    if (mg_fields_joined(&m->fields, name, arena, &value))
        luaL_addlstring(b, value.p, value.n);
    else if (mg_str_ieq(name, MG_STR("host")))
        luaL_addlstring(b, m->authority.n ? m->authority.p : "", m->authority.n);
}

/* A key of a Lua table that is a user value of the handle: auth.subject, auth.claims.role. */
static void add_from_table(struct scope *s, luaL_Buffer *b, int user_value, struct mg_str path)
{
    struct mg_str key;
    lua_getiuservalue(s->L, 1, user_value);
    while (lua_istable(s->L, -1) && mg_str_split(&path, '.', &key)) {
        lua_pushlstring(s->L, key.p, key.n);
        lua_rawget(s->L, -2);
        lua_remove(s->L, -2);
    }
    add_value(s->L, b);
}

static void add_prefixed(struct scope *s, luaL_Buffer *b, struct mg_str kind, struct mg_str name)
{
    struct mg_request *req = s->req;
    struct mg_arena *arena = s->handle->ctx->arena;
    struct mg_str value = MG_STR_NONE;
    if (mg_str_eq(kind, MG_STR("header"))) {
        add_field(b, req->msg, name, arena);
    } else if (mg_str_eq(kind, MG_STR("params"))) {
        if (mg_router_param(&req->found, name, &value))
            luaL_addlstring(b, value.p, value.n);
    } else if (mg_str_eq(kind, MG_STR("arg"))) {
        if (mg_cookie_arg(req, name, arena, &value))
            luaL_addlstring(b, value.p, value.n);
    } else if (mg_str_eq(kind, MG_STR("cookie"))) {
        if (mg_cookie_find(req->msg, name, &value))
            luaL_addlstring(b, value.p, value.n);
    } else if (mg_str_eq(kind, MG_STR("auth"))) {
        add_from_table(s, b, MG_HANDLE_AUTH, name);
    } else if (mg_str_eq(kind, MG_STR("claims"))) {
        struct mg_str path = mg_arena_printf(arena, "claims.%.*s", MG_STR_ARGS(name));
        add_from_table(s, b, MG_HANDLE_AUTH, path);
    } else if (mg_str_eq(kind, MG_STR("ctx"))) {
        add_from_table(s, b, MG_HANDLE_CTX, name);
    } else if (mg_str_eq(kind, MG_STR("res")) && s->res && mg_str_starts(name, MG_STR("header."))) {
        add_field(b, s->res->msg, mg_str(name.p + 7, name.n - 7), arena);
    }
}

/* Fields of the request that have a text. */
static bool is_field(struct mg_str name)
{
    static const char *const fields[] = {"id",      "method",    "scheme",      "host",
                                         "port",    "path",      "raw_path",    "query",
                                         "version", "client_ip", "client_port", "service"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (mg_str_eq(name, mg_str_c(fields[i])))
            return true;
    return false;
}

static void add_plain(struct scope *s, luaL_Buffer *b, struct mg_str name)
{
    lua_State *L = s->L;
    if (mg_str_eq(name, MG_STR("status"))) {
        if (s->res) {
            lua_pushinteger(L, s->res->msg->status);
            add_value(L, b);
        }
        return;
    }
    if (mg_str_eq(name, MG_STR("route"))) {
        if (s->req->route)
            luaL_addlstring(b, s->req->route->name.p, s->req->route->name.n);
        return;
    }
    if (!is_field(name))
        return;
    lua_pushlstring(L, name.p, name.n);
    lua_gettable(L, 1);
    add_value(L, b);
}

static void add_expression(struct scope *s, luaL_Buffer *b, struct mg_str name)
{
    ptrdiff_t dot = mg_str_find(name, '.');
    if (dot < 0)
        add_plain(s, b, name);
    else
        add_prefixed(s, b, mg_str(name.p, (size_t)dot),
                     mg_str(name.p + dot + 1, name.n - (size_t)dot - 1));
}

int mg_expr_method(lua_State *L)
{
    struct scope s = {.L = L, .handle = mg_handle_check(L, 1, MG_HANDLE_REQUEST)};
    struct mg_str rest;
    luaL_Buffer b;
    rest.p = luaL_checklstring(L, 2, &rest.n);
    lua_settop(L, 3);
    s.req = s.handle->object;
    if (!lua_isnil(L, 3))
        s.res = mg_handle_response(L, 3);
    luaL_buffinit(L, &b);
    for (;;) {
        ptrdiff_t open = mg_str_find(rest, '$');
        if (open < 0 || (size_t)open + 1 >= rest.n) {
            luaL_addlstring(&b, rest.p, rest.n);
            break;
        }
        struct mg_str after = mg_str(rest.p + open, rest.n - (size_t)open);
        ptrdiff_t close = after.p[1] == '{' ? mg_str_find(after, '}') : -1;
        if (close < 0) {
            luaL_addlstring(&b, rest.p, (size_t)open + 1);
            rest = mg_str(after.p + 1, after.n - 1);
            continue;
        }
        luaL_addlstring(&b, rest.p, (size_t)open);
        add_expression(&s, &b, mg_str(after.p + 2, (size_t)close - 2));
        rest = mg_str(after.p + close + 1, after.n - (size_t)close - 1);
    }
    luaL_pushresult(&b);
    return 1;
}
