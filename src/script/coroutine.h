/*
 * The `coroutine` library of policy code: as in stock Lua, but the CPU budget follows into an
 * author's coroutines, and the coroutines of tasks are out of reach: they yield by waiting only.
 */
#ifndef MG_SCRIPT_COROUTINE_H
#define MG_SCRIPT_COROUTINE_H

#include <lua.h>

/* Pushes the library table. */
void mg_coroutine_open(lua_State *L);

#endif
