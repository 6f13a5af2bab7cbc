/* mg.ip. A matcher owns its set of networks; the collector frees both. */
#include "script/lib_ip.h"

#include <lauxlib.h>

#include "base/ip.h"
#include "script/fail.h"

#define MATCHER "moongate.IpMatcher"
#define NETWORKS_MAX 100000

struct matcher {
    struct mg_cidr_set *set; /* NULL: never filled, or collected */
};

static struct mg_str string_at(lua_State *L, int index)
{
    struct mg_str s;
    s.p = lua_tolstring(L, index, &s.n);
    return s;
}

static int l_parse(lua_State *L)
{
    struct mg_addr addr;
    char text[MG_IP_TEXT_MAX];
    luaL_checktype(L, 1, LUA_TSTRING);
    if (!mg_ip_parse(string_at(L, 1), &addr))
        return mg_fail_push(L, "bad_address", "not an IP address");
    lua_pushlstring(L, text, mg_ip_format(&addr, text));
    lua_pushinteger(L, addr.family);
    return 2;
}

static int has(lua_State *L)
{
    struct matcher *m = luaL_checkudata(L, 1, MATCHER);
    struct mg_addr addr;
    luaL_checktype(L, 2, LUA_TSTRING);
    lua_pushboolean(L, m->set && mg_ip_parse(string_at(L, 2), &addr) &&
                           mg_cidr_set_has(m->set, &addr));
    return 1;
}

static int collect(lua_State *L)
{
    struct matcher *m = luaL_checkudata(L, 1, MATCHER);
    mg_cidr_set_free(m->set);
    m->set = NULL;
    return 0;
}

/* Pushes the texts of the list at 1, as views into its strings, which stay while the list does. */
static struct mg_str *push_items(lua_State *L, size_t *count)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    *count = lua_rawlen(L, 1);
    luaL_argcheck(L, *count <= NETWORKS_MAX, 1, "more than 100000 networks");
    struct mg_str *items = lua_newuserdatauv(L, *count * sizeof *items + 1, 0);
    for (size_t i = 0; i < *count; i++) {
        int type = lua_rawgeti(L, 1, (lua_Integer)i + 1);
        if (type != LUA_TSTRING)
            luaL_error(L, "mg.ip.matcher: item %d: expected string, got %s", (int)i + 1,
                       lua_typename(L, type));
        items[i] = string_at(L, -1);
        lua_pop(L, 1);
    }
    return items;
}

static int l_matcher(lua_State *L)
{
    size_t count;
    struct mg_error err;
    lua_settop(L, 1);
    struct matcher *m = lua_newuserdatauv(L, sizeof *m, 0);
    m->set = NULL;
    luaL_setmetatable(L, MATCHER);
    struct mg_str *items = push_items(L, &count);
    m->set = mg_cidr_set_new(items, count, &err);
    if (!m->set)
        return luaL_error(L, "mg.ip.matcher: %s", err.text);
    lua_settop(L, 2);
    return 1;
}

static void make_metatable(lua_State *L)
{
    static const luaL_Reg meta[] = {{"__call", has}, {"__gc", collect}, {NULL, NULL}};
    if (luaL_newmetatable(L, MATCHER)) {
        luaL_setfuncs(L, meta, 0);
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, has);
        lua_setfield(L, -2, "has");
        lua_setfield(L, -2, "__index");
        lua_pushliteral(L, MATCHER);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

void mg_lib_ip_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"parse", l_parse}, {"matcher", l_matcher}, {NULL, NULL}};
    make_metatable(L);
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "ip");
}
