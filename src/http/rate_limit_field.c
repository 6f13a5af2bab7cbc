/* Items of RateLimit. Pure. */
#include "http/rate_limit_field.h"

#include <math.h>

static size_t add(char *out, size_t used, struct mg_str text)
{
    memcpy(out + used, text.p, text.n);
    return used + text.n;
}

size_t mg_rate_limit_field_head(struct mg_str name, char *out)
{
    size_t n = 0;
    out[n++] = '"';
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '"' || name.p[i] == '\\')
            out[n++] = '\\';
        out[n++] = name.p[i];
    }
    return add(out, n, MG_STR("\";r="));
}

size_t mg_rate_limit_field_add(char *out, size_t used, struct mg_str head,
                               const struct mg_limiter_result *result)
{
    if (used)
        used = add(out, used, MG_STR(", "));
    used = add(out, used, head);
    used += mg_u64_to_dec((uint64_t)result->remaining, out + used);
    used = add(out, used, MG_STR(";t="));
    double seconds = result->ok ? result->reset_s : result->retry_after_s;
    return used + mg_u64_to_dec((uint64_t)ceil(seconds), out + used);
}
