/* The Date header's value (RFC 9110 5.6.7), made once a second. Each thread has its own. */
#ifndef MG_HTTP_DATE_H
#define MG_HTTP_DATE_H

#include "base/str.h"

/* "Sun, 06 Nov 1994 08:49:37 GMT" of those seconds since 1970. Valid until the thread's next call.
 */
struct mg_str mg_http_date(double wall_seconds);

#endif
