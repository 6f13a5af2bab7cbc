/* Which header fields no log line shows: those that carry secrets. Any thread. */
#ifndef MG_BASE_REDACT_H
#define MG_BASE_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

#define MG_REDACTED "[redacted]" /* what stands there instead of the value */

/* Names beside those that are always among them. Borrowed. */
struct mg_redact {
    const struct mg_str *names;
    size_t count;
};

/* authorization, cookie, set-cookie, proxy-authorization, x-api-key and the names of `r`; without
 * case, '-' and '_' alike. */
bool mg_redact_has(const struct mg_redact *r, struct mg_str name);

#endif
