/*
 * What policy code sees of Lua: no io, no os.execute, no debug, no package.loadlib, no bytecode; globals
 * are read-only and misspelt ones are errors; pattern functions have caps, because a C function cannot be
 * stopped by the CPU budget.
 */
#ifndef MG_SCRIPT_SANDBOX_H
#define MG_SCRIPT_SANDBOX_H

#include "base/str.h"
#include "script/state.h"

/* Opens the safe part of the standard library in a fresh state. Called once by mg_script_new. */
void mg_sandbox_open(lua_State *L);

/* Where `require` looks, in this order: modules registered by mg_sandbox_preload, files under `paths`
 * (NAME.lua, NAME/NAME.lua, NAME/init.lua), the embedded lua/ tree. Only Lua text; C modules of the system's
 * Lua 5.4 path when `allow_c`. */
struct mg_sandbox_paths {
    const struct mg_str *paths; /* folders; copied */
    size_t count;
    bool allow_c;
};
void mg_sandbox_set_paths(lua_State *L, const struct mg_sandbox_paths *paths);

/* Makes require(name) give the value on top of the stack; pops it. */
void mg_sandbox_preload(lua_State *L, const char *name);

/* Compiles Lua text (never bytecode) with a fresh strict _ENV: reading or assigning an undeclared global is
 * an error that names it and its line. Pushes the function, or pushes the error text and returns MG_FAIL. */
enum mg_rc mg_sandbox_load(lua_State *L, struct mg_str text, const char *chunk_name);

/* A Lua expression as a function of (req, res, mg): for `when` and inline text. No globals besides the safe
 * library. Pushes the function, or the error text and returns MG_FAIL. */
enum mg_rc mg_sandbox_load_expression(lua_State *L, struct mg_str text, const char *chunk_name);

#endif
