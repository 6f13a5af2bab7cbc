/* Hours, days, weeks and months. Pure. */
#include "base/calendar.h"

#include <time.h>

#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)

size_t mg_calendar_name(enum mg_calendar kind, int64_t now_s, char out[MG_CALENDAR_NAME_MAX])
{
    time_t now = (time_t)now_s;
    struct tm t;
    gmtime_r(&now, &t);
    switch (kind) {
    case MG_CALENDAR_HOUR:
        return strftime(out, MG_CALENDAR_NAME_MAX, "%Y-%m-%dT%H", &t);
    case MG_CALENDAR_WEEK:
        return strftime(out, MG_CALENDAR_NAME_MAX, "%G-W%V", &t);
    case MG_CALENDAR_MONTH:
        return strftime(out, MG_CALENDAR_NAME_MAX, "%Y-%m", &t);
    case MG_CALENDAR_DAY:
    case MG_CALENDAR_NONE:
        break;
    }
    return strftime(out, MG_CALENDAR_NAME_MAX, "%Y-%m-%d", &t);
}

static int64_t end_of_month(int64_t now_s)
{
    time_t now = (time_t)now_s;
    struct tm t;
    gmtime_r(&now, &t);
    struct tm next = {.tm_year = t.tm_year, .tm_mon = t.tm_mon + 1, .tm_mday = 1};
    return timegm(&next);
}

int64_t mg_calendar_end(enum mg_calendar kind, int64_t now_s)
{
    switch (kind) {
    case MG_CALENDAR_HOUR:
        return (now_s / HOUR + 1) * HOUR;
    case MG_CALENDAR_WEEK: /* 1970 began on a Thursday */
        return ((now_s / DAY + 3) / 7 * 7 + 4) * DAY;
    case MG_CALENDAR_MONTH:
        return end_of_month(now_s);
    case MG_CALENDAR_DAY:
    case MG_CALENDAR_NONE:
        break;
    }
    return (now_s / DAY + 1) * DAY;
}
