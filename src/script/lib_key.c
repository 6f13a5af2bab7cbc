/*
 * mg.key: a list of values as one text.
 *
 * Each value is a tag and what it needs to be read back: a string with its length in front, numbers
 * with ';' behind. As the parts could be told apart again, two lists with the same text are the
 * same list.
 */
#include "script/lib_key.h"

#include <lauxlib.h>
#include <stdio.h>

#include "base/str.h"

static void add_string(lua_State *L, int arg, luaL_Buffer *b)
{
    char head[24];
    size_t n;
    const char *p = lua_tolstring(L, arg, &n);
    head[0] = 's';
    size_t used = 1 + mg_u64_to_dec(n, head + 1);
    head[used++] = ':';
    luaL_addlstring(b, head, used);
    luaL_addlstring(b, p, n);
}

static void add_number(lua_State *L, int arg, luaL_Buffer *b)
{
    char text[40];
    int is_integer, n;
    lua_Integer integer = lua_tointegerx(L, arg, &is_integer); /* 2.0 is 2 */
    if (is_integer)
        n = snprintf(text, sizeof text, "i" LUA_INTEGER_FMT ";", integer);
    else
        n = snprintf(text, sizeof text, "d%.17g;", (double)lua_tonumber(L, arg));
    luaL_addlstring(b, text, (size_t)n);
}

static int l_key(lua_State *L)
{
    int count = lua_gettop(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int arg = 1; arg <= count; arg++) {
        switch (lua_type(L, arg)) {
        case LUA_TSTRING:
            add_string(L, arg, &b);
            break;
        case LUA_TNUMBER:
            add_number(L, arg, &b);
            break;
        case LUA_TBOOLEAN:
            luaL_addchar(&b, lua_toboolean(L, arg) ? 't' : 'f');
            break;
        case LUA_TNIL:
            luaL_addchar(&b, 'n');
            break;
        default:
            return luaL_typeerror(L, arg, "string, number, boolean or nil");
        }
    }
    luaL_pushresult(&b);
    return 1;
}

void mg_lib_key_open(lua_State *L)
{
    lua_pushcfunction(L, l_key);
    lua_setfield(L, -2, "key");
}
