/*
 * One request at its limit. Worker thread.
 *
 *     a place is free ──▶ hold it, go on
 *     none is         ──▶ the queue has room ──▶ wait ──▶ hold it, go on
 *                                                  └────▶ answer, as where the queue has none
 *
 * What is held hangs in the exchange's tree of waits, whatever request the walk is for: so it is
 * given back however the exchange ends.
 */
#include "gateway/concurrency.h"

#include "base/log.h"
#include "gateway/problem.h"
#include "gateway/worker.h"

#define QUEUE_MARK 'q'

static struct mg_concurrency_queue *queue_of(const struct mg_walk *w)
{
    return &w->ex->worker->concurrency;
}

/* --- places --- */

/* In the arena. */
struct place {
    struct mg_concurrency_queue *queue;
    struct mg_dict *dict;
    struct mg_str key;
    struct mg_wait wait;
};

static void give_back(void *arg)
{
    const struct place *p = arg;
    mg_concurrency_give_back(p->queue, p->dict, p->key);
}

/* The request has got a place under that key, which lies in the exchange's arena. */
static void hold(struct mg_walk *w, const struct mg_concurrency_ask *ask)
{
    struct place *p = mg_arena_calloc(&w->ex->in->arena, sizeof *p);
    p->queue = queue_of(w);
    p->dict = ask->dict;
    p->key = ask->key;
    mg_wait_begin(&p->wait, &w->ex->wait, give_back, p);
}

/* --- refusals --- */

static struct mg_str route_name(const struct mg_walk *w)
{
    return w->req->route ? w->req->route->name : MG_STR_NONE;
}

static void log_uncounted(const struct mg_step *step, struct mg_walk *w, enum mg_dict_rc why)
{
    mg_log_error("requests cannot be counted", MG_LOG_STR("step", step->id),
                 MG_LOG_STR("route", route_name(w)),
                 MG_LOG_STR("request_id", mg_request_id(w->req)),
                 MG_LOG_C("why", mg_dict_rc_text(why)));
}

static enum mg_step_result refuse(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_concurrency *o = step->options;
    mg_log_info("too many requests at a time", MG_LOG_STR("step", step->id),
                MG_LOG_STR("route", route_name(w)), MG_LOG_STR("request_id", mg_request_id(w->req)),
                MG_LOG_INT("max", o->max));
    w->res = mg_problem_overloaded(w->req, o->status, MG_STR("Too many requests at a time"));
    return MG_STEP_STOP;
}

/* --- waiting --- */

/* In the arena. */
struct visit {
    struct mg_concurrency_wait line;
    struct mg_concurrency_ask queued; /* the place in the queue */
    const struct mg_step *step;
    struct mg_walk *walk;
};

static void leave_queue(const struct visit *v)
{
    mg_concurrency_give_back(queue_of(v->walk), v->queued.dict, v->queued.key);
}

static void on_cancel(void *arg)
{
    struct visit *v = arg;
    mg_concurrency_queue_leave(&v->line);
    leave_queue(v);
}

static enum mg_step_result decide(struct visit *v, enum mg_dict_rc rc)
{
    if (rc == MG_DICT_OK) {
        hold(v->walk, &v->line.ask);
        return MG_STEP_NEXT;
    }
    if (rc != MG_DICT_ABSENT)
        log_uncounted(v->step, v->walk, rc);
    return refuse(v->step, v->walk);
}

static void on_done(struct mg_concurrency_wait *line, enum mg_dict_rc rc)
{
    struct visit *v = MG_CONTAINER_OF(line, struct visit, line);
    mg_wait_end(&v->walk->wait);
    leave_queue(v);
    mg_walk_resume(v->walk, decide(v, rc));
}

static enum mg_step_result wait_in_line(const struct mg_step *step, struct mg_walk *w,
                                        const struct mg_concurrency_ask *ask,
                                        const struct mg_concurrency_ask *queued)
{
    const struct mg_concurrency *o = step->options;
    struct visit *v = mg_arena_calloc(&w->ex->in->arena, sizeof *v);
    v->step = step;
    v->walk = w;
    v->queued = *queued;
    v->line.ask = *ask;
    v->line.until_ns = mg_loop_now(w->ex->worker->loop) + o->timeout_ns;
    v->line.on_done = on_done;
    mg_concurrency_queue_wait(queue_of(w), &v->line);
    mg_wait_begin(&w->wait, mg_walk_wait(w), on_cancel, v);
    return MG_STEP_WAIT;
}

/* --- the step --- */

/* The mark of the queue, the prefix, the client. */
static struct mg_str queue_key(const struct mg_concurrency *o, struct mg_walk *w)
{
    struct mg_str client = mg_client_key_text(&o->by, w->req);
    size_t bytes = 1 + o->prefix.n + client.n;
    char *text = mg_arena_alloc(&w->ex->in->arena, bytes);
    text[0] = QUEUE_MARK;
    memcpy(text + 1, o->prefix.p, o->prefix.n);
    if (client.n)
        memcpy(text + 1 + o->prefix.n, client.p, client.n);
    return mg_str(text, bytes);
}

/* OK: it is the request's. What keeps it from being counted is told. */
static enum mg_dict_rc take(const struct mg_step *step, struct mg_walk *w,
                            const struct mg_concurrency_ask *ask)
{
    enum mg_dict_rc rc = mg_concurrency_take(queue_of(w), ask);
    if (rc != MG_DICT_OK && rc != MG_DICT_ABSENT)
        log_uncounted(step, w, rc);
    return rc;
}

enum mg_step_result mg_concurrency_request(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_concurrency *o = step->options;
    struct mg_str key = queue_key(o, w);
    struct mg_concurrency_ask queued = {o->dict, key, o->queue},
                              ask = {o->dict, mg_str(key.p + 1, key.n - 1), o->max};
    if (take(step, w, &ask) == MG_DICT_OK) {
        hold(w, &ask);
        return MG_STEP_NEXT;
    }
    if (o->queue && o->timeout_ns && take(step, w, &queued) == MG_DICT_OK)
        return wait_in_line(step, w, &ask, &queued);
    return refuse(step, w);
}
