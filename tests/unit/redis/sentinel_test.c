/* Sentinels and masters on the other ends of pairs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis/sentinel.h"
#include "redis/servers.h"

#define TIMEOUT_NS (200 * MG_MILLISECOND)
#define CONNECT_NS (900 * MG_MILLISECOND)
#define QUESTION "SENTINEL get-master-addr-by-name main;"
#define MASTER "10.0.0.1:6379"
#define MASTER_IS "*2\r\n$8\r\n10.0.0.1\r\n$4\r\n6379\r\n"

struct scene {
    struct servers servers;
    struct mg_redis_settings settings;
    struct mg_redis_dialer dialer;
    struct mg_stream *stream; /* that came */
    char reason[128];         /* or why none did */
    int answers;
};

static int set_up(void **state)
{
    struct scene *s = *state = calloc(1, sizeof *s);
    struct mg_redis_dialer lower = servers_init(&s->servers);
    s->settings = (struct mg_redis_settings){.timeout_ns = TIMEOUT_NS,
                                             .connect_timeout_ns = CONNECT_NS,
                                             .pool = 1,
                                             .limits = {.reply_bytes = 1 << 20, .items = 1000}};
    const struct mg_redis_sentinel_options options = {.loop = s->servers.loop,
                                                      .chunks = &s->servers.pool,
                                                      .settings = &s->settings,
                                                      .master = MG_STR("main")};
    s->dialer = mg_redis_sentinel_new(&options, &lower);
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    if (s->stream)
        mg_stream_close(s->stream);
    mg_redis_sentinel_free(s->dialer.ctx);
    assert_true(servers_release(&s->servers));
    free(s);
    return 0;
}

static void on_done(void *arg, struct mg_stream *stream, const char *reason)
{
    struct scene *s = arg;
    s->stream = stream;
    s->answers++;
    if (reason)
        snprintf(s->reason, sizeof s->reason, "%s", reason);
}

static void *dial(struct scene *s)
{
    const char *reason = NULL;
    void *d = s->dialer.start(s->dialer.ctx, NULL, on_done, s, &reason);
    servers_run(&s->servers, 1);
    return d;
}

static void asks_and_dials_whom_the_answer_names(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    assert_non_null(dial(s));
    assert_true(servers_welcome(v, 0, ""));
    assert_string_equal(servers_hear(v, 0), QUESTION);
    servers_say(v, 0, MASTER_IS);
    assert_true(servers_is_closed(v, 0));
    assert_string_equal(v->dial[1].address, MASTER);
    assert_non_null(s->stream);
    assert_int_equal(s->answers, 1);
}

static void brackets_an_address_of_v6(void **state)
{
    struct scene *s = *state;
    assert_non_null(dial(s));
    assert_true(servers_welcome(&s->servers, 0, ""));
    servers_say(&s->servers, 0, "*2\r\n$3\r\n::1\r\n$4\r\n6379\r\n");
    assert_string_equal(s->servers.dial[1].address, "[::1]:6379");
}

static void asks_others_when_one_does_not_know_or_does_not_answer(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    assert_non_null(dial(s));
    assert_true(servers_welcome(v, 0, ""));
    servers_say(v, 0, "*-1\r\n");
    assert_true(servers_welcome(v, 1, ""));
    servers_run(v, TIMEOUT_NS);
    assert_true(servers_welcome(v, 2, ""));
    servers_say(v, 2, MASTER_IS);
    assert_non_null(s->stream);
}

static void asks_others_when_one_does_not_even_greet(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    assert_non_null(dial(s));
    servers_run(v, CONNECT_NS / 3);
    assert_true(servers_welcome(v, 1, ""));
    servers_say(v, 1, MASTER_IS);
    assert_non_null(s->stream);
}

static void gives_up_after_three_and_says_why(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    assert_non_null(dial(s));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s->answers, 0);
        assert_true(servers_welcome(v, i, ""));
        servers_say(v, i, i == 2 ? "*-1\r\n" : "-NOPERM sorry\r\n");
    }
    assert_int_equal(s->answers, 1);
    assert_null(s->stream);
    assert_string_equal(s->reason, "the sentinels do not know the master");
    assert_int_equal(v->dials, 3);
}

static void tells_that_the_master_is_not_reached(void **state)
{
    struct scene *s = *state;
    s->servers.refusing = MASTER;
    assert_non_null(dial(s));
    assert_true(servers_welcome(&s->servers, 0, ""));
    servers_say(&s->servers, 0, MASTER_IS);
    assert_int_equal(s->answers, 1);
    assert_null(s->stream);
    assert_string_equal(s->reason, "refused");
}

static void a_cancelled_dial_is_heard_of_no_more(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    for (int step = 0; step < 3; step++) {
        void *d = s->dialer.start(s->dialer.ctx, NULL, on_done, s, &(const char *){NULL});
        if (step > 0)
            servers_run(v, 1);
        if (step > 1)
            assert_true(servers_welcome(v, v->dials - 1, ""));
        s->dialer.cancel(s->dialer.ctx, d);
        servers_run(v, MG_SECOND);
    }
    assert_int_equal(s->answers, 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(asks_and_dials_whom_the_answer_names),
        T(brackets_an_address_of_v6),
        T(asks_others_when_one_does_not_know_or_does_not_answer),
        T(asks_others_when_one_does_not_even_greet),
        T(gives_up_after_three_and_says_why),
        T(tells_that_the_master_is_not_reached),
        T(a_cancelled_dial_is_heard_of_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
