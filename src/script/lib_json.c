/* mg.json. */
#include "script/lib_json.h"

#include "script/json.h"

void mg_lib_json_open(lua_State *L)
{
    mg_json_open(L);
    lua_setfield(L, -2, "json");
}
