/* Scripts: by their digest, by their text where that is not known, and both in one time-out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis/eval.h"
#include "redis/servers.h"

#define TIMEOUT_NS (200 * MG_MILLISECOND)
#define ARGS 4
#define UNKNOWN "-NOSCRIPT No matching script.\r\n"

struct scene {
    struct servers servers;
    struct mg_redis_client *client;
    struct mg_redis_eval eval;
    const char *argv[ARGS];
    size_t lengths[ARGS];
    int done;
    enum mg_redis_error error;
    int64_t integer;
    uint64_t began_ns, took_ns;
};

static void on_done(struct mg_redis_eval *e)
{
    struct scene *s = e->owner;
    s->done++;
    s->error = e->call.error;
    s->integer = e->call.reply ? e->call.reply->integer : -1;
    s->took_ns = mg_loop_now(s->servers.loop) - s->began_ns;
}

static enum mg_redis_error start(struct scene *s)
{
    static const char *const words[ARGS] = {NULL, "digest", "1", "key"};
    for (int i = 1; i < ARGS; i++) {
        s->argv[i] = words[i];
        s->lengths[i] = strlen(words[i]);
    }
    s->eval = (struct mg_redis_eval){
        .call = {.argc = ARGS, .argv = s->argv, .lengths = s->lengths},
        .text = MG_STR("return 1"),
        .on_done = on_done,
        .owner = s,
    };
    s->began_ns = mg_loop_now(s->servers.loop);
    return mg_redis_eval_start(&s->eval, s->client);
}

static int set_up(void **state)
{
    struct scene *s = *state = calloc(1, sizeof *s);
    const struct mg_redis_settings settings = {
        .timeout_ns = TIMEOUT_NS,
        .connect_timeout_ns = 5 * TIMEOUT_NS,
        .pool = 1,
        .limits = {.reply_bytes = 4096, .items = 100},
    };
    struct mg_redis_dialer dialer = servers_init(&s->servers);
    s->client = mg_redis_client_new(MG_STR("test"), s->servers.loop, &s->servers.pool, &settings,
                                    &dialer, 1);
    assert_int_equal(start(s), MG_REDIS_OK);
    servers_run(&s->servers, 1);
    assert_true(servers_welcome(&s->servers, 0, ""));
    servers_run(&s->servers, 1);
    assert_string_equal(servers_hear(&s->servers, 0), "EVALSHA digest 1 key;");
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    mg_redis_client_unref(s->client);
    assert_true(servers_release(&s->servers));
    free(s);
    return 0;
}

static void a_script_that_is_known_runs_by_its_digest(void **state)
{
    struct scene *s = *state;
    servers_say(&s->servers, 0, ":7\r\n");
    assert_int_equal(s->done, 1);
    assert_int_equal(s->integer, 7);
    assert_string_equal(servers_hear(&s->servers, 0), "");
}

static void one_that_is_not_goes_as_text_once(void **state)
{
    struct scene *s = *state;
    servers_say(&s->servers, 0, UNKNOWN);
    assert_int_equal(s->done, 0);
    assert_string_equal(servers_hear(&s->servers, 0), "EVAL return 1 1 key;");
    servers_say(&s->servers, 0, UNKNOWN);
    assert_int_equal(s->done, 1);
    assert_int_equal(s->error, MG_REDIS_OK);
    servers_run(&s->servers, TIMEOUT_NS);
    assert_int_equal(s->done, 1);
}

static void both_have_the_time_of_one(void **state)
{
    struct scene *s = *state;
    servers_run(&s->servers, TIMEOUT_NS * 3 / 4);
    servers_say(&s->servers, 0, UNKNOWN);
    assert_string_equal(servers_hear(&s->servers, 0), "EVAL return 1 1 key;");
    servers_run(&s->servers, TIMEOUT_NS);
    assert_int_equal(s->done, 1);
    assert_int_equal(s->error, MG_REDIS_TIMEOUT);
    assert_int_equal(s->took_ns, TIMEOUT_NS);
    servers_say(&s->servers, 0, ":7\r\n"); /* too late for anybody */
    assert_int_equal(s->done, 1);
}

static void another_run_may_have_what_is_left_of_the_time(void **state)
{
    struct scene *s = *state;
    uint64_t began_ns = s->began_ns;
    servers_run(&s->servers, TIMEOUT_NS / 2);
    servers_say(&s->servers, 0, ":7\r\n");
    assert_int_equal(s->eval.deadline_ns, began_ns + TIMEOUT_NS);
    assert_int_equal(mg_redis_eval_start(&s->eval, s->client), MG_REDIS_OK);
    servers_run(&s->servers, TIMEOUT_NS);
    assert_int_equal(s->done, 2);
    assert_int_equal(s->error, MG_REDIS_TIMEOUT);
    assert_int_equal(s->took_ns, TIMEOUT_NS);
}

static void one_that_is_taken_back_is_silent(void **state)
{
    struct scene *s = *state;
    servers_say(&s->servers, 0, UNKNOWN);
    mg_redis_eval_cancel(&s->eval);
    servers_say(&s->servers, 0, ":7\r\n");
    servers_run(&s->servers, TIMEOUT_NS);
    assert_int_equal(s->done, 0);
}

static void a_text_that_cannot_be_sent_is_a_failure(void **state)
{
    struct scene *s = *state;
    s->eval.text = mg_str(calloc(1, (size_t)65 << 20), (size_t)65 << 20);
    servers_say(&s->servers, 0, UNKNOWN);
    assert_int_equal(s->done, 1);
    assert_int_equal(s->error, MG_REDIS_BUSY);
    free((char *)s->eval.text.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_script_that_is_known_runs_by_its_digest, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_not_goes_as_text_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(both_have_the_time_of_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_run_may_have_what_is_left_of_the_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_taken_back_is_silent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_text_that_cannot_be_sent_is_a_failure, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
