/*
 * The other kind of Lua state: not one of the gateway's, but a stock one that belongs to whoever
 * runs a command (`moongate test`) or a spec under busted. It has the whole standard library, the
 * system's modules, and our own ones, which lie in the program.
 */
#ifndef MG_SCRIPT_HOST_H
#define MG_SCRIPT_HOST_H

#include <lua.h>

/* Makes `require` find `moongate.core`, `moongate.inspect` and the Lua files in the program: our
 * own ones (the test kit) before what lies on the path, where another version may be installed; the
 * built-in policies after all that it finds anyway. May raise a memory error. */
void mg_host_add_modules(lua_State *L);

/* Runs the Lua file `file` of the program ("lua/moongate/test/run.lua") in a new state, as a chunk
 * called `chunk` that gets these arguments. It returns the exit status. An error it raises is
 * written to standard error, with a traceback; the status is 1 then. */
int mg_host_run(const char *file, const char *chunk, int argc, char **argv);

#endif
