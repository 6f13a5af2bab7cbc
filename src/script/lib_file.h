/*
 * mg.file(name) -> text | nil, err: a file of the config's folder, for `new`: error pages,
 * templates, schemas. A task cannot read files, for that would hold up its worker.
 *
 * `name` is below that folder; "../" is a failure, and so is an absolute name of elsewhere. At most
 * 1 MiB. err.code is "not_found" or "bad_file".
 */
#ifndef MG_SCRIPT_LIB_FILE_H
#define MG_SCRIPT_LIB_FILE_H

#include <lua.h>

/* Adds the above to the `mg` table on top of the stack. May raise a Lua memory error. */
void mg_lib_file_open(lua_State *L);

#endif
