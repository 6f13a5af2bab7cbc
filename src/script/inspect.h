/*
 * The Lua module `moongate.inspect`, for commands that look at a config without serving it: what a
 * generation made from it would do. The main thread.
 *
 *     load(file) -> config | nil, text          the text tells all that is wrong
 *     config:explain(request) -> table, json, found | nil, why
 *         request: { method=, url=, headers = { { name, value }, ... }, listener=?, client=? }
 *         json is the text of the table (script/explain.h); found: something answers
 */
#ifndef MG_SCRIPT_INSPECT_H
#define MG_SCRIPT_INSPECT_H

#include <lua.h>

/* A lua_CFunction for package.preload. */
int mg_inspect_open(lua_State *L);

#endif
