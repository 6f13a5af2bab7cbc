/* mg.reply, reply_json, problem, redirect, stream. Worker thread. */
#ifndef MG_SCRIPT_LIB_REPLY_H
#define MG_SCRIPT_LIB_REPLY_H

#include <lua.h>

/* Adds them to the table on top. */
void mg_lib_reply_open(lua_State *L);

#endif
