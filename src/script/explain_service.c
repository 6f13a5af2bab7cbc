/* What would be sent to a service, and by which rules. */
#include <stdio.h>

#include "base/json_out.h"
#include "gateway/forward.h"
#include "script/explain.h"

/* --- where it goes --- */

static struct mg_str backend_address(const struct mg_service_config *c)
{
    if (c->backend_count)
        return c->backends[0].address;
    return c->dns_name;
}

/* What the backend sees as Host. */
static struct mg_str host_of(const struct mg_request *req, const struct mg_service_config *c)
{
    switch (c->host) {
    case MG_HOST_KEEP:
        return req->msg->authority;
    case MG_HOST_BACKEND:
        return backend_address(c);
    case MG_HOST_NAME:
        break;
    }
    return c->host_name;
}

static struct mg_str target_of(struct mg_request *req, const struct mg_service_config *c)
{
    const struct mg_message *m = req->msg;
    struct mg_str target = mg_forward_target(req, c);
    if (target.n)
        return target;
    return m->query.p ? mg_arena_printf(req->arena, "%.*s?%.*s", MG_STR_ARGS(m->path),
                                        MG_STR_ARGS(m->query))
                      : m->path;
}

static void add_target(struct mg_buf *out, struct mg_request *req,
                       const struct mg_service_config *c)
{
    struct mg_str target = target_of(req, c), address = backend_address(c);
    mg_json_out_text(out, "method", req->msg->method);
    mg_json_out_text(out, "target", target);
    mg_json_out_text(out, "url",
                     mg_arena_printf(req->arena, "%s://%.*s%.*s", c->tls ? "https" : "http",
                                     MG_STR_ARGS(address), MG_STR_ARGS(target)));
    mg_json_out_text(out, "host", host_of(req, c));
}

static void add_backends(struct mg_buf *out, const struct mg_service_config *c)
{
    mg_json_out_begin(out, "backends", '[');
    for (size_t i = 0; i < c->backend_count; i++) {
        const struct mg_backend_config *b = &c->backends[i];
        mg_json_out_begin(out, NULL, '{');
        mg_json_out_text(out, "address", b->address);
        mg_json_out_integer(out, "weight", b->weight);
        mg_json_out_text_or_null(out, "zone", b->zone);
        mg_json_out_integer(out, "priority", b->priority);
        mg_buf_add_char(out, '}');
    }
    mg_buf_add_char(out, ']');
    mg_json_out_text_or_null(out, "dns", c->dns_name);
}

static void add_choice(struct mg_buf *out, const struct mg_service_config *c)
{
    static const char *const words[] = {[MG_BALANCE_ROUND_ROBIN] = "round-robin",
                                        [MG_BALANCE_RANDOM] = "random",
                                        [MG_BALANCE_LEAST_REQUESTS] = "least-requests",
                                        [MG_BALANCE_TWO_CHOICES] = "two-choices",
                                        [MG_BALANCE_LATENCY] = "latency",
                                        [MG_BALANCE_HASH] = "hash"};
    mg_json_out_text(out, "balance", mg_str_c(words[c->balance]));
    mg_json_out_text_or_null(out, "hash", c->hash);
    mg_json_out_text_or_null(out, "sticky_cookie", c->sticky.cookie);
}

/* --- rules --- */

static void add_timeouts(struct mg_buf *out, const struct mg_service_config *c)
{
    mg_json_out_begin(out, "timeouts", '{');
    mg_json_out_ms(out, "connect_ms", c->connect_ns);
    mg_json_out_ms(out, "first_byte_ms", c->first_byte_ns);
    mg_json_out_ms(out, "idle_ms", c->idle_ns);
    if (c->per_try_ns)
        mg_json_out_ms(out, "per_try_ms", c->per_try_ns);
    else
        mg_json_out_null(out, "per_try_ms");
    mg_buf_add_char(out, '}');
}

static void add_causes(struct mg_buf *out, const struct mg_retry_config *r)
{
    static const struct {
        uint32_t failure;
        const char *word;
    } failures[] = {
        {MG_RETRY_CONNECT, "connect"}, {MG_RETRY_RESET, "reset"}, {MG_RETRY_TIMEOUT, "timeout"}};
    mg_json_out_begin(out, "on", '[');
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (r->failures & failures[i].failure)
            mg_json_out_text(out, NULL, mg_str_c(failures[i].word));
    for (unsigned status = 400; status < 600; status++)
        if (mg_retry_on_status(r, status))
            mg_json_out_integer(out, NULL, status);
    mg_buf_add_char(out, ']');
}

static void add_retries(struct mg_buf *out, const struct mg_request *req,
                        const struct mg_guards_config *g)
{
    if (!g->retry.attempts) {
        mg_json_out_null(out, "retries");
        return;
    }
    mg_json_out_begin(out, "retries", '{');
    mg_json_out_integer(out, "attempts", g->retry.attempts);
    mg_json_out_flag(out, "method_allows", mg_retry_on_method(&g->retry, req->msg->method_id));
    add_causes(out, &g->retry);
    mg_json_out_ms(out, "backoff_ms", g->retry.backoff_ns);
    mg_json_out_integer(out, "budget_percent", g->budget);
    mg_buf_add_char(out, '}');
}

static void add_breaker(struct mg_buf *out, const struct mg_breaker_config *b)
{
    if (!b->open_ns) {
        mg_json_out_null(out, "circuit_breaker");
        return;
    }
    mg_json_out_begin(out, "circuit_breaker", '{');
    mg_json_out_integer(out, "failures", b->failures);
    mg_json_out_integer(out, "ratio_percent", b->ratio);
    mg_json_out_ms(out, "open_for_ms", b->open_ns);
    mg_buf_add_char(out, '}');
}

static void add_guards(struct mg_buf *out, const struct mg_request *req,
                       const struct mg_guards_config *g)
{
    add_retries(out, req, g);
    add_breaker(out, &g->breaker);
    mg_json_out_integer(out, "hedges", g->hedge.max);
    mg_json_out_flag(out, "ejects_outliers", g->outliers.errors > 0);
    if (g->gate.max_requests)
        mg_json_out_integer(out, "max_requests", g->gate.max_requests);
    else
        mg_json_out_null(out, "max_requests");
}

void mg_explain_service(struct mg_buf *out, struct mg_request *req, const struct mg_service *s,
                        uint32_t share, uint32_t shares)
{
    const struct mg_service_config *c = mg_service_config(s);
    mg_json_out_begin(out, NULL, '{');
    mg_json_out_text(out, "name", c->name);
    mg_json_out_name(out, "share");
    mg_buf_printf(out, "%.4g", (double)share / shares);
    mg_json_out_begin(out, "upstream", '{');
    add_target(out, req, c);
    mg_buf_add_char(out, '}');
    add_backends(out, c);
    add_choice(out, c);
    add_timeouts(out, c);
    add_guards(out, req, &c->guards);
    mg_json_out_flag(out, "health_checks", c->check != NULL);
    mg_json_out_integer(out, "status_when_down", c->status_when_down);
    mg_buf_add_char(out, '}');
}
