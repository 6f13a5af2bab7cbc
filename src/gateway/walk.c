/*
 * C owns the walk over a pipeline's steps; a step is a leaf. Worker thread.
 *
 * Down: each step's request phase, in order. At the end, or where a step answers, the response is
 * there. Up: the response phase of the steps that were passed, in reverse order. `running` turns an
 * answer that comes while the walk's own loop is on the stack into one more round of that loop.
 */
#include "base/log.h"
#include "gateway/content.h"
#include "gateway/exchange.h"
#include "gateway/problem.h"
#include "gateway/worker.h"

/* An onion's walks nest; each level holds arena memory and C stack. */
#define DEPTH_MAX 64

static void run(struct mg_walk *w);

struct mg_wait *mg_walk_wait(struct mg_walk *w)
{
    return w->scope ? &w->scope->wait : &w->ex->wait;
}

static bool is_cancelled(const struct mg_walk *w)
{
    return w->scope && w->scope->cancelled;
}

static uint8_t flags_of(const struct mg_walk *w, const struct mg_step *step)
{
    return w->req->wg->step_flags[step->index];
}

/* --- whole bodies for steps that want them --- */

struct collecting {
    struct mg_body_collector collector;
    struct mg_walk *walk;
    struct mg_body *body;
};

static void cancel_collecting(void *arg)
{
    struct collecting *c = arg;
    mg_body_cancel(c->body);
}

static void refuse_body(struct mg_walk *w, enum mg_collect_result result,
                        const struct mg_body *body)
{
    if (result == MG_COLLECT_TOO_LARGE)
        w->res =
            mg_problem(w->req, 413, "content-too-large",
                       MG_STR("the body is larger than this route can hold"), "body_too_large");
    else if (body->status == 500) /* a transform failed */
        w->res = mg_problem(w->req, 500, "internal-error", MG_STR_NONE, "policy_error");
    else
        w->res = mg_problem(w->req, body->status ? (unsigned)body->status : 400, "bad-request-body",
                            mg_str_c(body->reason), "request_body");
    w->phase = MG_WALK_UP;
}

static void request_collected(struct collecting *c, enum mg_collect_result result)
{
    struct mg_walk *w = c->walk;
    if (result == MG_COLLECT_DONE) {
        mg_request_set_body(w->req, mg_str(c->collector.bytes, c->collector.n));
        return;
    }
    refuse_body(w, result, c->body);
}

static void on_request_collected(void *arg, enum mg_collect_result result)
{
    struct collecting *c = arg;
    mg_wait_end(&c->walk->wait);
    request_collected(c, result);
    run(c->walk);
}

/* A task of a step that is over reads the body that another step wants whole. */
static void refuse_second_reader(struct mg_walk *w, const char *whose)
{
    mg_log_error("policy failed",
                 MG_LOG_STR("route", w->req->route ? w->req->route->name : MG_STR_NONE),
                 MG_LOG_STR("request_id", mg_request_id(w->req)),
                 MG_LOG_STR("error", mg_arena_printf(w->req->arena,
                                                     "a task still reads the body of the %s; wait "
                                                     "for it in the step that started it",
                                                     whose)));
    w->res = mg_problem(w->req, 500, "internal-error", MG_STR_NONE, "policy_error");
    w->phase = MG_WALK_UP;
}

/* True when the walk can go on at once. */
static bool collect_request(struct mg_walk *w)
{
    struct mg_request *req = w->req;
    if (mg_body_is_being_read(req->body)) {
        refuse_second_reader(w, "request");
        return true;
    }
    struct collecting *c = mg_arena_alloc(req->arena, sizeof *c);
    enum mg_collect_result result;
    c->walk = w;
    c->body = req->body;
    if (mg_body_collect(&c->collector, req->body, req->arena, req->wg->gen->buffered_body_bytes,
                        on_request_collected, c, &result)) {
        request_collected(c, result);
        return true;
    }
    mg_wait_begin(&w->wait, mg_walk_wait(w), cancel_collecting, c);
    return false;
}

static void response_collected(struct collecting *c, enum mg_collect_result result)
{
    struct mg_walk *w = c->walk;
    if (result == MG_COLLECT_DONE) {
        mg_response_hold_body(w->res, w->req->arena, mg_str(c->collector.bytes, c->collector.n));
        return;
    }
    mg_body_cancel(c->body);
    const char *code = result == MG_COLLECT_TOO_LARGE ? "response_too_large" : "reset";
    mg_log_warn("cannot hold a response for a step",
                MG_LOG_STR("route", w->req->route ? w->req->route->name : MG_STR_NONE),
                MG_LOG_C("reason", result == MG_COLLECT_TOO_LARGE
                                       ? "larger than buffered_body_bytes"
                                       : c->body->reason));
    w->res = mg_problem(w->req, 502, "bad-upstream-response", MG_STR_NONE, code);
}

static void on_response_collected(void *arg, enum mg_collect_result result)
{
    struct collecting *c = arg;
    mg_wait_end(&c->walk->wait);
    response_collected(c, result);
    run(c->walk);
}

static bool collect_response(struct mg_walk *w)
{
    if (mg_body_is_being_read(w->res->body)) {
        refuse_second_reader(w, "response");
        return true;
    }
    mg_content_read_response(w->res, w->ex->worker, w->req->arena);
    struct collecting *c = mg_arena_alloc(w->req->arena, sizeof *c);
    enum mg_collect_result result;
    c->walk = w;
    c->body = w->res->body;
    if (mg_body_collect(&c->collector, c->body, w->req->arena, w->req->wg->gen->buffered_body_bytes,
                        on_response_collected, c, &result)) {
        response_collected(c, result);
        return true;
    }
    mg_wait_begin(&w->wait, mg_walk_wait(w), cancel_collecting, c);
    return false;
}

/* --- the route's on_error steps --- */

static void give_error(struct mg_walk *inner)
{
    mg_walk_answer(inner, ((struct mg_walk *)inner->terminal_arg)->res);
}

static void on_error_done(struct mg_walk *inner, void *arg)
{
    struct mg_walk *w = arg;
    w->res = inner->res;
    w->res->error_handled = true; /* also when it is an error of theirs */
    run(w);
}

/* Lets the on_error steps look at a response of our own, once. True when they are not done yet. */
static bool handle_error(struct mg_walk *w)
{
    const struct mg_route *route = w->req->route;
    if (w->res->error_handled || w->res->source != MG_SOURCE_GATEWAY || w->tentative || !route ||
        !route->on_error.count || w->root == &route->on_error)
        return false;
    struct mg_walk *inner = mg_arena_calloc(w->req->arena, sizeof *inner);
    inner->ex = w->ex;
    inner->req = w->req;
    inner->pipeline = inner->root = &route->on_error;
    inner->depth = w->depth + 1;
    inner->scope = w->scope;
    inner->terminal = give_error;
    inner->terminal_arg = w;
    inner->on_done = on_error_done;
    inner->arg = w;
    mg_walk_start(inner);
    return inner->phase != MG_WALK_DONE;
}

/* --- the two directions --- */

enum progress { GO_ON, PAUSE };

/* For its finish: only those of the exchange's own pipeline have one. */
static void note_reached(const struct mg_walk *w, const struct mg_step *step)
{
    if (w->ex->reached && w->root == w->ex->walk.pipeline)
        w->ex->reached[step->place] = true;
}

static void pass_step(struct mg_walk *w)
{
    w->acted |= w->acting;
    w->at++;
}

/* The response is there; without one the step has withdrawn the request, and so does the walk. */
static void turn_back(struct mg_walk *w)
{
    w->phase = w->res ? MG_WALK_UP : MG_WALK_DONE;
}

/* A copy may be on its way in several exchanges at a time: who its client is, is asked of the one
 * whose step runs. */
static void show_request(const struct mg_walk *w)
{
    w->req->seen_in = w->ex;
}

static enum progress step_down(struct mg_walk *w)
{
    if (w->at == w->pipeline->count) {
        w->phase = MG_WALK_UP;
        w->terminal(w);
        return w->res ? GO_ON : PAUSE;
    }
    const struct mg_step *step = &w->pipeline->steps[w->at];
    note_reached(w, step);
    show_request(w);
    enum mg_step_entry entry = MG_STEP_SKIP;
    if (flags_of(w, step) & MG_STEP_HAS_REQUEST)
        entry = step->ops->enter(step, w);
    if (entry == MG_STEP_SKIP) {
        w->at++;
        return GO_ON;
    }
    if (entry == MG_STEP_FAILED) {
        w->phase = MG_WALK_UP;
        return GO_ON;
    }
    if (step->buffer_request && !w->req->is_buffered && !collect_request(w))
        return PAUSE;
    if (w->phase == MG_WALK_UP)
        return GO_ON; /* the body was refused */
    w->acting = true;
    show_request(w); /* collecting its body may have taken time */
    switch (step->ops->request(step, w)) {
    case MG_STEP_NEXT:
        pass_step(w);
        return GO_ON;
    case MG_STEP_STOP:
        turn_back(w);
        return GO_ON;
    case MG_STEP_WAIT:
        break;
    }
    return PAUSE;
}

static enum progress step_up(struct mg_walk *w)
{
    if (handle_error(w))
        return PAUSE;
    if (w->at == w->first) {
        w->phase = MG_WALK_DONE;
        return GO_ON;
    }
    const struct mg_step *step = &w->pipeline->steps[w->at - 1];
    show_request(w);
    if (!(flags_of(w, step) & MG_STEP_HAS_RESPONSE) ||
        step->ops->enter_response(step, w) != MG_STEP_ENTER) {
        w->at--;
        return GO_ON;
    }
    if (step->buffer_response && w->res->body && !w->res->is_buffered && !collect_response(w))
        return PAUSE;
    if (step->ops->response(step, w) == MG_STEP_WAIT)
        return PAUSE;
    w->at--;
    return GO_ON;
}

static void run(struct mg_walk *w)
{
    if (w->running)
        return;
    w->running = true;
    enum progress p = GO_ON;
    while (p == GO_ON && w->phase != MG_WALK_DONE && !is_cancelled(w))
        p = w->phase == MG_WALK_DOWN ? step_down(w) : step_up(w);
    w->running = false;
    if (w->phase == MG_WALK_DONE && !is_cancelled(w))
        w->on_done(w, w->arg);
}

/* --- entries --- */

void mg_walk_start(struct mg_walk *w)
{
    w->at = w->first;
    w->phase = MG_WALK_DOWN;
    run(w);
}

void mg_walk_resume(struct mg_walk *w, enum mg_step_result result)
{
    if (w->phase == MG_WALK_UP)
        w->at--;
    else if (result == MG_STEP_STOP)
        turn_back(w);
    else
        pass_step(w);
    run(w);
}

void mg_walk_answer(struct mg_walk *w, struct mg_response *res)
{
    w->res = res;
    w->phase = MG_WALK_UP;
    run(w);
}

void mg_walk_withdraw(struct mg_walk *w)
{
    w->phase = MG_WALK_DONE;
    run(w);
}

bool mg_walk_is_deep(const struct mg_walk *w)
{
    return w->depth >= DEPTH_MAX;
}

static struct mg_walk *new_walk(struct mg_walk *w, struct mg_request *req)
{
    if (mg_walk_is_deep(w))
        return NULL;
    struct mg_walk *inner = mg_arena_calloc(req->arena, sizeof *inner);
    inner->ex = w->ex;
    inner->req = req;
    inner->root = w->root;
    inner->depth = w->depth + 1;
    inner->tentative = w->tentative;
    inner->scope = w->scope;
    return inner;
}

struct mg_walk *mg_walk_inner(struct mg_walk *w, struct mg_request *req)
{
    struct mg_walk *inner = new_walk(w, req);
    if (!inner)
        return NULL;
    inner->pipeline = w->pipeline;
    inner->first = w->at + 1;
    inner->terminal = w->terminal;
    inner->terminal_arg = w->terminal_arg;
    inner->outer = w->outer;
    inner->acted = true; /* the step that asks for it lets the request pass */
    return inner;
}

struct mg_walk *mg_walk_held(struct mg_walk *w, const struct mg_pipeline *pipeline,
                             struct mg_request *req)
{
    struct mg_walk *held = new_walk(w, req);
    if (held)
        held->pipeline = pipeline;
    return held;
}

static void on_scope_cancelled(void *arg)
{
    struct mg_scope *scope = arg;
    scope->cancelled = true;
}

void mg_walk_open_scope(struct mg_walk *w, struct mg_scope *scope)
{
    scope->cancelled = false;
    mg_wait_begin(&scope->wait, mg_walk_wait(w), on_scope_cancelled, scope);
    w->scope = scope;
}

void mg_walk_cancel_scope(struct mg_scope *scope)
{
    scope->cancelled = true;
    mg_wait_end(&scope->wait);
}

bool mg_walk_is_repeatable(const struct mg_walk *w)
{
    while (w->outer)
        w = w->outer;
    return w->terminal == w->ex->walk.terminal;
}

void mg_walk_way(const struct mg_walk *w, struct mg_arena *arena, struct mg_way *out)
{
    struct mg_way *outer = NULL;
    if (w->outer) {
        outer = mg_arena_alloc(arena, sizeof *outer);
        mg_walk_way(w->outer, arena, outer);
    }
    *out = (struct mg_way){.pipeline = w->pipeline, .at = w->at, .outer = outer};
}

void **mg_walk_kept(struct mg_walk *w, const struct mg_step *step)
{
    if (!w->kept)
        w->kept = mg_arena_calloc(w->req->arena, w->pipeline->count * sizeof(void *));
    return &w->kept[step - w->pipeline->steps];
}

enum mg_step_result mg_walk_step_failed(struct mg_walk *w, const struct mg_step *step,
                                        const char *error_code, struct mg_str message)
{
    struct mg_request *req = w->req;
    mg_log_error("policy failed", MG_LOG_STR("policy", step->policy), MG_LOG_STR("step", step->id),
                 MG_LOG_STR("path", step->path),
                 MG_LOG_STR("route", req->route ? req->route->name : MG_STR_NONE),
                 MG_LOG_STR("request_id", mg_request_id(req)), MG_LOG_STR("error", message));
    w->acting = false;
    if (step->on_error_continue)
        return MG_STEP_NEXT;
    if (w->res && w->res->body)
        mg_body_cancel(w->res->body);
    struct mg_str detail = req->wg->gen->dev ? message : MG_STR_NONE;
    w->res = mg_problem(req, 500, "internal-error", detail, error_code);
    w->res->error_policy = step->policy;
    return MG_STEP_STOP;
}
