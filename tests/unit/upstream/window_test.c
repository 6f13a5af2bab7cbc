/* Counting over a sliding window, and marking no more than a share of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "upstream/window.h"

#define SECOND UINT64_C(1000000000)
#define THREADS 4
#define EACH 20000

static void expect_sum(const struct mg_window *w, uint64_t now, uint32_t total, uint32_t marked)
{
    struct mg_window_sum sum = mg_window_sum(w, now);
    assert_int_equal(sum.total, total);
    assert_int_equal(sum.marked, marked);
}

static void events_leave_the_window(void **state)
{
    struct mg_window w;
    (void)state;
    mg_window_init(&w, 10 * SECOND);
    for (unsigned s = 100; s < 110; s++)
        mg_window_add(&w, s % 2, s * SECOND);
    expect_sum(&w, 109 * SECOND, 10, 5);
    expect_sum(&w, 110 * SECOND, 9, 5);
    expect_sum(&w, 118 * SECOND, 1, 1);
    expect_sum(&w, 119 * SECOND, 0, 0);
    mg_window_add(&w, true, 119 * SECOND);
    expect_sum(&w, 119 * SECOND, 1, 1);
    /* A thread whose clock is a slot behind takes nothing away. */
    mg_window_add(&w, true, 109 * SECOND);
    expect_sum(&w, 119 * SECOND, 2, 2);
    mg_window_reset(&w);
    expect_sum(&w, 119 * SECOND, 0, 0);
}

static void full_slots_count_no_further(void **state)
{
    struct mg_window w;
    (void)state;
    mg_window_init(&w, SECOND);
    for (uint32_t i = 0; i < MG_WINDOW_SLOT_MAX + 10; i++)
        mg_window_add(&w, true, SECOND);
    expect_sum(&w, SECOND, MG_WINDOW_SLOT_MAX, MG_WINDOW_SLOT_MAX);
    assert_false(mg_window_mark(&w, 100, 10, SECOND));
}

static uint32_t mark_all(struct mg_window *w, uint32_t percent, uint32_t floor, uint64_t now)
{
    uint32_t n = 0;
    while (mg_window_mark(w, percent, floor, now))
        n++;
    return n;
}

static void marks_are_a_share_and_a_floor(void **state)
{
    struct mg_window w;
    (void)state;
    mg_window_init(&w, 10 * SECOND);
    assert_int_equal(mark_all(&w, 20, 3, SECOND), 3);
    for (int i = 0; i < 100; i++)
        mg_window_add(&w, false, 2 * SECOND);
    assert_int_equal(mark_all(&w, 20, 3, 2 * SECOND), 20);
    assert_int_equal(mark_all(&w, 20, 3, 10 * SECOND), 0);
    assert_int_equal(mark_all(&w, 20, 3, 11 * SECOND), 3); /* the first three have left */
    assert_int_equal(mark_all(&w, 20, 3, 12 * SECOND), 0); /* and now the hundred, with twenty */
    assert_int_equal(mark_all(&w, 20, 3, 21 * SECOND), 3);
}

struct crowd {
    struct mg_window window;
    atomic_uint marked;
};

static void *count_and_mark(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < EACH; i++) {
        mg_window_add(&c->window, false, SECOND);
        if (mg_window_mark(&c->window, 10, 5, SECOND))
            atomic_fetch_add(&c->marked, 1);
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    struct crowd c = {.marked = 0};
    pthread_t threads[THREADS];
    (void)state;
    mg_window_init(&c.window, 10 * SECOND);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, count_and_mark, &c);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    expect_sum(&c.window, SECOND, THREADS * EACH, THREADS * EACH / 10 + 5);
    assert_int_equal(c.marked, THREADS * EACH / 10 + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_leave_the_window),
        cmocka_unit_test(full_slots_count_no_further),
        cmocka_unit_test(marks_are_a_share_and_a_floor),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
