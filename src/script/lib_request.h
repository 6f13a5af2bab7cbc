/* `req` in Lua. Worker thread. */
#ifndef MG_SCRIPT_LIB_REQUEST_H
#define MG_SCRIPT_LIB_REQUEST_H

#include <lua.h>

/* Registers the type. Once a state. */
void mg_lib_request_open(lua_State *L);

#endif
