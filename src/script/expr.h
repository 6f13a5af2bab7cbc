/* Template expressions (gateway/expr.h) for policies. Worker thread. */
#ifndef MG_SCRIPT_EXPR_H
#define MG_SCRIPT_EXPR_H

#include "script/context.h"

/* req:expr(template [, res]) -> string */
int mg_expr_method(lua_State *L);

/* Once a state, before the others. May raise a Lua memory error. */
void mg_expr_open(lua_State *L);

/* What one name stands for that only Lua knows, for mg_script_hooks.request_value and its kin; in
 * the request's arena. Empty when it is not there. Neither runs code of a policy. */
struct mg_str mg_expr_request_value(struct mg_request *req, struct mg_str name);
struct mg_str mg_expr_request_subject(struct mg_request *req);
bool mg_expr_request_item(struct mg_request *req, struct mg_str name, uint32_t index,
                          struct mg_str *item);

#endif
