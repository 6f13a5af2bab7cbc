/*
 * The life of an exchange. Worker thread.
 *
 * on_request -> find the route -> walk -> respond -> on_done / on_gone -> finish steps -> free.
 */
#include "gateway/exchange.h"

#include "base/log.h"
#include "base/uri.h"
#include "gateway/access_log.h"
#include "gateway/content.h"
#include "gateway/forward.h"
#include "gateway/page.h"
#include "gateway/problem.h"
#include "gateway/worker.h"
#include "net/security.h"

static uint64_t now(const struct mg_exchange *ex)
{
    return mg_loop_now(ex->worker->loop);
}

/* --- counting --- */

static void count(const struct mg_exchange *ex, enum mg_tally_class class)
{
    const struct mg_worker_generation *wg = ex->wg;
    if (!wg->tally || ex->uncounted)
        return;
    mg_tally_count(wg->tally, class);
    if (ex->req.route)
        mg_tally_count(wg->tallies[ex->req.route->index], class);
}

/* What is answered in the turn that it came in took less than the loop's clock can tell. */
uint64_t mg_exchange_duration_ns(const struct mg_exchange *ex)
{
    uint64_t end = now(ex);
    if (end == ex->in->started_ns)
        end = mg_loop_clock(ex->worker->loop);
    return end - ex->in->started_ns;
}

/* How long a tunnel was open says nothing of how quickly we answer. */
static void count_time(const struct mg_exchange *ex)
{
    const struct mg_worker_generation *wg = ex->wg;
    if (!wg->tally || ex->uncounted || !ex->answered || ex->res->msg->status < 200)
        return;
    uint64_t took_ns = mg_exchange_duration_ns(ex);
    mg_tally_time(wg->tally, took_ns);
    if (ex->req.route)
        mg_tally_time(wg->tallies[ex->req.route->index], took_ns);
}

/* --- the end --- */

static void end(struct mg_exchange *ex)
{
    struct mg_worker *worker = ex->worker;
    struct mg_worker_generation *wg = ex->wg;
    mg_wait_end(&ex->wait);
    if (ex->script)
        worker->hooks->exchange_ends(ex);
    mg_security_unref(ex->req.security);
    mg_list_remove(&ex->link);
    mg_inbound_free(ex->in); /* and this struct with it */
    mg_worker_exchange_ended(wg);
}

/* Runs the finish steps of what was reached, in pipeline order; then ends the exchange. */
static void run_finish(struct mg_exchange *ex)
{
    const struct mg_pipeline *p = ex->walk.pipeline;
    while (ex->finish_at < p->all_count) {
        const struct mg_step *step = p->all[ex->finish_at++];
        if (!ex->reached[step->place] || !(ex->wg->step_flags[step->index] & MG_STEP_HAS_FINISH))
            continue;
        if (step->ops->finish(step, ex) == MG_STEP_WAIT)
            return;
    }
    end(ex);
}

void mg_exchange_abandon(struct mg_exchange *ex)
{
    end(ex);
}

bool mg_exchange_needs_script(const struct mg_exchange *ex)
{
    return !ex->answered || ex->reached || ex->script;
}

void mg_exchange_finish_resume(struct mg_exchange *ex)
{
    run_finish(ex);
}

/* The client has its response, or never will. */
static void over(struct mg_exchange *ex, const char *reason)
{
    ex->ended = true;
    ex->reason = reason;
    if (reason)
        count(ex, MG_TALLY_CUT);
    count_time(ex);
    if (ex->wg->gen->access.format && !ex->uncounted)
        mg_access_log(ex);
    mg_wait_cancel_children(&ex->wait);
    if (ex->reached)
        run_finish(ex);
    else
        end(ex);
}

static void on_done(struct mg_inbound *in, const char *reason)
{
    struct mg_exchange *ex = in->exchange;
    if (reason)
        mg_log_warn("response cut short", MG_LOG_C("reason", reason),
                    MG_LOG_STR("route", ex->req.route ? ex->req.route->name : MG_STR_NONE),
                    MG_LOG_STR("request_id", mg_request_id(&ex->req)));
    over(ex, reason);
}

static void on_gone(struct mg_inbound *in, const char *reason)
{
    struct mg_exchange *ex = in->exchange;
    mg_log_debug("client gone", MG_LOG_C("reason", reason),
                 MG_LOG_INT("connection", (int64_t)ex->req.listener));
    over(ex, reason);
}

/* --- the response --- */

/* A body that broke before a byte of it was sent can still be answered for: a transform that failed
 * at once, a backend that closed behind its head. */
static struct mg_response *replace_broken(struct mg_exchange *ex, struct mg_response *res)
{
    struct mg_str bytes;
    if (mg_body_is_being_read(res->body)) {
        mg_log_error(
            "policy failed", MG_LOG_STR("route", ex->req.route ? ex->req.route->name : MG_STR_NONE),
            MG_LOG_STR("request_id", mg_request_id(&ex->req)),
            MG_LOG_C("error", "the response goes out while a task reads its body; wait for the "
                              "task, or read the body before"));
        struct mg_response *fault =
            mg_problem(&ex->req, 500, "internal-error", MG_STR_NONE, "policy_error");
        fault->fetch = res->fetch;
        return fault;
    }
    if (!res->body || mg_body_peek(res->body, &bytes) != MG_BODY_BROKEN)
        return res;
    unsigned status = res->body->status ? (unsigned)res->body->status : 502;
    bool ours = status == 500;
    mg_log_warn("response broken before its first byte", MG_LOG_C("reason", res->body->reason),
                MG_LOG_STR("request_id", mg_request_id(&ex->req)));
    struct mg_response *error =
        mg_problem(&ex->req, status, ours ? "internal-error" : "bad-gateway", MG_STR_NONE,
                   ours ? "policy_error" : "reset");
    error->fetch = res->fetch;
    return error;
}

static void respond(struct mg_exchange *ex, struct mg_response *res)
{
    mg_content_recode_response(res, &ex->req);
    res = replace_broken(ex, res);
    struct mg_message *m = res->msg;
    ex->res = res;
    ex->answered = true;
    mg_inbound_set_deadline(ex->in, 0);
    /* RFC 9110 7.6.3, also of what was stored on its way. */
    if ((res->source == MG_SOURCE_UPSTREAM || res->source == MG_SOURCE_CACHE) && !ex->detached)
        mg_fields_add_id(&m->fields, m->arena, MG_FIELD_VIA,
                         m->version == 10 ? MG_STR("1.0 moongate") : MG_STR("1.1 moongate"));
    for (struct mg_answer_watch *watch = ex->watches; watch; watch = watch->next)
        watch->on_answer(watch, ex, res);
    count(ex, mg_tally_class(m->status)); /* before the client can ask for it */
    mg_inbound_respond(ex->in, m, res->body);
}

static void on_walk_done(struct mg_walk *w, void *arg)
{
    struct mg_exchange *ex = arg;
    if (!ex->answered && !ex->ended)
        respond(ex, w->res);
}

/* Too late: what is under way is cancelled, and the client is told. The steps do not see this
 * response, for one of them may be what hangs. */
static void on_deadline(struct mg_inbound *in)
{
    struct mg_exchange *ex = in->exchange;
    if (ex->answered)
        return;
    ex->out_of_time = true;
    mg_log_warn("request took too long",
                MG_LOG_STR("route", ex->req.route ? ex->req.route->name : MG_STR_NONE),
                MG_LOG_INT("after_ms", (int64_t)((now(ex) - in->started_ns) / MG_MILLISECOND)),
                MG_LOG_STR("request_id", mg_request_id(&ex->req)));
    mg_wait_cancel_children(&ex->wait);
    respond(ex, mg_problem(&ex->req, 504, "gateway-timeout", MG_STR_NONE, "deadline"));
}

/* --- the request --- */

static bool has_header(void *arg, struct mg_str name, const struct mg_str *value)
{
    struct mg_request *req = arg;
    struct mg_str is;
    return mg_message_field(req->msg, name, req->arena, &is) && (!value || mg_str_eq(is, *value));
}

static struct mg_response *no_route(struct mg_request *req)
{
    const struct mg_default_response *d = &req->wg->gen->default_response;
    if (!d->status)
        return mg_problem(req, 404, "no-route", MG_STR("no route matches"), "no_route");
    struct mg_response *res = mg_response_new(req->arena, d->status, MG_SOURCE_GATEWAY);
    res->error_code = "no_route";
    for (uint16_t i = 0; i < d->headers.n; i++) {
        const struct mg_field *f = &d->headers.v[i];
        mg_fields_add(&res->msg->fields, req->arena, mg_str(f->name, f->name_len),
                      mg_field_value(f));
    }
    mg_response_set_body(res, req->arena, d->body);
    return res;
}

static struct mg_response *wrong_method(struct mg_request *req)
{
    struct mg_response *res =
        mg_problem(req, 405, "method-not-allowed", MG_STR_NONE, "method_not_allowed");
    mg_fields_add(&res->msg->fields, req->arena, MG_STR("Allow"),
                  mg_router_allow(req->wg->gen->router, req->found.allow, req->arena));
    return res;
}

/* OPTIONS * asks the server itself (RFC 9110 9.3.7). */
static struct mg_response *server_options(struct mg_request *req)
{
    struct mg_response *res = mg_response_new(req->arena, 204, MG_SOURCE_GATEWAY);
    mg_fields_add(&res->msg->fields, req->arena, MG_STR("Allow"),
                  MG_STR("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"));
    return res;
}

/* The host alone: without port, and without the brackets of an IPv6 address. The codec has checked
 * the form. */
static struct mg_str host_of(struct mg_str authority)
{
    if (authority.n && authority.p[0] == '[') {
        ptrdiff_t close = mg_str_find(authority, ']');
        return close < 0 ? authority : mg_str(authority.p + 1, (size_t)close - 1);
    }
    ptrdiff_t colon = mg_str_find(authority, ':');
    return colon < 0 ? authority : mg_str(authority.p, (size_t)colon);
}

/* A terminal (see mg_walk). */
static void answer_refusal(struct mg_walk *w)
{
    mg_walk_answer(w, w->ex->refuse(w->req));
}

struct mg_route_query mg_exchange_route_query(struct mg_request *req)
{
    const struct mg_generation *gen = req->wg->gen;
    return (struct mg_route_query){
        .host = host_of(req->msg->authority),
        .path = req->path,
        .query = req->msg->query,
        .method = req->msg->method,
        .listener =
            req->listener < gen->listen_count ? gen->listens[req->listener].name : MG_STR_NONE,
        .has_header = has_header,
        .header_arg = req,
    };
}

/* NULL when a route was found, or none takes the request (ex->refuse); else what to answer. */
static struct mg_response *find_route(struct mg_exchange *ex)
{
    struct mg_request *req = &ex->req;
    const struct mg_message *m = req->msg;
    if (mg_str_eq(m->path, MG_STR("*")))
        return server_options(req);
    enum mg_uri_rc rc = mg_uri_path_normalize(req->arena, m->path, &req->path);
    if (rc != MG_URI_OK)
        return mg_problem(req, 400, "bad-path", mg_str_c(mg_uri_rc_text(rc)), "bad_path");
    struct mg_route_query q = mg_exchange_route_query(req);
    switch (mg_router_find(req->wg->gen->router, &q, &req->found)) {
    case MG_ROUTER_FOUND:
        req->route = req->found.route;
        return NULL;
    case MG_ROUTER_WRONG_METHOD:
        ex->refuse = wrong_method;
        return NULL;
    case MG_ROUTER_GAVE_UP:
        return mg_problem(req, 400, "bad-path", MG_STR("the path is too costly to match"),
                          "bad_path");
    case MG_ROUTER_NONE:
        break;
    }
    ex->refuse = no_route;
    return NULL;
}

const struct mg_page *mg_exchange_page(const struct mg_request *req)
{
    const struct mg_generation *gen = req->wg->gen;
    for (uint32_t i = 0; i < gen->public_count; i++)
        if (mg_str_eq(gen->publics[i].path, req->msg->path))
            return gen->publics[i].page;
    return NULL;
}

/* What of the gateway's state the config has this path tell. */
static struct mg_response *public_page(struct mg_exchange *ex)
{
    struct mg_request *req = &ex->req;
    const struct mg_generation *gen = req->wg->gen;
    const struct mg_page *page = mg_exchange_page(req);
    if (!page)
        return NULL;
    ex->uncounted = true;
    struct mg_page_view view = {.gen = gen,
                                .now_ns = now(ex),
                                .state = ex->worker->draining ? MG_PAGE_DRAINING : MG_PAGE_READY};
    return mg_page_response(page, req->msg, req->arena, &view);
}

static struct mg_exchange *new_exchange(struct mg_worker_generation *wg, struct mg_inbound *in)
{
    struct mg_exchange *ex = mg_arena_alloc(&in->arena, sizeof *ex);
    memset(ex, 0, sizeof *ex);
    ex->worker = wg->worker;
    ex->wg = wg;
    ex->in = in;
    in->exchange = ex;
    ex->req.ex = ex->req.seen_in = ex;
    ex->req.wg = wg;
    ex->req.arena = &in->arena;
    ex->req.msg = &in->request;
    ex->req.body = in->body;
    ex->req.service = MG_NO_SERVICE;
    ex->asked_method = in->request.method;
    ex->asked_path = in->request.path;
    ex->asked_query = in->request.query;
    ex->req.peer = in->client->peer;
    ex->req.local = in->client->local;
    ex->req.listener = in->client->listener;
    ex->req.secure = in->client->secure;
    ex->req.security = mg_security_ref(in->client->security);
    mg_wait_begin(&ex->wait, NULL, NULL, NULL);
    mg_list_push_back(&wg->exchanges, &ex->link);
    mg_worker_exchange_began(wg);
    return ex;
}

static void set_deadline(struct mg_exchange *ex)
{
    const struct mg_route *route = ex->req.route;
    uint64_t limit = route && route->timeout_ns ? route->timeout_ns : ex->wg->gen->request_time_ns;
    ex->deadline_ns = ex->in->started_ns + limit;
    ex->wait.deadline_ns = ex->deadline_ns;
    mg_inbound_set_deadline(ex->in, ex->deadline_ns);
}

static struct mg_walk *prepare_walk(struct mg_exchange *ex, const struct mg_pipeline *pipeline)
{
    const struct mg_worker_generation *wg = ex->wg;
    struct mg_walk *w = &ex->walk;
    bool finish = ex->refuse ? wg->fallback_finish : wg->route_finish[ex->req.route->index];
    if (finish && pipeline->all_count)
        ex->reached = mg_arena_calloc(ex->req.arena, pipeline->all_count * sizeof *ex->reached);
    w->ex = ex;
    w->req = &ex->req;
    w->pipeline = w->root = pipeline;
    w->terminal = ex->refuse ? answer_refusal : mg_forward;
    w->on_done = on_walk_done;
    w->arg = ex;
    return w;
}

static void on_request(void *ctx, struct mg_inbound *in)
{
    struct mg_exchange *ex = new_exchange(((struct mg_worker *)ctx)->current, in);
    const struct mg_pipeline *fallback = &ex->wg->gen->fallback;
    struct mg_response *refusal = ex->wg->gen->public_count ? public_page(ex) : NULL;
    if (!refusal)
        refusal = find_route(ex);
    if (!refusal && ex->refuse && fallback->count == 0)
        refusal = ex->refuse(&ex->req);
    if (refusal) {
        respond(ex, refusal);
        return;
    }
    set_deadline(ex);
    mg_walk_start(prepare_walk(ex, ex->refuse ? fallback : &ex->req.route->pipeline));
}

struct mg_exchange *mg_exchange_look(struct mg_worker *worker, struct mg_inbound *in,
                                     struct mg_response **refusal)
{
    struct mg_exchange *ex = new_exchange(worker->current, in);
    ex->uncounted = true;
    *refusal = find_route(ex);
    if (!*refusal && ex->refuse)
        *refusal = ex->refuse(&ex->req);
    return ex;
}

/* What routing and steps have found out, in memory of this exchange. */
static void follow_request(struct mg_request *req, struct mg_request *like)
{
    req->route = like->route;
    req->found = like->found;
    for (size_t i = 0; i < like->found.param_count && like->route; i++)
        if (like->found.values[i].p)
            req->found.values[i] = mg_arena_str(req->arena, like->found.values[i]);
    req->path = mg_arena_str(req->arena, like->path);
    req->path_set = like->path_set;
    req->service = like->service;
    req->id = mg_arena_str(req->arena, mg_request_id(like));
    req->client = *mg_request_client(like);
    req->peer_trusted = like->peer_trusted;
    req->scheme = like->scheme;
    req->client_known = true;
    req->again = like->again;
    if (like->is_buffered)
        mg_request_set_body(req, mg_arena_str(req->arena, like->buffered));
}

/* --- a walk that stands in the middle of a way --- */

static void on_behind_done(struct mg_walk *behind, void *arg)
{
    if (behind->res)
        mg_walk_answer(arg, behind->res);
    else
        mg_walk_withdraw(arg);
}

/* A terminal: the pipeline's end, where what holds it goes on. */
static void go_outward(struct mg_walk *w)
{
    struct mg_walk *behind = mg_walk_inner(w->outer, w->req);
    behind->depth = w->depth; /* onions in the pipeline are on the stack as well */
    behind->on_done = on_behind_done;
    behind->arg = w;
    mg_walk_start(behind);
}

static void on_held_done(struct mg_walk *w, void *arg)
{
    struct mg_walk *outer = arg;
    outer->res = w->res;
    mg_walk_resume(outer, MG_STEP_STOP);
}

/* No deeper than the walk that the way was taken from. */
static struct mg_walk *park(struct mg_exchange *ex, const struct mg_way *way)
{
    struct mg_walk *w;
    if (way->outer) {
        struct mg_walk *outer = park(ex, way->outer);
        w = mg_walk_held(outer, way->pipeline, outer->req);
        w->outer = outer;
        w->terminal = go_outward;
        w->on_done = on_held_done;
        w->arg = outer;
    } else {
        w = prepare_walk(ex, way->pipeline);
    }
    w->first = w->at = way->at;
    w->phase = MG_WALK_DOWN;
    return w;
}

struct mg_walk *mg_exchange_park(struct mg_inbound *in, struct mg_request *like,
                                 struct mg_exchange *of, const struct mg_way *way)
{
    struct mg_exchange *ex = new_exchange(like->wg, in);
    ex->uncounted = true;
    ex->detached = true;
    follow_request(&ex->req, like);
    ex->refuse = of->refuse;
    set_deadline(ex);
    if (of->script)
        ex->worker->hooks->exchange_follows(ex, like, of);
    return park(ex, way);
}

static const char *refusal_slug(int status)
{
    switch (status) {
    case 408:
        return "request-timeout";
    case 413:
        return "content-too-large";
    case 414:
        return "uri-too-long";
    case 417:
        return "expectation-failed";
    case 431:
        return "request-header-fields-too-large";
    case 501:
        return "not-implemented";
    case 505:
        return "http-version-not-supported";
    default:
        return "bad-request";
    }
}

static void on_refused(void *ctx, struct mg_inbound *in, int status, const char *reason)
{
    struct mg_exchange *ex = new_exchange(((struct mg_worker *)ctx)->current, in);
    mg_log_info("request refused", MG_LOG_INT("status", status), MG_LOG_C("reason", reason),
                MG_LOG_INT("connection", (int64_t)in->client->id));
    respond(ex, mg_problem(&ex->req, (unsigned)status, refusal_slug(status), mg_str_c(reason),
                           "bad_request"));
}

const struct mg_inbound_handler mg_exchange_handler = {
    .on_request = on_request,
    .on_refused = on_refused,
    .on_done = on_done,
    .on_gone = on_gone,
    .on_deadline = on_deadline,
};
