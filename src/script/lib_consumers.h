/*
 * mg.consumers() -> the consumers of the config, as a new list: { name, keys, password, secret,
 * roles, groups }, where keys, password and secret are names for mg.secret. Only in `new`: a
 * request has no use for all of them, and a policy finds its own by a table that it makes there.
 */
#ifndef MG_SCRIPT_LIB_CONSUMERS_H
#define MG_SCRIPT_LIB_CONSUMERS_H

#include <lua.h>

/* Adds the above to the `mg` table on top of the stack. May raise a Lua memory error. */
void mg_lib_consumers_open(lua_State *L);

#endif
