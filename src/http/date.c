/* HTTP dates, written (cached, a text for each thread) and read. Any thread. */
#include "http/date.h"

#include <stdio.h>
#include <time.h>

/* strftime would ask the locale; HTTP's names are English everywhere. */
static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char day_ends[7][7] = {"day", "day", "sday", "nesday", "rsday", "day", "urday"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* ---- reading ---- */

struct reader {
    struct mg_str rest;
    bool bad; /* what was to be read was not there; everything after it reads as 0 */
};

static bool take(struct reader *r, struct mg_str literal)
{
    if (r->bad || r->rest.n < literal.n || !mg_str_ieq(mg_str(r->rest.p, literal.n), literal)) {
        r->bad = true;
        return false;
    }
    r->rest = mg_str(r->rest.p + literal.n, r->rest.n - literal.n);
    return true;
}

static int take_number(struct reader *r, size_t digits)
{
    uint64_t value;
    if (r->bad || r->rest.n < digits || !mg_str_to_u64(mg_str(r->rest.p, digits), 9999, &value)) {
        r->bad = true;
        return 0;
    }
    r->rest = mg_str(r->rest.p + digits, r->rest.n - digits);
    return (int)value;
}

/* Index of the three letters that come next. */
static int take_name(struct reader *r, const char names[][4], int count)
{
    for (int i = 0; i < count && !r->bad && r->rest.n >= 3; i++)
        if (mg_str_ieq(mg_str(r->rest.p, 3), mg_str(names[i], 3))) {
            take(r, mg_str(names[i], 3));
            return i;
        }
    r->bad = true;
    return 0;
}

static void take_time(struct reader *r, struct tm *t)
{
    t->tm_hour = take_number(r, 2);
    take(r, MG_STR(":"));
    t->tm_min = take_number(r, 2);
    take(r, MG_STR(":"));
    t->tm_sec = take_number(r, 2);
}

/* asctime: "Nov  6 08:49:37 1994", after "Sun ". A day of one digit has a space before it. */
static void take_asctime(struct reader *r, struct tm *t)
{
    t->tm_mon = take_name(r, months, 12);
    take(r, MG_STR(" "));
    bool one_digit = r->rest.n > 0 && r->rest.p[0] == ' ';
    if (one_digit)
        take(r, MG_STR(" "));
    t->tm_mday = take_number(r, one_digit ? 1 : 2);
    take(r, MG_STR(" "));
    take_time(r, t);
    take(r, MG_STR(" "));
    t->tm_year = take_number(r, 4) - 1900;
}

/* IMF-fixdate: "06 Nov 1994 08:49:37 GMT"; RFC 850: "06-Nov-94 08:49:37 GMT". */
static void take_dated(struct reader *r, struct tm *t, struct mg_str between, size_t year_digits)
{
    t->tm_mday = take_number(r, 2);
    take(r, between);
    t->tm_mon = take_name(r, months, 12);
    take(r, between);
    t->tm_year = take_number(r, year_digits) - 1900;
    take(r, MG_STR(" "));
    take_time(r, t);
    take(r, MG_STR(" GMT"));
}

/* A year of two digits is the latest one with those digits that is at most 50 years ahead (RFC
 * 9110 5.6.7). */
static int full_year(int digits, int64_t now)
{
    time_t seconds = (time_t)now;
    struct tm today;
    gmtime_r(&seconds, &today);
    int latest = today.tm_year + 50;
    return latest - ((latest + 1900 - digits) % 100 + 100) % 100;
}

bool mg_http_date_parse(struct mg_str text, int64_t now, int64_t *out)
{
    struct reader r = {.rest = text};
    struct tm t = {0}, check;
    int weekday = take_name(&r, days, 7);
    if (r.rest.n > 0 && r.rest.p[0] == ' ') {
        take(&r, MG_STR(" "));
        take_asctime(&r, &t);
    } else if (r.rest.n > 0 && r.rest.p[0] == ',') {
        take(&r, MG_STR(", "));
        take_dated(&r, &t, MG_STR(" "), 4);
    } else {
        take(&r, mg_str_c(day_ends[weekday]));
        take(&r, MG_STR(", "));
        take_dated(&r, &t, MG_STR("-"), 2);
        t.tm_year = full_year(t.tm_year + 1900, now);
    }
    if (r.bad || r.rest.n > 0 || t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 60)
        return false;
    /* timegm carries 31 April over into May: then the day is another one. */
    check = t;
    check.tm_hour = check.tm_min = check.tm_sec = 0;
    int64_t midnight = timegm(&check);
    if (check.tm_mday != t.tm_mday)
        return false;
    *out = midnight + t.tm_hour * 3600 + t.tm_min * 60 + t.tm_sec;
    return true;
}

/* ---- writing ---- */

struct mg_str mg_http_date(double wall_seconds)
{
    static _Thread_local char text[40];
    static _Thread_local time_t second = -1;
    static _Thread_local size_t length;
    time_t now = (time_t)wall_seconds;
    if (now != second) {
        struct tm t;
        gmtime_r(&now, &t);
        length = (size_t)snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                  days[t.tm_wday], t.tm_mday, months[t.tm_mon],
                                  (t.tm_year + 1900) % 10000, t.tm_hour, t.tm_min, t.tm_sec);
        second = now;
    }
    return mg_str(text, length);
}
