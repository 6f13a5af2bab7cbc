/*
 * `moongate/core.so`: the test kit for a Lua 5.4 that is not ours, as busted runs in. Main thread.
 *
 * The first `require "moongate.core"` comes here, found along package.cpath. From then on the core
 * and all our Lua files are found without the path.
 */
#include <lauxlib.h>

#include "script/host.h"
#include "script/kit.h"

/* The only symbol that others see: Lua looks for it by this name. */
int luaopen_moongate_core(lua_State *L) __attribute__((visibility("default")));

int luaopen_moongate_core(lua_State *L)
{
    luaL_checkversion(L);
    mg_host_add_modules(L);
    return mg_kit_open(L);
}
