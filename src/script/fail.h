/*
 * Expected failures as Lua sees them: nil and an error object with `code` and `message`; tostring()
 * gives the message. Codes are lower-case words and part of the API.
 */
#ifndef MG_SCRIPT_FAIL_H
#define MG_SCRIPT_FAIL_H

#include <lua.h>

/* Takes the message off the top and pushes the error object for it. May raise a memory error. */
void mg_fail_wrap(lua_State *L, const char *code);

/* Pushes nil and the error object. Returns 2, so that a C function can return it. */
int mg_fail_push(lua_State *L, const char *code, const char *message);

#endif
