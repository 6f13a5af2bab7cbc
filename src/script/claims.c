/*
 * Claims out of the table that a step has put into `req.auth`. Worker thread.
 *
 * No metamethod is asked, so nothing raises but for want of memory, and the limit on that rests
 * meanwhile, for nobody could catch it.
 */
#include "script/claims.h"

#include <string.h>

#include "script/json.h"

/* Their addresses are the keys in the registry of the texts that every request asks for: pushing
 * such a one costs less than making it anew. */
static const char claims_key, subject_key;

void mg_claims_open(lua_State *L)
{
    lua_pushliteral(L, "claims");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &claims_key);
    lua_pushliteral(L, "subject");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &subject_key);
}

/* --- finding one --- */

/* Puts the member of that name in the place of the value on top: nil where there is none, or it is
 * null. */
static void enter_member(lua_State *L, struct mg_str name)
{
    if (lua_istable(L, -1)) {
        lua_pushlstring(L, name.p, name.n);
        lua_rawget(L, -2);
    } else {
        lua_pushnil(L);
    }
    lua_replace(L, -2);
    if (lua_isuserdata(L, -1) && mg_json_is_null(L, -1)) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
}

/* Of the identity at `auth`, whose claims are at `claims`. */
static void push_claim(lua_State *L, int auth, int claims, const struct mg_claim_name *name)
{
    lua_pushvalue(L, claims);
    enter_member(L, name->text);
    if (!lua_isnil(L, -1))
        return;
    if (mg_str_eq(name->text, MG_STR("sub"))) {
        lua_pop(L, 1);
        lua_rawgetp(L, LUA_REGISTRYINDEX, &subject_key);
        lua_rawget(L, auth);
    } else if (name->path_count > 1) {
        lua_pop(L, 1);
        lua_pushvalue(L, claims);
        for (size_t i = 0; i < name->path_count; i++)
            enter_member(L, name->path[i]);
    }
}

/* --- as text --- */

/* JSON has one kind of number: 42.0 is 42 as well. */
static void push_whole(lua_State *L)
{
    int is_whole;
    lua_Integer whole = lua_tointegerx(L, -1, &is_whole);
    if (is_whole && !lua_isinteger(L, -1)) {
        lua_pop(L, 1);
        lua_pushinteger(L, whole);
    }
}

/* A copy of the value on top, which it may change; false: it is no text, number or boolean. */
static bool scalar_on_top(lua_State *L, struct mg_arena *arena, struct mg_str *out)
{
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        *out = lua_toboolean(L, -1) ? MG_STR("true") : MG_STR("false");
        return true;
    case LUA_TNUMBER:
        push_whole(L);
        break;
    case LUA_TSTRING:
        break;
    default:
        return false;
    }
    struct mg_str text;
    text.p = lua_tolstring(L, -1, &text.n);
    *out = mg_arena_str(arena, text);
    return true;
}

static bool has_members(lua_State *L, int table)
{
    lua_pushnil(L);
    if (!lua_next(L, table))
        return false;
    lua_pop(L, 2);
    return true;
}

static void read_list(lua_State *L, struct mg_arena *arena, struct mg_claim *out)
{
    int list = lua_gettop(L);
    size_t count = lua_rawlen(L, list);
    struct mg_str *items = mg_arena_alloc(arena, count * sizeof *items);
    *out = (struct mg_claim){.kind = MG_CLAIM_OTHER};
    if (count == 0 && has_members(L, list))
        return;
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        bool scalar = scalar_on_top(L, arena, &items[i]);
        lua_pop(L, 1);
        if (!scalar)
            return;
    }
    *out = (struct mg_claim){MG_CLAIM_LIST, items, count};
}

/* The value on top. */
static void read_value(lua_State *L, struct mg_arena *arena, struct mg_claim *out)
{
    *out = (struct mg_claim){.kind = MG_CLAIM_NONE};
    if (lua_isnil(L, -1))
        return;
    if (lua_istable(L, -1)) {
        read_list(L, arena, out);
        return;
    }
    struct mg_str *text = mg_arena_alloc(arena, sizeof *text);
    out->kind = scalar_on_top(L, arena, text) ? MG_CLAIM_ONE : MG_CLAIM_OTHER;
    out->items = text;
    out->count = 1;
}

/* --- for C --- */

static void read_all(lua_State *L, int auth, struct mg_arena *arena,
                     const struct mg_claim_name *names, size_t count, struct mg_claim *out)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &claims_key);
    lua_rawget(L, auth);
    int claims = lua_gettop(L);
    for (size_t i = 0; i < count; i++) {
        push_claim(L, auth, claims, &names[i]);
        read_value(L, arena, &out[i]);
        lua_pop(L, 1);
    }
}

bool mg_claims_of_request(struct mg_request *req, const struct mg_claim_name *names, size_t count,
                          struct mg_claim *out)
{
    struct mg_context *ctx = req->seen_in->script;
    const struct mg_handle *h = ctx ? mg_handle_find(ctx, req) : NULL;
    if (!h)
        return false; /* no step has seen the request, so none has put anything there */
    lua_State *L = mg_script_host(ctx->script);
    int top = lua_gettop(L);
    ctx->script->memory_lenient++;
    luaL_checkstack(L, LUA_MINSTACK, "claims");
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->ref);
    bool known = lua_getiuservalue(L, -1, MG_HANDLE_AUTH) == LUA_TTABLE;
    if (known)
        read_all(L, top + 2, req->arena, names, count, out);
    lua_settop(L, top);
    ctx->script->memory_lenient--;
    return known;
}
