/* Counting CPUs. */
#include "app/cpus.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void test_quota(void **unused)
{
    static const struct {
        const char *text;
        unsigned count; /* 0: no bound */
    } cases[] = {
        {"50000 100000\n", 1},
        {"100000 100000\n", 1},
        {"100001 100000\n", 2},
        {"250000 100000", 3},
        {"0 100000\n", 1},
        {"9223372036854775807 1\n", UINT32_MAX},
        {"max 100000\n", 0},
        {"", 0},
        {"\n", 0},
        {"100000", 0},
        {"100000 0\n", 0},
        {"100000 x\n", 0},
        {"-1 100000\n", 0},
        {"99999999999999999999 1\n", 0},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned count = 0;
        assert_int_equal(mg_cpus_parse_quota(mg_str_c(cases[i].text), &count), cases[i].count > 0);
        assert_int_equal(count, cases[i].count);
    }
}

static void test_count_obeys_affinity(void **unused)
{
    cpu_set_t all, one;
    (void)unused;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    unsigned count = mg_cpus_count();
    assert_true(count >= 1 && count <= (unsigned)CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(mg_cpus_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_count_obeys_affinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
