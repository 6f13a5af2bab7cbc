/*
 * Groups of steps. Worker thread.
 *
 * An alternative is a walk whose terminal means "passed": it starts a walk over what lies behind
 * the group, and answers with its response. So an onion in it may call next as often as it likes.
 * A group always ends in a response; all of it lies in the request's arena.
 */
#include "gateway/group.h"

#include "gateway/problem.h"

/* What a refused request is told, the most telling last. */
enum rank {
    RANK_NONE,
    RANK_MALFORMED,
    RANK_UNKNOWN,
    RANK_INVALID,
    RANK_REFUSED,
    RANK_FORBIDDEN,
    RANK_FAILED
};

struct group {
    struct mg_walk *outer;
    const struct mg_step *step;
    bool any;
    uint32_t at;                     /* the alternative that is next */
    bool passed;                     /* the present one has */
    bool pending;                    /* the present one has not ended */
    bool decided;                    /* outer->res is the answer */
    bool running;                    /* go_on is on the stack */
    struct mg_response **refusals;   /* by alternative; NULL: not asked, or nothing to say */
    struct mg_request_state arrived; /* the request as it came */
};

/* --- refusals --- */

static const struct mg_field *challenge_of(const struct mg_response *res)
{
    return mg_fields_find(&res->msg->fields, MG_STR("WWW-Authenticate"));
}

/* Credentials came, and were no good: that says more than that there were none. */
static bool names_error(const struct mg_response *res)
{
    const struct mg_field *f = challenge_of(res);
    return f && memmem(f->value, f->value_len, "error=", 6);
}

static enum rank rank_of(const struct mg_response *res)
{
    if (!res)
        return RANK_NONE;
    unsigned status = res->msg->status;
    if (status >= 500)
        return RANK_FAILED;
    if (status == 403)
        return RANK_FORBIDDEN;
    if (status == 401)
        return names_error(res) ? RANK_INVALID : RANK_UNKNOWN;
    return status == 400 ? RANK_MALFORMED : RANK_REFUSED;
}

static struct mg_response *most_telling(const struct group *g)
{
    struct mg_response *best = NULL;
    for (uint32_t i = 0; i < g->step->inner_count; i++)
        if (rank_of(g->refusals[i]) > rank_of(best))
            best = g->refusals[i];
    return best;
}

static bool has_challenge(const struct mg_fields *fields, const struct mg_field *wanted)
{
    const struct mg_field *f = mg_fields_find(fields, MG_STR("WWW-Authenticate"));
    for (; f; f = mg_fields_next(fields, f))
        if (mg_str_eq(mg_field_value(f), mg_field_value(wanted)))
            return true;
    return false;
}

/* Gives a 401 the challenges of all refusals, each once, in the order of the alternatives. */
static void join_challenges(const struct group *g, struct mg_response *res)
{
    struct mg_arena *arena = res->msg->arena;
    struct mg_fields all = {0};
    for (uint32_t i = 0; i < g->step->inner_count; i++) {
        const struct mg_field *f = g->refusals[i] ? challenge_of(g->refusals[i]) : NULL;
        for (; f; f = mg_fields_next(&g->refusals[i]->msg->fields, f))
            if (!has_challenge(&all, f))
                mg_fields_add(&all, arena, MG_STR("WWW-Authenticate"),
                              mg_arena_str(arena, mg_field_value(f)));
    }
    mg_fields_remove(&res->msg->fields, MG_STR("WWW-Authenticate"));
    for (uint16_t i = 0; i < all.n; i++)
        mg_fields_add(&res->msg->fields, arena, MG_STR("WWW-Authenticate"),
                      mg_field_value(&all.v[i]));
}

static void drop_refusals(const struct group *g, const struct mg_response *but)
{
    for (uint32_t i = 0; i < g->step->inner_count; i++)
        if (g->refusals[i] && g->refusals[i] != but && g->refusals[i]->body)
            mg_body_cancel(g->refusals[i]->body);
}

static void decide(struct group *g, struct mg_response *res)
{
    drop_refusals(g, res);
    g->outer->res = res;
    g->decided = true;
}

/* Nobody has let the request in. */
static void refuse(struct group *g)
{
    struct mg_response *res = most_telling(g);
    mg_request_restore(g->outer->ex, g->outer->req, &g->arrived);
    if (!res)
        res = mg_problem(g->outer->req, 403, "no-alternative",
                         MG_STR("nothing here applies to this request"), "no_alternative");
    else if (res->msg->status == 401)
        join_challenges(g, res);
    decide(g, res);
}

/* --- one pipeline --- */

/* The others would meet the same body. */
static bool is_about_body(const struct mg_response *res)
{
    return res->source == MG_SOURCE_GATEWAY && res->msg->status < 500 && res->error_code &&
           (strcmp(res->error_code, "body_too_large") == 0 ||
            strcmp(res->error_code, "request_body") == 0);
}

static bool is_final(const struct group *g, const struct mg_response *res)
{
    if (!g->any || g->passed)
        return true;
    if (res && res->from_behind)
        return true;
    return res && (res->msg->status < 400 || is_about_body(res));
}

static enum mg_step_result go_on(struct group *g);

static void on_inner_done(struct mg_walk *inner, void *arg)
{
    struct group *g = arg;
    g->pending = false;
    if (is_final(g, inner->res))
        decide(g, inner->res);
    else
        g->refusals[g->at - 1] = inner->res;
    if (g->running)
        return;
    enum mg_step_result result = go_on(g);
    if (result != MG_STEP_WAIT)
        mg_walk_resume(g->outer, result);
}

static void on_behind_done(struct mg_walk *behind, void *arg)
{
    if (behind->res)
        mg_walk_answer(arg, behind->res);
    else
        mg_walk_withdraw(arg);
}

/* The terminal: all steps of the pipeline were passed. */
static void pass(struct mg_walk *inner)
{
    struct group *g = inner->terminal_arg;
    if (g->any && !inner->acted) {
        mg_walk_withdraw(inner);
        return;
    }
    g->passed = true;
    struct mg_walk *behind = mg_walk_inner(g->outer, inner->req);
    behind->depth = inner->depth; /* onions in the pipeline are on the stack as well */
    behind->acted = g->outer->acted || inner->acted;
    behind->on_done = on_behind_done;
    behind->arg = inner;
    mg_walk_start(behind);
}

static void start(struct group *g)
{
    struct mg_walk *w = g->outer;
    if (g->at > 0)
        mg_request_restore(w->ex, w->req, &g->arrived);
    struct mg_walk *inner = mg_walk_held(w, &g->step->inner[g->at++], w->req);
    inner->tentative = w->tentative || g->any;
    inner->outer = w;
    inner->terminal = pass;
    inner->terminal_arg = g;
    inner->on_done = on_inner_done;
    inner->arg = g;
    g->pending = true;
    mg_walk_start(inner);
}

/* --- the group --- */

static enum mg_step_result go_on(struct group *g)
{
    g->running = true;
    while (!g->decided && !g->pending) {
        if (g->at < g->step->inner_count)
            start(g);
        else
            refuse(g);
    }
    g->running = false;
    return g->decided ? MG_STEP_STOP : MG_STEP_WAIT;
}

static enum mg_step_result enter_group(const struct mg_step *step, struct mg_walk *w, bool any)
{
    if (mg_walk_is_deep(w))
        return mg_walk_step_failed(w, step, "policy_error", MG_STR("steps nest too deeply"));
    struct mg_arena *arena = w->req->arena;
    struct group *g = mg_arena_calloc(arena, sizeof *g);
    g->outer = w;
    g->step = step;
    g->any = any;
    g->refusals = mg_arena_calloc(arena, step->inner_count * sizeof(struct mg_response *));
    if (any)
        mg_request_save(w->ex, w->req, &g->arrived);
    return go_on(g);
}

enum mg_step_result mg_group_any(const struct mg_step *step, struct mg_walk *w)
{
    return enter_group(step, w, true);
}

enum mg_step_result mg_group_all(const struct mg_step *step, struct mg_walk *w)
{
    return enter_group(step, w, false);
}
