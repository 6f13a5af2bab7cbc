/* `req` in Lua. Worker thread. */
#ifndef MG_SCRIPT_LIB_REQUEST_H
#define MG_SCRIPT_LIB_REQUEST_H

#include <lua.h>

#include "gateway/exchange.h"

/* Registers the type. Once a state. */
void mg_lib_request_open(lua_State *L);

/* A copy of a request (its `ex` is NULL) stays as long as the arena, whatever becomes of its
 * handle, and steps see it in the exchange whose arena it is; NULL: it is none's. */
void mg_lib_request_keep(struct mg_request *copy, struct mg_exchange *ex, struct mg_arena *arena);

#endif
