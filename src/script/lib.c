/* Puts the `mg` table's pure functions together, and keeps what they need from outside. */
#include "script/lib.h"

#include <lauxlib.h>

#include "script/lib_consumers.h"
#include "script/lib_crypto.h"
#include "script/lib_file.h"
#include "script/lib_ip.h"
#include "script/lib_json.h"
#include "script/lib_jwt.h"
#include "script/lib_key.h"
#include "script/lib_log.h"
#include "script/lib_regex.h"
#include "script/lib_secret.h"
#include "script/lib_shared.h"
#include "script/lib_template.h"
#include "script/lib_url.h"

static char env_key; /* its address is the key in the registry */

void mg_lib_set_env(lua_State *L, const struct mg_lib_env *env)
{
    luaL_checkstack(L, 2, "mg");
    struct mg_lib_env *copy = lua_newuserdatauv(L, sizeof *copy, 0);
    *copy = *env;
    lua_rawsetp(L, LUA_REGISTRYINDEX, &env_key);
}

const struct mg_lib_env *mg_lib_env(lua_State *L)
{
    static const struct mg_lib_env none;
    luaL_checkstack(L, 1, "mg");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &env_key);
    const struct mg_lib_env *env = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return env ? env : &none;
}

void mg_lib_open_pure(lua_State *L)
{
    luaL_checkstack(L, 8, "mg");
    mg_lib_consumers_open(L);
    mg_lib_crypto_open(L);
    mg_lib_file_open(L);
    mg_lib_ip_open(L);
    mg_lib_json_open(L);
    mg_lib_jwt_open(L);
    mg_lib_key_open(L);
    mg_lib_log_open(L);
    mg_lib_regex_open(L);
    mg_lib_secret_open(L);
    mg_lib_shared_open(L);
    mg_lib_template_open(L);
    mg_lib_url_open(L);
}
