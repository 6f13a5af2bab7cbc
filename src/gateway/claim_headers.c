/*
 * Claims into headers. Worker thread.
 *
 * The client's own copies go first, whatever becomes of the claims.
 */
#include "gateway/claim_headers.h"

#include "base/log.h"
#include "gateway/problem.h"
#include "gateway/worker.h"

/* --- refusals --- */

static enum mg_step_result refuse(struct mg_walk *w, struct mg_response *res)
{
    w->res = res;
    return MG_STEP_STOP;
}

static enum mg_step_result unauthenticated(struct mg_walk *w)
{
    struct mg_response *res = mg_problem_of_policy(w->req, 401, MG_STR("unauthenticated"),
                                                   MG_STR("User not authenticated"));
    mg_response_set_field(res, MG_STR("WWW-Authenticate"), MG_STR("Bearer realm=\"moongate\""));
    return refuse(w, res);
}

static enum mg_step_result missing(struct mg_walk *w, const struct mg_claim_name *claim)
{
    struct mg_str detail = mg_arena_printf(w->req->arena, "The identity has no claim '%.*s'",
                                           MG_STR_ARGS(claim->text));
    return refuse(w, mg_problem_of_policy(w->req, 403, MG_STR("missing-claim"), detail));
}

static enum mg_step_result unusable(const struct mg_step *step, struct mg_walk *w,
                                    const struct mg_claim_name *claim,
                                    const struct mg_claim_header *header)
{
    const struct mg_route *route = w->req->route;
    mg_log_warn("a claim cannot stand in a header", MG_LOG_STR("step", step->id),
                MG_LOG_STR("route", route ? route->name : MG_STR_NONE),
                MG_LOG_STR("request_id", mg_request_id(w->req)), MG_LOG_STR("claim", claim->text),
                MG_LOG_STR("header", header->name));
    struct mg_str detail = mg_arena_printf(w->req->arena, "The claim '%.*s' cannot be passed on",
                                           MG_STR_ARGS(claim->text));
    return refuse(w, mg_problem_of_policy(w->req, 403, MG_STR("unusable-claim"), detail));
}

/* --- the step --- */

static void remove_copies(const struct mg_claim_headers *o, struct mg_request *req)
{
    for (size_t i = 0; i < o->count; i++)
        mg_request_remove_field(req, o->headers[i].name);
}

/* False: nobody has identified the client. */
static bool find_claims(const struct mg_claim_headers *o, struct mg_walk *w, struct mg_claim *out)
{
    const struct mg_script_hooks *hooks = w->ex->worker->hooks;
    return hooks && hooks->request_claims(w->req, o->claims, o->count, out);
}

static enum mg_step_result pass_on(const struct mg_step *step, struct mg_walk *w,
                                   const struct mg_claim *found)
{
    const struct mg_claim_headers *o = step->options;
    for (size_t i = 0; i < o->count; i++) {
        const struct mg_claim_header *header = &o->headers[i];
        struct mg_str text;
        if (!mg_claim_text(&found[i], w->req->arena, &text))
            return unusable(step, w, &o->claims[i], header);
        if (text.n)
            mg_request_set_field(w->req, header->id, header->name, text);
        else if (header->required)
            return missing(w, &o->claims[i]);
    }
    return MG_STEP_NEXT;
}

enum mg_step_result mg_claim_headers_request(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_claim_headers *o = step->options;
    struct mg_claim found[MG_CLAIM_HEADERS_MAX];
    remove_copies(o, w->req);
    if (find_claims(o, w, found))
        return pass_on(step, w, found);
    return o->needs_identity ? unauthenticated(w) : MG_STEP_NEXT;
}
