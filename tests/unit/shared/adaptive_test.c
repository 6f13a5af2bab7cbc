/* The adaptive limit against a backend that is a queue: it has servers, and those who find none
 * free wait. Time is virtual. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/adaptive.h"

#define KEY MG_STR("api")

static const struct mg_adaptive_rule RULE = {.min = 2, .max = 200, .initial = 20, .tolerance = 2};

static int setup(void **state)
{
    *state = mg_dict_new(MG_DICT_BYTES_MIN, NULL);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    mg_dict_free(*state);
    return 0;
}

static double limit_of(struct mg_dict *d, int64_t now_ms)
{
    struct mg_adaptive_result r;
    assert_int_equal(mg_adaptive_acquire(d, KEY, &RULE, now_ms, &r), MG_DICT_OK);
    if (r.ok)
        assert_int_equal(mg_adaptive_release(d, KEY, &RULE, -1, false, now_ms), MG_DICT_OK);
    return r.limit;
}

/* Clients want `wanted` at a time. Each tick of 10 ms all who may begin, and end a tick of
 * `latency` later; of each ten, `failed` fail. Gives the most that were under way. */
struct load {
    int wanted, servers;
    double service_s; /* of one request when it has a server */
    int failed_of_ten;
};

static double play(struct mg_dict *d, int64_t *now_ms, int ticks, struct load load)
{
    double most = 0;
    for (int tick = 0; tick < ticks; tick++) {
        struct mg_adaptive_result r;
        int held = 0;
        while (held < load.wanted) {
            assert_int_equal(mg_adaptive_acquire(d, KEY, &RULE, *now_ms, &r), MG_DICT_OK);
            if (!r.ok)
                break;
            held++;
        }
        most = fmax(most, held);
        double waves = ceil((double)held / load.servers); /* the last one waits for these */
        double latency_s = load.service_s * fmax(1, (waves + 1) / 2);
        *now_ms += (int64_t)(latency_s * 1000);
        for (int i = 0; i < held; i++)
            assert_int_equal(
                mg_adaptive_release(d, KEY, &RULE, latency_s, i % 10 < load.failed_of_ten, *now_ms),
                MG_DICT_OK);
    }
    return most;
}

static void rises_while_all_is_well(void **state)
{
    int64_t now_ms = 1000;
    play(*state, &now_ms, 1000, (struct load){100, 1000, 0.05, 0});
    assert_true(limit_of(*state, now_ms) >= 100);
}

static void stays_where_nobody_tries_it(void **state)
{
    int64_t now_ms = 1000;
    play(*state, &now_ms, 1000, (struct load){3, 1000, 0.05, 0});
    assert_true(limit_of(*state, now_ms) == 20);
}

static void falls_with_latency_and_rises_again(void **state)
{
    int64_t now_ms = 1000;
    play(*state, &now_ms, 300, (struct load){60, 100, 0.05, 0});
    double before = limit_of(*state, now_ms);
    assert_true(before >= 60);
    play(*state, &now_ms, 100, (struct load){60, 5, 0.05, 0}); /* most of the servers are gone */
    double while_short = limit_of(*state, now_ms);
    assert_true(while_short < before / 2);
    play(*state, &now_ms, 300, (struct load){60, 100, 0.05, 0});
    assert_true(limit_of(*state, now_ms) >= 60);
}

static void falls_with_errors_and_rises_again(void **state)
{
    int64_t now_ms = 1000;
    play(*state, &now_ms, 300, (struct load){60, 100, 0.05, 0});
    play(*state, &now_ms, 100, (struct load){60, 100, 0.05, 10});
    assert_true(limit_of(*state, now_ms) == RULE.min);
    play(*state, &now_ms, 300, (struct load){60, 100, 0.05, 0});
    assert_true(limit_of(*state, now_ms) >= 60);
    play(*state, &now_ms, 100, (struct load){60, 100, 0.05, 5});
    assert_in_range((int)limit_of(*state, now_ms), 2, 30);
}

static void never_grants_more_than_the_limit(void **state)
{
    struct mg_adaptive_result r;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mg_adaptive_acquire(*state, KEY, &RULE, 0, &r), MG_DICT_OK);
        assert_true(r.ok && r.held == i + 1);
    }
    assert_int_equal(mg_adaptive_acquire(*state, KEY, &RULE, 0, &r), MG_DICT_OK);
    assert_true(!r.ok && r.held == 20 && r.limit == 20);
    assert_int_equal(mg_adaptive_release(*state, KEY, &RULE, -1, false, 0), MG_DICT_OK);
    assert_int_equal(mg_adaptive_acquire(*state, KEY, &RULE, 0, &r), MG_DICT_OK);
    assert_true(r.ok);
    for (int i = 0; i < 20; i++)
        assert_int_equal(mg_adaptive_release(*state, KEY, &RULE, 1, false, 0), MG_DICT_OK);
    assert_int_equal(mg_adaptive_release(*state, KEY, &RULE, 1, false, 0), MG_DICT_ABSENT);
}

/* What is under way is never evicted; what is not goes with all others, and with time. */
static void memory(void **state)
{
    struct mg_dict *d = *state;
    struct mg_adaptive_result r;
    struct mg_dict_value value = {.kind = MG_DICT_INTEGER, .integer = 1};
    int64_t ttl;
    for (int idle = 0; idle < 2; idle++) {
        assert_int_equal(mg_adaptive_acquire(d, KEY, &RULE, 0, &r), MG_DICT_OK);
        if (idle)
            assert_int_equal(mg_adaptive_release(d, KEY, &RULE, 1, false, 0), MG_DICT_OK);
        for (uint32_t i = 0; i < 20000; i++)
            assert_int_equal(mg_dict_set(d, mg_str((char *)&i, sizeof i), value, 0, 0), MG_DICT_OK);
        assert_int_equal(mg_dict_ttl(d, KEY, 0, &ttl), idle ? MG_DICT_ABSENT : MG_DICT_OK);
        if (!idle)
            assert_int_equal(mg_adaptive_release(d, KEY, &RULE, 1, false, 0), MG_DICT_OK);
    }
    assert_int_equal(mg_adaptive_acquire(d, KEY, &RULE, 0, &r), MG_DICT_OK);
    assert_int_equal(mg_adaptive_release(d, KEY, &RULE, 1, false, 0), MG_DICT_OK);
    assert_int_equal(mg_dict_ttl(d, KEY, 10 * 60 * 1000 - 1, &ttl), MG_DICT_OK);
    assert_int_equal(mg_dict_ttl(d, KEY, 10 * 60 * 1000, &ttl), MG_DICT_ABSENT);
}

static void arguments(void **state)
{
    static const struct mg_adaptive_rule BAD[] = {
        {0, 10, 5, 2},  {5, 10, 4, 2},   {5, 10, 11, 2},  {1, 1e7, 1, 2},
        {1, NAN, 1, 2}, {1, 10, 1, 0.5}, {1, 10, 1, 101}, {NAN, 10, 1, 2},
    };
    struct mg_adaptive_result r;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        assert_int_equal(mg_adaptive_acquire(*state, KEY, &BAD[i], 0, &r), MG_DICT_BAD_ARGUMENT);
    assert_int_equal(mg_dict_set(*state, KEY,
                                 (struct mg_dict_value){.kind = MG_DICT_BOOLEAN, .boolean = true},
                                 0, 0),
                     MG_DICT_OK);
    assert_int_equal(mg_adaptive_acquire(*state, KEY, &RULE, 0, &r), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_adaptive_release(*state, KEY, &RULE, 0, false, 0), MG_DICT_BAD_TYPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rises_while_all_is_well, setup, teardown),
        cmocka_unit_test_setup_teardown(stays_where_nobody_tries_it, setup, teardown),
        cmocka_unit_test_setup_teardown(falls_with_latency_and_rises_again, setup, teardown),
        cmocka_unit_test_setup_teardown(falls_with_errors_and_rises_again, setup, teardown),
        cmocka_unit_test_setup_teardown(never_grants_more_than_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(memory, setup, teardown),
        cmocka_unit_test_setup_teardown(arguments, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
