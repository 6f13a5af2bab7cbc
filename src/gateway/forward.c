/* Sending a request to its service. Worker thread. */
#include "gateway/forward.h"

#include "base/log.h"
#include "base/uri.h"
#include "gateway/content.h"
#include "gateway/cookie.h"
#include "gateway/expr.h"
#include "gateway/forwarded.h"
#include "gateway/problem.h"
#include "gateway/worker.h"

struct forward {
    struct mg_fetch fetch;
    struct mg_wait wait;
    struct mg_walk *walk;
    struct mg_response res;
};

/* --- what the backend sees as target --- */

static struct mg_str hole_value(struct mg_request *req, struct mg_str name, struct mg_str *scratch)
{
    const struct mg_route_found *f = &req->found;
    uint64_t group;
    if (mg_str_eq(name, MG_STR("*")) && f->param_count)
        return f->values[f->param_count - 1];
    if (mg_str_to_u64(name, MG_ROUTE_PARAMS_MAX, &group) && group >= 1 && group <= f->param_count)
        return f->values[group - 1];
    return mg_router_param(f, name, scratch) ? *scratch : MG_STR_NONE;
}

/* The rewrite template with its {name}, {*} and {1} filled in. Values come from the normalised
 * path, so they are escaped again. */
static void expand_rewrite(struct mg_buf *out, struct mg_request *req)
{
    struct mg_str rest = req->route->rewrite, scratch;
    while (rest.n) {
        ptrdiff_t open = mg_str_find(rest, '{');
        ptrdiff_t close =
            open < 0 ? -1 : mg_str_find(mg_str(rest.p + open, rest.n - (size_t)open), '}');
        if (close < 0) {
            mg_buf_add_str(out, rest);
            return;
        }
        mg_buf_add(out, rest.p, (size_t)open);
        struct mg_str name = mg_str(rest.p + open + 1, (size_t)close - 1);
        mg_uri_encode(out, hole_value(req, name, &scratch), MG_URI_PATH);
        size_t used = (size_t)(open + close) + 1;
        rest = mg_str(rest.p + used, rest.n - used);
    }
}

/* The raw path after `n` bytes of the normalised one; raw as long as both are the same text. */
static void add_stripped(struct mg_buf *out, struct mg_request *req, size_t n)
{
    struct mg_str raw = req->msg->path, path = req->path;
    if (n > path.n)
        n = path.n;
    if (n > 0 && path.p[n - 1] == '/')
        n--;
    struct mg_str rest = mg_str(path.p + n, path.n - n);
    if (rest.n == 0 || rest.p[0] != '/')
        mg_buf_add_char(out, '/');
    if (mg_str_eq(raw, path))
        mg_buf_add_str(out, rest);
    else
        mg_uri_encode(out, rest, MG_URI_PATH);
}

/* By whole segments: "/api" is no prefix of "/apix". */
static bool has_prefix(struct mg_str path, struct mg_str prefix)
{
    return mg_str_starts(path, prefix) &&
           (path.n == prefix.n || path.p[prefix.n] == '/' || prefix.p[prefix.n - 1] == '/');
}

static void add_path(struct mg_buf *out, struct mg_request *req)
{
    const struct mg_route *route = req->route;
    if (req->path_set || !route)
        mg_buf_add_str(out, req->msg->path);
    else if (route->rewrite.n)
        expand_rewrite(out, req);
    else if (route->strip == MG_STRIP_LITERAL)
        add_stripped(out, req, req->found.literal_bytes);
    else if (route->strip == MG_STRIP_PREFIX && has_prefix(req->path, route->strip_prefix))
        add_stripped(out, req, route->strip_prefix.n);
    else
        mg_buf_add_str(out, req->msg->path);
}

struct mg_str mg_forward_target(struct mg_request *req, const struct mg_service_config *service)
{
    const struct mg_route *route = req->route;
    bool changed = route && !req->path_set && (route->rewrite.n || route->strip != MG_STRIP_NONE);
    if (!changed && service->base_path.n == 0)
        return MG_STR_NONE;
    struct mg_buf b;
    mg_buf_init(&b, 65536);
    mg_buf_add_str(&b, service->base_path);
    add_path(&b, req);
    if (req->msg->query.p) {
        /* A rewrite may bring a query of its own. */
        mg_buf_add_char(&b, memchr(b.p, '?', b.n) ? '&' : '?');
        mg_buf_add_str(&b, req->msg->query);
    }
    struct mg_str target = mg_arena_str(req->arena, mg_buf_str(&b));
    mg_buf_release(&b);
    return target;
}

/* --- the answer --- */

static bool is_refusal(const struct mg_fetch *f)
{
    return f->error == MG_FETCH_CIRCUIT_OPEN || f->error == MG_FETCH_OVERLOADED;
}

/* Nobody was asked, to spare the service. Clients are told when to come back, and which part of the
 * whole it is that they can do without meanwhile. */
static struct mg_response *refused(struct forward *f)
{
    struct mg_request *req = f->walk->req;
    struct mg_fetch *fetch = &f->fetch;
    struct mg_str label = fetch->_config->label; /* needs no escapes */
    uint64_t seconds = (fetch->retry_after_ns + MG_SECOND - 1) / MG_SECOND;
    bool open = fetch->error == MG_FETCH_CIRCUIT_OPEN;
    struct mg_response *res = mg_problem_with(
        req, (unsigned)mg_fetch_error_status(fetch), open ? "circuit-open" : "overloaded",
        open ? MG_STR("Service temporarily unavailable") : MG_STR("Service overloaded"),
        mg_arena_printf(req->arena, ",\"service\":\"%.*s\"", MG_STR_ARGS(label)),
        mg_fetch_error_code(fetch->error));
    mg_fields_add(&res->msg->fields, req->arena, MG_STR("Retry-After"),
                  mg_arena_printf(req->arena, "%llu", (unsigned long long)(seconds ? seconds : 1)));
    res->fetch = fetch;
    return res;
}

static struct mg_response *failed(struct forward *f)
{
    struct mg_request *req = f->walk->req;
    struct mg_fetch *fetch = &f->fetch;
    if (is_refusal(fetch))
        return refused(f);
    unsigned status = (unsigned)mg_fetch_error_status(fetch);
    struct mg_str detail = MG_STR_NONE;
    bool ours = fetch->error == MG_FETCH_REQUEST_BODY && status == 500; /* a transform failed */
    if (fetch->error == MG_FETCH_REQUEST_BODY && !ours)
        detail = mg_str_c(fetch->detail);
    else if (req->wg->gen->dev && fetch->backend)
        detail = mg_arena_printf(req->arena, "%s: %s", fetch->backend->label, fetch->detail);
    static const char *const slugs[] = {"bad-gateway", "service-unavailable", "gateway-timeout"};
    const char *slug = status >= 502 && status <= 504 ? slugs[status - 502] : "upstream-failed";
    if (fetch->error == MG_FETCH_REQUEST_BODY)
        slug = ours            ? "internal-error"
               : status == 413 ? "content-too-large"
               : status == 408 ? "request-timeout"
                               : "bad-request";
    struct mg_response *res = mg_problem(req, status, slug, detail,
                                         ours ? "policy_error" : mg_fetch_error_code(fetch->error));
    res->fetch = fetch;
    return res;
}

static void on_failed(struct mg_fetch *fetch)
{
    struct forward *f = fetch->owner;
    struct mg_request *req = f->walk->req;
    /* Refusals are told of once, not for each of them. */
    if (fetch->error != MG_FETCH_REQUEST_BODY && !is_refusal(fetch))
        mg_log_warn("upstream failed", MG_LOG_STR("service", fetch->_config->name),
                    MG_LOG_C("backend", fetch->backend ? fetch->backend->label : "none"),
                    MG_LOG_STR("route", req->route ? req->route->name : MG_STR_NONE),
                    MG_LOG_C("reason", fetch->detail), MG_LOG_INT("attempts", fetch->attempts),
                    MG_LOG_STR("request_id", mg_request_id(req)));
    mg_walk_answer(f->walk, failed(f));
}

/* A client that is not with this backend yet, or whose backend cannot be used, stays here. */
static void keep_session(struct mg_fetch *fetch)
{
    const struct mg_sticky_config *sticky = &mg_service_config(fetch->picker->service)->sticky;
    struct mg_str token = mg_picker_token(fetch->picker, fetch->backend);
    if (token.n && !mg_str_eq(token, fetch->token))
        mg_fields_add_id(&fetch->out->response.fields, fetch->arena, MG_FIELD_SET_COOKIE,
                         mg_sticky_set_cookie(sticky, token, fetch->arena));
}

static void on_response(struct mg_fetch *fetch)
{
    struct forward *f = fetch->owner;
    keep_session(fetch);
    f->res = (struct mg_response){.msg = &fetch->out->response,
                                  .body = &fetch->out->response_body,
                                  .source = MG_SOURCE_UPSTREAM,
                                  .fetch = fetch};
    mg_walk_answer(f->walk, &f->res);
}

static void on_inform(struct mg_fetch *fetch, struct mg_message *res)
{
    struct forward *f = fetch->owner;
    mg_inbound_inform(f->walk->ex->in, res);
}

static void cancel(void *arg)
{
    struct forward *f = arg;
    mg_fetch_end(&f->fetch);
}

/* --- the way there --- */

/* Weighted by lot: a split is about shares of many requests. */
static int32_t choose_service(struct mg_request *req)
{
    const struct mg_route *route = req->route;
    if (req->service != MG_NO_SERVICE || !route)
        return req->service;
    if (route->split_count == 0)
        return route->service;
    uint64_t lot = mg_worker_random(req->wg->worker) % route->split_weight;
    for (uint32_t i = 0; i < route->split_count; i++) {
        if (lot < route->split[i].weight)
            return (int32_t)route->split[i].service;
        lot -= route->split[i].weight;
    }
    return (int32_t)route->split[0].service;
}

/* RFC 9110 7.6.2: Max-Forwards of OPTIONS and TRACE. False when this hop has to answer. */
static bool may_forward(struct mg_request *req)
{
    enum mg_method m = req->msg->method_id;
    if (m != MG_METHOD_OPTIONS && m != MG_METHOD_TRACE)
        return true;
    struct mg_field *f = mg_fields_get(&req->msg->fields, MG_FIELD_MAX_FORWARDS);
    uint64_t hops;
    if (!f || !mg_str_to_u64(mg_field_value(f), UINT32_MAX, &hops))
        return true;
    if (hops == 0)
        return false;
    mg_fields_set_id(&req->msg->fields, req->arena, MG_FIELD_MAX_FORWARDS,
                     mg_arena_printf(req->arena, "%u", (unsigned)hops - 1));
    return true;
}

/* A request that ends here: OPTIONS says what may be asked, TRACE is not echoed (it would show
 * headers to scripts that must not see them). */
static struct mg_response *answer_here(struct mg_request *req)
{
    if (req->msg->method_id == MG_METHOD_TRACE)
        return mg_problem(req, 405, "method-not-allowed", MG_STR_NONE, "method_not_allowed");
    struct mg_response *res = mg_response_new(req->arena, 204, MG_SOURCE_GATEWAY);
    mg_fields_add(&res->msg->fields, req->arena, MG_STR("Allow"),
                  MG_STR("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"));
    return res;
}

/* Whoever called an onion's `next` once too often is told there; a step that has used the body up,
 * or has a task that reads it, is told here. */
static void no_body_left(struct mg_walk *w)
{
    struct mg_request *req = w->req;
    const char *why = req->body_taken
                          ? "the step has used the request's body up with chunks(), so there is "
                            "none to forward; read it with text(), or give another with set_body()"
                          : "the request goes on while a task of the step reads its body; wait for "
                            "the task, or read the body before";
    if (req->body_reader)
        mg_walk_step_failed(
            w, req->body_reader, MG_FORWARD_BODY_TAKEN,
            mg_arena_printf(req->arena, "%.*s%s", MG_STR_ARGS(req->body_read_at), why));
    mg_walk_answer(
        w, w->res ? w->res
                  : mg_problem(req, 500, "internal-error", MG_STR_NONE, MG_FORWARD_BODY_TAKEN));
}

/* What the backend is told of the time that is left comes from us. */
static void drop_deadline_header(struct mg_request *req, const struct mg_service_config *service)
{
    if (service->deadline_header.n)
        mg_fields_remove(&req->msg->fields, service->deadline_header);
}

/* What of the request says where it goes. */
static void set_affinity(struct mg_fetch *fetch, struct mg_request *req,
                         const struct mg_service_config *service)
{
    if (service->hash.n)
        fetch->key = mg_expr_text(req, service->hash);
    if (service->sticky.cookie.n)
        mg_cookie_find(req->msg, service->sticky.cookie, &fetch->token);
}

static void start(struct mg_walk *w, uint32_t service)
{
    struct mg_request *req = w->req;
    const struct mg_service_config *config = mg_service_config(req->wg->pickers[service].service);
    struct mg_worker_generation *wg = req->wg;
    mg_content_recode_request(req);
    struct mg_body *body = mg_request_take_body(req);
    if (!body) {
        no_body_left(w);
        return;
    }
    struct forward *f = mg_arena_alloc(req->arena, sizeof *f);
    memset(f, 0, offsetof(struct forward, res));
    f->walk = w;
    f->fetch.pools = &wg->worker->pools;
    f->fetch.picker = &wg->pickers[service];
    f->fetch.request = req->msg;
    f->fetch.body = body;
    f->fetch.arena = req->arena;
    drop_deadline_header(req, config);
    f->fetch.target = mg_forward_target(req, config);
    set_affinity(&f->fetch, req, config);
    f->fetch.extra = mg_forwarded_lines(req);
    f->fetch.deadline_ns = mg_wait_deadline(mg_walk_wait(w));
    f->fetch.on_response = on_response;
    f->fetch.on_failed = on_failed;
    f->fetch.on_inform = on_inform;
    f->fetch.owner = f;
    /* The fetch lives as long as its exchange: the response's body comes through it. */
    mg_wait_begin(&f->wait, mg_walk_wait(w), cancel, f);
    mg_fetch_start(&f->fetch);
}

void mg_forward(struct mg_walk *w)
{
    struct mg_request *req = w->req;
    if (!may_forward(req)) {
        mg_walk_answer(w, answer_here(req));
        return;
    }
    int32_t service = choose_service(req);
    if (service == MG_NO_SERVICE)
        mg_walk_answer(w, mg_problem(req, 404, "not-found",
                                     MG_STR("no step of this route answered"), "no_service"));
    else
        start(w, (uint32_t)service);
}
