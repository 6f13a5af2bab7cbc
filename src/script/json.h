/*
 * JSON to and from Lua values, without anything in between. One Lua state each, so one thread.
 *
 * What becomes what:
 * - integers and floats keep apart, both ways; a float is written with a point or an exponent;
 * - `null` is one value of its own (`mg.json.null`, prints as "null"), never nil: arrays keep their
 *   length and objects their keys;
 * - a decoded array carries a mark (its metatable, `__name` is "moongate.json.array"), so that an
 * empty one stays an array; an empty table without it is an object. mg.json.array sets it;
 * - a table is an array if its keys are 1 to n, an object if all are strings. Anything between is
 * an error: holes are named. Fields come in the table's own order unless sorted. Metamethods are
 * not asked;
 * - a key twice in one object is an error, as is a string that is not UTF-8.
 *
 * A cycle is an error because the depth is limited, and a table that is reached by very many ways
 * is one because the text is.
 */
#ifndef MG_SCRIPT_JSON_H
#define MG_SCRIPT_JSON_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

#define MG_JSON_TEXT_MAX ((size_t)64 << 20) /* bytes that mg.json.encode may write */

/* err.code of what is no JSON, and of values that have none. */
#define MG_JSON_BAD "bad_json"
#define MG_JSON_BAD_VALUE "bad_value"

/* JSON text that is there already. */
struct mg_json_text {
    struct mg_str text;
    bool checked; /* it is known to be JSON */
};

struct mg_json_encode_options {
    bool sort;            /* fields by the bytes of their names */
    bool pretty;          /* a line for each item and field, two spaces a level */
    unsigned depth_limit; /* 0: MG_JSON_DEPTH; more than MG_JSON_DEPTH_MAX counts as that */
    /* The text that the userdata at `index` stands for, which is written as it is when it is JSON;
     * false: for none. Never raises. NULL: no userdata stands for any. */
    bool (*stands_for)(lua_State *L, int index, struct mg_json_text *out);
};

/* Pushes the module: decode, encode, null, array, is_array. Call it once for each state, before the
 * functions below; a second call gives a table with the same `null` and the same mark. */
void mg_json_open(lua_State *L);

/* Pushes the value of `text` and returns MG_OK, or pushes nothing, sets "line 1 column 5: ..." and
 * returns MG_FAIL. Borrows `text`, which must stay where it is whatever the collector does. `o` may
 * be NULL. May raise a Lua memory error, and may run finalizers. */
enum mg_rc mg_json_push(lua_State *L, struct mg_str text, const struct mg_json_options *o,
                        struct mg_error *err) MG_MUST_CHECK;

/* Appends the text of the value at `index` to `out`, whose limit holds, and returns MG_OK. Or
 * returns MG_FAIL and sets "items[3].price: cannot encode a function"; `out` then holds a part. `o`
 * may be NULL. With `sort` it may raise a Lua memory error and run finalizers: then `out` must
 * belong to something that survives a jump. Without `sort` it does neither. */
enum mg_rc mg_json_encode(lua_State *L, int index, struct mg_buf *out,
                          const struct mg_json_encode_options *o,
                          struct mg_error *err) MG_MUST_CHECK;

/* Reads the options of decode from the table at `index`, which may be nil; raises when there are
 * others, or values that they do not take. */
void mg_json_check_options(lua_State *L, int index, struct mg_json_options *out);

void mg_json_push_null(lua_State *L);
bool mg_json_is_null(lua_State *L, int index);

/* Does the value at `index` carry the mark of an array? Never raises. */
bool mg_json_is_array(lua_State *L, int index);
/* Marks the table at `index` as an array, in place of any metatable it had. */
void mg_json_mark_array(lua_State *L, int index);

#endif
