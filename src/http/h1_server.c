/*
 * HTTP/1.x connections from clients: reads requests one after the other, hands each to the handler,
 * writes its response. Loop thread.
 *
 * Always true: a connection has at most one current request; bytes after it (pipelining) wait in
 * the input block. Nothing here calls itself through the handler: `processing` turns a response
 * that is finished inside on_request into one more round of the loop in process().
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "http/date.h"
#include "http/h1_input.h"
#include "http/h1_output.h"
#include "http/h1_write.h"
#include "http/server.h"

/* Reads from one socket before others get their turn. */
#define READS_A_TURN 4
/* After a response that closes: how long and how much to read on, so that the client gets the
 * response and not a reset (RFC 9112 9.6). */
#define LINGER_NS (2 * MG_SECOND)
#define LINGER_BYTES (32u << 20)
/* A client that has closed its sending side may be gone altogether: TCP tells only when we write.
 * It gets this long for its answer to begin. */
#define HALF_CLOSED_NS (1 * MG_SECOND)
/* Slow bodies: each byte received buys this much time on top of request_time (1 KiB/s at least). */
#define NS_PER_BODY_BYTE (MG_SECOND / 1024)

enum state {
    IDLE,     /* between requests, nothing read yet */
    HEAD,     /* part of a head is there */
    EXCHANGE, /* a request was handed up */
    LINGER,   /* reading on before the close */
    CLOSED,
};

/* What a connection may be waiting for; each has a time when it is enough. 0: not waiting for it.
 */
enum wait { WAIT_STATE, WAIT_BODY, WAIT_WRITE, WAIT_DEADLINE, WAIT_COUNT };

struct request;

struct conn {
    struct mg_server *server;
    struct mg_stream *stream;
    struct mg_link link; /* in server->connections */
    struct mg_timer timer;
    struct mg_client client;
    struct mg_h1_input input;
    struct mg_h1_scan scan;
    struct mg_h1_output output;
    struct request *current; /* EXCHANGE only */
    uint64_t until[WAIT_COUNT];
    uint64_t serial;          /* of the current request: addresses may come again */
    uint64_t body_awaited_ns; /* WAIT_BODY: since when; 0: it is not waited for */
    uint32_t lingered;        /* bytes */
    uint8_t state;
    bool processing;
    bool keep_alive; /* another request may follow the current one */
    bool peer_ended; /* the client will send no more */
    bool tunnel;     /* after a 101 */
    bool drained;    /* a reader that moves has emptied the socket */
    bool out_done;   /* tunnel: our direction has ended */
};

struct request {
    struct mg_inbound base;
    struct mg_body body;
    struct mg_h1_body decoder;
    struct mg_fields trailers;
    bool owes_continue; /* the client waits for a 100 before it sends the body */
    bool broken;        /* the body cannot be read to its end */
};

static void process(struct conn *c);
static void pump(struct conn *c);

/* --- time --- */

static uint64_t now(const struct conn *c)
{
    return mg_loop_now(c->server->loop);
}

static void arm(struct conn *c)
{
    uint64_t first = 0;
    for (int i = 0; i < WAIT_COUNT; i++)
        if (c->until[i] && (!first || c->until[i] < first))
            first = c->until[i];
    if (first)
        mg_timer_set(&c->timer, first);
    else
        mg_timer_stop(&c->timer);
}

/* The deadline is for what the gateway and its backends do: time in which we wait for the client to
 * send its body does not count. A body has limits of its own. */
static void put_off_deadline(struct conn *c, bool still_waiting)
{
    if (c->body_awaited_ns && c->until[WAIT_DEADLINE])
        c->until[WAIT_DEADLINE] += now(c) - c->body_awaited_ns;
    c->body_awaited_ns = still_waiting ? now(c) : 0;
}

static void wait_for(struct conn *c, enum wait what, uint64_t until)
{
    if (c->until[what] == until)
        return;
    if (what == WAIT_BODY)
        put_off_deadline(c, until != 0);
    c->until[what] = until;
    arm(c);
}

static void wait_for_nothing(struct conn *c)
{
    memset(c->until, 0, sizeof c->until);
    c->body_awaited_ns = 0;
    mg_timer_stop(&c->timer);
}

static bool is_over(const struct conn *c, enum wait what)
{
    return c->until[what] && c->until[what] <= now(c);
}

/* --- the end of a connection --- */

static void free_conn(void *memory)
{
    struct conn *c = memory;
    mg_timer_release(&c->timer);
    mg_h1_input_release(&c->input);
    free(c);
}

static void close_conn(struct conn *c, bool reset)
{
    if (c->state == CLOSED)
        return;
    c->state = CLOSED;
    mg_timer_release(&c->timer);
    if (reset)
        mg_stream_reset(c->stream);
    else
        mg_stream_close(c->stream);
    mg_list_remove(&c->link);
    c->server->connection_count--;
    mg_loop_free_later(c->server->loop, c, free_conn);
}

/* Takes the current request off the connection. What it still has of its body is lost. */
static struct request *detach(struct conn *c)
{
    struct request *r = c->current;
    mg_h1_output_release(&c->output);
    c->current = NULL;
    r->base.conn = NULL;
    r->broken = true;
    if (!r->body.reason)
        r->body.reason = "client-closed";
    return r;
}

/* The client left, or is treated as if it had. One that only ended its side may still be reading
 * the answers to its earlier requests, which a reset would take from it. */
static void gone(struct conn *c, const char *reason)
{
    if (c->state == CLOSED)
        return;
    struct request *r = c->state == EXCHANGE ? detach(c) : NULL;
    const struct mg_inbound_handler *handler = c->server->handler;
    close_conn(c, r && (r->base.responded || !c->peer_ended));
    if (r)
        handler->on_gone(&r->base, reason);
}

static void linger(struct conn *c)
{
    c->state = LINGER;
    mg_stream_shutdown(c->stream);
    mg_h1_input_release(&c->input);
    wait_for_nothing(c);
    wait_for(c, WAIT_STATE, now(c) + LINGER_NS);
    mg_stream_watch(c->stream, true, false);
}

/* --- the request's body, as its reader sees it --- */

static struct request *request_of(struct mg_body *b)
{
    return MG_CONTAINER_OF(b, struct request, body);
}

/* Reading goes on whenever there is room, so the clock for slow senders runs only while there is.
 */
static void expect_body(struct conn *c)
{
    struct request *r = c->current;
    if (c->tunnel || r->decoder.done || r->broken || !c->stream->watch_read || r->owes_continue) {
        wait_for(c, WAIT_BODY, 0);
        return;
    }
    const struct mg_server_limits *l = &c->server->limits;
    uint64_t silence = now(c) + l->header_time_ns;
    uint64_t whole = r->base.started_ns + l->request_time_ns + r->decoder.total * NS_PER_BODY_BYTE;
    wait_for(c, WAIT_BODY, silence < whole ? silence : whole);
}

static void break_body(struct conn *c, int status, const char *reason)
{
    struct request *r = c->current;
    r->broken = true;
    r->body.status = status;
    r->body.reason = reason;
    c->keep_alive = false;
    wait_for(c, WAIT_BODY, 0);
}

static void decode(struct conn *c)
{
    struct request *r = c->current;
    struct mg_h1_fault fault;
    if (r->decoder.done || r->broken)
        return;
    if (mg_h1_input_decode(&c->input, &r->decoder, &fault) < 0)
        break_body(c, fault.status, fault.reason);
    else if (r->decoder.total > c->server->limits.body_bytes && !c->tunnel)
        break_body(c, 413, "body-too-large");
}

/* A write that fails here is left for the read side to find: peek, which leads here, never calls
 * back. */
static void send_continue(struct conn *c)
{
    struct request *r = c->current;
    r->owes_continue = false;
    r->base.request.expect_continue = false; /* nobody waits for one from now on */
    mg_h1_output_queue(&c->output, &r->base.arena, MG_STR("HTTP/1.1 100 Continue\r\n\r\n"));
    if (mg_h1_output_pump(&c->output, c->stream, &r->base.arena) == MG_H1_OUT_WAIT_SOCKET)
        mg_stream_watch(c->stream, c->stream->watch_read, true);
    expect_body(c);
}

static enum mg_body_state body_peek(struct mg_body *b, struct mg_str *bytes)
{
    struct request *r = request_of(b);
    struct conn *c = r->base.conn;
    if (c) {
        *bytes = mg_h1_input_payload(&c->input);
        b->at_end = r->decoder.done && !r->broken;
        if (bytes->n)
            return MG_BODY_BYTES;
    }
    if (r->decoder.done && !r->broken)
        return MG_BODY_END;
    if (r->broken)
        return MG_BODY_BROKEN;
    if (r->owes_continue && !r->base.responded)
        send_continue(c);
    return MG_BODY_WAIT;
}

static void body_consume(struct mg_body *b, size_t n)
{
    struct request *r = request_of(b);
    struct conn *c = r->base.conn;
    mg_h1_input_consume(&c->input, n);
    if (mg_h1_input_payload(&c->input).n)
        return;
    decode(c); /* raw bytes that had to wait for room */
    if (!c->stream->watch_read && !c->peer_ended) {
        mg_stream_watch(c->stream, true, c->stream->watch_write);
        expect_body(c);
    }
}

/* What goes wrong here is left for a read to find. */
static ssize_t body_move(struct mg_body *b, struct mg_pipe *p, size_t max)
{
    struct request *r = request_of(b);
    struct conn *c = r->base.conn;
    if (!c || !c->stream->ops->to_pipe || !mg_h1_input_is_empty(&c->input) || r->decoder.done ||
        r->broken || r->owes_continue || r->decoder.kind != MG_H1_LENGTH)
        return 0;
    ssize_t n =
        c->stream->ops->to_pipe(c->stream, p, max < r->decoder.left ? max : r->decoder.left);
    if (n == MG_STREAM_AGAIN) {
        c->drained = true;
        if (!c->peer_ended)
            mg_stream_watch(c->stream, true, c->stream->watch_write);
    } else if (n > 0) {
        mg_h1_body_skip(&r->decoder, (uint64_t)n);
    } else {
        return 0;
    }
    expect_body(c);
    return n;
}

static const struct mg_body_ops body_ops = {
    .peek = body_peek, .consume = body_consume, .move = body_move};

/* --- responses --- */

/* After its end the client may still have requests here, sent before it (RFC 9112 9.3.2). */
static bool may_have_another(const struct conn *c)
{
    return !c->peer_ended || mg_h1_input_raw(&c->input).n > 0;
}

static void finish_response(struct conn *c)
{
    struct request *r = c->current;
    bool body_left = !r->decoder.done;
    mg_h1_output_release(&c->output);
    c->current = NULL;
    r->base.conn = NULL;
    wait_for_nothing(c);
    /* Payload that nobody took belongs to the request that is over now. */
    mg_h1_input_consume(&c->input, mg_h1_input_payload(&c->input).n);
    if (!c->keep_alive || body_left || !may_have_another(c)) {
        bool more_to_come = body_left || mg_h1_input_raw(&c->input).n > 0;
        if (more_to_come && !c->peer_ended)
            linger(c);
        else
            close_conn(c, false);
    } else {
        c->state = IDLE;
        mg_stream_watch(c->stream, true, false);
        wait_for(c, WAIT_STATE, now(c) + c->server->limits.idle_time_ns);
    }
    c->server->handler->on_done(&r->base, NULL);
    if (c->state != IDLE || c->processing)
        return;
    if (mg_h1_input_raw(&c->input).n)
        process(c);
    else
        mg_h1_input_trim(&c->input);
}

static void fail_response(struct conn *c, const char *reason)
{
    struct request *r = detach(c);
    const struct mg_inbound_handler *handler = c->server->handler;
    close_conn(c, true);
    handler->on_done(&r->base, reason);
}

/* Our direction of a tunnel has ended; the other may go on, as long as there is somebody at its far
 * end. */
static void end_tunnel_output(struct conn *c)
{
    struct request *r = c->current;
    if (!c->out_done) {
        c->out_done = true;
        mg_stream_shutdown(c->stream);
        wait_for(c, WAIT_STATE, now(c) + c->server->limits.idle_time_ns);
    }
    bool is_read = r->body.on_ready != NULL;
    if (!is_read || (r->decoder.done && mg_h1_input_payload(&c->input).n == 0))
        finish_response(c);
}

static void wait_for_socket(struct conn *c, bool full)
{
    mg_stream_watch(c->stream, c->stream->watch_read, full);
    wait_for(c, WAIT_WRITE, full ? now(c) + c->server->limits.idle_time_ns : 0);
}

/* What ends the response comes last: the connection may be serving another request by then. */
static void pump(struct conn *c)
{
    struct request *r = c->current;
    enum mg_h1_output_state state = mg_h1_output_pump(&c->output, c->stream, &r->base.arena);
    r->base.sent_bytes = c->output.sent;
    if (state == MG_H1_OUT_BODY_BROKEN) {
        fail_response(c, c->output.body->reason ? c->output.body->reason : "body-broken");
        return;
    }
    if (state == MG_H1_OUT_SOCKET_BROKEN) {
        gone(c, "client-reset");
        return;
    }
    wait_for_socket(c, state == MG_H1_OUT_WAIT_SOCKET);
    if (state != MG_H1_OUT_DONE || !r->base.responded)
        return;
    if (c->tunnel)
        end_tunnel_output(c);
    else
        finish_response(c);
}

static void on_body_ready(void *arg)
{
    struct conn *c = arg;
    if (c->state == EXCHANGE && !c->stream->watch_write)
        pump(c);
}

static bool has_no_body(const struct request *r, const struct mg_message *res)
{
    return r->base.request.method_id == MG_METHOD_HEAD || res->status == 204 || res->status == 304;
}

static enum mg_h1_framing_kind choose_framing(const struct request *r, const struct mg_message *res,
                                              const struct mg_body *body)
{
    if (res->status == 101)
        return MG_H1_UNTIL_CLOSE;
    if (has_no_body(r, res))
        return MG_H1_NO_BODY;
    if (!body || body->length >= 0)
        return MG_H1_LENGTH;
    return r->base.request.version >= 11 ? MG_H1_CHUNKED : MG_H1_UNTIL_CLOSE;
}

static void begin_tunnel(struct conn *c)
{
    struct request *r = c->current;
    struct mg_h1_framing raw = {.kind = MG_H1_UNTIL_CLOSE};
    wait_for_nothing(c);
    c->tunnel = true;
    c->keep_alive = false;
    r->body.length = -1;
    mg_h1_body_init(&r->decoder, &raw, &c->server->limits.head, NULL, NULL);
    decode(c);
}

static void respond(struct mg_inbound *in, struct mg_message *res, struct mg_body *body)
{
    struct conn *c = in->conn;
    if (!c) {
        if (body)
            mg_body_cancel(body);
        return;
    }
    struct request *r = c->current;
    enum mg_h1_framing_kind framing = choose_framing(r, res, body);
    /* The next request begins where this one's body ends. Whoever answers before that end may stop
     * reading at any time, so it is not waited for. */
    if (c->server->draining || !may_have_another(c) || framing == MG_H1_UNTIL_CLOSE ||
        !r->decoder.done)
        c->keep_alive = false;
    if (res->status == 101)
        begin_tunnel(c);

    struct mg_h1_write w = {
        .framing = framing,
        .length = body && body->length > 0 ? (uint64_t)body->length : 0,
        .keep_alive = c->keep_alive || res->status == 101,
        .say_keep_alive = c->keep_alive && in->request.version < 11,
        .upgrade = res->status == 101 ? res->upgrade : MG_STR_NONE,
        .date = mg_http_date(mg_loop_wall(c->server->loop)),
    };
    mg_h1_output_queue(&c->output, &in->arena, mg_h1_write_response(res, &w));
    if (framing == MG_H1_NO_BODY) {
        if (body)
            mg_body_cancel(body);
        body = NULL;
    }
    mg_h1_output_body(&c->output, res, body, framing, w.length);
    if (body) {
        body->on_ready = on_body_ready;
        body->reader = c;
    }
    pump(c);
}

static void inform(struct mg_inbound *in, struct mg_message *res)
{
    struct conn *c = in->conn;
    if (!c || in->responded || in->request.version < 11)
        return;
    struct mg_h1_write w = {.framing = MG_H1_NO_BODY, .keep_alive = true};
    mg_h1_output_queue(&c->output, &in->arena, mg_h1_write_response(res, &w));
    pump(c);
}

static void set_deadline(struct mg_inbound *in, uint64_t deadline_ns)
{
    if (in->conn)
        wait_for(in->conn, WAIT_DEADLINE, deadline_ns);
}

static void abort_request(struct mg_inbound *in)
{
    struct conn *c = in->conn;
    if (!c)
        return;
    detach(c);
    close_conn(c, true);
}

static const struct mg_inbound_ops inbound_ops = {
    .respond = respond, .inform = inform, .set_deadline = set_deadline, .abort = abort_request};

void mg_inbound_free(struct mg_inbound *in)
{
    MG_BUG_ON(in->conn != NULL);
    struct mg_arena arena = in->arena; /* the struct itself lies in it */
    mg_arena_release(&arena);
}

/* --- requests --- */

static struct request *new_request(struct conn *c)
{
    struct mg_arena arena;
    mg_arena_init(&arena, c->server->chunks);
    struct request *r = mg_arena_alloc(&arena, sizeof *r);
    memset(r, 0, sizeof *r);
    r->base.ops = &inbound_ops;
    r->base.arena = arena;
    r->base.client = &c->client;
    r->base.conn = c;
    r->base.body = &r->body;
    r->base.started_ns = now(c);
    r->body.ops = &body_ops;
    r->body.length = -1;
    mg_message_init(&r->base.request, &r->base.arena);
    c->current = r;
    c->serial++;
    c->state = EXCHANGE;
    wait_for_nothing(c);
    mg_h1_output_init(&c->output);
    return r;
}

static void refuse(struct conn *c, struct request *r, int status, const char *reason)
{
    r->broken = true;
    r->body.reason = reason;
    r->body.status = status;
    r->decoder.done = false;
    c->keep_alive = false;
    if (!r->base.request.version)
        r->base.request.version = 11;
    c->server->handler->on_refused(c->server->ctx, &r->base, status, reason);
}

static void begin_body(struct conn *c, struct request *r, const struct mg_h1_framing *framing)
{
    const struct mg_server_limits *l = &c->server->limits;
    mg_h1_body_init(&r->decoder, framing, &l->head, &r->trailers, &r->base.arena);
    r->body.trailers = &r->trailers;
    if (framing->kind == MG_H1_NO_BODY)
        r->body.length = 0;
    else if (framing->kind == MG_H1_LENGTH)
        r->body.length = (int64_t)framing->length;
    decode(c);
    r->owes_continue = r->base.request.expect_continue && r->base.request.version >= 11 &&
                       !r->decoder.done && mg_h1_input_payload(&c->input).n == 0;
    r->base.request.expect_continue = r->owes_continue;
}

static void begin_request(struct conn *c, const char *head, size_t n)
{
    struct request *r = new_request(c);
    struct mg_message *m = &r->base.request;
    struct mg_h1_framing framing = {0};
    struct mg_h1_fault fault;
    struct mg_str copy = mg_arena_str(&r->base.arena, mg_str(head, n));
    mg_h1_input_skip_raw(&c->input, n);
    m->scheme = c->client.secure ? MG_STR("https") : MG_STR("http");
    if (mg_h1_parse_request(copy.p, copy.n, &c->server->limits.head, m, &framing, &fault) < 0) {
        refuse(c, r, fault.status, fault.reason);
        return;
    }
    c->keep_alive = framing.keep_alive;
    if (framing.kind == MG_H1_LENGTH && framing.length > c->server->limits.body_bytes) {
        refuse(c, r, 413, "body-too-large");
        return;
    }
    begin_body(c, r, &framing);
    expect_body(c);
    c->server->handler->on_request(c->server->ctx, &r->base);
}

static void refuse_head(struct conn *c, int status, const char *reason)
{
    struct request *r = new_request(c);
    r->base.request.scheme = c->client.secure ? MG_STR("https") : MG_STR("http");
    refuse(c, r, status, reason);
}

/* Looks for a head in the raw bytes. False when more must come first. */
static bool take_head(struct conn *c)
{
    struct mg_str raw = mg_h1_input_raw(&c->input);
    struct mg_h1_fault fault;
    uint32_t skip = 0;
    if (raw.n == 0)
        return false;
    int n = mg_h1_head_end(&c->scan, raw.p, raw.n, &c->server->limits.head, true, &skip, &fault);
    if (n == 0) {
        if (c->state == IDLE) {
            c->state = HEAD;
            wait_for(c, WAIT_STATE, now(c) + c->server->limits.header_time_ns);
        }
        return false;
    }
    c->scan = (struct mg_h1_scan){0};
    if (n < 0) {
        refuse_head(c, fault.status, fault.reason);
        return true;
    }
    mg_h1_input_skip_raw(&c->input, skip);
    begin_request(c, raw.p + skip, (size_t)n - skip);
    return true;
}

/* Takes requests as long as each is answered at once. */
static void process(struct conn *c)
{
    c->processing = true;
    while ((c->state == IDLE || c->state == HEAD) && take_head(c))
        continue;
    c->processing = false;
    if (c->state == IDLE || c->state == EXCHANGE)
        mg_h1_input_trim(&c->input);
}

/* --- events --- */

static void on_new_bytes(struct conn *c)
{
    struct request *r = c->current;
    if (c->state == IDLE || c->state == HEAD) {
        process(c);
        return;
    }
    if (c->state == LINGER) {
        c->lingered += (uint32_t)mg_h1_input_raw(&c->input).n;
        mg_h1_input_release(&c->input);
        if (c->lingered > LINGER_BYTES)
            close_conn(c, false);
        return;
    }
    if (!r || r->decoder.done || r->broken)
        return; /* pipelined: waits for its turn */
    decode(c);
    expect_body(c);
    if (c->out_done)
        wait_for(c, WAIT_STATE, now(c) + c->server->limits.idle_time_ns);
    mg_body_ready(&r->body);
}

static void on_end(struct conn *c)
{
    struct request *r = c->current;
    mg_stream_watch(c->stream, false, c->stream->watch_write);
    c->peer_ended = true;
    if (c->state != EXCHANGE) {
        close_conn(c, false);
        return;
    }
    if (c->tunnel) {
        mg_h1_body_eof(&r->decoder);
        mg_body_ready(&r->body);
        if (c->current == r && c->out_done && mg_h1_input_payload(&c->input).n == 0)
            finish_response(c);
        return;
    }
    if (!r->decoder.done) {
        gone(c, "client-closed");
        return;
    }
    if (!r->base.responded)
        wait_for(c, WAIT_STATE, now(c) + HALF_CLOSED_NS);
}

/* The reader takes the bytes from the socket itself. When it leaves some, because it cannot pass
 * them on, the socket is not watched until it comes back for them. */
static void let_reader_move(struct conn *c)
{
    struct request *r = c->current;
    uint64_t serial = c->serial;
    c->drained = false;
    mg_body_ready(&r->body);
    if (c->state != EXCHANGE || c->serial != serial)
        return;
    if (!c->drained && r->body.moves) {
        mg_stream_watch(c->stream, false, c->stream->watch_write);
        expect_body(c);
    }
}

static void on_readable(void *arg)
{
    struct conn *c = arg;
    bool short_read = false;
    if (c->state == EXCHANGE && c->current->body.moves && mg_h1_input_is_empty(&c->input)) {
        let_reader_move(c);
        return;
    }
    for (int i = 0; i < READS_A_TURN && c->state != CLOSED; i++) {
        ssize_t n = mg_h1_input_read(&c->input, c->stream, &short_read);
        if (n > 0) {
            on_new_bytes(c);
            if (short_read || c->state == CLOSED)
                return;
            continue;
        }
        if (n == 0)
            on_end(c);
        else if (n == MG_STREAM_ERROR)
            gone(c, "client-reset");
        else if (n == MG_H1_INPUT_FULL)
            mg_stream_watch(c->stream, false, c->stream->watch_write);
        if (c->state == IDLE)
            mg_h1_input_trim(&c->input);
        return;
    }
}

static void on_writable(void *arg)
{
    struct conn *c = arg;
    if (c->state == EXCHANGE)
        pump(c);
}

static void on_timer(void *arg)
{
    struct conn *c = arg;
    struct request *r = c->current;
    put_off_deadline(c, c->body_awaited_ns != 0);
    if (c->state == IDLE || c->state == LINGER) {
        close_conn(c, false);
    } else if (c->state == HEAD) {
        refuse_head(c, 408, "head-timeout");
    } else if (is_over(c, WAIT_DEADLINE)) {
        c->until[WAIT_DEADLINE] = 0;
        arm(c);
        c->server->handler->on_deadline(&r->base);
    } else if (is_over(c, WAIT_WRITE)) {
        gone(c, "client-does-not-read");
    } else if (is_over(c, WAIT_STATE)) {
        c->until[WAIT_STATE] = 0;
        arm(c);
        if (!r->base.responded || c->tunnel)
            gone(c, "client-closed");
    } else if (is_over(c, WAIT_BODY)) {
        break_body(c, 408, "body-timeout");
        mg_body_ready(&r->body);
    } else {
        arm(c);
    }
}

/* --- the server --- */

void mg_server_init(struct mg_server *s, struct mg_loop *loop, struct mg_pool *chunks,
                    struct mg_pool *blocks, const struct mg_inbound_handler *handler, void *ctx)
{
    *s = (struct mg_server){
        .loop = loop, .chunks = chunks, .blocks = blocks, .handler = handler, .ctx = ctx};
    mg_list_init(&s->connections);
}

void mg_server_release(struct mg_server *s)
{
    while (!mg_list_empty(&s->connections)) {
        struct conn *c = MG_CONTAINER_OF(s->connections.next, struct conn, link);
        gone(c, "shutdown");
    }
}

void mg_server_accept(struct mg_server *s, struct mg_stream *stream, uint32_t listener, bool secure)
{
    if (s->connection_count >= s->limits.connections) {
        mg_log_warn("too many connections", MG_LOG_INT("limit", s->limits.connections));
        mg_stream_close(stream);
        return;
    }
    struct conn *c = mg_calloc(1, sizeof *c);
    c->server = s;
    c->stream = stream;
    c->client = (struct mg_client){.peer = stream->peer,
                                   .local = stream->local,
                                   .listener = listener,
                                   .secure = secure,
                                   .security = stream->security,
                                   .id = ++s->last_id};
    mg_h1_input_init(&c->input, s->blocks);
    mg_timer_init(&c->timer, s->loop, on_timer, c);
    mg_list_push_back(&s->connections, &c->link);
    s->connection_count++;
    stream->arg = c;
    stream->on_readable = on_readable;
    stream->on_writable = on_writable;
    c->state = IDLE;
    /* A client that connects and says nothing has as long as one that is slow with its head. */
    wait_for(c, WAIT_STATE, now(c) + s->limits.header_time_ns);
}

void mg_server_renumber(struct mg_server *s, const uint32_t *numbers, uint32_t count)
{
    MG_LIST_FOREACH(it, &s->connections)
    {
        struct mg_client *client = &MG_CONTAINER_OF(it, struct conn, link)->client;
        if (client->listener < count)
            client->listener = numbers[client->listener];
    }
}

void mg_server_retire(struct mg_server *s)
{
    s->draining = true;
}

void mg_server_drain(struct mg_server *s)
{
    s->draining = true;
    MG_LIST_FOREACH_SAFE(it, &s->connections)
    {
        struct conn *c = MG_CONTAINER_OF(it, struct conn, link);
        if (c->state == IDLE)
            close_conn(c, false);
    }
}
