/* The circuit breaker as tables of what happens and what it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "upstream/breaker.h"

#define SECOND UINT64_C(1000000000)
#define THREADS 4

static const struct mg_breaker_config FIVE = {
    .failures = 5, .open_ns = 10 * SECOND, .window_ns = 10 * SECOND};

/* One request from beginning to end. '-' when it was refused, '+' when it opened or closed the
 * circuit, '.' else. */
static char ask(struct mg_breaker *b, unsigned status, uint64_t now)
{
    uint64_t ticket;
    if (!mg_breaker_admit(b, now, &ticket))
        return '-';
    enum mg_breaker_outcome outcome = mg_breaker_judge(mg_breaker_config(b), status, 0);
    return mg_breaker_report(b, ticket, outcome, now) == MG_BREAKER_SAME ? '.' : '+';
}

/* Each case: statuses in their order, one a second where `at` does not say otherwise, and what is
 * expected of each. */
static void opens_and_closes(void **state)
{
    static const struct {
        unsigned status[10];
        unsigned at[10]; /* seconds */
        const char *want;
    } cases[] = {
        /* Five in a row, and not one less. */
        {{500, 500, 500, 500, 500, 200}, {1, 2, 3, 4, 5, 6}, "....+-"},
        {{503, 599, 504, 502, 500, 200}, {1, 1, 1, 1, 1, 1}, "....+-"},
        /* 2xx ends the row. */
        {{500, 500, 500, 500, 200, 500, 500, 500, 500}, {1, 2, 3, 4, 5, 6, 7, 8, 9}, "........."},
        /* 3xx and 4xx do not. */
        {{500, 500, 500, 500, 404, 500, 200}, {1, 2, 3, 4, 5, 6, 7}, ".....+-"},
        {{500, 500, 500, 500, 301, 429, 500, 200}, {1, 2, 3, 4, 5, 6, 7, 8}, "......+-"},
        /* Ten seconds, and then one passes; the count begins at 0. */
        {{500, 500, 500, 500, 500, 200, 200, 500, 500, 500},
         {1, 1, 1, 1, 1, 10, 11, 12, 12, 12},
         "....+-+..."},
        /* A trial that fails opens it for as long again, whatever the count. */
        {{500, 500, 500, 500, 500, 500, 200, 200}, {1, 1, 1, 1, 1, 11, 20, 21}, "....++-+"},
        /* A trial that is answered at all closes it. */
        {{500, 500, 500, 500, 500, 404, 500}, {1, 1, 1, 1, 1, 11, 11}, "....++."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_breaker *b = mg_breaker_new(&FIVE);
        char got[11] = "";
        for (size_t k = 0; cases[i].want[k]; k++)
            got[k] = ask(b, cases[i].status[k], cases[i].at[k] * SECOND);
        assert_string_equal(got, cases[i].want);
        mg_breaker_unref(b);
    }
}

static struct mg_breaker *opened(uint64_t now)
{
    struct mg_breaker *b = mg_breaker_new(&FIVE);
    for (int i = 0; i < 5; i++)
        ask(b, 500, now);
    return b;
}

static void one_trial_at_a_time(void **state)
{
    struct mg_breaker *b = opened(SECOND);
    uint64_t trial, other;
    (void)state;
    assert_int_equal(mg_breaker_retry_after(b, 4 * SECOND), 7 * SECOND);
    assert_true(mg_breaker_refuses(b, 11 * SECOND - 1));
    assert_false(mg_breaker_refuses(b, 11 * SECOND));
    assert_true(mg_breaker_admit(b, 11 * SECOND, &trial));
    assert_true(mg_breaker_is_trial(trial));
    for (unsigned s = 11; s < 100; s++) /* it takes its time */
        assert_false(mg_breaker_admit(b, s * SECOND, &other));
    /* Its client left: the next one is the trial. */
    assert_int_equal(mg_breaker_report(b, trial, MG_BREAKER_UNKNOWN, 100 * SECOND),
                     MG_BREAKER_SAME);
    assert_true(mg_breaker_admit(b, 100 * SECOND, &trial));
    assert_false(mg_breaker_admit(b, 100 * SECOND, &other));
    assert_int_equal(mg_breaker_report(b, trial, MG_BREAKER_SUCCESS, 101 * SECOND),
                     MG_BREAKER_CLOSED);
    assert_int_equal(ask(b, 200, 101 * SECOND), '.');
    mg_breaker_unref(b);
}

/* Requests that were under way when it opened fail late; it has closed again by then. */
static void late_reports_do_not_count(void **state)
{
    struct mg_breaker *b = mg_breaker_new(&FIVE);
    uint64_t late[6];
    (void)state;
    for (int i = 0; i < 6; i++)
        assert_true(mg_breaker_admit(b, SECOND, &late[i]));
    for (int i = 0; i < 5; i++)
        ask(b, 500, SECOND);
    assert_int_equal(mg_breaker_report(b, late[5], MG_BREAKER_SUCCESS, 2 * SECOND),
                     MG_BREAKER_SAME);
    assert_int_equal(ask(b, 200, 2 * SECOND), '-');
    assert_int_equal(ask(b, 200, 11 * SECOND), '+');
    for (int i = 0; i < 5; i++)
        assert_int_equal(mg_breaker_report(b, late[i], MG_BREAKER_FAILURE, 12 * SECOND),
                         MG_BREAKER_SAME);
    assert_int_equal(ask(b, 200, 12 * SECOND), '.');
    mg_breaker_unref(b);
}

static void a_share_of_failures_opens(void **state)
{
    static const struct mg_breaker_config half = {
        .ratio = 50, .min_requests = 10, .open_ns = SECOND, .window_ns = 10 * SECOND};
    struct mg_breaker *b = mg_breaker_new(&half);
    (void)state;
    for (int i = 0; i < 9; i++) /* too few to tell */
        assert_int_equal(ask(b, 500, SECOND), '.');
    /* Out of the window, they count no more. */
    for (int i = 0; i < 8; i++)
        assert_int_equal(ask(b, i % 2 ? 500 : 404, 30 * SECOND), '.');
    assert_int_equal(ask(b, 200, 30 * SECOND), '.');
    assert_int_equal(ask(b, 200, 30 * SECOND), '.');
    assert_int_equal(ask(b, 500, 31 * SECOND), '.'); /* 5 of 11 */
    assert_int_equal(ask(b, 500, 31 * SECOND), '+'); /* 6 of 12 */
    assert_int_equal(ask(b, 200, 31 * SECOND), '-');
    assert_int_equal(ask(b, 200, 32 * SECOND), '+');
    for (int i = 0; i < 9; i++) /* they begin anew */
        assert_int_equal(ask(b, 500, 32 * SECOND), '.');
    mg_breaker_unref(b);
}

static void slow_answers_are_failures(void **state)
{
    static const struct mg_breaker_config slow = {.failures = 1, .slow_ns = SECOND};
    (void)state;
    assert_int_equal(mg_breaker_judge(&slow, 200, SECOND), MG_BREAKER_SUCCESS);
    assert_int_equal(mg_breaker_judge(&slow, 200, SECOND + 1), MG_BREAKER_FAILURE);
    assert_int_equal(mg_breaker_judge(&slow, 404, SECOND + 1), MG_BREAKER_FAILURE);
    assert_int_equal(mg_breaker_judge(&FIVE, 404, 100 * SECOND), MG_BREAKER_NEUTRAL);
    assert_int_equal(mg_breaker_judge(&FIVE, 101, 0), MG_BREAKER_SUCCESS);
}

struct crowd {
    struct mg_breaker *breaker;
    pthread_barrier_t start;
    atomic_uint admitted, opened;
};

static void *come_at_once(void *arg)
{
    struct crowd *c = arg;
    for (unsigned round = 1; round <= 500; round++) {
        uint64_t ticket, now = round * 20 * SECOND;
        pthread_barrier_wait(&c->start);
        bool mine = mg_breaker_admit(c->breaker, now, &ticket);
        if (mine)
            atomic_fetch_add(&c->admitted, 1);
        pthread_barrier_wait(&c->start);
        if (mine &&
            mg_breaker_report(c->breaker, ticket, MG_BREAKER_FAILURE, now) == MG_BREAKER_OPENED)
            atomic_fetch_add(&c->opened, 1);
    }
    return NULL;
}

static void of_all_threads_one_is_the_trial(void **state)
{
    struct crowd c = {.breaker = opened(SECOND)};
    pthread_t threads[THREADS];
    (void)state;
    pthread_barrier_init(&c.start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, come_at_once, &c);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(c.admitted, 500);
    assert_int_equal(c.opened, 500);
    pthread_barrier_destroy(&c.start);
    mg_breaker_unref(c.breaker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_and_closes),
        cmocka_unit_test(one_trial_at_a_time),
        cmocka_unit_test(late_reports_do_not_count),
        cmocka_unit_test(a_share_of_failures_opens),
        cmocka_unit_test(slow_answers_are_failures),
        cmocka_unit_test(of_all_threads_one_is_the_trial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
