/* mg.fetch, mg.fetch_all, mg.race: calls to services from policies. Worker thread. */
#ifndef MG_SCRIPT_LIB_FETCH_H
#define MG_SCRIPT_LIB_FETCH_H

#include <lua.h>

/* Adds them to the table on top. */
void mg_lib_fetch_open(lua_State *L);

#endif
