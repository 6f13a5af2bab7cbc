/*
 * What policy code sees of Lua: the libraries of stdlib.h, its own modules, and no more. No
 * bytecode.
 *
 * Globals are read-only and misspelt ones are errors, so one table of them serves all files: a file
 * cannot leave anything in it. C functions that could work without end are bounded, because the CPU
 * budget cannot stop them.
 */
#ifndef MG_SCRIPT_SANDBOX_H
#define MG_SCRIPT_SANDBOX_H

#include "base/str.h"
#include "script/embedded.h"
#include "script/state.h"

/* Opens all of it in a fresh state. Called once by mg_script_new, protected. */
void mg_sandbox_open(lua_State *L);

/* Where `require` looks, in this order: modules registered by mg_sandbox_preload, files under
 * `paths` (NAME.lua, NAME/NAME.lua, NAME/init.lua), the embedded lua/ and policies/ trees. With
 * `allow_c` then the Lua and C modules of the system's Lua 5.4 paths: C modules are outside of the
 * sandbox, and their Lua files may use globals of their own. Dots in NAME are slashes. Raises when
 * out of memory. */
struct mg_sandbox_paths {
    const struct mg_str *paths; /* folders; copied */
    size_t count;
    bool allow_c;
};
void mg_sandbox_set_paths(lua_State *L, const struct mg_sandbox_paths *paths);

/* Makes require(name) give the value on top of the stack; pops it. */
void mg_sandbox_preload(lua_State *L, const char *name);

/* require(name) for C: pushes the module and returns MG_OK, or pushes the error text. Under the CPU
 * budget. */
enum mg_rc mg_sandbox_require(lua_State *L, const char *name) MG_MUST_CHECK;

/* Compiles Lua text (never bytecode) with the strict _ENV: reading or assigning an undeclared
 * global is an error that names it and its line. `chunk_name` as in lua_load: "@file" or "=title".
 * Pushes the function, or pushes the error text and returns MG_FAIL. Does not run it; mg_task_call
 * does. */
enum mg_rc mg_sandbox_load(lua_State *L, struct mg_str text, const char *chunk_name) MG_MUST_CHECK;

/* The same for a Lua file of the program; its chunk is called "@" and its name. */
enum mg_rc mg_sandbox_load_embedded(lua_State *L,
                                    const struct mg_embedded_file *file) MG_MUST_CHECK;

/* Tests may look at each text before it is compiled, and put another in its place: the filter then
 * sets `text`, pushes what keeps it alive, and returns true; else it pushes nothing. It must not
 * raise. For all states of the process: set while there is one thread. NULL, as at first: none. */
typedef bool (*mg_sandbox_filter_fn)(lua_State *L, const char *chunk_name, struct mg_str *text);
void mg_sandbox_set_filter(mg_sandbox_filter_fn filter);

/* The same for the text of a condition: an expression, as a function of (req, res, mg) that returns
 * its value. `line` is where the text begins in its file, for messages; 0 is 1. */
enum mg_rc mg_sandbox_load_expression(lua_State *L, struct mg_str text, const char *chunk_name,
                                      uint32_t line) MG_MUST_CHECK;

/* The same for the text of an inline policy: statements, as a function of (mg). It sees no `req`:
 * there is none yet when it runs. */
enum mg_rc mg_sandbox_load_function(lua_State *L, struct mg_str text, const char *chunk_name,
                                    uint32_t line) MG_MUST_CHECK;

#endif
