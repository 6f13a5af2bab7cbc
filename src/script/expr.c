/* Template expressions for policies: what is known only here comes from Lua tables. Worker thread.
 */
#include "script/expr.h"

#include "gateway/expr.h"
#include "script/instances.h"
#include "script/lib_message.h"

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

/* A key of a Lua table that is a user value of the handle at index 1: auth.subject,
 * auth.claims.role. */
static void add_from_table(lua_State *L, luaL_Buffer *b, int user_value, struct mg_str path)
{
    struct mg_str key;
    lua_getiuservalue(L, 1, user_value);
    while (lua_istable(L, -1) && mg_str_split(&path, '.', &key)) {
        lua_pushlstring(L, key.p, key.n);
        lua_rawget(L, -2);
        lua_remove(L, -2);
    }
    add_value(L, b);
}

/* A name that has to do with what policies keep. */
static void add_kept(lua_State *L, luaL_Buffer *b, struct mg_str name)
{
    struct mg_str path = name, kind;
    mg_str_split(&path, '.', &kind);
    if (mg_str_eq(kind, MG_STR("auth")))
        add_from_table(L, b, MG_HANDLE_AUTH, path);
    else if (mg_str_eq(kind, MG_STR("claims")))
        add_from_table(L, b, MG_HANDLE_AUTH, name); /* auth.claims.NAME, without its head */
    else if (mg_str_eq(kind, MG_STR("ctx")))
        add_from_table(L, b, MG_HANDLE_CTX, path);
}

int mg_expr_method(lua_State *L)
{
    struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_REQUEST);
    const struct mg_response *res = NULL;
    struct mg_str rest, literal, name, value;
    luaL_Buffer b;
    rest.p = luaL_checklstring(L, 2, &rest.n);
    lua_settop(L, 3);
    if (!lua_isnil(L, 3))
        res = mg_handle_response(L, 3);
    luaL_buffinit(L, &b);
    while (mg_expr_next(&rest, &literal, &name)) {
        luaL_addlstring(&b, literal.p, literal.n);
        if (!name.p)
            continue;
        if (!mg_expr_value(h->object, res, name, h->ctx->arena, &value))
            add_kept(L, &b, name);
        else if (value.n)
            luaL_addlstring(&b, value.p, value.n);
    }
    luaL_pushresult(&b);
    return 1;
}

struct mg_str mg_expr_request_value(struct mg_request *req, struct mg_str name)
{
    struct mg_context *ctx = mg_context_of(req->ex);
    struct mg_str value = MG_STR_NONE;
    if (!mg_handle_find(ctx, req))
        return value; /* no step has seen it, so none keeps anything there */
    lua_State *L = mg_script_host(ctx->script);
    ctx->script->memory_lenient++;
    lua_pushcfunction(L, mg_expr_method);
    mg_handle_push(L, ctx, MG_HANDLE_REQUEST, req);
    lua_pushfstring(L, "${%s}", mg_arena_str(req->arena, name).p);
    ctx->script->memory_lenient--;
    if (mg_task_call(L, 2, 1) == MG_OK) {
        value.p = lua_tolstring(L, -1, &value.n);
        value = mg_arena_str(req->arena, value);
    }
    lua_pop(L, 1);
    return value;
}
