/* Lua tables read and filled from C. All may raise a Lua memory error. */
#ifndef MG_SCRIPT_TABLE_H
#define MG_SCRIPT_TABLE_H

#include <lua.h>

#include "base/str.h"

/* Pushes a list of the string keys of the table at `index`, in the order of their bytes. */
void mg_table_push_keys(lua_State *L, int index);

/* Sets a field of the table on top. The second one leaves it absent when the text is empty. */
void mg_table_set_text(lua_State *L, const char *key, struct mg_str text);
void mg_table_set_text_if_any(lua_State *L, const char *key, struct mg_str text);

#endif
