/* mg.regex. A matcher owns its compiled expression; the collector frees both. */
#include "script/lib_regex.h"

#include <lauxlib.h>

#include "base/regex.h"
#include "script/fail.h"

#define MATCHER "moongate.Regex"

struct matcher {
    struct mg_regex *regex; /* NULL: never filled, or collected */
};

static struct mg_str check_string(lua_State *L, int index)
{
    struct mg_str s;
    luaL_checktype(L, index, LUA_TSTRING);
    s.p = lua_tolstring(L, index, &s.n);
    return s;
}

static int test(lua_State *L)
{
    struct matcher *m = luaL_checkudata(L, 1, MATCHER);
    struct mg_str text = check_string(L, 2);
    int rc = m->regex ? mg_regex_match(m->regex, text, 0, NULL, 0) : MG_REGEX_NONE;
    if (rc == MG_REGEX_TOO_HARD)
        return mg_fail_push(L, "too_hard", "the match takes too many steps");
    if (rc == MG_REGEX_TOO_LONG)
        return mg_fail_push(L, "too_long", "the text is too long to match");
    lua_pushboolean(L, rc > 0);
    return 1;
}

static int collect(lua_State *L)
{
    struct matcher *m = luaL_checkudata(L, 1, MATCHER);
    mg_regex_free(m->regex);
    m->regex = NULL;
    return 0;
}

static unsigned check_flags(lua_State *L, int index)
{
    unsigned flags = 0;
    for (const char *p = luaL_optstring(L, index, ""); *p; p++) {
        luaL_argcheck(L, *p == 'i' || *p == 'u', index, "expected flags: 'i', 'u' or both");
        flags |= *p == 'i' ? MG_REGEX_ICASE : MG_REGEX_UTF;
    }
    return flags;
}

static int l_regex(lua_State *L)
{
    struct mg_error err;
    struct mg_str pattern = check_string(L, 1);
    unsigned flags = check_flags(L, 2);
    struct matcher *m = lua_newuserdatauv(L, sizeof *m, 0);
    m->regex = NULL;
    luaL_setmetatable(L, MATCHER);
    m->regex = mg_regex_new(pattern, flags, NULL, &err);
    if (!m->regex)
        return luaL_error(L, "mg.regex: %s", err.text);
    return 1;
}

static void make_metatable(lua_State *L)
{
    static const luaL_Reg meta[] = {{"__call", test}, {"__gc", collect}, {NULL, NULL}};
    if (luaL_newmetatable(L, MATCHER)) {
        luaL_setfuncs(L, meta, 0);
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, test);
        lua_setfield(L, -2, "test");
        lua_setfield(L, -2, "__index");
        lua_pushliteral(L, MATCHER);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

void mg_lib_regex_open(lua_State *L)
{
    make_metatable(L);
    lua_pushcfunction(L, l_regex);
    lua_setfield(L, -2, "regex");
}
