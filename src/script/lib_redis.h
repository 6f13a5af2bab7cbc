/* mg.redis: commands to the Redises of the config. Worker thread. */
#ifndef MG_SCRIPT_LIB_REDIS_H
#define MG_SCRIPT_LIB_REDIS_H

#include <lua.h>

/* Adds it to the table on top. */
void mg_lib_redis_open(lua_State *L);

#endif
