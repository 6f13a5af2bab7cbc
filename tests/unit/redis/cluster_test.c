/* A cluster on the other ends of pairs: who is asked, what is sent where, and what moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis/cluster.h"
#include "redis/servers.h"

#define CALLS 40
#define TIMEOUT_NS (200 * MG_MILLISECOND)
#define CONNECT_NS (900 * MG_MILLISECOND)
#define A "10.0.0.1:6379"
#define B "10.0.0.2:6379"
#define C "[::3]:6379"

/* The slot of foo is 12182, that of bar 5061. */
#define NODE(host) "*2\r\n$" host "\r\n:6379\r\n"
#define TWO_HALVES                                                                                 \
    "*2\r\n*3\r\n:0\r\n:8191\r\n" NODE("8\r\n10.0.0.1") "*3\r\n:8192\r\n:16383\r\n" NODE(          \
        "8\r\n10.0.0.2")
#define ALL_OF_A "*1\r\n*3\r\n:0\r\n:16383\r\n" NODE("8\r\n10.0.0.1")

struct scene {
    struct servers servers;
    struct mg_redis_settings settings;
    struct mg_redis_cluster *cluster;
    struct mg_redis_call calls[CALLS];
    char words[CALLS][64];
    const char *argv[CALLS][8];
    size_t lengths[CALLS][8];
    char got[4096]; /* what the calls were told, in order */
};

static int set_up(void **state)
{
    struct scene *s = *state = calloc(1, sizeof *s);
    struct mg_redis_dialer dialer = servers_init(&s->servers);
    s->settings = (struct mg_redis_settings){.timeout_ns = TIMEOUT_NS,
                                             .connect_timeout_ns = CONNECT_NS,
                                             .pool = 1,
                                             .cluster = true,
                                             .limits = {.reply_bytes = 1 << 20, .items = 1000}};
    s->cluster =
        mg_redis_cluster_new("test", s->servers.loop, &s->servers.pool, &s->settings, &dialer, 1);
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    mg_redis_cluster_free(s->cluster);
    assert_true(servers_release(&s->servers));
    free(s);
    return 0;
}

static void on_done(struct mg_redis_call *call)
{
    struct scene *s = call->owner;
    size_t n = strlen(s->got), number = (size_t)(call - s->calls);
    if (call->error)
        snprintf(s->got + n, sizeof s->got - n, "%zu=!%d ", number, (int)call->error);
    else if (call->reply->type == MG_REDIS_INTEGER)
        snprintf(s->got + n, sizeof s->got - n, "%zu=%lld ", number,
                 (long long)call->reply->integer);
    else
        snprintf(s->got + n, sizeof s->got - n, "%zu='%s' ", number, call->reply->str.p);
}

/* Call `i` will be this command. */
static void prepare(struct scene *s, int i, const char *command)
{
    snprintf(s->words[i], sizeof s->words[i], "%s", command);
    struct mg_str rest = mg_str_c(s->words[i]), word;
    struct mg_redis_call *call = &s->calls[i];
    *call = (struct mg_redis_call){
        .argv = s->argv[i], .lengths = s->lengths[i], .on_done = on_done, .owner = s};
    while (mg_str_split(&rest, ' ', &word)) {
        s->argv[i][call->argc] = word.p;
        s->lengths[i][call->argc++] = word.n;
    }
}

static enum mg_redis_error start(struct scene *s, int i, const char *command)
{
    prepare(s, i, command);
    enum mg_redis_error error = mg_redis_cluster_start(s->cluster, &s->calls[i], 1);
    servers_run(&s->servers, 1);
    return error;
}

static void expect(struct scene *s, const char *text)
{
    assert_string_equal(s->got, text);
    s->got[0] = 0;
}

/* Begins with a command for B and one for A; the map is told on connection 0. */
static void begin(struct scene *s)
{
    struct servers *v = &s->servers;
    assert_int_equal(start(s, 0, "GET foo"), MG_REDIS_OK);
    assert_int_equal(start(s, 1, "GET bar"), MG_REDIS_OK);
    assert_true(servers_welcome(v, 0, ""));
    assert_string_equal(servers_hear(v, 0), "CLUSTER SLOTS;");
    servers_say(v, 0, TWO_HALVES);
    assert_true(servers_is_closed(v, 0));
    assert_true(servers_welcome(v, 1, B));
    assert_true(servers_welcome(v, 2, A));
    assert_string_equal(servers_hear(v, 1), "GET foo;");
    assert_string_equal(servers_hear(v, 2), "GET bar;");
    servers_say(v, 1, ":1\r\n");
    servers_say(v, 2, ":2\r\n");
    expect(s, "0=1 1=2 ");
}

/* --- tests --- */

static void commands_go_to_whom_the_map_says(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    begin(s);
    assert_int_equal(start(s, 2, "EVALSHA digest 1 foo x"), MG_REDIS_OK);
    assert_string_equal(servers_hear(v, 1), "EVALSHA digest 1 foo x;");
    servers_say(v, 1, ":3\r\n");
    expect(s, "2=3 ");
    assert_int_equal(v->dials, 3);
}

static void a_moved_slot_is_found_and_the_map_is_asked_for_once(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    begin(s);
    servers_run(v, MG_SECOND);
    for (int i = 2; i < 5; i++)
        assert_int_equal(start(s, i, "INCR foo"), MG_REDIS_OK);
    servers_hear(v, 1);
    servers_say(v, 1,
                "-MOVED 12182 ::3:6379\r\n-MOVED 12182 ::3:6379\r\n-MOVED 12182 ::3:6379\r\n");
    assert_true(servers_welcome(v, 3, C));
    assert_string_equal(servers_hear(v, 3), "INCR foo;INCR foo;INCR foo;");
    servers_say(v, 3, ":1\r\n:2\r\n:3\r\n");
    expect(s, "2=1 3=2 4=3 ");
    assert_int_equal(start(s, 5, "INCR foo"), MG_REDIS_OK); /* without a detour */
    assert_string_equal(servers_hear(v, 3), "INCR foo;");
    servers_say(v, 3, ":4\r\n");
    expect(s, "5=4 ");
    assert_true(servers_welcome(v, 4, A)); /* who is asked, as it is there */
    assert_string_equal(servers_hear(v, 4), "CLUSTER SLOTS;");
    servers_say(v, 4, ALL_OF_A);
    servers_run(v, 1);
    assert_true(servers_is_closed(v, 1)); /* who has nothing is left */
    assert_true(servers_is_closed(v, 3));
    assert_int_equal(v->dials, 5);
    assert_int_equal(start(s, 6, "GET foo"), MG_REDIS_OK);
    assert_string_equal(servers_hear(v, 2), "GET foo;");
}

static void a_slot_on_its_way_is_asked_for_where_it_goes(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    begin(s);
    assert_int_equal(start(s, 2, "GET foo"), MG_REDIS_OK);
    assert_int_equal(start(s, 3, "GET {foo}2"), MG_REDIS_OK);
    servers_hear(v, 1);
    servers_say(v, 1, "-ASK 12182 " A "\r\n:7\r\n");
    expect(s, "3=7 ");
    assert_string_equal(servers_hear(v, 2), "ASKING;GET foo;");
    servers_say(v, 2, "+OK\r\n:8\r\n");
    expect(s, "2=8 ");
    assert_int_equal(start(s, 4, "GET foo"), MG_REDIS_OK); /* the slot is still where it was */
    assert_string_equal(servers_hear(v, 1), "GET foo;");
    servers_say(v, 1, ":9\r\n");
    servers_run(v, MG_SECOND);
    assert_int_equal(v->dials, 3); /* and the map has not changed */
}

static void keys_that_are_torn_apart_are_tried_again_in_time(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    begin(s);
    assert_int_equal(start(s, 2, "MGET foo {foo}2"), MG_REDIS_OK);
    for (int i = 0; i < 18; i++) { /* more often than a call may be redirected */
        assert_string_equal(servers_hear(v, 1), "MGET foo {foo}2;");
        servers_say(v, 1, "-TRYAGAIN later\r\n");
        servers_run(v, 10 * MG_MILLISECOND);
    }
    assert_string_equal(servers_hear(v, 1), "MGET foo {foo}2;");
    servers_say(v, 1, ":1\r\n");
    expect(s, "2=1 ");
    assert_int_equal(start(s, 3, "MGET foo {foo}2"), MG_REDIS_OK);
    uint64_t end_ns = mg_loop_now(v->loop) + TIMEOUT_NS;
    while (mg_loop_now(v->loop) < end_ns && servers_hear(v, 1)) {
        servers_say(v, 1, v->said[1][0] ? "-TRYAGAIN later\r\n" : "");
        servers_run(v, MG_MILLISECOND);
    }
    expect(s, "3=!2 ");
}

/* Two servers each say that the other one has the slot. */
static int sent_round(struct scene *s)
{
    struct servers *v = &s->servers;
    int sent = 0;
    for (int conn = 1; servers_hear(v, conn)[0]; conn = 3 - conn) {
        sent++;
        servers_say(v, conn, conn == 2 ? "-MOVED 12182 " B "\r\n" : "-MOVED 12182 " A "\r\n");
    }
    return sent;
}

static void a_call_that_is_sent_round_waits_and_is_tried_again_in_time(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    begin(s);
    assert_int_equal(start(s, 2, "GET foo"), MG_REDIS_OK);
    assert_int_equal(sent_round(s), 6);
    expect(s, "");
    servers_run(v, 10 * MG_MILLISECOND);
    assert_string_equal(servers_hear(v, 1), "GET foo;"); /* whom the last word named */
    servers_say(v, 1, ":1\r\n");
    expect(s, "2=1 ");
    assert_int_equal(start(s, 3, "GET foo"), MG_REDIS_OK);
    uint64_t end_ns = mg_loop_now(v->loop) + TIMEOUT_NS;
    while (mg_loop_now(v->loop) < end_ns) {
        sent_round(s);
        servers_run(v, MG_MILLISECOND);
    }
    expect(s, "3=!2 ");
}

static void a_call_on_a_detour_keeps_its_time(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    begin(s);
    assert_int_equal(start(s, 2, "GET foo"), MG_REDIS_OK);
    servers_run(v, TIMEOUT_NS - 10 * MG_MILLISECOND);
    assert_int_equal(start(s, 3, "GET bar"), MG_REDIS_OK); /* before it at A */
    servers_say(v, 1, "-MOVED 12182 " A "\r\n");
    expect(s, "");
    servers_run(v, 10 * MG_MILLISECOND);
    expect(s, "2=!2 ");
    servers_say(v, 2, ":3\r\n:9\r\n"); /* nobody wants the second */
    expect(s, "3=3 ");
}

static void keys_in_several_slots_are_refused_and_nothing_is_sent(void **state)
{
    struct scene *s = *state;
    begin(s);
    prepare(s, 2, "SET foo 1");
    prepare(s, 3, "MGET foo bar");
    assert_int_equal(mg_redis_cluster_start(s->cluster, &s->calls[2], 2), MG_REDIS_ROUTE);
    assert_string_equal(s->calls[2].detail, "the keys lie in more than one slot");
    prepare(s, 2, "MULTI");
    prepare(s, 3, "SET foo 1");
    prepare(s, 4, "SET bar 1");
    prepare(s, 5, "EXEC");
    assert_int_equal(mg_redis_cluster_start(s->cluster, &s->calls[2], 4), MG_REDIS_ROUTE);
    servers_run(&s->servers, 1);
    assert_string_equal(servers_hear(&s->servers, 1), "");
    assert_string_equal(servers_hear(&s->servers, 2), "");
    expect(s, "");
}

static void a_pipeline_is_taken_apart_but_no_transaction(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    static const char *const commands[] = {"GET bar",     "MULTI", "INCR foo", "ECHO x",
                                           "INCR {foo}2", "EXEC",  "GET foo",  "GET {bar}2"};
    begin(s);
    for (int i = 0; i < 8; i++)
        prepare(s, 2 + i, commands[i]);
    assert_int_equal(mg_redis_cluster_start(s->cluster, &s->calls[2], 8), MG_REDIS_OK);
    servers_run(v, 1);
    assert_string_equal(servers_hear(v, 2), "GET bar;GET {bar}2;");
    assert_string_equal(servers_hear(v, 1), "MULTI;INCR foo;ECHO x;INCR {foo}2;EXEC;GET foo;");
    servers_say(v, 1,
                "+OK\r\n-MOVED 12182 " A "\r\n+QUEUED\r\n+QUEUED\r\n-EXECABORT sorry\r\n:1\r\n");
    expect(s, "3='OK' 4='MOVED 12182 " A "' 5='QUEUED' 6='QUEUED' 7='EXECABORT sorry' 8=1 ");
    servers_say(v, 2, ":2\r\n:3\r\n");
    expect(s, "2=2 9=3 ");
}

static void nobody_to_tell_the_map_is_known_at_once_and_is_tried_again(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    v->refusing = "";
    assert_int_equal(start(s, 0, "GET foo"), MG_REDIS_OK);
    servers_run(v, 10);
    expect(s, "0=!1 ");
    assert_int_equal(v->dials, 3); /* three servers were tried */
    assert_int_equal(start(s, 1, "GET foo"), MG_REDIS_DOWN);
    assert_string_equal(s->calls[1].detail, "refused");
    v->refusing = NULL;
    servers_run(v, 100 * MG_MILLISECOND);
    assert_true(servers_welcome(v, 3, ""));
    servers_say(v, 3, "-ERR This instance has cluster support disabled\r\n");
    assert_true(servers_welcome(v, 4, ""));
    servers_say(v, 4, "*0\r\n");
    assert_true(servers_welcome(v, 5, ""));
    servers_say(v, 5, "*1\r\n*3\r\n:0\r\n:16384\r\n" NODE("8\r\n10.0.0.1"));
    assert_int_equal(start(s, 1, "GET foo"), MG_REDIS_DOWN);
    assert_string_equal(s->calls[1].detail, "what it says of its slots is not understood");
    servers_run(v, 200 * MG_MILLISECOND);
    assert_true(servers_welcome(v, 6, ""));
    servers_say(v, 6, ALL_OF_A);
    assert_int_equal(start(s, 2, "GET foo"), MG_REDIS_OK);
    assert_true(servers_welcome(v, 7, A));
}

static void a_server_that_hangs_does_not_keep_the_map_from_others(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    assert_int_equal(start(s, 0, "GET foo"), MG_REDIS_OK);
    servers_run(v, TIMEOUT_NS);
    expect(s, "0=!2 ");
    servers_run(v, CONNECT_NS / 3 - TIMEOUT_NS);
    assert_int_equal(v->dials, 2);
    assert_true(servers_welcome(v, 1, ""));
    servers_say(v, 1, ALL_OF_A);
    assert_int_equal(start(s, 1, "GET foo"), MG_REDIS_OK);
    assert_true(servers_welcome(v, 2, A));
}

static void the_others_go_on_when_one_is_down_and_the_map_is_asked_for(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    begin(s);
    servers_run(v, MG_SECOND);
    v->refusing = B;
    mg_stream_close(v->ends[1]);
    v->ends[1] = NULL;
    servers_run(v, 1);
    assert_int_equal(start(s, 2, "GET foo"), MG_REDIS_OK);
    expect(s, "2=!1 ");
    assert_int_equal(start(s, 3, "GET bar"), MG_REDIS_OK);
    servers_say(v, 2, ":3\r\n");
    expect(s, "3=3 ");
    int asked = v->dials - 1;
    assert_true(servers_welcome(v, asked, A));
    servers_say(v, asked, ALL_OF_A);
    assert_int_equal(start(s, 4, "GET foo"), MG_REDIS_OK);
    assert_string_equal(servers_hear(v, 2), "GET bar;GET foo;");
    servers_say(v, 2, ":4\r\n");
    expect(s, "4=4 ");
}

static void a_server_that_knows_no_address_of_its_own_is_the_configured_one(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    assert_int_equal(start(s, 0, "GET foo"), MG_REDIS_OK);
    assert_true(servers_welcome(v, 0, ""));
    servers_say(v, 0, "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$-1\r\n:6379\r\n");
    assert_true(servers_welcome(v, 1, ""));
    assert_string_equal(servers_hear(v, 1), "GET foo;");
}

static void calls_taken_back_are_heard_of_no_more(void **state)
{
    struct scene *s = *state;
    struct servers *v = &s->servers;
    begin(s);
    for (int i = 2; i < 5; i++)
        assert_int_equal(start(s, i, "MGET foo {foo}2"), MG_REDIS_OK);
    servers_say(v, 1, "-ASK 12182 " A "\r\n-TRYAGAIN later\r\n");
    mg_redis_call_cancel(&s->calls[2]);
    mg_redis_call_cancel(&s->calls[3]);
    mg_redis_call_cancel(&s->calls[4]);
    servers_run(v, MG_SECOND);
    expect(s, "");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(commands_go_to_whom_the_map_says),
        T(a_moved_slot_is_found_and_the_map_is_asked_for_once),
        T(a_slot_on_its_way_is_asked_for_where_it_goes),
        T(keys_that_are_torn_apart_are_tried_again_in_time),
        T(a_call_that_is_sent_round_waits_and_is_tried_again_in_time),
        T(a_call_on_a_detour_keeps_its_time),
        T(keys_in_several_slots_are_refused_and_nothing_is_sent),
        T(a_pipeline_is_taken_apart_but_no_transaction),
        T(nobody_to_tell_the_map_is_known_at_once_and_is_tried_again),
        T(a_server_that_hangs_does_not_keep_the_map_from_others),
        T(the_others_go_on_when_one_is_down_and_the_map_is_asked_for),
        T(a_server_that_knows_no_address_of_its_own_is_the_configured_one),
        T(calls_taken_back_are_heard_of_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
