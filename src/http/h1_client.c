/*
 * HTTP/1.1 connections to backends. Loop thread.
 *
 * Always true: a connection with a current request is in nobody's pool. It leaves the request (and
 * goes back to the pool) as soon as both messages are complete on the wire, even while the
 * response's last bytes still wait for a slow client: those move along with the request. Callbacks
 * into the request are the last thing that a function does with it, for they may end it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "http/client.h"
#include "http/h1_output.h"

#define READS_A_TURN 16
/* How long a request that expects a 100 waits for it before it sends its body all the same (RFC
 * 9110 10.1.1: a backend may not know it). */
#define CONTINUE_NS (1 * MG_SECOND)
/* A tunnel may be silent for long; its ends have their own keep-alives. */
#define TUNNEL_IDLE_NS (3600 * MG_SECOND)

enum state { IDLE, BUSY, CLOSED };

struct conn {
    struct mg_client_conn base;
    const struct mg_client_conn_events *events;
    struct mg_stream *stream;
    struct mg_h1_limits limits;
    struct mg_h1_input input;
    struct mg_h1_scan scan;
    struct mg_h1_output output;
    struct mg_timer timer;
    struct mg_soon fail_soon; /* tells a failure that was found inside mg_client_conn_send */
    struct mg_outbound *current;
    uint64_t continue_until; /* the body waits for a 100 until then; 0: it does not */
    uint32_t interim_bytes;  /* of heads before the final one */
    enum state state;
    enum mg_outbound_failure failure;
    const char *failure_reason;
    bool sent;       /* the request is out, or cannot be sent any further */
    bool cut;        /* ... the latter */
    bool keep_alive; /* by the response's head */
    bool drained;    /* a reader that moves has emptied the socket */
};

static void pump(struct conn *c);

static struct conn *from(struct mg_client_conn *base)
{
    return MG_CONTAINER_OF(base, struct conn, base);
}

static uint64_t now(const struct conn *c)
{
    return mg_loop_now(c->stream->loop);
}

/* --- the end of a connection --- */

static void free_conn(void *memory)
{
    struct conn *c = memory;
    mg_timer_release(&c->timer);
    mg_h1_input_release(&c->input);
    free(c);
}

static void close_conn(struct conn *c)
{
    c->state = CLOSED;
    mg_soon_cancel(&c->fail_soon);
    mg_timer_release(&c->timer);
    mg_stream_close(c->stream);
    mg_loop_free_later(c->stream->loop, c, free_conn);
}

static void close_and_tell(struct conn *c)
{
    close_conn(c);
    c->events->on_closed(c->base.owner, &c->base);
}

/* Takes the request off the connection. */
static struct mg_outbound *detach(struct conn *c)
{
    struct mg_outbound *o = c->current;
    c->current = NULL;
    o->_conn = NULL;
    mg_h1_output_release(&c->output);
    if (o->body)
        o->body->on_ready = NULL;
    return o;
}

static bool is_complete(const struct conn *c)
{
    const struct mg_outbound *o = c->current;
    return o->_got_head && o->_decoder.done && c->sent && !o->_tunnel;
}

/* Both messages are complete: the connection can serve others, or is of no more use. */
static void release(struct conn *c)
{
    struct mg_outbound *o = detach(c);
    bool reusable = c->keep_alive && !c->cut && mg_h1_input_raw(&c->input).n == 0;
    o->_rest = c->input;
    mg_h1_input_init(&c->input, o->_rest.blocks);
    mg_timer_stop(&c->timer);
    if (!reusable) {
        close_and_tell(c);
        return;
    }
    c->state = IDLE;
    c->base.idle_since_ns = now(c);
    mg_stream_watch(c->stream, true, false);
    c->events->on_free(c->base.owner, &c->base);
}

static void fail(struct conn *c, enum mg_outbound_failure failure, const char *reason)
{
    struct mg_outbound *o = detach(c);
    close_and_tell(c);
    o->on_failed(o, failure, reason);
}

/* The response broke off after its head: its reader finds out by peeking. */
static void break_response(struct conn *c, int status, const char *reason)
{
    struct mg_outbound *o = detach(c);
    o->_broken = true;
    o->response_body.reason = reason;
    o->response_body.status = status;
    o->_rest = c->input;
    mg_h1_input_init(&c->input, o->_rest.blocks);
    close_and_tell(c);
    mg_body_ready(&o->response_body);
}

static void fail_or_break(struct conn *c, enum mg_outbound_failure failure, const char *reason)
{
    if (c->current->_got_head)
        break_response(c, 502, reason);
    else
        fail(c, failure, reason);
}

static void on_fail_soon(void *arg)
{
    struct conn *c = arg;
    if (c->current)
        fail_or_break(c, c->failure, c->failure_reason);
}

/* --- time --- */

/* One timer; what it waits for follows from the state. */
static void arm(struct conn *c)
{
    const struct mg_outbound *o = c->current;
    uint64_t until;
    if (o->_tunnel) /* one that the client has left must not stay for long should the backend not
                       notice */
        until = now(c) + (c->sent ? o->idle_ns : TUNNEL_IDLE_NS);
    else if (c->continue_until)
        until = c->continue_until;
    else if (c->stream->watch_write || (o->_got_head && c->stream->watch_read))
        until = now(c) + o->idle_ns;
    else if (c->sent && !o->_got_head)
        until = now(c) + o->first_byte_ns;
    else
        until = 0; /* it is others who keep us waiting: the client, who sends or reads slowly */
    if (until)
        mg_timer_set(&c->timer, until);
    else
        mg_timer_stop(&c->timer);
}

static void on_timer(void *arg)
{
    struct conn *c = arg;
    struct mg_outbound *o = c->current;
    if (!o)
        return;
    if (c->continue_until) {
        c->continue_until = 0;
        pump(c);
    } else if (o->_got_head) {
        break_response(c, 504, "upstream-idle");
    } else if (c->sent) {
        fail(c, MG_OUT_FIRST_BYTE, "upstream-first-byte-timeout");
    } else {
        fail(c, MG_OUT_IDLE, "upstream-does-not-read");
    }
}

/* --- sending --- */

/* After send() has returned, failures can be told at once. */
static void send_failed(struct conn *c, enum mg_outbound_failure failure, const char *reason)
{
    c->failure = failure;
    c->failure_reason = reason;
    mg_soon_run(c->stream->loop, &c->fail_soon);
}

/* The backend takes no more: nobody reads what the client sends. When the other half has ended too,
 * that is all there is to the tunnel, and the client's side finds so when it looks. */
static void stop_tunnel_output(struct conn *c)
{
    struct mg_outbound *o = c->current;
    mg_stream_watch(c->stream, c->stream->watch_read, false);
    arm(c);
    if (o->body)
        o->body->on_ready = NULL;
    if (o->_decoder.done)
        mg_body_ready(&o->response_body);
}

static void pump(struct conn *c)
{
    struct mg_outbound *o = c->current;
    if (c->sent)
        return;
    if (!c->continue_until && !c->output.body && o->body)
        mg_h1_output_body(&c->output, o->request, o->body,
                          o->_tunnel             ? MG_H1_UNTIL_CLOSE
                          : o->body->length >= 0 ? MG_H1_LENGTH
                                                 : MG_H1_CHUNKED,
                          (uint64_t)o->body->length);
    enum mg_h1_output_state state = mg_h1_output_pump(&c->output, c->stream, o->arena);
    o->sent_body_bytes = c->output.sent;
    switch (state) {
    case MG_H1_OUT_DONE:
        c->sent = !c->continue_until;
        if (c->sent && o->_tunnel)
            mg_stream_shutdown(c->stream);
        break;
    case MG_H1_OUT_BODY_BROKEN:
        send_failed(c, MG_OUT_BODY_BROKEN, o->body->reason);
        return;
    case MG_H1_OUT_SOCKET_BROKEN:
        /* The backend may have answered before it closed (such as 413): what it said is still to be
         * read. */
        c->sent = c->cut = true;
        if (o->_tunnel) {
            stop_tunnel_output(c);
            return;
        }
        break;
    case MG_H1_OUT_WAIT_SOCKET:
    case MG_H1_OUT_WAIT_BODY:
        break;
    }
    mg_stream_watch(c->stream, c->stream->watch_read, state == MG_H1_OUT_WAIT_SOCKET);
    arm(c);
    if (c->sent && is_complete(c))
        release(c);
}

static void on_request_body_ready(void *arg)
{
    struct conn *c = arg;
    if (c->current && !c->continue_until && !c->stream->watch_write)
        pump(c);
}

static void on_writable(void *arg)
{
    struct conn *c = arg;
    if (c->current)
        pump(c);
}

static bool has_body(const struct mg_outbound *o)
{
    return o->body && o->body->length != 0;
}

static enum mg_h1_framing_kind request_framing(const struct mg_outbound *o)
{
    enum mg_method m = o->request->method_id;
    if (has_body(o))
        return o->body->length > 0 ? MG_H1_LENGTH : MG_H1_CHUNKED;
    /* RFC 9110 8.6: say 0 where a body would be expected. */
    bool expected = m == MG_METHOD_POST || m == MG_METHOD_PUT || m == MG_METHOD_PATCH;
    return expected ? MG_H1_LENGTH : MG_H1_NO_BODY;
}

static void queue_head(struct conn *c, struct mg_outbound *o)
{
    struct mg_h1_write w = {
        .framing = request_framing(o),
        .length = has_body(o) && o->body->length > 0 ? (uint64_t)o->body->length : 0,
        .keep_alive = true,
        .upgrade = o->request->upgrade,
        .te_trailers = o->request->te_trailers,
        .expect_continue = o->request->expect_continue && has_body(o),
        .target = o->target,
        .authority = o->authority,
        .extra = o->extra,
    };
    if (w.expect_continue)
        c->continue_until = now(c) + CONTINUE_NS;
    struct mg_arena *arena = o->arena;
    struct mg_message m = *o->request;
    m.arena = arena; /* the head belongs to this attempt, wherever the request came from */
    mg_h1_output_queue(&c->output, arena, mg_h1_write_request(&m, &w));
}

static enum mg_body_state response_peek(struct mg_body *b, struct mg_str *bytes);
static void response_consume(struct mg_body *b, size_t n);
static ssize_t response_move(struct mg_body *b, struct mg_pipe *p, size_t max);
static const struct mg_body_ops response_ops = {
    .peek = response_peek, .consume = response_consume, .move = response_move};

void mg_client_conn_send(struct mg_client_conn *base, struct mg_outbound *o)
{
    struct conn *c = from(base);
    MG_BUG_ON(c->state != IDLE);
    c->state = BUSY;
    c->current = o;
    c->sent = c->cut = false;
    c->continue_until = 0;
    c->interim_bytes = 0;
    c->scan = (struct mg_h1_scan){0};
    base->requests++;
    o->_conn = base;
    o->_broken = o->_got_head = o->_tunnel = o->began = false;
    o->sent_body_bytes = 0;
    mg_h1_input_init(&o->_rest, c->input.blocks);
    o->response_body = (struct mg_body){.ops = &response_ops, .length = -1};
    mg_h1_output_init(&c->output);
    queue_head(c, o);
    if (o->body) {
        o->body->on_ready = on_request_body_ready;
        o->body->reader = c;
    }
    if (!has_body(o))
        c->output.body = o->body; /* nothing to send; a tunnel starts it anew */
    pump(c);
}

/* --- the response's body, as its reader sees it --- */

static struct mg_outbound *outbound_of(struct mg_body *b)
{
    return MG_CONTAINER_OF(b, struct mg_outbound, response_body);
}

static struct mg_h1_input *input_of(struct mg_outbound *o)
{
    return o->_conn ? &from(o->_conn)->input : &o->_rest;
}

static enum mg_body_state response_peek(struct mg_body *b, struct mg_str *bytes)
{
    struct mg_outbound *o = outbound_of(b);
    *bytes = mg_h1_input_payload(input_of(o));
    b->at_end = o->_decoder.done;
    if (bytes->n)
        return MG_BODY_BYTES;
    if (o->_decoder.done)
        return MG_BODY_END;
    return o->_broken ? MG_BODY_BROKEN : MG_BODY_WAIT;
}

/* False when the body is not what it should be. */
static bool decode(struct conn *c, struct mg_h1_fault *fault)
{
    struct mg_outbound *o = c->current;
    return o->_decoder.done || mg_h1_input_decode(&c->input, &o->_decoder, fault) == 0;
}

static void response_consume(struct mg_body *b, size_t n)
{
    struct mg_outbound *o = outbound_of(b);
    struct mg_h1_input *input = input_of(o);
    mg_h1_input_consume(input, n);
    if (mg_h1_input_payload(input).n)
        return;
    if (!o->_conn) {
        mg_h1_input_trim(input);
        return;
    }
    struct conn *c = from(o->_conn);
    struct mg_h1_fault fault;
    if (!decode(c, &fault)) { /* raw bytes that had to wait for room */
        send_failed(c, MG_OUT_BAD_RESPONSE, fault.reason);
        return;
    }
    if (!c->stream->watch_read) {
        mg_stream_watch(c->stream, true, c->stream->watch_write);
        arm(c);
    }
    mg_h1_input_trim(input);
}

/* What goes wrong here is left for a read to find. */
static ssize_t response_move(struct mg_body *b, struct mg_pipe *p, size_t max)
{
    struct mg_outbound *o = outbound_of(b);
    struct conn *c = o->_conn ? from(o->_conn) : NULL;
    if (!c || !c->stream->ops->to_pipe || !mg_h1_input_is_empty(&c->input) || o->_decoder.done ||
        o->_decoder.kind != MG_H1_LENGTH)
        return 0;
    ssize_t n =
        c->stream->ops->to_pipe(c->stream, p, max < o->_decoder.left ? max : o->_decoder.left);
    if (n == MG_STREAM_AGAIN) {
        c->drained = true;
        mg_stream_watch(c->stream, true, c->stream->watch_write);
        arm(c);
        return n;
    }
    if (n <= 0)
        return 0;
    mg_h1_body_skip(&o->_decoder, (uint64_t)n);
    if (is_complete(c))
        release(c);
    else
        arm(c);
    return n;
}

void mg_outbound_end(struct mg_outbound *o)
{
    if (o->_conn) {
        struct conn *c = from(o->_conn);
        if (is_complete(c)) {
            release(c);
        } else {
            detach(c);
            close_and_tell(c);
        }
    }
    if (o->_rest.blocks)
        mg_h1_input_release(&o->_rest);
}

/* --- receiving --- */

enum head_result { HEAD_MORE, HEAD_DONE, HEAD_GONE };

static void begin_response_body(struct conn *c, const struct mg_h1_framing *framing)
{
    struct mg_outbound *o = c->current;
    o->_trailers = (struct mg_fields){0};
    mg_h1_body_init(&o->_decoder, framing, &c->limits, &o->_trailers, o->arena);
    o->response_body.trailers = &o->_trailers;
    if (framing->kind == MG_H1_LENGTH)
        o->response_body.length = (int64_t)framing->length;
    else if (framing->kind == MG_H1_NO_BODY)
        o->response_body.length = 0;
}

/* A 1xx has come. 100 lets the body go; 101 is final and not seen here. */
static void interim(struct conn *c)
{
    struct mg_outbound *o = c->current;
    if (o->response.status == 100) {
        if (c->continue_until) {
            c->continue_until = 0;
            pump(c);
        }
    } else if (o->on_inform) {
        o->on_inform(o);
    }
}

static void final_head(struct conn *c, const struct mg_h1_framing *framing)
{
    struct mg_outbound *o = c->current;
    o->_got_head = true;
    c->keep_alive = framing->keep_alive;
    if (o->response.status == 101) {
        struct mg_h1_framing raw = {.kind = MG_H1_UNTIL_CLOSE};
        o->_tunnel = true;
        c->keep_alive = false;
        begin_response_body(c, &raw);
        return;
    }
    begin_response_body(c, framing);
    if (c->continue_until) {
        /* Answered without the body: the client keeps it, and this connection can take no other
         * request, for the backend still waits for these bytes. */
        c->continue_until = 0;
        c->sent = c->cut = true;
    }
}

/* What is wrong with a head that could be read; NULL: nothing. */
static const char *head_fault(const struct conn *c)
{
    const struct mg_outbound *o = c->current;
    if (o->response.status == 101) {
        if (o->request->upgrade.n == 0)
            return "switched-unasked";
        /* What is left of the body, and its framing, would be taken for the new protocol's bytes.
         */
        return c->sent ? NULL : "switched-early";
    }
    bool too_many = o->response.status < 200 && c->interim_bytes > c->limits.head_bytes;
    return too_many ? "interim-too-many" : NULL;
}

/* Takes heads off the input until the final one. */
static enum head_result take_head(struct conn *c)
{
    for (;;) {
        struct mg_outbound *o = c->current;
        struct mg_str raw = mg_h1_input_raw(&c->input);
        struct mg_h1_framing framing = {0};
        struct mg_h1_fault fault;
        uint32_t skip = 0;
        if (raw.n == 0)
            return HEAD_MORE;
        o->began = true;
        int n = mg_h1_head_end(&c->scan, raw.p, raw.n, &c->limits, false, &skip, &fault);
        if (n == 0)
            return HEAD_MORE;
        if (n > 0) {
            struct mg_str head = mg_arena_str(o->arena, mg_str(raw.p + skip, (size_t)n - skip));
            mg_message_init(&o->response, o->arena);
            mg_h1_input_skip_raw(&c->input, (size_t)n);
            c->scan = (struct mg_h1_scan){0};
            n = mg_h1_parse_response(head.p, head.n, &c->limits, o->request->method_id,
                                     &o->response, &framing, &fault);
        }
        const char *wrong = n < 0 ? fault.reason : head_fault(c);
        if (wrong) {
            fail(c, MG_OUT_BAD_RESPONSE, wrong);
            return HEAD_GONE;
        }
        if (o->response.status >= 200 || o->response.status == 101) {
            final_head(c, &framing);
            return HEAD_DONE;
        }
        uint32_t request = c->base.requests;
        /* Each costs memory, here and on the way to the client. */
        c->interim_bytes += (uint32_t)(raw.n - mg_h1_input_raw(&c->input).n);
        interim(c);
        if (c->current != o || c->base.requests != request)
            return HEAD_GONE;
    }
}

/* Bytes of the response's body came. */
static void take_body(struct conn *c)
{
    struct mg_outbound *o = c->current;
    struct mg_h1_fault fault;
    if (!decode(c, &fault)) {
        break_response(c, 502, fault.reason);
        return;
    }
    if (is_complete(c))
        release(c);
    else
        arm(c);
    mg_body_ready(&o->response_body);
}

static void start_tunnel_output(struct conn *c)
{
    c->sent = false;
    c->output.body = NULL;
    if (c->current->body) {
        c->current->body->on_ready = on_request_body_ready;
        c->current->body->reader = c;
    }
    pump(c);
}

static void take_response(struct conn *c)
{
    struct mg_outbound *o = c->current;
    struct mg_h1_fault fault;
    switch (take_head(c)) {
    case HEAD_GONE:
        return;
    case HEAD_MORE:
        arm(c);
        return;
    case HEAD_DONE:
        break;
    }
    if (!decode(c, &fault)) {
        o->_got_head = false;
        fail(c, MG_OUT_BAD_RESPONSE, fault.reason);
        return;
    }
    if (is_complete(c)) {
        release(c);
        o->on_response(o);
        return;
    }
    arm(c);
    bool tunnel = o->_tunnel;
    uint32_t request = c->base.requests;
    o->on_response(o);
    if (tunnel && c->current == o && c->base.requests == request)
        start_tunnel_output(c);
}

/* A reset is never the proper end of a body that lasts until the connection closes. */
static void on_end(struct conn *c, bool reset)
{
    struct mg_outbound *o = c->current;
    const char *reason = reset ? "upstream-reset" : "upstream-closed";
    if (!o) {
        close_and_tell(c);
        return;
    }
    if (!o->_got_head) {
        fail(c, o->began ? MG_OUT_RESET : MG_OUT_CLOSED, reason);
        return;
    }
    if (o->_decoder.done)
        return; /* what is left is our own side: the request's body, or a tunnel's other half */
    if (reset || mg_h1_body_eof(&o->_decoder) < 0) {
        break_response(c, 502, reason);
        return;
    }
    if (is_complete(c)) {
        c->keep_alive = false;
        release(c);
    }
    mg_body_ready(&o->response_body);
}

static void on_new_bytes(struct conn *c)
{
    if (!c->current)
        close_and_tell(c); /* bytes that nobody asked for (RFC 9112 9.2) */
    else if (!c->current->_got_head)
        take_response(c);
    else if (!c->current->_decoder.done)
        take_body(c);
}

/* The reader takes the bytes from the socket itself. When it leaves some, because it cannot pass
 * them on, the socket is not watched until it comes back for them. */
static void let_reader_move(struct conn *c)
{
    uint32_t request = c->base.requests;
    c->drained = false;
    mg_body_ready(&c->current->response_body);
    if (c->state != BUSY || c->base.requests != request || !c->current)
        return;
    if (!c->drained && c->current->response_body.moves) {
        mg_stream_watch(c->stream, false, c->stream->watch_write);
        arm(c);
    }
}

static void on_readable(void *arg)
{
    struct conn *c = arg;
    uint32_t request = c->base.requests;
    bool short_read = false;
    if (c->current && c->current->_got_head && c->current->response_body.moves &&
        mg_h1_input_is_empty(&c->input)) {
        let_reader_move(c);
        return;
    }
    for (int i = 0; i < READS_A_TURN && c->state != CLOSED && c->base.requests == request; i++) {
        ssize_t n = mg_h1_input_read(&c->input, c->stream, &short_read);
        if (n > 0) {
            on_new_bytes(c);
            if (short_read)
                break;
            continue;
        }
        if (n == 0 || n == MG_STREAM_ERROR) {
            mg_stream_watch(c->stream, false, c->stream->watch_write);
            on_end(c, n == MG_STREAM_ERROR);
        } else if (n == MG_H1_INPUT_FULL) {
            mg_stream_watch(c->stream, false, c->stream->watch_write);
            if (c->current)
                arm(c);
        }
        break;
    }
    if (c->state != CLOSED)
        mg_h1_input_trim(&c->input);
}

/* --- the connection --- */

struct mg_client_conn *mg_client_conn_new(struct mg_stream *stream, struct mg_pool *blocks,
                                          const struct mg_h1_limits *head,
                                          const struct mg_client_conn_events *events, void *owner)
{
    struct conn *c = mg_calloc(1, sizeof *c);
    c->stream = stream;
    c->events = events;
    c->limits = *head;
    c->base.owner = owner;
    mg_list_init(&c->base.link);
    mg_h1_input_init(&c->input, blocks);
    mg_timer_init(&c->timer, stream->loop, on_timer, c);
    mg_soon_init(&c->fail_soon, on_fail_soon, c);
    stream->arg = c;
    stream->on_readable = on_readable;
    stream->on_writable = on_writable;
    mg_stream_watch(stream, true, false);
    return &c->base;
}

bool mg_client_conn_is_alive(struct mg_client_conn *base)
{
    struct conn *c = from(base);
    bool short_read;
    return c->state == IDLE &&
           mg_h1_input_read(&c->input, c->stream, &short_read) == MG_STREAM_AGAIN;
}

void mg_client_conn_close(struct mg_client_conn *base)
{
    struct conn *c = from(base);
    if (c->state != CLOSED)
        close_conn(c);
}

void mg_client_conn_discard(struct mg_client_conn *base)
{
    struct conn *c = from(base);
    if (c->state != CLOSED)
        close_and_tell(c);
}
