/*
 * YAML and JSON texts as Lua values that remember where they stood in the file.
 *
 * Rules are those of YAML 1.2's core schema: `true`/`false` (also True, TRUE), `null`, `~` and
 * nothing, decimal, 0o and 0x integers, floats. `on`, `yes`, `no`, `off` and all quoted scalars are
 * strings. Keys are always strings, as in JSON; `<<` is a key like any other. One document, only
 * the core tags, no NUL in a scalar. Aliases work; their contents count as often as they are named,
 * so none can explode.
 *
 * A value is a string, number, boolean, table, or null, which is the light userdata NULL.
 *
 * Positions are a table from each container of the value to what is known of it:
 *
 *     positions[container] = {
 *         self  = P,                 -- where the container begins
 *         list  = true | nil,        -- a sequence; tells [] from {}
 *         value = { [key] = P },     -- where each member's value begins
 *         key   = { [key] = P },     -- where each member's key begins; empty for a list
 *     }
 *
 * where P packs line and column, both from 1: `P >> 20, P & 0xFFFFF`. Columns count characters.
 * What an alias names is one table in several places; it keeps the position of its anchor, its
 * members too.
 */
#ifndef MG_SCRIPT_YAML_H
#define MG_SCRIPT_YAML_H

#include <lua.h>

#include "base/error.h"
#include "base/str.h"

#define MG_YAML_MAX_BYTES (16u << 20)
#define MG_YAML_MAX_NODES 1000000u
#define MG_YAML_MAX_DEPTH 100u
#define MG_YAML_MAX_ERRORS 100u

/* Parses `text` (borrowed). Pushes value and positions and returns MG_OK, or pushes nothing, sets
 * `err` to "file:line:col: message" of the first fault, and returns MG_FAIL. `file` is for that
 * message; a name that ends in ".json" also switches JSON's surrogate pairs on. May raise Lua's
 * memory error; nothing leaks then. */
int mg_yaml_push(lua_State *L, struct mg_str text, const char *file, struct mg_error *err);

/* Pushes the module for `require "moongate.yaml"`; a lua_CFunction.
 *
 *     parse(text, file?) -> value, positions | nil, { { message=, line=, col= }, ... }
 *     null
 *
 * All faults that do not make the rest unreadable are told together, in the order of the file. */
int mg_yaml_open(lua_State *L);

#endif
