/*
 * mg.secret(name) -> the value of a secret of the config. Raises for a name that is not there, or
 * that is for other policies, and does not say which are.
 */
#ifndef MG_SCRIPT_LIB_SECRET_H
#define MG_SCRIPT_LIB_SECRET_H

#include <lua.h>

/* Adds the above to the `mg` table on top of the stack. May raise a Lua memory error. */
void mg_lib_secret_open(lua_State *L);

#endif
