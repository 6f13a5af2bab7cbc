/* mg.consumers. They lie packed in the plan, and each caller gets tables of its own. */
#include "script/lib_consumers.h"

#include <lauxlib.h>

#include "script/lib.h"
#include "script/pack.h"
#include "script/task.h"

static int l_consumers(lua_State *L)
{
    if (mg_script_of(L)->current)
        return luaL_error(L,
                          "consumers are asked for while requests wait: call mg.consumers in new");
    struct mg_str packed = mg_lib_env(L)->consumers;
    if (packed.n == 0)
        lua_newtable(L);
    else if (mg_unpack(L, packed) != MG_OK)
        return luaL_error(L, "the consumers cannot be read");
    return 1;
}

void mg_lib_consumers_open(lua_State *L)
{
    lua_pushcfunction(L, l_consumers);
    lua_setfield(L, -2, "consumers");
}
