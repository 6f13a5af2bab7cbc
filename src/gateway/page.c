/* Pages: a function for each, then their table. */
#include "gateway/page.h"

#include "base/json_out.h"

/* Tens of thousands of routes. */
#define PAGE_MAX ((size_t)64 << 20)

/* --- counts --- */

static void add_latency(struct mg_buf *out, const struct mg_tally_sum *sum)
{
    mg_json_out_begin(out, "latency_ms", '{');
    mg_json_out_ms(out, "average", sum->timed ? sum->sum_ns / sum->timed : 0);
    mg_json_out_ms(out, "p95", mg_histogram_percentile_ns(sum->counts, 95));
    mg_json_out_ms(out, "p99", mg_histogram_percentile_ns(sum->counts, 99));
    mg_buf_add_char(out, '}');
}

static void add_counts(struct mg_buf *out, struct mg_tally *tally)
{
    static const char *const names[MG_TALLY_CLASSES] = {"cut", "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct mg_tally_sum sum;
    mg_tally_read(tally, &sum);
    mg_json_out_begin(out, "requests", '{');
    for (int i = 0; i < MG_TALLY_CLASSES; i++)
        mg_json_out_integer(out, names[i], sum.classes[i]);
    mg_buf_add_char(out, '}');
    add_latency(out, &sum);
}

/* The requests for these counts are not among them. */
static unsigned write_stats(struct mg_buf *out, const struct mg_page_view *view)
{
    struct mg_tally_sum sum = {0};
    if (view->gen->tally)
        mg_tally_read(view->gen->tally, &sum);
    mg_buf_add_c(out, "{\"requests_count\":{");
    mg_json_out_integer(out, "success", sum.classes[MG_TALLY_2XX] + sum.classes[MG_TALLY_3XX]);
    mg_json_out_integer(out, "error", sum.classes[MG_TALLY_4XX] + sum.classes[MG_TALLY_5XX]);
    mg_buf_add_char(out, '}');
    add_latency(out, &sum);
    mg_buf_add_char(out, '}');
    return 200;
}

/* --- health --- */

/* While it answers, it lives. */
static unsigned write_health(struct mg_buf *out, const struct mg_page_view *view)
{
    (void)view;
    mg_buf_add_c(out, "{\"status\":\"ok\"}");
    return 200;
}

static unsigned write_ready(struct mg_buf *out, const struct mg_page_view *view)
{
    static const char *const words[] = {"starting", "ready", "draining"};
    mg_buf_printf(out, "{\"status\":\"%s\"}", words[view->state]);
    return view->state == MG_PAGE_READY ? 200 : 503;
}

/* --- routes --- */

static struct mg_str service_name(const struct mg_generation *gen, int32_t index)
{
    return mg_service_config(gen->services[index])->name;
}

static void add_services_of(struct mg_buf *out, const struct mg_generation *gen,
                            const struct mg_route *r)
{
    if (r->service != MG_NO_SERVICE)
        mg_json_out_text(out, "service", service_name(gen, r->service));
    if (r->split_count == 0)
        return;
    mg_json_out_begin(out, "split", '[');
    for (uint32_t i = 0; i < r->split_count; i++) {
        mg_json_out_begin(out, NULL, '{');
        mg_json_out_text(out, "service", service_name(gen, (int32_t)r->split[i].service));
        mg_json_out_integer(out, "weight", r->split[i].weight);
        mg_buf_add_char(out, '}');
    }
    mg_buf_add_char(out, ']');
}

static void add_route(struct mg_buf *out, const struct mg_generation *gen, const struct mg_route *r)
{
    mg_json_out_begin(out, NULL, '{');
    mg_json_out_text(out, "name", r->name);
    if (r->version.n)
        mg_json_out_text(out, "version", r->version);
    add_services_of(out, gen, r);
    mg_json_out_begin(out, "steps", '[');
    for (uint32_t i = 0; i < r->pipeline.count; i++) {
        mg_json_out_text(out, NULL, r->pipeline.steps[i].id);
    }
    mg_buf_add_char(out, ']');
    if (gen->tally_registry)
        add_counts(out, gen->route_tallies[r->index]);
    mg_buf_add_char(out, '}');
}

static unsigned write_routes(struct mg_buf *out, const struct mg_page_view *view)
{
    mg_buf_add_c(out, "{\"routes\":[");
    for (uint32_t i = 0; i < view->gen->route_count; i++)
        add_route(out, view->gen, &view->gen->routes[i]);
    mg_buf_add_c(out, "]}");
    return 200;
}

/* --- services --- */

static void add_backend(struct mg_buf *out, const struct mg_member *m, uint64_t now_ns)
{
    struct mg_backend *b = m->backend;
    uint64_t ejected_ns = atomic_load_explicit(&b->health.ejected_until_ns, memory_order_relaxed);
    bool down = atomic_load_explicit(&b->health.down, memory_order_relaxed);
    mg_json_out_begin(out, NULL, '{');
    mg_json_out_text(out, "address", mg_str_c(b->label));
    if (strcmp(b->label, b->authority) != 0)
        mg_json_out_text(out, "name", mg_str_c(b->authority));
    mg_json_out_integer(out, "weight", m->weight);
    mg_json_out_text(out, "health",
                     mg_str_c(down                  ? "down"
                              : ejected_ns > now_ns ? "ejected"
                                                    : "up"));
    if (ejected_ns > now_ns)
        mg_json_out_ms(out, "ejected_for_ms", ejected_ns - now_ns);
    mg_json_out_integer(out, "in_flight",
                        atomic_load_explicit(&b->in_flight, memory_order_relaxed));
    mg_json_out_ms(out, "latency_ms", mg_backend_latency(b, now_ns));
    mg_buf_add_char(out, '}');
}

static void add_backends(struct mg_buf *out, struct mg_service *s, uint64_t now_ns)
{
    uint64_t version;
    struct mg_members *members = mg_service_members(s, &version);
    mg_json_out_begin(out, "backends", '[');
    for (uint32_t i = 0; i < members->count; i++)
        add_backend(out, &members->v[i], now_ns);
    mg_buf_add_char(out, ']');
    mg_members_unref(members);
}

static void add_guards(struct mg_buf *out, const struct mg_service *s, uint64_t now_ns)
{
    const struct mg_guards *g = mg_service_guards(s);
    if (g && g->breaker) {
        mg_json_out_begin(out, "circuit_breaker", '{');
        bool open = mg_breaker_refuses(g->breaker, now_ns);
        mg_json_out_flag(out, "open", open);
        if (open)
            mg_json_out_ms(out, "retry_after_ms", mg_breaker_retry_after(g->breaker, now_ns));
        mg_buf_add_char(out, '}');
    }
    if (g && g->gate)
        mg_json_out_integer(out, "max_requests", mg_gate_config(g->gate)->max_requests);
}

static void add_service(struct mg_buf *out, const struct mg_page_view *view, uint32_t i)
{
    struct mg_service *s = view->gen->services[i];
    mg_json_out_begin(out, NULL, '{');
    mg_json_out_text(out, "name", mg_service_config(s)->name);
    add_backends(out, s, view->now_ns);
    add_guards(out, s, view->now_ns);
    if (view->gen->tally_registry)
        add_counts(out, view->gen->service_tallies[i]);
    mg_buf_add_char(out, '}');
}

static unsigned write_services(struct mg_buf *out, const struct mg_page_view *view)
{
    mg_buf_add_c(out, "{\"services\":[");
    for (uint32_t i = 0; i < mg_generation_request_services(view->gen); i++)
        add_service(out, view, i);
    mg_buf_add_c(out, "]}");
    return 200;
}

/* --- the config --- */

struct listing {
    struct mg_buf *out;
    const struct mg_generation *in_force;
};

/* Those before the one in force are there for exchanges that began with them. */
static void add_generation(void *arg, const struct mg_generation *g)
{
    const struct listing *l = arg;
    if (g->number > l->in_force->number)
        return; /* it may never be */
    mg_json_out_begin(l->out, NULL, '{');
    mg_json_out_integer(l->out, "generation", g->number);
    mg_json_out_integer(l->out, "exchanges",
                        atomic_load_explicit(&g->exchanges, memory_order_relaxed));
    mg_json_out_integer(l->out, "lua_bytes",
                        atomic_load_explicit(&g->lua_bytes, memory_order_relaxed));
    mg_buf_add_char(l->out, '}');
}

static unsigned write_config(struct mg_buf *out, const struct mg_page_view *view)
{
    const struct mg_generation *gen = view->gen;
    const struct listing l = {out, gen};
    mg_buf_printf(out, "{\"hash\":\"%s\",\"generation\":%llu,", gen->hash,
                  (unsigned long long)gen->number);
    mg_buf_add_c(out, "\"generations\":[");
    mg_generations_each(add_generation, (void *)&l);
    mg_buf_add_c(out, "],\"config\":");
    mg_buf_add_str(out, gen->shown.n ? gen->shown : MG_STR("null"));
    mg_buf_add_char(out, '}');
    return 200;
}

/* --- answers --- */

static const struct mg_page pages[] = {
    {MG_STR("health"), write_health},     {MG_STR("ready"), write_ready},
    {MG_STR("stats"), write_stats},       {MG_STR("routes"), write_routes},
    {MG_STR("services"), write_services}, {MG_STR("config"), write_config},
};

const struct mg_page *mg_page_find(struct mg_str name)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (mg_str_eq(pages[i].name, name))
            return &pages[i];
    return NULL;
}

struct mg_response *mg_page_json(struct mg_arena *arena, unsigned status, struct mg_str json)
{
    struct mg_response *res = mg_response_new(arena, status, MG_SOURCE_GATEWAY);
    mg_fields_add_id(&res->msg->fields, arena, MG_FIELD_CONTENT_TYPE, MG_STR("application/json"));
    mg_fields_add_id(&res->msg->fields, arena, MG_FIELD_CACHE_CONTROL, MG_STR("no-store"));
    mg_response_set_body(res, arena, mg_arena_str(arena, json));
    return res;
}

struct mg_response *mg_page_wrong_method(struct mg_arena *arena, struct mg_str allow)
{
    struct mg_response *res =
        mg_page_json(arena, 405, MG_STR("{\"error\":\"method not allowed\"}"));
    mg_fields_add(&res->msg->fields, arena, MG_STR("Allow"), allow);
    return res;
}

struct mg_response *mg_page_response(const struct mg_page *page, const struct mg_message *request,
                                     struct mg_arena *arena, const struct mg_page_view *view)
{
    struct mg_buf out;
    if (request->method_id != MG_METHOD_GET && request->method_id != MG_METHOD_HEAD)
        return mg_page_wrong_method(arena, MG_STR("GET, HEAD"));
    mg_buf_init(&out, PAGE_MAX);
    unsigned status = page->write(&out, view);
    struct mg_response *res =
        out.failed ? mg_page_json(arena, 500, MG_STR("{\"error\":\"the page is too large\"}"))
                   : mg_page_json(arena, status, mg_buf_str(&out));
    mg_buf_release(&out);
    if (view->gen->hash[0])
        mg_fields_add(&res->msg->fields, arena, MG_STR("X-Config-Hash"), mg_str_c(view->gen->hash));
    return res;
}
