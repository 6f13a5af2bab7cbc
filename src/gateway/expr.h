/*
 * Template expressions: "${auth.subject}", "${header.x-api-version}", "${params.id}". Worker
 * thread.
 *
 * Names: id method scheme host port path raw_path query version client_ip client_port route service
 * status header.NAME arg.NAME cookie.NAME params.NAME auth.FIELD claims.NAME ctx.NAME
 * res.header.NAME; the schema kind `expr` (lua/moongate/config/kinds.lua) refuses all others. What
 * is not there is the empty text.
 *
 * What policies keep on a request (auth, claims, ctx) is known to row 6 alone.
 */
#ifndef MG_GATEWAY_EXPR_H
#define MG_GATEWAY_EXPR_H

#include "gateway/exchange.h"

/* Cuts the next piece off `rest`: what stands before a name, and the name; the last piece has none
 * (its p is NULL). Views. False: nothing is left. */
bool mg_expr_next(struct mg_str *rest, struct mg_str *literal, struct mg_str *name);

/* What a name stands for; a view, or in the arena. `res` NULL: there is none. False: the name is
 * not known here. */
bool mg_expr_value(struct mg_request *req, const struct mg_response *res, struct mg_str name,
                   struct mg_arena *arena, struct mg_str *value);

/* The template filled in from a request; a view, or in its arena. May ask row 6, for the names that
 * it knows, and does not wait. */
struct mg_str mg_expr_text(struct mg_request *req, struct mg_str text);

/* What one name stands for, known here or to row 6; the same. */
struct mg_str mg_expr_named(struct mg_request *req, struct mg_str name);

/* Who has logged in, auth.subject; in the request's arena. Empty: nobody. */
struct mg_str mg_expr_subject(struct mg_request *req);

/* An item (from 1) of the list that a name stands for, such as "claims.groups"; in the request's
 * arena. False: there is none of that number. */
bool mg_expr_item(struct mg_request *req, struct mg_str name, uint32_t index, struct mg_str *item);

/* Does one of the texts give something other than "" and "0"? */
bool mg_expr_any(struct mg_request *req, const struct mg_str *texts, size_t count);

#endif
