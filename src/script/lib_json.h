/* mg.json: the codec of script/json.h. */
#ifndef MG_SCRIPT_LIB_JSON_H
#define MG_SCRIPT_LIB_JSON_H

#include <lua.h>

/* Adds the above to the `mg` table on top of the stack. May raise a Lua memory error. */
void mg_lib_json_open(lua_State *L);

#endif
