/*
 * The Lua module `moongate.inspect`, for commands that look at a config without serving it: what a
 * generation made from it would do. The main thread.
 *
 *     load(file) -> config | nil, text          the text tells all that is wrong
 *     config:explain(request) -> table, json, found | nil, why
 *         request: { method=, url=, headers = { { name, value }, ... }, listener=?, client=? }
 *         json is the text of the table (script/explain.h); found: something answers
 *     config:shown() -> table                       all of it without secrets, as /config has it
 *     config:places() -> { [route] = { path=, file=, line=, col=, steps = { path, ... } } }
 *     config:shadows() -> { { route=, by=, host=, pattern= }, ... }   routes that can never match
 *     config:find(request) -> the name of the route that takes it, or nil
 *         request: { method=, host=, path=, query=?, listener=?,
 *                    headers = { { name, value }, ... }? }
 */
#ifndef MG_SCRIPT_INSPECT_H
#define MG_SCRIPT_INSPECT_H

#include <lua.h>

/* A lua_CFunction for package.preload. */
int mg_inspect_open(lua_State *L);

#endif
