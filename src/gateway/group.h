/*
 * Steps that hold other steps and let a request pass when these do: any-of, all-of. Worker thread.
 *
 * What lies behind the group runs inside of the pipeline that let the request pass, as it does
 * within an onion: its response goes up through that pipeline's steps, then through those before
 * the group. No Lua is needed for the group itself; row 6 adds the condition `when`.
 */
#ifndef MG_GATEWAY_GROUP_H
#define MG_GATEWAY_GROUP_H

#include "gateway/exchange.h"

/* For mg_step_ops.request. Each pipeline in the step's `inner` is an alternative. They are tried in
 * order, each with the request as it came to the group; the first to pass wins. One whose steps all
 * were skipped, or failed and may, has not passed: nobody has looked at the request.
 *
 * A 4xx is a refusal, a 5xx leaves open what it would have been: both lead to the next alternative.
 * Any other response of an alternative is the answer, and so is an error about the request's body.
 * When none passes the answer is the first of the most telling responses: 5xx, 403, any other
 * refusal but those that follow, 401 with the challenges of all (RFC 9110 11.6.1), 400. */
enum mg_step_result mg_group_any(const struct mg_step *step, struct mg_walk *w);

/* The same for a group whose one pipeline has to pass as a whole. */
enum mg_step_result mg_group_all(const struct mg_step *step, struct mg_walk *w);

#endif
