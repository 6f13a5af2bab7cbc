/*
 * mg.ip: addresses and sets of networks (base/ip.h).
 *
 *     parse(text)      -> the address as RFC 5952 writes it, 4 or 6 | nil, err
 *     matcher(list)    -> a function-like value that knows whether an address is in one of the
 *                         networks: m(text) or m:has(text) -> boolean
 *
 * matcher raises for a bad network, so that a list nobody can match against is never taken for an
 * empty one. To ask about a text that is no address is no error: it is in no network.
 */
#ifndef MG_SCRIPT_LIB_IP_H
#define MG_SCRIPT_LIB_IP_H

#include <lua.h>

/* Adds the above to the `mg` table on top of the stack. May raise a Lua memory error. */
void mg_lib_ip_open(lua_State *L);

#endif
