/* A server on the other end of pairs: order, lateness, loss, and how it is found again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/node.h"

#define CALLS 100
#define CONNS 8
#define ROOM 65536
#define TIMEOUT_NS (200 * MG_MILLISECOND)
#define CONNECT_NS (1 * MG_SECOND)

struct scene {
    struct mg_loop *loop;
    struct mg_pool pool;
    struct mg_redis_settings settings;
    struct mg_redis_node node;
    struct mg_stream *ends[CONNS]; /* the server's */
    char said[CONNS][ROOM];        /* to it */
    size_t said_n[CONNS];
    int dials;
    bool refuse;
    mg_redis_dialled_fn on_dialled;
    void *dial_arg;
    struct mg_soon dialled;
    struct mg_redis_call calls[CALLS];
    const char *argv[CALLS][1];
    size_t lengths[CALLS][1];
    char got[4096]; /* what the calls were told, in order */
};

static struct scene *scene; /* the one there is */

/* --- the dialer --- */

static void on_dialled(void *arg)
{
    struct scene *s = arg;
    struct mg_stream *ends[2];
    if (s->refuse) {
        s->on_dialled(s->dial_arg, NULL, "refused");
        return;
    }
    mg_pair_stream_new(s->loop, ROOM, ends);
    s->ends[s->dials++] = ends[1];
    s->on_dialled(s->dial_arg, ends[0], NULL);
}

static void *start_dial(void *ctx, const char *address, mg_redis_dialled_fn on_done, void *arg,
                        const char **reason)
{
    struct scene *s = ctx;
    (void)address, (void)reason;
    s->on_dialled = on_done;
    s->dial_arg = arg;
    mg_soon_run(s->loop, &s->dialled);
    return s;
}

static void cancel_dial(void *ctx, void *dial)
{
    struct scene *s = ctx;
    (void)dial;
    mg_soon_cancel(&s->dialled);
}

/* --- the scene --- */

static int set_up(void **state)
{
    struct scene *s = scene = *state = calloc(1, sizeof *s);
    s->loop = mg_loop_new_simulated(1);
    mg_pool_init(&s->pool, 4096);
    mg_soon_init(&s->dialled, on_dialled, s);
    s->settings = (struct mg_redis_settings){.timeout_ns = TIMEOUT_NS,
                                             .connect_timeout_ns = CONNECT_NS,
                                             .pool = 2,
                                             .limits = {.reply_bytes = 1 << 20, .items = 1000}};
    struct mg_redis_dialer dialer = {start_dial, cancel_dial, s};
    mg_redis_node_init(&s->node, "test", NULL, s->loop, &s->pool, &s->settings, &dialer, 1);
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    mg_redis_node_release(&s->node);
    for (int i = 0; i < s->dials; i++)
        if (s->ends[i])
            mg_stream_close(s->ends[i]);
    mg_loop_settle(s->loop);
    mg_loop_free(s->loop);
    assert_int_equal(s->pool.live, 0);
    mg_pool_release(&s->pool);
    free(s);
    return 0;
}

static void run_for(struct scene *s, uint64_t ns)
{
    mg_loop_simulate(s->loop, mg_loop_now(s->loop) + ns, NULL);
}

static void run(struct scene *s)
{
    run_for(s, 1);
}

static void on_done(struct mg_redis_call *call)
{
    struct scene *s = call->owner;
    size_t n = strlen(s->got), number = (size_t)(call - s->calls);
    if (call->error)
        snprintf(s->got + n, sizeof s->got - n, "%zu=!%d ", number, (int)call->error);
    else
        snprintf(s->got + n, sizeof s->got - n, "%zu=%lld ", number,
                 (long long)call->reply->integer);
}

static void prepare(struct scene *s, int i)
{
    static const char word[] = "CMD";
    s->argv[i][0] = word;
    s->lengths[i][0] = 3;
    s->calls[i] = (struct mg_redis_call){
        .argc = 1, .argv = s->argv[i], .lengths = s->lengths[i], .on_done = on_done, .owner = s};
}

static enum mg_redis_error start(struct scene *s, int i)
{
    prepare(s, i);
    return mg_redis_node_start(&s->node, &s->calls[i], 1);
}

/* All that was said to the server on a connection since the last time. */
static const char *hear(struct scene *s, int conn)
{
    ssize_t n = mg_stream_read(s->ends[conn], s->said[conn], ROOM - 1);
    s->said[conn][n > 0 ? n : 0] = 0;
    return s->said[conn];
}

static void say(struct scene *s, int conn, const char *text)
{
    struct iovec v = {(void *)text, strlen(text)};
    assert_int_equal(mg_stream_writev(s->ends[conn], &v, 1), (ssize_t)v.iov_len);
    run(s);
}

static int commands_in(const char *text)
{
    int n = 0;
    while ((text = strstr(text, "*1\r\n$3\r\nCMD\r\n"))) {
        n++;
        text++;
    }
    return n;
}

/* Begins with a call, and lets the server greet. */
static void connect_with_call(struct scene *s, int i)
{
    assert_int_equal(start(s, i), MG_REDIS_OK);
    run(s);
    assert_non_null(strstr(hear(s, s->dials - 1), "PING"));
    say(s, s->dials - 1, "+OK\r\n+PONG\r\n");
}

static void expect(struct scene *s, const char *text)
{
    assert_string_equal(s->got, text);
    s->got[0] = 0;
}

/* --- tests --- */

static void sends_those_of_a_turn_together_and_answers_in_order(void **state)
{
    struct scene *s = *state;
    connect_with_call(s, 0);
    for (int i = 1; i < 10; i++)
        assert_int_equal(start(s, i), MG_REDIS_OK);
    run(s);
    assert_int_equal(commands_in(hear(s, 0)), 10);
    say(s, 0, ":0\r\n:1\r\n:2\r\n:3\r\n:4\r\n");
    expect(s, "0=0 1=1 2=2 3=3 4=4 ");
    say(s, 0, ":5\r\n:6\r\n:7\r\n:8\r\n:9\r\n");
    expect(s, "5=5 6=6 7=7 8=8 9=9 ");
    assert_int_equal(s->dials, 1);
}

static void says_who_we_are(void **state)
{
    struct scene *s = *state;
    s->settings.username = MG_STR("gate");
    s->settings.password = MG_STR("open sesame");
    s->settings.database = 7;
    assert_int_equal(start(s, 0), MG_REDIS_OK);
    run(s);
    assert_string_equal(hear(s, 0), "*3\r\n$4\r\nAUTH\r\n$4\r\ngate\r\n$11\r\nopen sesame\r\n"
                                    "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$8\r\nmoongate\r\n"
                                    "*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n*1\r\n$4\r\nPING\r\n");
    say(s, 0, "+OK\r\n-ERR unknown command\r\n+OK\r\n+PONG\r\n");
    assert_int_equal(commands_in(hear(s, 0)), 1);
}

static void a_refusal_makes_it_down(void **state)
{
    struct scene *s = *state;
    assert_int_equal(start(s, 0), MG_REDIS_OK);
    run(s);
    say(s, 0, "-NOAUTH whoever.\r\n-NOAUTH Authentication required.\r\n");
    expect(s, "0=!1 ");
    assert_int_equal(start(s, 1), MG_REDIS_DOWN);
    assert_string_equal(s->calls[1].detail, "NOAUTH Authentication required.");
}

static void late_replies_are_dropped_and_others_stay_in_step(void **state)
{
    struct scene *s = *state;
    connect_with_call(s, 0);
    run_for(s, TIMEOUT_NS / 2);
    assert_int_equal(start(s, 1), MG_REDIS_OK);
    run_for(s, TIMEOUT_NS / 2);
    expect(s, "0=!2 ");
    say(s, 0, ":10\r\n:11\r\n");
    expect(s, "1=11 ");
}

static void a_cancelled_call_hears_nothing_and_shifts_nobody(void **state)
{
    struct scene *s = *state;
    connect_with_call(s, 0);
    for (int i = 1; i < 4; i++)
        assert_int_equal(start(s, i), MG_REDIS_OK);
    mg_redis_call_cancel(&s->calls[1]);
    say(s, 0, ":0\r\n:1\r\n:2\r\n:3\r\n");
    expect(s, "0=0 2=2 3=3 ");
    mg_redis_call_cancel(&s->calls[1]);
}

static void a_cancelled_call_that_waits_is_not_sent(void **state)
{
    struct scene *s = *state;
    assert_int_equal(start(s, 0), MG_REDIS_OK);
    assert_int_equal(start(s, 1), MG_REDIS_OK);
    mg_redis_call_cancel(&s->calls[0]);
    run(s);
    hear(s, 0);
    say(s, 0, "+OK\r\n+PONG\r\n");
    assert_int_equal(commands_in(hear(s, 0)), 1);
    say(s, 0, ":1\r\n");
    expect(s, "1=1 ");
}

static void a_silent_connection_is_closed(void **state)
{
    struct scene *s = *state;
    connect_with_call(s, 0);
    run_for(s, 2 * TIMEOUT_NS + 10);
    expect(s, "0=!2 ");
    assert_non_null(strstr(hear(s, 0), "CMD"));
    assert_string_equal(hear(s, 0), "");
    assert_int_equal(mg_stream_read(s->ends[0], s->said[0], ROOM), 0); /* its end */
}

static void a_lost_connection_fails_what_was_sent(void **state)
{
    struct scene *s = *state;
    connect_with_call(s, 0);
    assert_int_equal(start(s, 1), MG_REDIS_OK);
    run(s);
    mg_stream_close(s->ends[0]);
    s->ends[0] = NULL;
    run(s);
    expect(s, "0=!3 1=!3 ");
    connect_with_call(s, 2); /* and the next makes a new one */
    say(s, 1, ":2\r\n");
    expect(s, "2=2 ");
}

static void what_is_no_reply_ends_the_connection(void **state)
{
    struct scene *s = *state;
    connect_with_call(s, 0);
    say(s, 0, "HTTP/1.1 400 Bad Request\r\n");
    expect(s, "0=!5 ");
}

static void a_reply_to_nothing_ends_the_connection(void **state)
{
    struct scene *s = *state;
    connect_with_call(s, 0);
    say(s, 0, ":0\r\n:1\r\n");
    expect(s, "0=0 ");
    connect_with_call(s, 1);
    assert_int_equal(s->dials, 2);
}

static void while_down_commands_fail_at_once_and_it_is_tried_again(void **state)
{
    struct scene *s = *state;
    s->refuse = true;
    assert_int_equal(start(s, 0), MG_REDIS_OK);
    run(s);
    expect(s, "0=!1 ");
    for (int i = 1; i < 50; i++)
        assert_int_equal(start(s, i), MG_REDIS_DOWN);
    run_for(s, 60 * MG_SECOND); /* tries go on, ever less often */
    assert_int_equal(start(s, 1), MG_REDIS_DOWN);
    s->refuse = false;
    for (int i = 0; i < 50 && s->dials == 0; i++)
        run_for(s, 100 * MG_MILLISECOND);
    assert_int_equal(s->dials, 1);
    say(s, 0, "+OK\r\n+PONG\r\n");
    assert_int_equal(start(s, 2), MG_REDIS_OK);
    say(s, 0, ":2\r\n");
    expect(s, "2=2 ");
}

static void five_late_ones_in_a_row_make_it_down_and_one_more_after_it_was(void **state)
{
    struct scene *s = *state;
    connect_with_call(s, 0);
    say(s, 0, ":0\r\n");
    expect(s, "0=0 ");
    for (int i = 1; i <= 5; i++)
        assert_int_equal(start(s, i), MG_REDIS_OK);
    run_for(s, TIMEOUT_NS + 1);
    expect(s, "1=!2 2=!2 3=!2 4=!2 5=!2 ");
    assert_int_equal(start(s, 6), MG_REDIS_DOWN);
    run_for(s, 100 * MG_MILLISECOND);
    say(s, 1, "+OK\r\n+PONG\r\n");
    assert_int_equal(start(s, 7), MG_REDIS_OK); /* a trial */
    run_for(s, TIMEOUT_NS + 1);
    expect(s, "7=!2 ");
    assert_int_equal(start(s, 8), MG_REDIS_DOWN);
}

static void no_connection_in_time_makes_it_down(void **state)
{
    struct scene *s = *state;
    assert_int_equal(start(s, 0), MG_REDIS_OK);
    run_for(s, TIMEOUT_NS + 1); /* it accepts, and does not answer */
    expect(s, "0=!2 ");
    assert_int_equal(start(s, 1), MG_REDIS_OK);
    run_for(s, CONNECT_NS);
    expect(s, "1=!2 ");
    assert_int_equal(start(s, 2), MG_REDIS_DOWN);
}

static void more_connections_are_made_when_there_is_much_to_do(void **state)
{
    struct scene *s = *state;
    connect_with_call(s, 0);
    for (int i = 1; i < 40; i++)
        assert_int_equal(start(s, i), MG_REDIS_OK);
    run(s);
    assert_int_equal(s->dials, 2);
    hear(s, 1);
    say(s, 1, "+OK\r\n+PONG\r\n");
    for (int i = 40; i < CALLS; i++)
        assert_int_equal(start(s, i), MG_REDIS_OK);
    run(s);
    assert_int_equal(commands_in(hear(s, 0)), 50);
    assert_int_equal(commands_in(hear(s, 1)), 50);
    assert_int_equal(s->dials, 2); /* no more than the pool may have */
}

static void several_stay_together(void **state)
{
    struct scene *s = *state;
    connect_with_call(s, 0);
    for (int i = 1; i < CALLS; i++)
        prepare(s, i);
    assert_int_equal(mg_redis_node_start(&s->node, &s->calls[1], CALLS - 1), MG_REDIS_OK);
    run(s);
    assert_int_equal(commands_in(hear(s, 0)), CALLS);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(sends_those_of_a_turn_together_and_answers_in_order),
        T(says_who_we_are),
        T(a_refusal_makes_it_down),
        T(late_replies_are_dropped_and_others_stay_in_step),
        T(a_cancelled_call_hears_nothing_and_shifts_nobody),
        T(a_cancelled_call_that_waits_is_not_sent),
        T(a_silent_connection_is_closed),
        T(a_lost_connection_fails_what_was_sent),
        T(what_is_no_reply_ends_the_connection),
        T(a_reply_to_nothing_ends_the_connection),
        T(while_down_commands_fail_at_once_and_it_is_tried_again),
        T(five_late_ones_in_a_row_make_it_down_and_one_more_after_it_was),
        T(no_connection_in_time_makes_it_down),
        T(more_connections_are_made_when_there_is_much_to_do),
        T(several_stay_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
