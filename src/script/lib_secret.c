/* mg.secret. The value lives in the config; Lua gets a copy. */
#include "script/lib_secret.h"

#include <lauxlib.h>

#include "script/lib.h"

static int l_secret(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TSTRING);
    struct mg_str name, value;
    name.p = lua_tolstring(L, 1, &name.n);
    const struct mg_lib_env *env = mg_lib_env(L);
    const char *fault = env->secret ? env->secret(env->arg, name, &value) : "unknown secret";
    if (fault)
        return luaL_error(L, "%s '%s'", fault, name.p);
    lua_pushlstring(L, value.p, value.n);
    return 1;
}

void mg_lib_secret_open(lua_State *L)
{
    lua_pushcfunction(L, l_secret);
    lua_setfield(L, -2, "secret");
}
