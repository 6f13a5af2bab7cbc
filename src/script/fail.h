/*
 * Expected failures as Lua sees them: nil and an error object with `code` and `message`; tostring()
 * gives the message. Codes are lower-case words and part of the API. And how values that were
 * raised are told to people.
 */
#ifndef MG_SCRIPT_FAIL_H
#define MG_SCRIPT_FAIL_H

#include <lua.h>
#include <stddef.h>

/* Takes the message off the top and pushes the error object for it. May raise a memory error. */
void mg_fail_wrap(lua_State *L, const char *code);

/* Pushes nil and the error object. Returns 2, so that a C function can return it. */
int mg_fail_push(lua_State *L, const char *code, const char *message);

/* Pushes a text for the error value at `index`, whatever it is: a string as it is; what else has a
 * text of its own, or a table's `code` and `message`, behind the place where it was raised, which
 * strings have already. For message handlers, at `level` of whose stack it was raised. May raise.
 */
const char *mg_fail_push_text(lua_State *L, int index, int level, size_t *n);

#endif
