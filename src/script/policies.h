/*
 * Finds and loads policy modules, each once a state.
 *
 * Policy x is, in this order: `<path>/x.lua` or `<path>/x/x.lua` under one of the config's own
 * paths; the built-in one; the module moongate.policies.x of the system's Lua paths. One of the
 * config's own hides a built-in only if it says `replace = true`.
 */
#ifndef MG_SCRIPT_POLICIES_H
#define MG_SCRIPT_POLICIES_H

#include <lua.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

#define MG_POLICIES_NAME_MAX 64

/* Says where policies, and what they require, are looked for, in place of what was said before;
 * forgets what was loaded. Copies. May raise a Lua memory error. */
void mg_policies_set_paths(lua_State *L, const struct mg_str *paths, size_t count);

/* Pushes the module and returns MG_OK. Else pushes nothing: MG_EOF when there is no policy of that
 * name, MG_FAIL with `err` set when there is one that cannot be loaded. Runs the module's top level
 * under the CPU budget. May raise a Lua memory error. */
enum mg_rc mg_policies_load(lua_State *L, struct mg_str name, struct mg_error *err) MG_MUST_CHECK;

/* Is there a built-in policy of that name? */
bool mg_policies_is_built_in(struct mg_str name);

/* Pushes the file that a loaded policy came from, or the module; nil for one that is not loaded.
 * May raise a Lua memory error. */
void mg_policies_push_file(lua_State *L, struct mg_str name);

/* Pushes the sorted list of all names that are found on the config's own paths or built in. Reads
 * folders. May raise a Lua memory error. */
void mg_policies_names(lua_State *L);

#endif
