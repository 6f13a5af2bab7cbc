/*
 * mg.json.editor(tree) -> editor: edits of JSON text by rules (base/json_edit.h).
 *
 *     editor(text, values?)              -> text | nil, err
 *     message:transform(editor, values?)    (lib_body.c) the same while the body streams
 *
 * A node of the tree: { name=, drop=, only=, set=, fill=, absent=, cast=, capture=, fields=,
 * items=, look= }, at the root `case` too; lua/README.md tells what they mean. `values` are strings
 * by slot. A wrong tree raises; text that is no JSON is an expected failure, err.code "bad_json".
 * Neither waits.
 */
#ifndef MG_SCRIPT_LIB_JSON_EDIT_H
#define MG_SCRIPT_LIB_JSON_EDIT_H

#include <lua.h>

#include "base/arena.h"
#include "base/json_edit.h"

/* Adds `editor` to the table on top of the stack. May raise a Lua memory error. */
void mg_lib_json_edit_open(lua_State *L);

/* The rules of the editor at `index`, which live as long as it; NULL: it is none. */
const struct mg_json_rules *mg_lib_json_edit_rules(lua_State *L, int index);

/* The values for its slots from the table at `index` (or nil), as JSON, in the arena; NULL when
 * there are no slots. Raises for what is no table of strings. */
struct mg_str *mg_lib_json_edit_values(lua_State *L, int index, const struct mg_json_rules *rules,
                                       struct mg_arena *arena);

#endif
