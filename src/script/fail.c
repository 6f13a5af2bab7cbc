/* Error objects. One thread. */
#include "script/fail.h"

#include <lauxlib.h>
#include <stdbool.h>

#define TYPE "moongate.error"

static int l_tostring(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "message");
    return 1;
}

/* No __concat: Debian 12's Lua 5.4.4 may lose its result when the stack grows meanwhile. */
static void push_metatable(lua_State *L)
{
    if (!luaL_newmetatable(L, TYPE))
        return;
    lua_pushcfunction(L, l_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
}

void mg_fail_wrap(lua_State *L, const char *code)
{
    lua_createtable(L, 0, 2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    push_metatable(L);
    lua_setmetatable(L, -2);
}

int mg_fail_push(lua_State *L, const char *code, const char *message)
{
    lua_pushnil(L);
    lua_pushstring(L, message);
    mg_fail_wrap(L, code);
    return 2;
}
