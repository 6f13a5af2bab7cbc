/*
 * mg.jwt: verifies and makes JSON Web Tokens with the keys of the config.
 *
 *     verifier(options) -> verifier      checked once, at load; see lua/README.md
 *     verifier:verify(token, with_header?) -> claims, header? | nil, err
 *     verify(token, options) -> claims, header | nil, err
 *     sign(claims, options) -> token
 *
 * err.code is a word of mg_jwt_reason_word. None of them waits.
 */
#ifndef MG_SCRIPT_LIB_JWT_H
#define MG_SCRIPT_LIB_JWT_H

#include <lua.h>

/* Adds `jwt` to the table on top. May raise a Lua memory error. */
void mg_lib_jwt_open(lua_State *L);

#endif
