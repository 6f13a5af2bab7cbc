/* Template expressions for policies: what is known only here comes from Lua tables. Worker thread.
 */
#include "script/expr.h"

#include "gateway/expr.h"
#include "script/instances.h"
#include "script/lib_message.h"

/* Its address is the key in the registry, of the text "subject": pushing that costs less than
 * making it anew. */
static const char subject_key;

void mg_expr_open(lua_State *L)
{
    lua_pushliteral(L, "subject");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &subject_key);
}

/* Where that is kept which a name stands for: in a table that is a user value of the request's
 * handle, behind `path`. 0: there is no such name. */
static int place_of(struct mg_str name, struct mg_str *path)
{
    struct mg_str kind;
    *path = name;
    mg_str_split(path, '.', &kind);
    if (mg_str_eq(kind, MG_STR("auth")))
        return MG_HANDLE_AUTH;
    if (mg_str_eq(kind, MG_STR("ctx")))
        return MG_HANDLE_CTX;
    *path = name; /* claims.role is auth.claims.role */
    return mg_str_eq(kind, MG_STR("claims")) ? MG_HANDLE_AUTH : 0;
}

/* Pushes what the name stands for, nil when it is not there, and perhaps more below it. No
 * metamethod is asked, so nothing raises but for want of memory. */
static void push_kept(lua_State *L, int handle, struct mg_str name)
{
    struct mg_str path, key;
    int place = place_of(name, &path);
    if (place)
        lua_getiuservalue(L, handle, place);
    else
        lua_pushnil(L);
    while (lua_istable(L, -1) && mg_str_split(&path, '.', &key)) {
        luaL_checkstack(L, 2, "expression");
        lua_pushlstring(L, key.p, key.n);
        lua_rawget(L, -2);
    }
    if (path.n)
        lua_pushnil(L); /* it goes on where no table is */
}

/* A view of the value on top as a text; tables and the like have none. */
static struct mg_str text_on_top(lua_State *L)
{
    struct mg_str text = MG_STR_NONE;
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        return lua_toboolean(L, -1) ? MG_STR("true") : MG_STR("false");
    case LUA_TSTRING:
    case LUA_TNUMBER:
        text.p = lua_tolstring(L, -1, &text.n);
        break;
    }
    return text;
}

static struct mg_str kept_text(lua_State *L, int handle, struct mg_str name, struct mg_arena *arena)
{
    int top = lua_gettop(L);
    push_kept(L, handle, name);
    struct mg_str text = mg_arena_str(arena, text_on_top(L));
    lua_settop(L, top);
    return text;
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
            value = kept_text(L, 1, name, h->ctx->arena);
        if (value.n)
            luaL_addlstring(&b, value.p, value.n);
    }
    luaL_pushresult(&b);
    return 1;
}

/* --- for C --- */

/* Pushes the handle of a request; NULL, and nothing is pushed, when no step has seen it, so that
 * none keeps anything there. The limit on memory rests until `drop`: no error could be caught. */
static lua_State *push_handle(const struct mg_request *req)
{
    struct mg_context *ctx = req->seen_in->script;
    const struct mg_handle *h = ctx ? mg_handle_find(ctx, req) : NULL;
    if (!h)
        return NULL;
    lua_State *L = mg_script_host(ctx->script);
    ctx->script->memory_lenient++;
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->ref);
    return L;
}

/* All from the handle on. */
static void drop(const struct mg_request *req, lua_State *L, int handle)
{
    struct mg_context *ctx = req->seen_in->script;
    lua_settop(L, handle - 1);
    ctx->script->memory_lenient--;
}

struct mg_str mg_expr_request_value(struct mg_request *req, struct mg_str name)
{
    lua_State *L = push_handle(req);
    if (!L)
        return MG_STR_NONE;
    int handle = lua_gettop(L);
    struct mg_str value = kept_text(L, handle, name, req->arena);
    drop(req, L, handle);
    return value;
}

struct mg_str mg_expr_request_subject(struct mg_request *req)
{
    struct mg_str subject = MG_STR_NONE;
    lua_State *L = push_handle(req);
    if (!L)
        return subject;
    int handle = lua_gettop(L);
    if (lua_getiuservalue(L, handle, MG_HANDLE_AUTH) == LUA_TTABLE) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &subject_key);
        lua_rawget(L, -2);
        subject = mg_arena_str(req->arena, text_on_top(L));
    }
    drop(req, L, handle);
    return subject;
}

bool mg_expr_request_item(struct mg_request *req, struct mg_str name, uint32_t index,
                          struct mg_str *item)
{
    lua_State *L = push_handle(req);
    if (!L)
        return false;
    int handle = lua_gettop(L);
    push_kept(L, handle, name);
    bool found = lua_istable(L, -1) && lua_rawgeti(L, -1, index) != LUA_TNIL;
    if (found)
        *item = mg_arena_str(req->arena, text_on_top(L));
    drop(req, L, handle);
    return found;
}
