/*
 * The Lua files of the program as bytecode. Each is compiled once in the process, by whoever needs
 * it first; states that are made later (a reload makes one for each worker, and two more) take what
 * is there, which costs a third. Any thread.
 */
#ifndef MG_SCRIPT_COMPILED_H
#define MG_SCRIPT_COMPILED_H

#include <lua.h>

#include "script/embedded.h"

/* Pushes the file as a function whose first upvalue is the globals, as lua_load does; or why not.
 * Gives lua_load's status. `chunk_name` is the same for each call with that file. */
int mg_compiled_load(lua_State *L, const struct mg_embedded_file *file, const char *chunk_name);

#endif
