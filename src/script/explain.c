/* The request, the routes and the limits; and the parts put together. */
#include "script/explain.h"

#include "base/json_out.h"
#include "gateway/page.h"
#include "gateway/worker.h"
#include "script/instances.h"
#include "script/plan.h"
#include "script/trial.h"

struct explanation {
    const struct mg_look_request *asked;
    struct mg_generation *gen;
    struct mg_buf *out;
    bool found;
    struct mg_error *err;
    enum mg_rc rc;
};

/* --- the request --- */

static void add_request(struct mg_buf *out, const struct mg_look *l)
{
    const struct mg_message *m = &l->in.request;
    const struct mg_generation *gen = l->ex->wg->gen;
    struct mg_request *req = &l->ex->req;
    char ip[MG_IP_TEXT_MAX];
    struct mg_addr client = *mg_request_client(req);
    client.port = 0;
    mg_ip_format(&client, ip);
    mg_json_out_begin(out, "request", '{');
    mg_json_out_text(out, "method", m->method);
    mg_json_out_text(out, "scheme", mg_request_scheme(req));
    mg_json_out_text(out, "host", m->authority);
    mg_json_out_text(out, "path", req->path.n ? req->path : m->path);
    mg_json_out_text_or_null(out, "query", m->query);
    mg_json_out_text(out, "client_ip", mg_str_c(ip));
    mg_json_out_text(out, "listener",
                     gen->listens[l->client.listener].name.n
                         ? gen->listens[l->client.listener].name
                         : gen->listens[l->client.listener].address);
    mg_buf_add_char(out, '}');
}

/* --- the routes that were tried --- */

static const char *const outcomes[] = {[MG_ROUTE_BY_METHOD] = "method",
                                       [MG_ROUTE_BY_LISTENER] = "listener",
                                       [MG_ROUTE_BY_HEADER] = "header",
                                       [MG_ROUTE_BY_QUERY] = "query"};

static const char *outcome_of(const struct mg_look *l, const struct mg_look_try *t)
{
    if (!t->entry)
        return "path";
    if (t == l->taken)
        return "taken";
    switch (t->verdict) {
    case MG_ROUTE_FITS:
        return "priority";
    case MG_ROUTE_OTHER_HOST:
        return "host";
    case MG_ROUTE_TOO_COSTLY:
        return "too_costly";
    case MG_ROUTE_REFUSES:
        break;
    }
    return outcomes[t->fault.by];
}

static struct mg_str why_refused(const struct mg_look *l, const struct mg_look_try *t,
                                 struct mg_arena *arena)
{
    const struct mg_route_rule *rule = t->entry->rule;
    const struct mg_route_pair *pair = t->fault.pair;
    const struct mg_router *router = l->ex->wg->gen->router;
    struct mg_str allowed;
    switch (t->fault.by) {
    case MG_ROUTE_BY_METHOD:
        allowed = mg_router_allow(router, rule->methods, arena);
        return mg_arena_printf(arena, "takes %.*s, not %.*s", MG_STR_ARGS(allowed),
                               MG_STR_ARGS(l->in.request.method));
    case MG_ROUTE_BY_LISTENER:
        return mg_arena_printf(arena, "only for the listener '%.*s'", MG_STR_ARGS(rule->listener));
    case MG_ROUTE_BY_HEADER:
        return mg_arena_printf(arena, "asks for the header %.*s: %.*s", MG_STR_ARGS(pair->name),
                               MG_STR_ARGS(pair->value));
    case MG_ROUTE_BY_QUERY:
        break;
    }
    return mg_arena_printf(arena, "asks for %.*s=%.*s in the query", MG_STR_ARGS(pair->name),
                           MG_STR_ARGS(pair->value));
}

static struct mg_str why_later(const struct mg_look *l, const struct mg_look_try *t,
                               struct mg_arena *arena)
{
    static const char *const reasons[] = {[MG_ROUTER_BY_HOST] = "its host is more specific",
                                          [MG_ROUTER_BY_PATH] = "its path is more specific",
                                          [MG_ROUTER_BY_CONDITIONS] = "it has more conditions",
                                          [MG_ROUTER_BY_ORDER] =
                                              "it stands before this one in the file"};
    if (!l->taken) /* an expression before it ended the search */
        return MG_STR("never tried");
    return mg_arena_printf(arena, "'%.*s' comes first: %s", MG_STR_ARGS(l->taken->route->name),
                           reasons[mg_router_precedence(l->taken->entry, t->entry)]);
}

static struct mg_str why(const struct mg_look *l, const struct mg_look_try *t,
                         struct mg_arena *arena)
{
    if (!t->entry)
        return MG_STR("the path does not match");
    if (t == l->taken)
        return MG_STR("takes it");
    switch (t->verdict) {
    case MG_ROUTE_FITS:
        return why_later(l, t, arena);
    case MG_ROUTE_OTHER_HOST:
        return mg_arena_printf(arena, "for the host %.*s", MG_STR_ARGS(t->entry->host));
    case MG_ROUTE_TOO_COSTLY:
        return MG_STR("its expression is too costly for this path, which ends the search");
    case MG_ROUTE_REFUSES:
        break;
    }
    return why_refused(l, t, arena);
}

static void add_place(struct mg_buf *out, const struct mg_plan_place *place)
{
    mg_json_out_text(out, "path", place->path);
    mg_json_out_text(out, "file", place->file);
    mg_json_out_integer(out, "line", place->line);
    mg_json_out_integer(out, "col", place->col);
}

/* The first pattern of each route, for those whose path matches none. */
static void note_pattern(void *arg, const void *route, struct mg_str host,
                         const struct mg_route_pattern *pattern)
{
    struct mg_str *first = &((struct mg_str *)arg)[((const struct mg_route *)route)->index];
    (void)host;
    if (!first->p)
        *first = pattern->text;
}

static void add_tries(struct mg_buf *out, struct mg_look *l)
{
    const struct mg_generation *gen = l->ex->wg->gen;
    const struct mg_plan *plan = gen->script;
    struct mg_arena *arena = &l->in.arena;
    struct mg_str *patterns = mg_arena_calloc(arena, gen->route_count * sizeof *patterns);
    mg_router_each(gen->router, note_pattern, patterns);
    mg_json_out_begin(out, "tried", '[');
    for (size_t i = 0; i < l->try_count; i++) {
        const struct mg_look_try *t = &l->tries[i];
        uint32_t index = t->route->index;
        mg_json_out_begin(out, NULL, '{');
        mg_json_out_text(out, "route", t->route->name);
        mg_json_out_text(out, "pattern", t->entry ? t->entry->pattern.text : patterns[index]);
        mg_json_out_text_or_null(out, "host", t->entry ? t->entry->host : MG_STR_NONE);
        mg_json_out_text(out, "outcome", mg_str_c(outcome_of(l, t)));
        mg_json_out_text(out, "why", why(l, t, arena));
        add_place(out, &plan->route_places[index]);
        mg_buf_add_char(out, '}');
    }
    mg_buf_add_char(out, ']');
}

/* --- the route that takes it --- */

/* By name; groups of an expression that have none by number. */
static void add_params(struct mg_buf *out, const struct mg_request *req)
{
    const struct mg_route_found *found = &req->found;
    mg_json_out_begin(out, "params", '{');
    for (size_t i = 0; i < found->param_count; i++) {
        struct mg_str name = found->pattern->names[i];
        if (!found->values[i].p)
            continue;
        name = name.n ? mg_arena_printf(req->arena, "%.*s", MG_STR_ARGS(name))
                      : mg_arena_printf(req->arena, "%zu", i + 1);
        mg_json_out_text(out, name.p, found->values[i]);
    }
    mg_buf_add_char(out, '}');
}

static void add_route(struct mg_buf *out, const struct mg_look *l)
{
    const struct mg_plan *plan = l->ex->wg->gen->script;
    const struct mg_request *req = &l->ex->req;
    if (!l->taken) {
        mg_json_out_null(out, "route");
        return;
    }
    mg_json_out_begin(out, "route", '{');
    mg_json_out_text(out, "name", req->route->name);
    mg_json_out_text_or_null(out, "version", req->route->version);
    mg_json_out_text(out, "pattern", req->found.pattern->text);
    mg_json_out_text_or_null(out, "host", l->taken->entry->host);
    add_params(out, req);
    add_place(out, &plan->route_places[req->route->index]);
    mg_buf_add_char(out, '}');
}

/* What the gateway itself answers, when no step does. */
static void add_refusal(struct mg_buf *out, const struct mg_look *l)
{
    const struct mg_field *allow;
    if (!l->refusal) {
        mg_json_out_null(out, "status");
        mg_json_out_null(out, "error");
        mg_json_out_null(out, "allow");
        return;
    }
    allow = mg_fields_find(&l->refusal->msg->fields, MG_STR("Allow"));
    mg_json_out_integer(out, "status", l->refusal->msg->status);
    mg_json_out_text_or_null(out, "error",
                             mg_str_c(l->refusal->error_code ? l->refusal->error_code : ""));
    mg_json_out_text_or_null(out, "allow", allow ? mg_field_value(allow) : MG_STR_NONE);
}

/* --- limits --- */

static void add_limits(struct mg_buf *out, const struct mg_generation *gen,
                       const struct mg_route *route)
{
    const struct mg_server_limits *s = &gen->limits;
    mg_json_out_begin(out, "limits", '{');
    mg_json_out_integer(out, "header_bytes", s->head.head_bytes);
    mg_json_out_integer(out, "headers", s->head.field_count);
    mg_json_out_integer(out, "body_bytes", s->body_bytes);
    mg_json_out_integer(out, "buffered_body_bytes", gen->buffered_body_bytes);
    mg_json_out_ms(out, "timeout_ms",
                   route && route->timeout_ns ? route->timeout_ns : gen->request_time_ns);
    mg_json_out_ms(out, "header_time_ms", s->header_time_ns);
    mg_json_out_ms(out, "idle_time_ms", s->idle_time_ns);
    mg_json_out_ms(out, "lua_run_ms", gen->lua_run_ns);
    mg_buf_add_char(out, '}');
}

/* --- the whole --- */

static void add_services(struct mg_buf *out, const struct mg_look *l)
{
    struct mg_service *const *services = l->ex->wg->gen->services;
    const struct mg_route *route = l->taken ? l->ex->req.route : NULL;
    mg_json_out_begin(out, "services", '[');
    if (route && route->service != MG_NO_SERVICE)
        mg_explain_service(out, &l->ex->req, services[route->service], 1, 1);
    for (uint32_t i = 0; route && i < route->split_count; i++)
        mg_explain_service(out, &l->ex->req, services[route->split[i].service],
                           route->split[i].weight, route->split_weight);
    mg_buf_add_char(out, ']');
}

/* Of a request that no route takes the policies of the file get hold all the same. */
static const struct mg_pipeline *pipeline_of(const struct mg_look *l)
{
    static const struct mg_pipeline none;
    if (l->page || (l->refusal && !l->ex->refuse))
        return &none;
    return l->taken ? &l->ex->req.route->pipeline : &l->ex->wg->gen->fallback;
}

static void write_all(struct explanation *e, struct mg_look *l)
{
    struct mg_buf *out = e->out;
    const struct mg_pipeline *pipeline = pipeline_of(l);
    e->rc = mg_instances_add(l->ex->wg, pipeline, e->err);
    if (e->rc != MG_OK)
        return;
    e->found = l->page || l->taken;
    mg_buf_add_char(out, '{');
    add_request(out, l);
    add_route(out, l);
    add_refusal(out, l);
    mg_json_out_text_or_null(out, "page", l->page ? l->page->name : MG_STR_NONE);
    add_tries(out, l);
    mg_explain_steps(out, l, pipeline);
    add_limits(out, e->gen, l->taken ? l->ex->req.route : NULL);
    add_services(out, l);
    mg_buf_add_char(out, '}');
    if (out->failed)
        e->rc = mg_error_set(e->err, "the explanation is too long");
}

static void look(void *arg, struct mg_worker *worker)
{
    struct explanation *e = arg;
    struct mg_look *l = mg_look_new(worker, e->asked, e->err);
    e->rc = MG_FAIL;
    if (l)
        write_all(e, l);
    mg_look_free(l);
}

enum mg_rc mg_explain(struct mg_generation *gen, const struct mg_look_request *asked,
                      struct mg_buf *out, bool *found, struct mg_error *err)
{
    struct explanation e = {.asked = asked, .gen = gen, .out = out, .err = err};
    if (mg_trial_look(gen, look, &e, err) != MG_OK)
        return MG_FAIL;
    *found = e.found;
    return e.rc;
}
