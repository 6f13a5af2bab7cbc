/*
 * mg.key(a, b, ...) -> string: joins strings, numbers, booleans and nil so that different lists
 * never give the same text, whatever a client puts into them. For keys of dictionaries and caches.
 * 1 and 1.0 are the same value, as they are in Lua; 1 and "1" are not.
 */
#ifndef MG_SCRIPT_LIB_KEY_H
#define MG_SCRIPT_LIB_KEY_H

#include <lua.h>

/* Adds the above to the `mg` table on top of the stack. May raise a Lua memory error. */
void mg_lib_key_open(lua_State *L);

#endif
