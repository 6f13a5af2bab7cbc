/* HTTP dates (RFC 9110 5.6.7): which texts are dates, and which moments they name. */
#include "http/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW 1700000000 /* 14 November 2023 */
#define BAD INT64_MIN

static const struct {
    const char *text;
    int64_t seconds; /* BAD: no date */
} cases[] = {
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
    {"Sun, 21 Nov 2286 04:46:39 GMT", 10000039599},
    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800}, /* a leap second */
    {"Thu, 29 Feb 2024 00:00:00 GMT", 1709164800},
    {"Thu Aug 18 02:01:18 2050", 2544400878},
    /* Names in any case; a weekday that does not fit. */
    {"THU, 18 aug 2050 02:01:18 gMT", 2544400878},
    {"Mon, 18 Aug 2050 02:01:18 GMT", 2544400878},
    /* Two digits: at most 50 years ahead of 2023. */
    {"Wednesday, 01-Jan-73 00:00:00 GMT", 3250454400},
    {"Wednesday, 01-Jan-74 00:00:00 GMT", 126230400},
    {"Wednesday, 01-Jan-00 00:00:00 GMT", 946684800},
    /* Refused. */
    {"", BAD},
    {"0", BAD},
    {"-1", BAD},
    {"foo", BAD},
    {"Thu", BAD},
    {"Thu,", BAD},
    {"Thu, 18 Aug 2050 02:01:18 UTC", BAD},
    {"Thu, 18 Aug 2050 02:01:18 AEST", BAD},
    {"Thu, 18 Aug 2050 02:01:18", BAD},
    {"Thu, 18 Aug 2050 02:01:18 GMT ", BAD},
    {"Thu, 18 Aug 50 02:01:18 GMT", BAD},
    {"Thu 18 Aug 2050 02:01:18 GMT", BAD},
    {"Thu, 18  Aug  2050 02:01:18 GMT", BAD},
    {"Thu, 18-Aug-2050 02:01:18 GMT", BAD},
    {"Thursday, 18-Aug-2050 02:01:18 GMT", BAD},
    {"Thunday, 18-Aug-50 02:01:18 GMT", BAD},
    {"Thu, 18 Aug 2050 02.01.18 GMT", BAD},
    {"Thu, 18 Aug 2050 2:01:18 GMT", BAD},
    {"Thu, 8 Aug 2050 02:01:18 GMT", BAD},
    {"Thu Aug 8 02:01:18 2050", BAD},
    {"Thu, 31 Apr 2050 02:01:18 GMT", BAD},
    {"Thu, 00 Apr 2050 02:01:18 GMT", BAD},
    {"Thu, 29 Feb 2023 00:00:00 GMT", BAD},
    {"Thu, 18 Aug 2050 24:00:00 GMT", BAD},
    {"Thu, 18 Aug 2050 23:60:00 GMT", BAD},
    {"Thu, 18 Aug 2050 23:59:61 GMT", BAD},
    {"Thu, 18 Agu 2050 23:59:59 GMT", BAD},
    {"Thu, +8 Aug 2050 23:59:59 GMT", BAD},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        /* A block of its exact size: reading beyond it is found out. */
        size_t n = strlen(cases[i].text);
        char *copy = malloc(n ? n : 1);
        memcpy(copy, cases[i].text, n);
        int64_t got = BAD;
        bool ok = mg_http_date_parse(mg_str(copy, n), NOW, &got);
        free(copy);
        if (ok != (cases[i].seconds != BAD) || got != cases[i].seconds)
            fail_msg("'%s': got %lld, want %lld", cases[i].text, (long long)got,
                     (long long)cases[i].seconds);
    }
}

static void test_written_is_read(void **state)
{
    (void)state;
    for (int64_t t = 0; t < 250000000000; t += 86399 * 997) {
        int64_t got;
        assert_true(mg_http_date_parse(mg_http_date((double)t), NOW, &got));
        assert_int_equal(got, t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_written_is_read),
    };
    return cmocka_run_group_tests_name("http/date", tests, NULL, NULL);
}
