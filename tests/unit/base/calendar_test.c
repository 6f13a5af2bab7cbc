/* Names and ends of hours, days, weeks and months. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/calendar.h"

#define DAY INT64_C(86400)
#define AT_2024 INT64_C(1704067200) /* a leap year, and a Monday */
#define AT_2027 INT64_C(1798761600) /* a Friday */

static void stretches_have_names_and_ends(void **state)
{
    static const struct {
        enum mg_calendar kind;
        int64_t now;
        const char *name;
        int64_t end;
    } cases[] = {
        {MG_CALENDAR_HOUR, 0, "1970-01-01T00", 3600},
        {MG_CALENDAR_HOUR, AT_2024 + 7199, "2024-01-01T01", AT_2024 + 7200},
        {MG_CALENDAR_DAY, AT_2024 - 1, "2023-12-31", AT_2024},
        {MG_CALENDAR_DAY, AT_2024, "2024-01-01", AT_2024 + DAY},
        {MG_CALENDAR_DAY, AT_2024 + 59 * DAY, "2024-02-29", AT_2024 + 60 * DAY},
        {MG_CALENDAR_WEEK, 0, "1970-W01", 4 * DAY},
        {MG_CALENDAR_WEEK, AT_2024 - 1, "2023-W52", AT_2024},
        {MG_CALENDAR_WEEK, AT_2024, "2024-W01", AT_2024 + 7 * DAY},
        {MG_CALENDAR_WEEK, AT_2027, "2026-W53", AT_2027 + 3 * DAY},
        {MG_CALENDAR_MONTH, AT_2024 - 1, "2023-12", AT_2024},
        {MG_CALENDAR_MONTH, AT_2024 + 31 * DAY, "2024-02", AT_2024 + 60 * DAY},
        {MG_CALENDAR_MONTH, AT_2024 + 60 * DAY - 1, "2024-02", AT_2024 + 60 * DAY},
        {MG_CALENDAR_MONTH, AT_2027, "2027-01", AT_2027 + 31 * DAY},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[MG_CALENDAR_NAME_MAX];
        size_t n = mg_calendar_name(cases[i].kind, cases[i].now, name);
        assert_int_equal(n, strlen(cases[i].name));
        assert_memory_equal(name, cases[i].name, n);
        assert_int_equal(mg_calendar_end(cases[i].kind, cases[i].now), cases[i].end);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stretches_have_names_and_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
