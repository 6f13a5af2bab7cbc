/* Connections to backends, over a pair and a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "http/client.h"

#define FIRST_BYTE_NS (2 * MG_SECOND)
#define IDLE_NS (3 * MG_SECOND)

/* A request's body, given piece by piece. */
struct source {
    struct mg_body base;
    struct mg_str piece;
    bool ended;
};

struct scene {
    struct mg_loop *loop;
    struct mg_pool chunks, blocks;
    struct mg_arena arena;
    struct mg_message request;
    struct source source;
    struct mg_outbound out;
    struct mg_client_conn *conn;
    int freed, closed; /* the owner was told */
    /* The backend's end; NULL when it is closed. */
    struct mg_stream *backend;
    char got[4096];
    size_t got_n;
    bool ended;
    /* What came of it. */
    int responses, informs, failures, readies;
    const char *reason;
    char body[64];
    size_t body_n;
    enum mg_body_state body_state;
};

/* --- the backend's end --- */

static void backend_reads(void *arg)
{
    struct scene *s = arg;
    ssize_t n = mg_stream_read(s->backend, s->got + s->got_n, sizeof s->got - 1 - s->got_n);
    if (n > 0)
        s->got_n += (size_t)n;
    s->got[s->got_n] = 0;
    s->ended |= n == 0;
    if (n == 0 || n == MG_STREAM_ERROR)
        mg_stream_watch(s->backend, false, false);
}

static void run(struct scene *s, uint64_t ns)
{
    mg_loop_simulate(s->loop, mg_loop_now(s->loop) + ns, NULL);
}

static void backend_sends(struct scene *s, const char *text)
{
    struct iovec iov = {(void *)text, strlen(text)};
    assert_int_equal(mg_stream_writev(s->backend, &iov, 1), strlen(text));
    run(s, 1);
}

static void backend_leaves(struct scene *s, bool reset)
{
    if (reset)
        mg_stream_reset(s->backend);
    else
        mg_stream_close(s->backend);
    s->backend = NULL;
    run(s, 1);
}

/* --- the request's side --- */

static enum mg_body_state source_peek(struct mg_body *b, struct mg_str *bytes)
{
    struct source *src = MG_CONTAINER_OF(b, struct source, base);
    *bytes = src->piece;
    if (bytes->n)
        return MG_BODY_BYTES;
    return src->ended ? MG_BODY_END : MG_BODY_WAIT;
}

static void source_consume(struct mg_body *b, size_t n)
{
    struct source *src = MG_CONTAINER_OF(b, struct source, base);
    src->piece = mg_str(src->piece.p + n, src->piece.n - n);
}

static const struct mg_body_ops source_ops = {.peek = source_peek, .consume = source_consume};

static void give(struct scene *s, const char *text)
{
    s->source.piece = mg_str_c(text);
    mg_body_ready(&s->source.base);
    run(s, 1);
}

static void body_ready(void *arg)
{
    struct scene *s = arg;
    struct mg_str bytes;
    s->readies++;
    while ((s->body_state = mg_body_peek(&s->out.response_body, &bytes)) == MG_BODY_BYTES) {
        assert_true(s->body_n + bytes.n < sizeof s->body);
        memcpy(s->body + s->body_n, bytes.p, bytes.n);
        s->body_n += bytes.n;
        mg_body_consume(&s->out.response_body, bytes.n);
    }
    s->body[s->body_n] = 0;
}

static void on_response(struct mg_outbound *o)
{
    struct scene *s = o->owner;
    s->responses++;
    o->response_body.on_ready = body_ready;
    o->response_body.reader = s;
    body_ready(s);
}

static void on_inform(struct mg_outbound *o)
{
    struct scene *s = o->owner;
    s->informs++;
}

static void on_failed(struct mg_outbound *o, enum mg_outbound_failure failure, const char *reason)
{
    struct scene *s = o->owner;
    (void)failure;
    s->failures++;
    s->reason = reason;
}

static void on_free(void *owner, struct mg_client_conn *c)
{
    struct scene *s = owner;
    (void)c;
    s->freed++;
}

static void on_closed(void *owner, struct mg_client_conn *c)
{
    struct scene *s = owner;
    (void)c;
    s->closed++;
}

static const struct mg_client_conn_events events = {.on_free = on_free, .on_closed = on_closed};

/* --- scenes --- */

/* Sends a POST with the source as body, or a GET without one. */
static void set_up(struct scene *s, bool has_body, const char *upgrade)
{
    static const struct mg_h1_limits limits = {1024, 20, 512};
    struct mg_stream *ends[2];
    *s = (struct scene){.loop = mg_loop_new_simulated(1)};
    mg_pool_init(&s->chunks, 4096);
    mg_pool_init(&s->blocks, 2048);
    mg_arena_init(&s->arena, &s->chunks);
    mg_pair_stream_new(s->loop, 65536, ends);
    s->backend = ends[0];
    s->backend->arg = s;
    s->backend->on_readable = backend_reads;
    s->conn = mg_client_conn_new(ends[1], &s->blocks, &limits, &events, s);
    s->source.base = (struct mg_body){.ops = &source_ops, .length = has_body ? 10 : 0};
    s->source.ended = !has_body && !upgrade;
    mg_message_init(&s->request, &s->arena);
    s->request.method = has_body ? MG_STR("POST") : MG_STR("GET");
    s->request.method_id = has_body ? MG_METHOD_POST : MG_METHOD_GET;
    s->request.version = 11;
    s->request.path = MG_STR("/");
    s->request.authority = MG_STR("a");
    s->request.upgrade = upgrade ? mg_str_c(upgrade) : MG_STR_NONE;
    s->out = (struct mg_outbound){
        .request = &s->request,
        .body = &s->source.base,
        .arena = &s->arena,
        .first_byte_ns = FIRST_BYTE_NS,
        .idle_ns = IDLE_NS,
        .on_inform = on_inform,
        .on_response = on_response,
        .on_failed = on_failed,
        .owner = s,
    };
    mg_client_conn_send(s->conn, &s->out);
    run(s, 1);
}

static void tear_down(struct scene *s)
{
    mg_outbound_end(&s->out);
    if (s->closed == 0)
        mg_client_conn_close(s->conn);
    if (s->backend)
        mg_stream_close(s->backend);
    mg_loop_settle(s->loop);
    mg_loop_free(s->loop);
    mg_arena_release(&s->arena);
    assert_int_equal(s->blocks.live, 0);
    assert_int_equal(s->chunks.live, 0);
    mg_pool_release(&s->chunks);
    mg_pool_release(&s->blocks);
}

static void interim_responses_have_a_limit(void **state)
{
    static const struct {
        int sent;
        bool fails;
    } cases[] = {{0, false}, {1, false}, {30, false}, {100, true}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s;
        set_up(&s, false, NULL);
        for (int n = 0; n < cases[i].sent && !s.failures; n++)
            backend_sends(&s, "HTTP/1.1 103 Early Hints\r\n\r\n");
        if (!s.failures) {
            assert_int_equal(s.informs, cases[i].sent);
            backend_sends(&s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
        assert_int_equal(s.failures, cases[i].fails);
        assert_int_equal(s.responses, !cases[i].fails);
        if (cases[i].fails)
            assert_string_equal(s.reason, "interim-too-many");
        tear_down(&s);
    }
}

/* A head nearly as long as is allowed is not refused for a 1xx before it. */
static void the_final_head_does_not_count_as_interim(void **state)
{
    struct scene s;
    char head[1000] = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\nX: ";
    size_t n = strlen(head);
    (void)state;
    set_up(&s, false, NULL);
    memset(head + n, 'x', sizeof head - n - 5);
    memcpy(head + sizeof head - 5, "\r\n\r\n", 5);
    backend_sends(&s, head);
    assert_int_equal(s.responses, 1);
    tear_down(&s);
}

static void a_reset_is_not_the_end_of_a_body(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct scene s;
        set_up(&s, false, NULL);
        backend_sends(&s, "HTTP/1.1 200 OK\r\n\r\nhello");
        assert_string_equal(s.body, "hello");
        assert_int_equal(s.body_state, MG_BODY_WAIT);
        backend_leaves(&s, reset);
        assert_int_equal(s.body_state, reset ? MG_BODY_BROKEN : MG_BODY_END);
        assert_int_equal(s.closed, 1);
        tear_down(&s);
    }
}

#define SWITCHED "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"

static void switching_has_its_rules(void **state)
{
    static const struct {
        bool has_body, body_sent;
        const char *upgrade;
        const char *reason; /* NULL: it switches */
    } cases[] = {
        {false, false, "foo", NULL},
        {false, false, NULL, "switched-unasked"},
        {true, false, "foo", "switched-early"},
        {true, true, "foo", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s;
        set_up(&s, cases[i].has_body, cases[i].upgrade);
        if (cases[i].body_sent)
            give(&s, "0123456789");
        backend_sends(&s, SWITCHED "hello");
        assert_int_equal(s.responses, cases[i].reason == NULL);
        if (cases[i].reason)
            assert_string_equal(s.reason, cases[i].reason);
        else
            assert_string_equal(s.body, "hello");
        tear_down(&s);
    }
}

/* The backend closes altogether: nobody reads the client's half any more, and the other side of the
 * tunnel is made to look, so that it can see that. */
static void a_tunnel_tells_that_nobody_reads(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s, false, "foo");
    backend_sends(&s, SWITCHED);
    give(&s, "one");
    assert_non_null(strstr(s.got, "\r\n\r\none"));
    backend_leaves(&s, false);
    assert_int_equal(s.body_state, MG_BODY_END);
    assert_non_null(s.source.base.on_ready);
    int before = s.readies;
    give(&s, "two");
    assert_null(s.source.base.on_ready);
    assert_int_equal(s.readies, before + 1);
    tear_down(&s);
}

/* With both halves open a tunnel may be silent for long; with the client's half ended it may not.
 */
static void a_tunnel_that_the_client_left_ends(void **state)
{
    (void)state;
    for (int left = 0; left < 2; left++) {
        struct scene s;
        set_up(&s, false, "foo");
        backend_sends(&s, SWITCHED);
        if (left) {
            s.source.ended = true;
            give(&s, "");
            assert_true(s.ended);
            run(&s, IDLE_NS - MG_SECOND);
            backend_sends(&s, "x"); /* still in use */
        }
        run(&s, IDLE_NS - MG_SECOND);
        assert_int_equal(s.body_state, MG_BODY_WAIT);
        run(&s, 2 * MG_SECOND);
        assert_int_equal(s.body_state, left ? MG_BODY_BROKEN : MG_BODY_WAIT);
        tear_down(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interim_responses_have_a_limit),
        cmocka_unit_test(the_final_head_does_not_count_as_interim),
        cmocka_unit_test(a_reset_is_not_the_end_of_a_body),
        cmocka_unit_test(switching_has_its_rules),
        cmocka_unit_test(a_tunnel_tells_that_nobody_reads),
        cmocka_unit_test(a_tunnel_that_the_client_left_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
