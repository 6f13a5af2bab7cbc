/*
 * What a generation would do with a request, as JSON: which routes were tried and why not, the one
 * that takes it, its steps, who needs bodies in memory, the limits, and what would be sent to whom.
 * Nothing is sent, and no step runs; their conditions are asked as far as the head of the request
 * alone can tell.
 *
 *     request  route | null  status | null  error | null  page | null  tried []  steps []  lua
 *     bodies  limits  services []
 *
 * Members are always there, unless it says otherwise; lua/moongate/tool/explain.lua makes text of
 * them.
 *
 * Control thread, or a tool. A worker is made for it in simulation (trial.h), and dropped again.
 */
#ifndef MG_SCRIPT_EXPLAIN_H
#define MG_SCRIPT_EXPLAIN_H

#include "base/buf.h"
#include "gateway/look.h"

/* Appends the explanation. `*found`: a route takes the request, or a page of admin.public. MG_FAIL:
 * that is no request, or no worker can be made. */
enum mg_rc mg_explain(struct mg_generation *gen, const struct mg_look_request *asked,
                      struct mg_buf *out, bool *found, struct mg_error *err) MG_MUST_CHECK;

/* --- its parts: explain_steps.c, explain_service.c --- */

/* The members "steps", "lua" and "bodies", of the pipeline that the request would go through. */
void mg_explain_steps(struct mg_buf *out, struct mg_look *look, const struct mg_pipeline *pipeline);
/* One item of "services". `share` of the requests goes there, of `shares`. */
void mg_explain_service(struct mg_buf *out, struct mg_request *req, const struct mg_service *s,
                        uint32_t share, uint32_t shares);

#endif
