/*
 * Template expressions: "${auth.subject}", "${header.x-api-version}", "${params.id}". Worker
 * thread.
 *
 * Names: id method scheme host port path raw_path query version client_ip client_port route service
 * status header.NAME arg.NAME cookie.NAME params.NAME auth.FIELD claims.NAME ctx.NAME
 * res.header.NAME; the schema kind `expr` (lua/moongate/config/kinds.lua) refuses all others. What
 * is not there is the empty text.
 */
#ifndef MG_SCRIPT_EXPR_H
#define MG_SCRIPT_EXPR_H

#include "script/context.h"

/* req:expr(template [, res]) -> string */
int mg_expr_method(lua_State *L);

#endif
