/* One try: connecting, sending, and what comes of it. Worker thread. */
#include "upstream/try.h"

#include "upstream/fetch.h"

static void begin(struct mg_try *t, bool pooled);

static uint64_t now(const struct mg_try *t)
{
    return mg_loop_now(t->fetch->pools->loop);
}

/* --- results --- */

/* From the pick on: a backend that is slow to accept has its requests all the same, and the next
 * pick, which goes by their number, must see them. */
static void occupy_backend(struct mg_try *t)
{
    atomic_fetch_add_explicit(&t->backend->in_flight, 1, memory_order_relaxed);
    t->_counted = true;
}

static void let_go_of_backend(struct mg_try *t)
{
    if (t->_counted)
        atomic_fetch_sub_explicit(&t->backend->in_flight, 1, memory_order_relaxed);
    t->_counted = false;
}

static void fail(struct mg_try *t, enum mg_fetch_error error, const char *detail)
{
    t->error = error;
    t->detail = detail;
    mg_try_end(t);
    t->on_failed(t);
}

/* A kept connection that the backend closed just as we used it is nobody's error: nothing was
 * answered, and nothing of the body is lost. What must not happen twice is not sent twice. */
static bool may_send_again(const struct mg_try *t)
{
    return t->_reused && t->out.sent_body_bytes == 0 &&
           mg_fetch_is_idempotent(t->fetch->request->method_id);
}

static void on_out_failed(struct mg_outbound *o, enum mg_outbound_failure failure,
                          const char *reason)
{
    struct mg_try *t = o->owner;
    switch (failure) {
    case MG_OUT_CLOSED:
        if (may_send_again(t))
            begin(t, false); /* the backend is fine, its old connection was not */
        else
            fail(t, MG_FETCH_RESET, reason);
        return;
    case MG_OUT_RESET:
        fail(t, MG_FETCH_RESET, reason);
        return;
    case MG_OUT_BAD_RESPONSE:
        fail(t, MG_FETCH_BAD_RESPONSE, reason);
        return;
    case MG_OUT_FIRST_BYTE:
        fail(t, MG_FETCH_FIRST_BYTE_TIMEOUT, reason);
        return;
    case MG_OUT_IDLE:
        fail(t, MG_FETCH_IDLE_TIMEOUT, reason);
        return;
    case MG_OUT_BODY_BROKEN:
        fail(t, MG_FETCH_REQUEST_BODY, reason);
        return;
    }
}

static void on_out_response(struct mg_outbound *o)
{
    struct mg_try *t = o->owner;
    t->running = false;
    mg_timer_stop(&t->_whole_timer);
    t->on_response(t);
}

static void on_out_inform(struct mg_outbound *o)
{
    struct mg_fetch *f = ((struct mg_try *)o->owner)->fetch;
    if (f->on_inform)
        f->on_inform(f, &o->response);
}

/* --- sending --- */

/* A request may bring no host to keep: one of a step's own, or of an HTTP/1.0 client. */
static struct mg_str choose_authority(const struct mg_try *t)
{
    const struct mg_service_config *config = t->fetch->_config;
    switch (config->host) {
    case MG_HOST_BACKEND:
        return mg_str_c(t->backend->authority);
    case MG_HOST_NAME:
        return config->host_name;
    case MG_HOST_KEEP:
        break;
    }
    return t->fetch->request->authority.n ? MG_STR_NONE : mg_str_c(t->backend->authority);
}

/* The time that is left, for backends that would rather not begin what nobody waits for. */
static struct mg_str extra_lines(const struct mg_try *t)
{
    const struct mg_fetch *f = t->fetch;
    struct mg_str name = f->_config->deadline_header;
    if (!name.n || !f->deadline_ns)
        return f->extra;
    uint64_t left = f->deadline_ns > now(t) ? f->deadline_ns - now(t) : 0;
    return mg_arena_printf(f->arena, "%.*s%.*s: %llu\r\n", MG_STR_ARGS(f->extra), MG_STR_ARGS(name),
                           (unsigned long long)(left / MG_MILLISECOND));
}

static void send_on(struct mg_try *t, struct mg_client_conn *c)
{
    const struct mg_fetch *f = t->fetch;
    t->connected_ns = now(t);
    t->_reused = c->requests > 0;
    t->out.request = f->request;
    t->out.body = t->_body;
    t->out.arena = f->arena;
    t->out.target = f->target;
    t->out.extra = extra_lines(t);
    t->out.authority = choose_authority(t);
    t->out.first_byte_ns = f->_config->first_byte_ns;
    t->out.idle_ns = f->_config->idle_ns;
    t->out.on_inform = on_out_inform;
    t->out.on_response = on_out_response;
    t->out.on_failed = on_out_failed;
    t->out.owner = t;
    mg_client_conn_send(c, &t->out);
}

/* --- connecting --- */

static void use_stream(struct mg_try *t, struct mg_stream *stream)
{
    const struct mg_fetch *f = t->fetch;
    mg_timer_stop(&t->_connect_timer);
    send_on(t, mg_pools_adopt(f->pools, t->backend, f->_config, stream));
}

static void on_secured(void *arg, struct mg_stream *stream, const char *failure)
{
    struct mg_try *t = arg;
    t->_handshake = NULL;
    if (stream)
        use_stream(t, stream);
    else
        fail(t, MG_FETCH_TLS, mg_arena_printf(t->fetch->arena, "tls: %s", failure).p);
}

static void secure(struct mg_try *t, struct mg_stream *stream)
{
    const struct mg_fetch *f = t->fetch;
    struct mg_str host = mg_address_host(mg_str_c(t->backend->authority));
    t->_handshake = mg_tls_client_connect(f->picker->tls, stream, host, t->backend->id,
                                          now(t) + f->_config->connect_ns, on_secured, t);
}

static void on_connected(void *arg, struct mg_stream *stream, int error)
{
    struct mg_try *t = arg;
    t->_dial = NULL;
    if (stream && t->fetch->picker->tls && !t->fetch->pools->dialer.secure)
        secure(t, stream);
    else if (stream)
        use_stream(t, stream);
    else
        fail(t, MG_FETCH_CONNECT_FAILED, mg_dialer_error(error));
}

static void stop_connecting(struct mg_try *t)
{
    const struct mg_dialer *dialer = &t->fetch->pools->dialer;
    if (t->_dial)
        dialer->cancel(dialer->ctx, t->_dial);
    if (t->_handshake)
        mg_tls_stream_cancel(t->_handshake);
    t->_dial = NULL;
    t->_handshake = NULL;
    mg_soon_cancel(&t->_refused);
    mg_timer_stop(&t->_connect_timer);
}

static void on_connect_timeout(void *arg)
{
    struct mg_try *t = arg;
    fail(t, MG_FETCH_CONNECT_TIMEOUT, t->_handshake ? "tls-timeout" : "connect-timeout");
}

static void on_whole_timeout(void *arg)
{
    struct mg_try *t = arg;
    if (t->connected_ns)
        fail(t, MG_FETCH_FIRST_BYTE_TIMEOUT, "upstream-try-timeout");
    else
        on_connect_timeout(t);
}

static void on_refused(void *arg)
{
    struct mg_try *t = arg;
    fail(t, MG_FETCH_CONNECT_FAILED, t->detail);
}

static void dial(struct mg_try *t)
{
    const struct mg_fetch *f = t->fetch;
    int error = 0;
    t->_dial = f->pools->dialer.start(f->pools->dialer.ctx, t->backend, on_connected, t, &error);
    if (t->_dial) {
        mg_timer_set(&t->_connect_timer, now(t) + f->_config->connect_ns);
        return;
    }
    t->detail = mg_dialer_error(error);
    mg_soon_run(f->pools->loop, &t->_refused);
}

static struct mg_client_conn *take_pooled(struct mg_try *t)
{
    const struct mg_fetch *f = t->fetch;
    struct mg_client_conn *c;
    bool careful = !mg_fetch_is_idempotent(f->request->method_id);
    while ((c = mg_pools_take(f->pools, t->backend, f->_config))) {
        if (!careful || mg_client_conn_is_alive(c))
            return c;
        mg_client_conn_discard(c);
    }
    return NULL;
}

static void begin(struct mg_try *t, bool pooled)
{
    struct mg_client_conn *c = pooled ? take_pooled(t) : NULL;
    t->fetch->attempts++;
    t->connected_ns = 0;
    if (c)
        send_on(t, c);
    else
        dial(t);
}

/* --- life --- */

void mg_try_init(struct mg_try *t, struct mg_fetch *f)
{
    t->fetch = f;
    t->backend = NULL;
    t->running = t->_counted = t->_reused = false;
    t->connected_ns = 0;
    t->error = MG_FETCH_OK;
    t->detail = NULL;
    t->_dial = NULL;
    t->_handshake = NULL;
    t->out._conn = NULL;
    t->out._rest.blocks = NULL;
    mg_timer_init(&t->_connect_timer, f->pools->loop, on_connect_timeout, t);
    mg_timer_init(&t->_whole_timer, f->pools->loop, on_whole_timeout, t);
    mg_soon_init(&t->_refused, on_refused, t);
}

/* A short body that nobody wanted is there as a rule, and then the connection can be kept. */
static void drain(struct mg_body *b)
{
    struct mg_str bytes;
    while (mg_body_peek(b, &bytes) == MG_BODY_BYTES)
        mg_body_consume(b, bytes.n);
}

void mg_try_start(struct mg_try *t, struct mg_backend *b, struct mg_body *body)
{
    struct mg_backend *before = t->backend;
    if (t->out._conn && t->out._got_head)
        drain(&t->out.response_body);
    mg_try_end(t);
    mg_backend_ref(b);
    t->backend = b;
    occupy_backend(t);
    if (before)
        mg_backend_unref(before);
    t->_body = body;
    t->error = MG_FETCH_OK;
    t->running = true;
    if (t->fetch->_config->per_try_ns)
        mg_timer_set(&t->_whole_timer, now(t) + t->fetch->_config->per_try_ns);
    begin(t, true);
}

void mg_try_end(struct mg_try *t)
{
    t->running = false;
    stop_connecting(t);
    mg_timer_stop(&t->_whole_timer);
    mg_outbound_end(&t->out);
    t->out._rest.blocks = NULL;
    let_go_of_backend(t);
}

void mg_try_release(struct mg_try *t)
{
    mg_try_end(t);
    mg_timer_release(&t->_connect_timer);
    mg_timer_release(&t->_whole_timer);
    if (t->backend)
        mg_backend_unref(t->backend);
    t->backend = NULL;
}
