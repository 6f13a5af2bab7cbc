/* Stretches of the calendar, in UTC: what they are called, and when they end. Pure; any thread. */
#ifndef MG_BASE_CALENDAR_H
#define MG_BASE_CALENDAR_H

#include <stddef.h>
#include <stdint.h>

enum mg_calendar {
    MG_CALENDAR_NONE,
    MG_CALENDAR_HOUR,  /* "2026-11-22T19" */
    MG_CALENDAR_DAY,   /* "2026-11-22" */
    MG_CALENDAR_WEEK,  /* "2026-W47": of ISO 8601, from Monday on */
    MG_CALENDAR_MONTH, /* "2026-11" */
};

#define MG_CALENDAR_NAME_MAX 32

/* Writes the name of the stretch that a time (seconds since 1970, not before) lies in, and returns
 * its length. Not for MG_CALENDAR_NONE. */
size_t mg_calendar_name(enum mg_calendar kind, int64_t now_s, char out[MG_CALENDAR_NAME_MAX]);
/* When that stretch is over. */
int64_t mg_calendar_end(enum mg_calendar kind, int64_t now_s);

#endif
