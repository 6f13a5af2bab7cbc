/* Requests that nobody has sent. The worker's thread. */
#include "gateway/look.h"

#include "gateway/page.h"
#include "gateway/worker.h"
#include "http/h1_parse.h"
#include "http/target.h"

#define HEAD_MAX ((size_t)1 << 20)

/* --- what a server does for its requests: nothing, here --- */

static void respond(struct mg_inbound *in, struct mg_message *res, struct mg_body *body)
{
    (void)in;
    (void)res;
    (void)body;
}

static void inform(struct mg_inbound *in, struct mg_message *res)
{
    (void)in;
    (void)res;
}

static void set_deadline(struct mg_inbound *in, uint64_t deadline_ns)
{
    (void)in;
    (void)deadline_ns;
}

static void abort_it(struct mg_inbound *in)
{
    (void)in;
}

static const struct mg_inbound_ops ops = {
    .respond = respond, .inform = inform, .set_deadline = set_deadline, .abort = abort_it};

/* --- the head --- */

/* A URL, taken apart as a client does it. */
struct url {
    struct mg_str scheme, authority, path, query;
};

static enum mg_rc split_url(struct mg_str text, struct url *url, struct mg_error *err)
{
    *url = (struct url){.scheme = MG_STR("http"), .authority = MG_STR("")};
    if (mg_str_eq(text, MG_STR("*"))) {
        url->path = text;
    } else if (text.n && text.p[0] == '/') {
        if (!mg_target_split(text, &url->path, &url->query))
            return mg_error_set(err, "'%.*s' is no path", MG_STR_ARGS(text));
    } else if (!mg_target_split_absolute(text, &url->scheme, &url->authority, &url->path,
                                         &url->query)) {
        return mg_error_set(err, "'%.*s' is no URL (http://HOST/PATH) and no path (/PATH)",
                            MG_STR_ARGS(text));
    }
    if (url->path.n == 0)
        url->path = MG_STR("/");
    return MG_OK;
}

static bool is_one_line(struct mg_str s)
{
    return mg_str_find(s, '\r') < 0 && mg_str_find(s, '\n') < 0 && mg_str_find(s, '\0') < 0;
}

static enum mg_rc write_fields(struct mg_buf *head, const struct mg_look_request *asked,
                               struct mg_str authority, struct mg_error *err)
{
    bool host = false;
    for (size_t i = 0; i < asked->field_count; i++) {
        const struct mg_look_field *f = &asked->fields[i];
        if (!is_one_line(f->name) || !is_one_line(f->value))
            return mg_error_set(err, "the header '%.*s' is more than one line",
                                MG_STR_ARGS(f->name));
        host |= mg_str_ieq(f->name, MG_STR("host"));
        mg_buf_printf(head, "%.*s: %.*s\r\n", MG_STR_ARGS(f->name), MG_STR_ARGS(f->value));
    }
    if (!host)
        mg_buf_printf(head, "Host: %.*s\r\n", MG_STR_ARGS(authority));
    mg_buf_add_c(head, "\r\n");
    return MG_OK;
}

static enum mg_rc write_head(struct mg_buf *head, const struct mg_look_request *asked,
                             const struct url *url, struct mg_error *err)
{
    if (!is_one_line(asked->method))
        return mg_error_set(err, "the method is more than one line");
    mg_buf_printf(head, "%.*s %.*s", MG_STR_ARGS(asked->method), MG_STR_ARGS(url->path));
    if (url->query.p)
        mg_buf_printf(head, "?%.*s", MG_STR_ARGS(url->query));
    mg_buf_add_c(head, " HTTP/1.1\r\n");
    if (write_fields(head, asked, url->authority, err) != MG_OK)
        return MG_FAIL;
    return head->failed ? mg_error_set(err, "it is too long") : MG_OK;
}

/* The message that a client's connection would make of it. */
static enum mg_rc read_head(struct mg_look *l, struct mg_str text,
                            const struct mg_h1_limits *limits, struct mg_error *err)
{
    struct mg_h1_framing framing;
    struct mg_h1_fault fault;
    struct mg_str head = mg_arena_str(&l->in.arena, text);
    mg_message_init(&l->in.request, &l->in.arena);
    if (head.n > limits->head_bytes)
        return mg_error_set(err, "status 431: the head is longer than limits.header_bytes");
    if (mg_h1_parse_request(head.p, head.n, limits, &l->in.request, &framing, &fault) != 0)
        return mg_error_set(err, "status %d: the head is refused (%s)", fault.status, fault.reason);
    l->in.request.expect_continue = false;
    return MG_OK;
}

static enum mg_rc make_request(struct mg_look *l, const struct mg_look_request *asked,
                               const struct url *url, const struct mg_h1_limits *limits,
                               struct mg_error *err)
{
    struct mg_buf head;
    mg_buf_init(&head, HEAD_MAX);
    enum mg_rc rc = write_head(&head, asked, url, err);
    if (rc == MG_OK)
        rc = read_head(l, mg_buf_str(&head), limits, err);
    mg_buf_release(&head);
    return rc;
}

/* --- the client --- */

static enum mg_rc find_listener(const struct mg_generation *gen, struct mg_str name, bool secure,
                                uint32_t *index, struct mg_error *err)
{
    *index = 0;
    for (uint32_t i = 0; i < gen->listen_count; i++) {
        if (name.n ? mg_str_eq(gen->listens[i].name, name) : secure == !!gen->listens[i].tls) {
            *index = i;
            return MG_OK;
        }
    }
    return name.n ? mg_error_set(err, "no listener is called '%.*s'", MG_STR_ARGS(name)) : MG_OK;
}

static enum mg_rc make_client(struct mg_look *l, const struct mg_generation *gen,
                              const struct mg_look_request *asked, const struct url *url,
                              struct mg_error *err)
{
    struct mg_str ip = asked->client.n ? asked->client : MG_STR("127.0.0.1");
    l->scheme = url->scheme;
    l->client.secure = mg_str_eq(url->scheme, MG_STR("https"));
    mg_ip_parse(MG_STR("127.0.0.1"), &l->client.local);
    if (!mg_ip_parse(ip, &l->client.peer))
        return mg_error_set(err, "'%.*s' is no IP address", MG_STR_ARGS(ip));
    return find_listener(gen, asked->listener, l->client.secure, &l->client.listener, err);
}

/* --- the routes --- */

struct gathering {
    struct mg_look_try *v;
    size_t count;
    bool *told; /* by route index */
    struct mg_look_try *hit;
};

static void on_tried(void *arg, const struct mg_route_tried *tried)
{
    struct gathering *g = arg;
    const struct mg_route *route = tried->entry->rule->route;
    if (g->told[route->index]) /* by another pattern, before */
        return;
    g->told[route->index] = true;
    struct mg_look_try *t = &g->v[g->count++];
    *t = (struct mg_look_try){route, tried->entry, tried->verdict, tried->fault};
    if (t->verdict == MG_ROUTE_FITS && !g->hit)
        g->hit = t;
}

static void add_others(struct gathering *g, const struct mg_generation *gen)
{
    for (uint32_t i = 0; i < gen->route_count; i++)
        if (!g->told[i])
            g->v[g->count++] = (struct mg_look_try){.route = &gen->routes[i]};
}

static void find_tries(struct mg_look *l, const struct mg_generation *gen)
{
    struct mg_arena *arena = &l->in.arena;
    struct mg_route_query query = mg_exchange_route_query(&l->ex->req);
    struct gathering g = {
        .v = mg_arena_calloc(arena, gen->route_count * sizeof *g.v),
        .told = mg_arena_calloc(arena, gen->route_count * sizeof *g.told),
    };
    if (query.path.n)
        mg_router_trace(gen->router, &query, on_tried, &g);
    add_others(&g, gen);
    l->tries = g.v;
    l->try_count = g.count;
    l->taken = l->refusal ? NULL : g.hit;
}

/* --- life --- */

static struct mg_look *new_look(struct mg_worker *worker)
{
    struct mg_arena arena;
    mg_arena_init(&arena, &worker->chunks);
    struct mg_look *l = mg_arena_calloc(&arena, sizeof *l);
    l->in.arena = arena;
    l->in.ops = &ops;
    l->in.client = &l->client;
    l->in.started_ns = mg_loop_now(worker->loop);
    l->in.body = mg_body_fixed(&l->in.arena, MG_STR_NONE);
    return l;
}

struct mg_look *mg_look_new(struct mg_worker *worker, const struct mg_look_request *asked,
                            struct mg_error *err)
{
    const struct mg_generation *gen = worker->current->gen;
    struct mg_look *l = new_look(worker);
    struct url url;
    if (split_url(asked->url, &url, err) != MG_OK ||
        make_client(l, gen, asked, &url, err) != MG_OK ||
        make_request(l, asked, &url, &gen->limits.head, err) != MG_OK) {
        mg_inbound_free(&l->in);
        return NULL;
    }
    l->ex = mg_exchange_look(worker, &l->in, &l->refusal);
    l->page = mg_exchange_page(&l->ex->req);
    if (l->page)
        return l;
    find_tries(l, gen);
    return l;
}

void mg_look_free(struct mg_look *l)
{
    if (l)
        mg_exchange_abandon(l->ex);
}
