/* The server side of HTTP/1, over a pair and a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "http/server.h"

#define MS MG_MILLISECOND

struct scene {
    struct mg_loop *loop;
    struct mg_pool chunks, blocks;
    struct mg_server server;
    /* The client's end. */
    struct mg_stream *client;
    char got[8192];
    size_t got_n;
    bool ended, broken;
    /* The handler. */
    struct mg_inbound *in; /* not yet answered */
    uint64_t deadline_after_ns;
    int requests, done, gone, deadlines;
    int body_bytes; /* taken by the reader that read_body sets */
    enum mg_body_state body_state;
};

/* --- the client's end --- */

static void client_reads(void *arg)
{
    struct scene *s = arg;
    ssize_t n = mg_stream_read(s->client, s->got + s->got_n, sizeof s->got - 1 - s->got_n);
    if (n > 0)
        s->got_n += (size_t)n;
    s->got[s->got_n] = 0;
    s->ended |= n == 0;
    s->broken |= n == MG_STREAM_ERROR;
    if (n == 0 || n == MG_STREAM_ERROR)
        mg_stream_watch(s->client, false, false);
}

static void send_text(struct scene *s, const char *text)
{
    struct iovec iov = {(void *)text, strlen(text)};
    assert_int_equal(mg_stream_writev(s->client, &iov, 1), strlen(text));
}

static void run(struct scene *s, uint64_t ns)
{
    mg_loop_simulate(s->loop, mg_loop_now(s->loop) + ns, NULL);
}

static int count(const struct scene *s, const char *text)
{
    int n = 0;
    for (const char *p = s->got; (p = strstr(p, text)); p++)
        n++;
    return n;
}

/* --- the handler --- */

static void answer(struct scene *s, unsigned status, struct mg_str upgrade)
{
    struct mg_inbound *in = s->in;
    struct mg_message *res = mg_arena_calloc(&in->arena, sizeof *res);
    s->in = NULL;
    mg_message_init(res, &in->arena);
    res->status = (uint16_t)status;
    res->upgrade = upgrade;
    mg_inbound_respond(in, res, mg_body_fixed(&in->arena, MG_STR("bye")));
}

static void on_request(void *ctx, struct mg_inbound *in)
{
    struct scene *s = ctx;
    s->requests++;
    s->in = in;
    in->exchange = s;
    if (s->deadline_after_ns)
        mg_inbound_set_deadline(in, mg_loop_now(s->loop) + s->deadline_after_ns);
}

static void on_refused(void *ctx, struct mg_inbound *in, int status, const char *reason)
{
    (void)reason;
    on_request(ctx, in);
    answer(ctx, (unsigned)status, MG_STR_NONE);
}

static void on_done(struct mg_inbound *in, const char *reason)
{
    struct scene *s = in->exchange;
    (void)reason;
    s->done++;
    mg_inbound_free(in);
}

static void on_gone(struct mg_inbound *in, const char *reason)
{
    struct scene *s = in->exchange;
    (void)reason;
    s->gone++;
    s->in = NULL;
    mg_inbound_free(in);
}

static void on_deadline(struct mg_inbound *in)
{
    struct scene *s = in->exchange;
    s->deadlines++;
}

static const struct mg_inbound_handler handler = {
    .on_request = on_request,
    .on_refused = on_refused,
    .on_done = on_done,
    .on_gone = on_gone,
    .on_deadline = on_deadline,
};

static void body_ready(void *arg)
{
    struct scene *s = arg;
    struct mg_str bytes;
    while ((s->body_state = mg_body_peek(s->in->body, &bytes)) == MG_BODY_BYTES) {
        s->body_bytes += (int)bytes.n;
        mg_body_consume(s->in->body, bytes.n);
    }
}

static void read_body(struct scene *s)
{
    s->in->body->on_ready = body_ready;
    s->in->body->reader = s;
    body_ready(s);
}

/* --- scenes --- */

static void set_up(struct scene *s)
{
    struct mg_stream *ends[2];
    *s = (struct scene){.loop = mg_loop_new_simulated(1)};
    mg_pool_init(&s->chunks, 4096);
    mg_pool_init(&s->blocks, 2048);
    mg_server_init(&s->server, s->loop, &s->chunks, &s->blocks, &handler, s);
    s->server.limits = (struct mg_server_limits){
        .head = {2048, 20, 512},
        .body_bytes = 1000,
        .header_time_ns = 500 * MS,
        .request_time_ns = 1000 * MS,
        .idle_time_ns = 2000 * MS,
        .connections = 10,
    };
    mg_pair_stream_new(s->loop, 65536, ends);
    s->client = ends[0];
    s->client->arg = s;
    s->client->on_readable = client_reads;
    mg_server_accept(&s->server, ends[1], 0, false);
}

static void tear_down(struct scene *s)
{
    mg_stream_close(s->client);
    mg_server_release(&s->server);
    mg_loop_settle(s->loop);
    assert_int_equal(s->requests, s->done + s->gone);
    assert_int_equal(s->chunks.live, 0);
    assert_int_equal(s->blocks.live, 0);
    mg_loop_free(s->loop);
    mg_pool_release(&s->chunks);
    mg_pool_release(&s->blocks);
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST10 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n"

/* Requests that came whole before the client ended its side are answered, each in its time. */
static void a_half_closed_client_gets_all_answers(void **state)
{
    static const struct {
        const char *sent;
        int answers;
    } cases[] = {
        {GET, 1},
        {GET GET GET, 3},
        {POST10 "\r\n0123456789" GET, 2},
        {GET "GET / HT", 1},
        {GET POST10 "\r\n01234", 1},
        {"GET / HT", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s;
        set_up(&s);
        send_text(&s, cases[i].sent);
        mg_stream_shutdown(s.client);
        for (int n = 0; n < cases[i].answers; n++) {
            run(&s, 900 * MS);
            assert_non_null(s.in);
            answer(&s, 200, MG_STR_NONE);
        }
        run(&s, 1);
        assert_int_equal(count(&s, "HTTP/1.1 200"), cases[i].answers);
        assert_true(s.ended);
        tear_down(&s);
    }
}

static void a_half_closed_client_is_not_waited_for_long(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    send_text(&s, GET);
    mg_stream_shutdown(s.client);
    run(&s, 1100 * MS);
    assert_int_equal(s.gone, 1);
    tear_down(&s);
}

static void time_for_the_body_is_not_the_deadlines(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    s.server.limits.request_time_ns = 10 * MG_SECOND;
    s.deadline_after_ns = 1000 * MS;
    send_text(&s, POST10 "\r\n");
    run(&s, 1);
    read_body(&s);
    for (int i = 0; i < 10; i++) {
        run(&s, 400 * MS);
        send_text(&s, "x");
    }
    run(&s, 900 * MS); /* of which all the deadline's time is left */
    assert_int_equal(s.body_bytes, 10);
    assert_int_equal(s.deadlines, 0);
    run(&s, 200 * MS);
    assert_int_equal(s.deadlines, 1);
    answer(&s, 504, MG_STR_NONE);
    tear_down(&s);
}

static void a_deadline_comes_when_nothing_is_awaited_of_the_client(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    s.deadline_after_ns = 1000 * MS;
    send_text(&s, GET);
    run(&s, 1100 * MS);
    assert_int_equal(s.deadlines, 1);
    answer(&s, 504, MG_STR_NONE);
    tear_down(&s);
}

/* Silence is one way, dripping the other. */
static void slow_bodies_break(void **state)
{
    static const int pauses_ms[] = {400, 600};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene s;
        set_up(&s);
        s.deadline_after_ns = 1000 * MS;
        send_text(&s, POST10 "\r\n");
        run(&s, 1);
        read_body(&s);
        for (int n = 0; n < 4 && s.body_state == MG_BODY_WAIT; n++) {
            run(&s, (uint64_t)pauses_ms[i] * MS);
            send_text(&s, "x");
        }
        assert_int_equal(s.body_state, MG_BODY_BROKEN);
        assert_int_equal(s.in->body->status, 408);
        assert_int_equal(s.deadlines, 0);
        answer(&s, 408, MG_STR_NONE);
        run(&s, 1);
        assert_int_equal(count(&s, "Connection: close"), 1);
        tear_down(&s);
    }
}

/* Who answers before the body's end cannot serve another request on the connection, and says so. */
static void an_early_answer_closes(void **state)
{
    static const struct {
        const char *body;
        bool is_read, closes;
    } cases[] = {
        {"0123456789", false, false},
        {"0123456789", true, false},
        {"01234", false, true},
        {"01234", true, true},
        {"", true, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s;
        set_up(&s);
        send_text(&s, POST10 "\r\n");
        send_text(&s, cases[i].body);
        run(&s, 1);
        if (cases[i].is_read)
            read_body(&s);
        answer(&s, 404, MG_STR_NONE);
        run(&s, 1);
        assert_int_equal(count(&s, "Connection: close"), cases[i].closes);
        assert_int_equal(s.ended, cases[i].closes);
        send_text(&s, GET);
        run(&s, 1);
        assert_int_equal(s.requests, cases[i].closes ? 1 : 2);
        if (s.in)
            answer(&s, 200, MG_STR_NONE);
        tear_down(&s);
    }
}

/* Nobody waits for a 100 when the body is there, or the 100 was sent. */
static void a_100_is_expected_only_while_it_is_waited_for(void **state)
{
    static const struct {
        const char *body;
        bool expected;
    } cases[] = {{"", true}, {"01234", false}, {"0123456789", false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s;
        set_up(&s);
        send_text(&s, POST10 "Expect: 100-continue\r\n\r\n");
        send_text(&s, cases[i].body);
        run(&s, 1);
        assert_int_equal(s.in->request.expect_continue, cases[i].expected);
        read_body(&s);
        run(&s, 1);
        assert_int_equal(count(&s, "HTTP/1.1 100"), cases[i].expected);
        assert_false(s.in->request.expect_continue);
        answer(&s, 200, MG_STR_NONE);
        tear_down(&s);
    }
}

/* --- tunnels; the backend's half says "bye" and ends --- */

static void begin_tunnel(struct scene *s, bool is_read)
{
    set_up(s);
    send_text(s, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n");
    run(s, 1);
    struct mg_inbound *in = s->in;
    if (is_read)
        read_body(s);
    answer(s, 101, MG_STR("foo"));
    run(s, 1);
    assert_int_equal(count(s, "HTTP/1.1 101"), 1);
    assert_int_equal(count(s, "\r\n\r\nbye"), 1);
    assert_true(s->ended);
    s->in = in; /* for body_ready */
}

static void a_tunnel_lives_while_one_half_is_in_use(void **state)
{
    struct scene s;
    (void)state;
    begin_tunnel(&s, true);
    for (int i = 0; i < 10; i++) {
        send_text(&s, "x");
        run(&s, 1500 * MS);
    }
    assert_int_equal(s.body_bytes, 10);
    assert_int_equal(s.done + s.gone, 0);
    run(&s, 2100 * MS);
    assert_int_equal(s.gone, 1);
    tear_down(&s);
}

static void a_tunnel_with_nobody_at_its_end_is_over(void **state)
{
    struct scene s;
    (void)state;
    begin_tunnel(&s, false);
    assert_int_equal(s.done, 1);
    s.in = NULL;
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_half_closed_client_gets_all_answers),
        cmocka_unit_test(a_half_closed_client_is_not_waited_for_long),
        cmocka_unit_test(time_for_the_body_is_not_the_deadlines),
        cmocka_unit_test(a_deadline_comes_when_nothing_is_awaited_of_the_client),
        cmocka_unit_test(slow_bodies_break),
        cmocka_unit_test(an_early_answer_closes),
        cmocka_unit_test(a_100_is_expected_only_while_it_is_waited_for),
        cmocka_unit_test(a_tunnel_lives_while_one_half_is_in_use),
        cmocka_unit_test(a_tunnel_with_nobody_at_its_end_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
