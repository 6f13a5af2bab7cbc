/* `res` in Lua, and the functions that make responses. Worker thread. */
#ifndef MG_SCRIPT_LIB_RESPONSE_H
#define MG_SCRIPT_LIB_RESPONSE_H

#include <lua.h>

/* Registers the type. Once a state. */
void mg_lib_response_open(lua_State *L);

#endif
