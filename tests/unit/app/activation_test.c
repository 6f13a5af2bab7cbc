/* Sockets of systemd: mg_activation_*. Taking them is tested with the running program. */
#include "app/activation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void test_count(void **unused)
{
    static const struct {
        const char *pid, *fds;
        uint32_t want;
    } cases[] = {{"17", "2", 2},  {"17", "0", 0},    {"18", "2", 0},  {NULL, "2", 0},
                 {"17", NULL, 0}, {"17", "4097", 0}, {"17", "-1", 0}, {"17", "2x", 0},
                 {"", "2", 0},    {"17 ", "2", 0}};
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(mg_activation_count(cases[i].pid, cases[i].fds, 17), cases[i].want);
}

/* They are for one process: not for those that it starts. */
static void test_environment(void **unused)
{
    struct mg_held held = {0};
    (void)unused;
    setenv("LISTEN_PID", "1", 1);
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_FDNAMES", "x", 1);
    mg_activation_take(&held);
    assert_int_equal(held.count, 0);
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_FDNAMES"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
