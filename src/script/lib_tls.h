/* req.tls: what Lua sees of a secured connection. */
#ifndef MG_SCRIPT_LIB_TLS_H
#define MG_SCRIPT_LIB_TLS_H

#include <lua.h>

#include "net/security.h"

/* Pushes { version=, cipher=, sni=, alpn=, resumed=, client_cert= }. A new table each time: the
 * certificate is taken apart for whoever asks. */
void mg_lib_tls_push(lua_State *L, const struct mg_security *s);

#endif
