/* The stated error, at every place where buckets change, and percentiles by the nearest rank. */
#include "base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#define LAST_NS (UINT64_C(1) << 43)

static uint64_t error_of(uint64_t ns)
{
    uint64_t middle = mg_histogram_middle_ns(mg_histogram_bucket(ns));
    return middle > ns ? middle - ns : ns - middle;
}

static uint64_t allowed(uint64_t ns)
{
    return ns < 16384 ? 256 : ns / 64 + 1;
}

static void error_is_bounded(void **state)
{
    (void)state;
    for (uint64_t ns = 0; ns < 100000; ns++)
        assert_in_range(error_of(ns), 0, allowed(ns));
    /* 257/256 steps through each bucket several times. */
    for (uint64_t ns = 100000; ns < LAST_NS; ns += ns / 256)
        assert_in_range(error_of(ns), 0, allowed(ns));
    for (uint64_t power = 1; power < LAST_NS; power *= 2) {
        assert_in_range(error_of(power), 0, allowed(power));
        assert_in_range(error_of(power - 1), 0, allowed(power - 1));
    }
}

static void buckets_follow_each_other(void **state)
{
    (void)state;
    uint32_t last = 0;
    for (uint64_t ns = 0; ns < LAST_NS; ns += 1 + ns / 256) {
        uint32_t bucket = mg_histogram_bucket(ns);
        assert_true(bucket == last || bucket == last + 1);
        last = bucket;
    }
    assert_int_equal(last, MG_HISTOGRAM_BUCKETS - 1);
    assert_int_equal(mg_histogram_bucket(UINT64_MAX), MG_HISTOGRAM_BUCKETS - 1);
    for (uint32_t i = 0; i < MG_HISTOGRAM_BUCKETS; i++)
        assert_int_equal(mg_histogram_bucket(mg_histogram_middle_ns(i)), i);
}

static void percentiles(void **state)
{
    (void)state;
    static const struct {
        double percent;
        uint64_t ms;
    } CASES[] = {{0, 1}, {1, 1}, {50, 50}, {95, 95}, {98.5, 99}, {99, 99}, {100, 100}};
    uint64_t counts[MG_HISTOGRAM_BUCKETS] = {0};
    assert_int_equal(mg_histogram_percentile_ns(counts, 99), 0);
    for (uint64_t ms = 1; ms <= 100; ms++)
        counts[mg_histogram_bucket(ms * 1000000)]++;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        uint64_t ns = mg_histogram_percentile_ns(counts, CASES[i].percent);
        assert_in_range(ns, CASES[i].ms * 1000000 * 63 / 64, CASES[i].ms * 1000000 * 65 / 64);
    }
}

static void one_value_is_every_percentile(void **state)
{
    (void)state;
    uint64_t counts[MG_HISTOGRAM_BUCKETS] = {0};
    counts[mg_histogram_bucket(20000)] = 1;
    for (int percent = 0; percent <= 100; percent++)
        assert_int_equal(mg_histogram_percentile_ns(counts, percent),
                         mg_histogram_middle_ns(mg_histogram_bucket(20000)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_is_bounded),
        cmocka_unit_test(buckets_follow_each_other),
        cmocka_unit_test(percentiles),
        cmocka_unit_test(one_value_is_every_percentile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
