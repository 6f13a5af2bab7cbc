/* HTTP dates (RFC 9110 5.6.7): the one we write, and the three that others may have written. */
#ifndef MG_HTTP_DATE_H
#define MG_HTTP_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* "Sun, 06 Nov 1994 08:49:37 GMT" of those seconds since 1970, made once a second. Each thread has
 * its own. Valid until the thread's next call. */
struct mg_str mg_http_date(double wall_seconds);

/* Seconds since 1970 of an IMF-fixdate, an RFC 850 date or an asctime date. The names of days and
 * months, and "GMT", may be in any case; everything else is strict: one space, two digits, a day
 * that the month has. Whether the weekday fits the date is not looked at. `now` (seconds since
 * 1970) places the two digits of an RFC 850 year: never more than 50 years ahead of it. False, and
 * `*out` untouched, for anything else. Pure. */
bool mg_http_date_parse(struct mg_str text, int64_t now, int64_t *out);

#endif
