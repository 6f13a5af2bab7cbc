/* Cached formatting of HTTP dates. Any thread; the cache is the thread's own. */
#include "http/date.h"

#include <stdio.h>
#include <time.h>

struct mg_str mg_http_date(double wall_seconds)
{
    /* strftime would ask the locale; HTTP's names are English everywhere. */
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
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
