/* Signals on a loop: mg_signals_new. */
#include "net/signals.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct heard {
    struct mg_loop *loop;
    int numbers[8];
    int count, stop_at;
};

static void on_signal(void *arg, int number)
{
    struct heard *h = arg;
    h->numbers[h->count++] = number;
    if (h->count == h->stop_at)
        mg_loop_stop(h->loop);
}

static void test_heard_in_the_loop(void **unused)
{
    static const int numbers[] = {SIGUSR1, SIGUSR2};
    struct mg_error err;
    struct heard h = {.loop = mg_loop_new(&err), .stop_at = 2};
    (void)unused;
    struct mg_signals *s = mg_signals_new(h.loop, numbers, 2, on_signal, &h, &err);
    assert_non_null(s);
    kill(getpid(), SIGUSR2);
    kill(getpid(), SIGUSR1);
    assert_int_equal(h.count, 0);
    mg_loop_run(h.loop);
    assert_int_equal(h.count, 2);
    assert_int_equal(h.numbers[0] + h.numbers[1], SIGUSR1 + SIGUSR2);
    h.stop_at = 3;
    kill(getpid(), SIGUSR1);
    mg_loop_run(h.loop);
    assert_int_equal(h.numbers[2], SIGUSR1);
    mg_signals_free(s);
    mg_signals_free(NULL);
    mg_loop_free(h.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_heard_in_the_loop)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
