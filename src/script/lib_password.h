/*
 * Passwords, for mg.crypto (crypto/password.h).
 *
 *     password_hash(password, options?)  -> the hash, as text; options are algorithm ("scrypt" or
 *                                           "pbkdf2-sha256") and its cost: ln, r, p; iterations
 *     password_verify(hash, password)    -> boolean; nil, err when the first is no hash
 *     password_cost(hash)                -> what checking it costs, as text: "scrypt
 * ln=13,r=8,p=1", "pbkdf2-sha256 i=100000"; nil, err when it is no hash
 *
 * The first two take 20 ms or more, which the worker does nothing else in, and which do not count
 * as a run of policy code.
 */
#ifndef MG_SCRIPT_LIB_PASSWORD_H
#define MG_SCRIPT_LIB_PASSWORD_H

#include <lua.h>

/* Adds the above to the table on top of the stack. May raise a Lua memory error. */
void mg_lib_password_open(lua_State *L);

#endif
