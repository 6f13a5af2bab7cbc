/* mg.json. */
#include "script/lib_json.h"

#include "script/json.h"
#include "script/lib_json_edit.h"

void mg_lib_json_open(lua_State *L)
{
    mg_json_open(L);
    mg_lib_json_edit_open(L);
    lua_setfield(L, -2, "json");
}
