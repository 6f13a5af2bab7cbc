/*
 * Requests of the control thread: look-up, connection, handshake, request, whole answer. Loop
 * thread.
 *
 *     start -> looking up -> connecting (address after address) -> handshake -> asking -> finish
 *
 * Always true: a call that has not ended has exactly one of these under way, and its timer is set.
 */
#include "upstream/agent.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/uri.h"
#include "http/client.h"

#define CHUNK_BYTES 8192
#define BLOCK_BYTES 32768
/* An address that does not answer must not use up the time of those after it. */
#define CONNECT_NS (2 * MG_SECOND)
#define NAME "moongate"

static const struct mg_h1_limits head_limits = {
    .head_bytes = BLOCK_BYTES, .field_count = 200, .target_bytes = 8192};

struct mg_agent {
    struct mg_loop *loop;
    struct mg_resolver *resolver; /* NULL: names are left to the dialer */
    struct mg_dialer dialer;
    struct mg_pool chunks, blocks;
    struct mg_tls_desk desk;
    struct mg_tls_client *system_tls; /* made when first needed */
    struct mg_link calls;
};

struct mg_agent_call {
    struct mg_link link;
    struct mg_agent *agent;
    struct mg_arena arena;
    mg_agent_done_fn on_done;
    void *arg;
    const char *failure; /* static, or in the arena */
    size_t body_max;
    bool connect_only, https;

    struct mg_message request;
    struct mg_str host; /* the URL's, that a certificate must be for */
    uint16_t port;
    struct mg_tls_client *tls;
    struct mg_backend *fixed; /* a ref; NULL: `at`, with each of `addrs` */
    struct mg_backend at;     /* lies here: never counted down to its end */
    struct mg_addr *addrs;    /* in the arena */
    size_t addr_count, addr_next;

    struct mg_timer limit, connect_limit;
    struct mg_soon soon; /* for failing later */
    struct mg_lookup *lookup;
    void *dial;
    struct mg_tls_stream *handshake;
    bool asking; /* `out` is to be ended */
    struct mg_outbound out;
    struct mg_body_collector collector;
};

static void connect_next(struct mg_agent_call *c);

/* --- the end --- */

static void free_call(void *memory)
{
    struct mg_agent_call *c = memory;
    mg_arena_release(&c->arena);
    free(c);
}

static void stop_connecting(struct mg_agent_call *c)
{
    if (c->dial)
        c->agent->dialer.cancel(c->agent->dialer.ctx, c->dial);
    if (c->handshake)
        mg_tls_stream_cancel(c->handshake);
    c->dial = NULL;
    c->handshake = NULL;
    mg_timer_stop(&c->connect_limit);
}

static void close_call(struct mg_agent_call *c)
{
    struct mg_agent *a = c->agent;
    mg_list_remove(&c->link);
    if (c->lookup)
        mg_resolver_cancel(c->lookup);
    stop_connecting(c);
    if (c->asking)
        mg_outbound_end(&c->out);
    mg_soon_cancel(&c->soon);
    mg_timer_release(&c->limit);
    mg_timer_release(&c->connect_limit);
    if (c->fixed)
        mg_backend_unref(c->fixed);
    mg_loop_free_later(a->loop, c, free_call);
    if (!mg_list_empty(&a->calls))
        return;
    mg_pool_trim(&a->chunks);
    mg_pool_trim(&a->blocks);
    mg_tls_desk_trim(&a->desk);
}

static void finish(struct mg_agent_call *c, const struct mg_agent_answer *answer)
{
    mg_agent_done_fn on_done = c->on_done;
    on_done(c->arg, answer);
    close_call(c);
}

static void fail(struct mg_agent_call *c, const char *failure)
{
    finish(c, &(struct mg_agent_answer){.failure = failure});
}

static void on_soon(void *arg)
{
    struct mg_agent_call *c = arg;
    fail(c, c->failure);
}

/* From inside of mg_agent_start. */
static void fail_later(struct mg_agent_call *c, const char *failure)
{
    c->failure = failure;
    mg_soon_run(c->agent->loop, &c->soon);
}

static void on_limit(void *arg)
{
    struct mg_agent_call *c = arg;
    fail(c, c->asking      ? "no whole answer in time"
            : c->handshake ? "no handshake in time"
            : c->lookup    ? "no answer from name servers in time"
                           : "no connection in time");
}

/* --- the answer --- */

static void fail_too_long(struct mg_agent_call *c)
{
    fail(c, mg_arena_printf(&c->arena, "the answer is longer than %zu bytes", c->body_max).p);
}

static void on_collected(void *arg, enum mg_collect_result result)
{
    struct mg_agent_call *c = arg;
    struct mg_agent_answer answer = {.head = &c->out.response,
                                     .body = mg_str(c->collector.bytes, c->collector.n)};
    switch (result) {
    case MG_COLLECT_DONE:
        finish(c, &answer);
        return;
    case MG_COLLECT_TOO_LARGE:
        fail_too_long(c);
        return;
    case MG_COLLECT_BROKEN:
        fail(c,
             mg_arena_printf(&c->arena, "the answer broke off: %s", c->out.response_body.reason).p);
        return;
    }
}

static void on_response(struct mg_outbound *o)
{
    struct mg_agent_call *c = o->owner;
    enum mg_collect_result result;
    if (o->response_body.length > 0 && (uint64_t)o->response_body.length > c->body_max)
        fail_too_long(c);
    else if (mg_body_collect(&c->collector, &o->response_body, &c->arena, c->body_max, on_collected,
                             c, &result))
        on_collected(c, result);
}

static void on_failed(struct mg_outbound *o, enum mg_outbound_failure failure, const char *reason)
{
    struct mg_agent_call *c = o->owner;
    (void)failure;
    fail(c, mg_arena_printf(&c->arena, "no answer: %s", reason).p);
}

/* --- the connection: it is not kept --- */

static void on_free(void *owner, struct mg_client_conn *conn)
{
    (void)owner;
    mg_client_conn_close(conn);
}

static void on_closed(void *owner, struct mg_client_conn *conn)
{
    (void)owner;
    (void)conn;
}

static const struct mg_client_conn_events conn_events = {.on_free = on_free,
                                                         .on_closed = on_closed};

static void ask(struct mg_agent_call *c, struct mg_stream *stream)
{
    struct mg_agent *a = c->agent;
    mg_timer_stop(&c->connect_limit);
    if (c->connect_only) {
        mg_stream_close(stream);
        finish(c, &(struct mg_agent_answer){.failure = NULL});
        return;
    }
    c->asking = true;
    c->out.request = &c->request;
    c->out.arena = &c->arena;
    c->out.extra = MG_STR("Connection: close\r\n");
    /* It is the limit of the whole call that ends it. */
    c->out.first_byte_ns = c->out.idle_ns = UINT64_MAX / 4;
    c->out.on_response = on_response;
    c->out.on_failed = on_failed;
    c->out.owner = c;
    mg_client_conn_send(mg_client_conn_new(stream, &a->blocks, &head_limits, &conn_events, NULL),
                        &c->out);
}

static void on_secured(void *arg, struct mg_stream *stream, const char *failure)
{
    struct mg_agent_call *c = arg;
    c->handshake = NULL;
    if (stream) {
        ask(c, stream);
        return;
    }
    c->failure = mg_arena_printf(&c->arena, "tls: %s", failure).p;
    connect_next(c);
}

static struct mg_tls_client *tls_of(struct mg_agent_call *c, struct mg_error *err)
{
    static const char *protocols[] = {"http/1.1", NULL};
    struct mg_agent *a = c->agent;
    if (c->tls || a->system_tls)
        return c->tls ? c->tls : a->system_tls;
    struct mg_tls_trust *trust = mg_tls_trust_system(err);
    if (!trust)
        return NULL;
    struct mg_tls_client_settings *settings = mg_tls_client_settings_new();
    settings->trust = trust;
    settings->protocols = protocols;
    a->system_tls = mg_agent_tls(a, settings, err);
    mg_tls_client_settings_unref(settings);
    return a->system_tls;
}

/* A number for whom sessions are kept for: that of the backend, or one made of the origin. */
static uint64_t session_key(const struct mg_agent_call *c)
{
    static const uint8_t key[MG_HASH_KEY_BYTES] = "moongate.agent.";
    return c->fixed ? c->fixed->id : mg_hash(key, mg_str_c(c->at.authority));
}

static void secure(struct mg_agent_call *c, struct mg_stream *stream)
{
    struct mg_error err;
    struct mg_tls_client *tls = tls_of(c, &err);
    if (!tls) {
        mg_stream_close(stream);
        fail(c, err.text);
        return;
    }
    c->handshake =
        mg_tls_client_connect(tls, stream, c->host, session_key(c), UINT64_MAX / 2, on_secured, c);
}

static void on_connected(void *arg, struct mg_stream *stream, int error)
{
    struct mg_agent_call *c = arg;
    c->dial = NULL;
    if (!stream) {
        c->failure = mg_dialer_error(error);
        connect_next(c);
    } else if (c->https && !c->agent->dialer.secure) {
        secure(c, stream);
    } else {
        ask(c, stream);
    }
}

static void on_connect_limit(void *arg)
{
    struct mg_agent_call *c = arg;
    c->failure = c->handshake ? "no handshake in time" : "no connection in time";
    stop_connecting(c);
    connect_next(c);
}

/* The next address, or the end with what went wrong at the last one. */
static void connect_next(struct mg_agent_call *c)
{
    const struct mg_dialer *d = &c->agent->dialer;
    int error;
    while (c->addr_next < c->addr_count) {
        c->at.addr = c->addrs[c->addr_next++];
        c->at.addr.port = c->port;
        c->dial = d->start(d->ctx, c->fixed ? c->fixed : &c->at, on_connected, c, &error);
        if (c->dial) {
            if (c->addr_next < c->addr_count)
                mg_timer_set(&c->connect_limit, mg_loop_now(c->agent->loop) + CONNECT_NS);
            return;
        }
        c->failure = mg_dialer_error(error);
    }
    fail(c, c->failure);
}

/* --- from the request to addresses --- */

static void on_resolved(void *arg, const struct mg_resolved *resolved)
{
    struct mg_agent_call *c = arg;
    c->lookup = NULL;
    if (resolved->count == 0) {
        fail(c, mg_arena_printf(&c->arena, "cannot resolve '%.*s': %s", MG_STR_ARGS(c->host),
                                resolved->error)
                    .p);
        return;
    }
    c->addr_count = resolved->count;
    c->addrs = mg_arena_alloc(&c->arena, resolved->count * sizeof *c->addrs);
    memcpy(c->addrs, resolved->addrs, resolved->count * sizeof *c->addrs);
    connect_next(c);
}

static void on_connect_soon(void *arg)
{
    connect_next(arg);
}

static void find_addresses(struct mg_agent_call *c)
{
    struct mg_agent *a = c->agent;
    struct mg_addr addr = {.family = 0};
    bool known = c->fixed || c->at.unix_path || mg_ip_parse(c->host, &addr) || !a->resolver;
    if (!known) {
        c->lookup = mg_resolver_lookup(a->resolver, c->host, on_resolved, c);
        return;
    }
    c->addr_count = 1;
    c->addrs = mg_arena_alloc(&c->arena, sizeof addr);
    c->addrs[0] = addr;
    mg_soon_init(&c->soon, on_connect_soon, c); /* it may fail at once */
    mg_soon_run(a->loop, &c->soon);
}

/* "unix:/socket:/path" gives the socket, and the rest as a URL. */
static bool split_unix(struct mg_agent_call *c, struct mg_str *url)
{
    if (!mg_str_starts(*url, MG_STR("unix:")))
        return true;
    struct mg_str path = mg_str(url->p + 5, url->n - 5);
    ptrdiff_t end = mg_str_find(path, ':');
    struct mg_str target = MG_STR("/");
    if (end >= 0) {
        target = mg_str(path.p + end + 1, path.n - (size_t)end - 1);
        path.n = (size_t)end;
    }
    if (path.n == 0 || target.n == 0 || target.p[0] != '/')
        return false;
    c->at.unix_path = (char *)mg_arena_str(&c->arena, path).p;
    *url = mg_arena_printf(&c->arena, "http://localhost%.*s", MG_STR_ARGS(target));
    return true;
}

/* NULL: it is good. */
static const char *read_url(struct mg_agent_call *c, struct mg_str url)
{
    struct mg_uri uri;
    url = mg_arena_str(&c->arena, url);
    if (!split_unix(c, &url))
        return "has a bad path for a unix socket";
    enum mg_uri_rc rc = mg_uri_parse(url, &uri);
    if (rc != MG_URI_OK)
        return mg_uri_rc_text(rc);
    c->https = uri.https;
    c->host = uri.at.host;
    c->port = uri.at.port;
    c->request.authority = uri.authority;
    c->request.path = uri.path;
    c->request.query = uri.query;
    c->at.authority = (char *)mg_arena_printf(&c->arena, uri.at.v6 ? "[%.*s]:%u" : "%.*s:%u",
                                              MG_STR_ARGS(uri.at.host), uri.at.port)
                          .p;
    c->at.label = c->at.authority;
    return NULL;
}

static void read_fields(struct mg_agent_call *c, const struct mg_agent_request *r)
{
    struct mg_fields *fields = &c->request.fields;
    for (size_t i = 0; i < r->field_count; i++)
        mg_fields_add(fields, &c->arena, mg_arena_str(&c->arena, r->fields[i].name),
                      mg_arena_str(&c->arena, r->fields[i].value));
    if (!mg_fields_get(fields, MG_FIELD_USER_AGENT))
        mg_fields_add_id(fields, &c->arena, MG_FIELD_USER_AGENT, MG_STR(NAME));
}

/* NULL: it is good. */
static const char *read_request(struct mg_agent_call *c, const struct mg_agent_request *r)
{
    mg_message_init(&c->request, &c->arena);
    const char *wrong = read_url(c, r->url);
    if (wrong)
        return wrong;
    c->request.method = r->method.n ? mg_arena_str(&c->arena, r->method) : MG_STR("GET");
    c->request.method_id = mg_method_id(c->request.method);
    if (r->host.n)
        c->request.authority = mg_arena_str(&c->arena, r->host);
    read_fields(c, r);
    if (r->body.n)
        c->out.body = mg_body_fixed(&c->arena, mg_arena_str(&c->arena, r->body));
    return NULL;
}

struct mg_agent_call *mg_agent_start(struct mg_agent *a, const struct mg_agent_request *r,
                                     mg_agent_done_fn on_done, void *arg)
{
    struct mg_agent_call *c = mg_calloc(1, sizeof *c);
    c->agent = a;
    c->on_done = on_done;
    c->arg = arg;
    c->body_max = r->body_max;
    c->connect_only = r->connect_only;
    c->tls = r->tls;
    c->fixed = r->backend;
    if (c->fixed)
        mg_backend_ref(c->fixed);
    mg_list_push_back(&a->calls, &c->link);
    mg_arena_init(&c->arena, &a->chunks);
    mg_timer_init(&c->limit, a->loop, on_limit, c);
    mg_timer_init(&c->connect_limit, a->loop, on_connect_limit, c);
    mg_soon_init(&c->soon, on_soon, c);
    mg_timer_set(&c->limit, mg_loop_now(a->loop) + r->limit_ns);
    const char *wrong = read_request(c, r);
    if (wrong)
        fail_later(c, mg_arena_printf(&c->arena, "the URL %s", wrong).p);
    else
        find_addresses(c);
    return c;
}

void mg_agent_cancel(struct mg_agent_call *c)
{
    close_call(c);
}

/* --- life --- */

struct mg_agent *mg_agent_new(struct mg_loop *loop, struct mg_resolver *resolver)
{
    struct mg_agent *a = mg_calloc(1, sizeof *a);
    a->loop = loop;
    a->resolver = resolver;
    a->dialer = mg_dialer_sockets(loop);
    mg_pool_init(&a->chunks, CHUNK_BYTES);
    mg_pool_init(&a->blocks, BLOCK_BYTES);
    mg_tls_desk_init(&a->desk, loop);
    mg_list_init(&a->calls);
    return a;
}

void mg_agent_free(struct mg_agent *a)
{
    if (!a)
        return;
    while (!mg_list_empty(&a->calls))
        close_call(MG_CONTAINER_OF(a->calls.next, struct mg_agent_call, link));
    mg_tls_client_unref(a->system_tls);
    mg_tls_desk_release(&a->desk);
    mg_loop_settle(a->loop); /* connections give their blocks back at the end of a turn */
    mg_pool_release(&a->chunks);
    mg_pool_release(&a->blocks);
    free(a);
}

void mg_agent_set_dialer(struct mg_agent *a, const struct mg_dialer *dialer)
{
    a->dialer = *dialer;
}

struct mg_tls_client *mg_agent_tls(struct mg_agent *a, struct mg_tls_client_settings *settings,
                                   struct mg_error *err)
{
    return mg_tls_client_new(&a->desk, settings, err);
}
