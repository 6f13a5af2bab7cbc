/*
 * Template expressions: "${auth.subject}", "${header.x-api-version}", "${params.id}". Worker thread.
 *
 * Names: id method scheme host path raw_path query version client_ip client_port route service status
 * header.NAME arg.NAME cookie.NAME params.NAME auth.FIELD claims.NAME env.FIELD ctx.NAME res.header.NAME.
 * What is not there is the empty text.
 */
#ifndef MG_SCRIPT_EXPR_H
#define MG_SCRIPT_EXPR_H

#include "script/context.h"

/* req:expr(template [, res]) -> string */
int mg_expr_method(lua_State *L);

#endif
