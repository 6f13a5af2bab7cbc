/* Reading Lua tables from C. All may raise a Lua memory error. */
#ifndef MG_SCRIPT_TABLE_H
#define MG_SCRIPT_TABLE_H

#include <lua.h>

/* Pushes a list of the string keys of the table at `index`, in the order of their bytes. */
void mg_table_push_keys(lua_State *L, int index);

#endif
