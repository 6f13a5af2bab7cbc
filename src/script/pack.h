/*
 * Plain Lua data as bytes and back: how a checked config gets from the control thread's state into
 * those of the workers.
 *
 * nil, booleans, integers, floats, strings, tables, and null: that of YAML as well as mg.json.null
 * becomes mg.json.null. A table keeps the mark of an array (json.h), so that an empty list stays
 * one; other metatables stay behind. A table reached in two ways becomes two. The bytes are for the
 * same process, not for files.
 */
#ifndef MG_SCRIPT_PACK_H
#define MG_SCRIPT_PACK_H

#include <lua.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#define MG_PACK_DEPTH_MAX 150 /* tables in tables */

/* Appends the value at `index`. False, with `out` holding a part, when there is something else in
 * it (a function, a cycle), or it meets the limit of `out`; the error names the place, as
 * "routes[2].when". Never raises. */
bool mg_pack(lua_State *L, int index, struct mg_buf *out, struct mg_error *err) MG_MUST_CHECK;

/* Pushes the value and returns MG_OK, or pushes nothing and returns MG_FAIL for bytes that mg_pack
 * did not make. May raise a Lua memory error. */
enum mg_rc mg_unpack(lua_State *L, struct mg_str bytes) MG_MUST_CHECK;

#endif
