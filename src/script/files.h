/*
 * The module `moongate.files`, for commands: what they need to make files, and stock Lua has not.
 * Comes along with `moongate.core` (kit.h); no policy can see it. Waits for the disk.
 */
#ifndef MG_SCRIPT_FILES_H
#define MG_SCRIPT_FILES_H

#include <lua.h>

/* A lua_CFunction. Pushes the module:
 *
 * make_folder(path) -> true | nil, why: with those around it; it may be there already.
 * create(path, text) -> true | nil, why: a new file. One that exists is never touched. */
int mg_files_open(lua_State *L);

#endif
