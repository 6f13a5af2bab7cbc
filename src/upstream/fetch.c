/* One request to a service: backend, connection, retries. Worker thread. */
#include "upstream/fetch.h"

#include "base/log.h"

static void try_next(struct mg_fetch *f);

static uint64_t now(const struct mg_fetch *f)
{
    return mg_loop_now(f->pools->loop);
}

/* --- the circuit breaker --- */

static void report(struct mg_fetch *f, enum mg_breaker_outcome outcome)
{
    if (!f->_admitted)
        return;
    f->_admitted = false;
    switch (mg_breaker_report(f->_guards->breaker, f->_ticket, outcome, now(f))) {
    case MG_BREAKER_OPENED:
        mg_log_warn("circuit opened", MG_LOG_STR("service", f->_config->name),
                    MG_LOG_C("reason", f->error ? mg_fetch_error_code(f->error) : "status"));
        break;
    case MG_BREAKER_CLOSED:
        mg_log_info("circuit closed", MG_LOG_STR("service", f->_config->name));
        break;
    case MG_BREAKER_SAME:
        break;
    }
}

static enum mg_breaker_outcome judge_failure(enum mg_fetch_error error)
{
    switch (error) {
    case MG_FETCH_NO_BACKEND:
    case MG_FETCH_REQUEST_BODY:
        return MG_BREAKER_UNKNOWN; /* no backend had a part in it */
    default:
        return MG_BREAKER_FAILURE;
    }
}

static void report_response(struct mg_fetch *f)
{
    if (f->_admitted)
        report(f, mg_breaker_judge(mg_breaker_config(f->_guards->breaker), f->out.response.status,
                                   f->first_byte_ns - f->started_ns));
}

/* Ended from outside: an owner who waited until its time was over has seen a failure, and one whose
 * client left has seen nothing. */
static void report_given_up(struct mg_fetch *f)
{
    bool late = f->deadline_ns && now(f) >= f->deadline_ns;
    report(f, late ? MG_BREAKER_FAILURE : MG_BREAKER_UNKNOWN);
}

static bool admit(struct mg_fetch *f)
{
    if (!f->_guards || !f->_guards->breaker)
        return true;
    f->_admitted = mg_breaker_admit(f->_guards->breaker, now(f), &f->_ticket);
    if (!f->_admitted)
        f->retry_after_ns = mg_breaker_retry_after(f->_guards->breaker, now(f));
    return f->_admitted;
}

/* --- results --- */

static void fail(struct mg_fetch *f, enum mg_fetch_error error, const char *detail)
{
    f->error = error;
    f->detail = detail;
    mg_timer_release(&f->_timer);
    report(f, judge_failure(error));
    f->on_failed(f);
}

static void on_soon(void *arg)
{
    struct mg_fetch *f = arg;
    report(f, judge_failure(f->error));
    f->on_failed(f);
}

static void fail_later(struct mg_fetch *f, enum mg_fetch_error error, const char *detail)
{
    f->error = error;
    f->detail = detail;
    mg_soon_run(f->pools->loop, &f->_soon);
}

static void let_go_of_backend(struct mg_fetch *f)
{
    if (f->_sent) {
        atomic_fetch_sub_explicit(&f->backend->in_flight, 1, memory_order_relaxed);
        f->_sent = false;
    }
}

/* RFC 9110 9.2.2 */
static bool is_idempotent(enum mg_method m)
{
    return m == MG_METHOD_GET || m == MG_METHOD_HEAD || m == MG_METHOD_PUT ||
           m == MG_METHOD_DELETE || m == MG_METHOD_OPTIONS || m == MG_METHOD_TRACE;
}

/* A kept connection that the backend closed just as we used it is nobody's error: nothing was
 * answered, and nothing of the body is lost. What must not happen twice is not sent twice. */
static bool may_send_again(const struct mg_fetch *f)
{
    return f->_reused && f->attempts <= MG_FETCH_TRIES && f->out.sent_body_bytes == 0 &&
           is_idempotent(f->request->method_id);
}

static void on_out_failed(struct mg_outbound *o, enum mg_outbound_failure failure,
                          const char *reason)
{
    struct mg_fetch *f = o->owner;
    let_go_of_backend(f);
    switch (failure) {
    case MG_OUT_CLOSED:
        if (may_send_again(f))
            try_next(f);
        else
            fail(f, MG_FETCH_RESET, reason);
        return;
    case MG_OUT_RESET:
        fail(f, MG_FETCH_RESET, reason);
        return;
    case MG_OUT_BAD_RESPONSE:
        fail(f, MG_FETCH_BAD_RESPONSE, reason);
        return;
    case MG_OUT_FIRST_BYTE:
        fail(f, MG_FETCH_FIRST_BYTE_TIMEOUT, reason);
        return;
    case MG_OUT_IDLE:
        fail(f, MG_FETCH_IDLE_TIMEOUT, reason);
        return;
    case MG_OUT_BODY_BROKEN:
        fail(f, MG_FETCH_REQUEST_BODY, reason);
        return;
    }
}

static void on_out_response(struct mg_outbound *o)
{
    struct mg_fetch *f = o->owner;
    f->first_byte_ns = now(f);
    if (f->_config->balance == MG_BALANCE_LATENCY)
        mg_backend_saw_latency(f->backend, f->first_byte_ns - f->connected_ns, f->first_byte_ns);
    report_response(f);
    f->on_response(f);
}

static void on_out_inform(struct mg_outbound *o)
{
    struct mg_fetch *f = o->owner;
    if (f->on_inform)
        f->on_inform(f, &o->response);
}

/* --- sending --- */

/* A request may bring no host to keep: one of a step's own, or of an HTTP/1.0 client. */
static struct mg_str choose_authority(const struct mg_fetch *f)
{
    switch (f->_config->host) {
    case MG_HOST_BACKEND:
        return mg_str_c(f->backend->authority);
    case MG_HOST_NAME:
        return f->_config->host_name;
    case MG_HOST_KEEP:
        break;
    }
    return f->request->authority.n ? MG_STR_NONE : mg_str_c(f->backend->authority);
}

static void send_on(struct mg_fetch *f, struct mg_client_conn *c)
{
    f->connected_ns = now(f);
    f->_reused = c->requests > 0;
    f->_sent = true;
    atomic_fetch_add_explicit(&f->backend->in_flight, 1, memory_order_relaxed);
    f->out.request = f->request;
    f->out.body = f->body;
    f->out.arena = f->arena;
    f->out.target = f->target;
    f->out.extra = f->extra;
    f->out.authority = choose_authority(f);
    f->out.first_byte_ns = f->_config->first_byte_ns;
    f->out.idle_ns = f->_config->idle_ns;
    f->out.on_inform = on_out_inform;
    f->out.on_response = on_out_response;
    f->out.on_failed = on_out_failed;
    f->out.owner = f;
    mg_client_conn_send(c, &f->out);
}

/* --- connecting --- */

static void connect_failed(struct mg_fetch *f, enum mg_fetch_error error, const char *detail)
{
    f->error = error;
    f->detail = detail;
    if (f->attempts < MG_FETCH_TRIES)
        try_next(f); /* nothing was sent: any other backend will do */
    else
        fail(f, error, detail);
}

static void use_stream(struct mg_fetch *f, struct mg_stream *stream)
{
    mg_timer_stop(&f->_timer);
    send_on(f, mg_pools_adopt(f->pools, f->backend, f->_config, stream));
}

static void on_secured(void *arg, struct mg_stream *stream, const char *failure)
{
    struct mg_fetch *f = arg;
    f->_handshake = NULL;
    if (stream) {
        use_stream(f, stream);
        return;
    }
    mg_timer_stop(&f->_timer);
    connect_failed(f, MG_FETCH_TLS, mg_arena_printf(f->arena, "tls: %s", failure).p);
}

static void secure(struct mg_fetch *f, struct mg_stream *stream)
{
    struct mg_str host = mg_address_host(mg_str_c(f->backend->authority));
    f->_handshake = mg_tls_client_connect(f->picker->tls, stream, host, f->backend->id,
                                          now(f) + f->_config->connect_ns, on_secured, f);
}

static void on_connected(void *arg, struct mg_stream *stream, int error)
{
    struct mg_fetch *f = arg;
    f->_dial = NULL;
    if (stream && f->picker->tls && !f->pools->dialer.secure) {
        secure(f, stream);
    } else if (stream) {
        use_stream(f, stream);
    } else {
        mg_timer_stop(&f->_timer);
        connect_failed(f, MG_FETCH_CONNECT_FAILED, mg_dialer_error(error));
    }
}

static void stop_connecting(struct mg_fetch *f)
{
    if (f->_dial)
        f->pools->dialer.cancel(f->pools->dialer.ctx, f->_dial);
    if (f->_handshake)
        mg_tls_stream_cancel(f->_handshake);
    f->_dial = NULL;
    f->_handshake = NULL;
}

static void on_connect_timeout(void *arg)
{
    struct mg_fetch *f = arg;
    bool connected = f->_handshake != NULL;
    stop_connecting(f);
    connect_failed(f, MG_FETCH_CONNECT_TIMEOUT, connected ? "tls-timeout" : "connect-timeout");
}

static void on_refused_at_once(void *arg)
{
    struct mg_fetch *f = arg;
    mg_soon_init(&f->_soon, on_soon, f);
    connect_failed(f, MG_FETCH_CONNECT_FAILED, f->detail);
}

static void dial(struct mg_fetch *f)
{
    int error = 0;
    f->_dial = f->pools->dialer.start(f->pools->dialer.ctx, f->backend, on_connected, f, &error);
    if (f->_dial) {
        mg_timer_set(&f->_timer, now(f) + f->_config->connect_ns);
        return;
    }
    f->detail = mg_dialer_error(error);
    mg_soon_init(&f->_soon, on_refused_at_once, f);
    mg_soon_run(f->pools->loop, &f->_soon);
}

static struct mg_client_conn *take_pooled(struct mg_fetch *f)
{
    struct mg_client_conn *c;
    bool careful = !is_idempotent(f->request->method_id);
    while ((c = mg_pools_take(f->pools, f->backend, f->_config))) {
        if (!careful || mg_client_conn_is_alive(c))
            return c;
        mg_client_conn_discard(c);
    }
    return NULL;
}

static void use_backend(struct mg_fetch *f, struct mg_backend *b)
{
    struct mg_backend *before = f->backend;
    mg_backend_ref(b);
    f->backend = b;
    if (before)
        mg_backend_unref(before);
}

static void try_next(struct mg_fetch *f)
{
    uint32_t tried = f->attempts < MG_FETCH_TRIES ? f->attempts : MG_FETCH_TRIES;
    struct mg_backend *b;
    bool fresh = f->_reused;
    if (fresh) {
        b = f->backend; /* the backend is fine, its old connection was not */
        f->_reused = false;
    } else {
        const struct mg_pick pick = {.tried = f->_tried, .tried_count = tried, .now_ns = now(f)};
        b = mg_picker_next(f->picker, &pick);
    }
    if (!b) {
        if (f->error)
            fail_later(f, f->error, f->detail); /* of the last one tried */
        else
            fail_later(f, MG_FETCH_NO_BACKEND, "no-backend");
        return;
    }
    use_backend(f, b);
    if (tried < MG_FETCH_TRIES)
        f->_tried[tried] = b;
    f->attempts++;
    struct mg_client_conn *c = fresh ? NULL : take_pooled(f);
    if (c)
        send_on(f, c);
    else
        dial(f);
}

void mg_fetch_start(struct mg_fetch *f)
{
    f->_config = mg_service_config(f->picker->service);
    f->_guards = mg_service_guards(f->picker->service);
    f->error = MG_FETCH_OK;
    f->backend = NULL;
    f->attempts = 0;
    f->started_ns = now(f);
    f->connected_ns = f->first_byte_ns = f->retry_after_ns = 0;
    f->_dial = NULL;
    f->_handshake = NULL;
    f->_reused = f->_sent = f->_ended = f->_admitted = false;
    f->out._conn = NULL;
    f->out._rest.blocks = NULL;
    mg_timer_init(&f->_timer, f->pools->loop, on_connect_timeout, f);
    mg_soon_init(&f->_soon, on_soon, f);
    if (admit(f))
        try_next(f);
    else
        fail_later(f, MG_FETCH_CIRCUIT_OPEN, "circuit-open");
}

void mg_fetch_end(struct mg_fetch *f)
{
    if (f->_ended)
        return;
    f->_ended = true;
    report_given_up(f);
    mg_soon_cancel(&f->_soon);
    mg_timer_release(&f->_timer);
    stop_connecting(f);
    mg_outbound_end(&f->out);
    if (f->backend) {
        let_go_of_backend(f);
        mg_backend_unref(f->backend);
    }
}

const char *mg_fetch_error_code(enum mg_fetch_error e)
{
    static const char *const codes[] = {
        [MG_FETCH_OK] = "",
        [MG_FETCH_CONNECT_FAILED] = "connect_failed",
        [MG_FETCH_CONNECT_TIMEOUT] = "connect_timeout",
        [MG_FETCH_FIRST_BYTE_TIMEOUT] = "first_byte_timeout",
        [MG_FETCH_IDLE_TIMEOUT] = "idle_timeout",
        [MG_FETCH_RESET] = "reset",
        [MG_FETCH_BAD_RESPONSE] = "bad_response",
        [MG_FETCH_NO_BACKEND] = "no_backend",
        [MG_FETCH_TLS] = "tls",
        [MG_FETCH_REQUEST_BODY] = "request_body",
        [MG_FETCH_CIRCUIT_OPEN] = "circuit_open",
    };
    return codes[e];
}

int mg_fetch_error_status(const struct mg_fetch *f)
{
    switch (f->error) {
    case MG_FETCH_CONNECT_TIMEOUT:
    case MG_FETCH_FIRST_BYTE_TIMEOUT:
    case MG_FETCH_IDLE_TIMEOUT:
        return 504;
    case MG_FETCH_RESET:
    case MG_FETCH_BAD_RESPONSE:
    case MG_FETCH_TLS:
        return 502;
    case MG_FETCH_REQUEST_BODY:
        return f->body && f->body->status ? f->body->status : 400;
    default:
        return f->_config->status_when_down ? f->_config->status_when_down : 503;
    }
}
