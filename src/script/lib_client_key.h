/*
 * mg.client_key(by) -> function(req) -> string: whose requests are counted together, for policies
 * that limit (gateway/client_key.h). `by` is "ip", "subject", "consumer", "route", an expression,
 * or a list of these.
 */
#ifndef MG_SCRIPT_LIB_CLIENT_KEY_H
#define MG_SCRIPT_LIB_CLIENT_KEY_H

#include <lua.h>

/* Adds the above to the `mg` table on top of the stack. May raise a Lua memory error. */
void mg_lib_client_key_open(lua_State *L);

#endif
