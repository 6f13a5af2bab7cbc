/* Server-sent events in Lua: res:events, res:map_events, mg.sse. */
#ifndef MG_SCRIPT_LIB_SSE_H
#define MG_SCRIPT_LIB_SSE_H

#include <lua.h>

/* Adds the functions to the `mg` table on top. */
void mg_lib_sse_open(lua_State *L);

/* Methods of responses. */
int mg_lib_sse_events(lua_State *L);
int mg_lib_sse_map_events(lua_State *L);

#endif
