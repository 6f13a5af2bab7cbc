/*
 * The conditions of steps (`when`) that need no Lua: what most of them are, a field of the request
 * that equals a text, begins with it, is there, or an address in some networks, with `and`, `or`,
 * `not` and brackets around. A pipeline of steps that C runs stays in C with them.
 *
 *     req.method ~= "GET"                req:header "x-beta"
 *     req.path:sub(1, 5) == "/api/"      req.path:find "^/api/"
 *     mg.ip.matcher { "10.0.0.0/8" }(req.client_ip)
 *     not (req:arg "debug" or req:cookie("beta") == "1")
 *
 * Fields: method scheme host path raw_path query client_ip; calls: header, arg, cookie.
 * A form that is not known here is nobody's error: Lua answers it. One that is known has the very
 * meaning that Lua gives it, precedence and nil included.
 */
#ifndef MG_GATEWAY_CONDITION_H
#define MG_GATEWAY_CONDITION_H

#include "gateway/exchange.h"

struct mg_condition;

/* From the text of a Lua expression, which the result borrows; in the arena. NULL: Lua has to
 * answer. */
const struct mg_condition *mg_condition_parse(struct mg_arena *arena, struct mg_str text);

/* Worker thread; neither fails nor waits. Texts that have to be put together lie in the request's
 * arena. */
bool mg_condition_holds(const struct mg_condition *condition, struct mg_request *req);

#endif
