/* How long is waited before a start: mg_backoff_next_ms. */
#include "app/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void test_row_of_falls(void **unused)
{
    static const struct {
        uint64_t lived_ms;
        uint32_t wait_ms;
    } falls[] = {{3600000, 0}, {5, 50},   {5, 100},   {9999, 200}, {0, 400},
                 {0, 800},     {0, 1600}, {0, 3200},  {0, 5000},   {0, 5000},
                 {10000, 0},   {0, 50},   {20000, 0}, {20000, 0},  {19999, 0}};
    struct mg_backoff b = {0};
    (void)unused;
    for (size_t i = 0; i < COUNT(falls); i++)
        assert_int_equal(mg_backoff_next_ms(&b, falls[i].lived_ms), falls[i].wait_ms);
}

static void test_first_of_all_is_at_once(void **unused)
{
    struct mg_backoff b = {0};
    (void)unused;
    assert_int_equal(mg_backoff_next_ms(&b, 0), 0);
    assert_int_equal(mg_backoff_next_ms(&b, 0), MG_BACKOFF_FIRST_MS);
}

/* For as long as anybody will wait. */
static void test_counts_do_not_run_over(void **unused)
{
    struct mg_backoff b = {.falls = UINT32_MAX - 1};
    (void)unused;
    for (int i = 0; i < 4; i++)
        assert_int_equal(mg_backoff_next_ms(&b, 0), MG_BACKOFF_MOST_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_of_falls),
        cmocka_unit_test(test_first_of_all_is_at_once),
        cmocka_unit_test(test_counts_do_not_run_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
