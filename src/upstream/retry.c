/* The rules for trying again. Any thread. */
#include "upstream/retry.h"

#include "http/date.h"

#define BACKOFF_TIMES 10
#define SECOND_NS UINT64_C(1000000000)
#define RETRY_AFTER_MAX 86400

/* --- what --- */

void mg_retry_add_status(struct mg_retry_config *c, unsigned status)
{
    if (status / 64 < MG_RETRY_STATUS_WORDS)
        c->statuses[status / 64] |= UINT64_C(1) << status % 64;
}

bool mg_retry_on_status(const struct mg_retry_config *c, unsigned status)
{
    return status / 64 < MG_RETRY_STATUS_WORDS && c->statuses[status / 64] >> status % 64 & 1;
}

bool mg_retry_on_error(const struct mg_retry_config *c, enum mg_fetch_error error)
{
    switch (error) {
    case MG_FETCH_CONNECT_FAILED:
    case MG_FETCH_CONNECT_TIMEOUT:
    case MG_FETCH_TLS:
        return c->failures & MG_RETRY_CONNECT;
    case MG_FETCH_RESET:
    case MG_FETCH_BAD_RESPONSE:
        return c->failures & MG_RETRY_RESET;
    case MG_FETCH_FIRST_BYTE_TIMEOUT:
    case MG_FETCH_IDLE_TIMEOUT:
        return c->failures & MG_RETRY_TIMEOUT;
    default:
        return false;
    }
}

bool mg_retry_on_method(const struct mg_retry_config *c, enum mg_method method)
{
    return c->methods == 0 || c->methods >> method & 1;
}

/* --- when --- */

uint64_t mg_retry_backoff(const struct mg_retry_config *c, uint32_t n, uint64_t random)
{
    uint64_t most = c->backoff_ns * BACKOFF_TIMES, bound = c->backoff_ns;
    while (--n && bound < most)
        bound *= 2;
    return random % ((bound < most ? bound : most) + 1);
}

uint64_t mg_retry_after(const struct mg_message *response, double wall)
{
    const struct mg_field *f = mg_fields_get(&response->fields, MG_FIELD_RETRY_AFTER);
    uint64_t seconds;
    int64_t at;
    if (!f)
        return 0;
    if (mg_str_to_u64(mg_field_value(f), RETRY_AFTER_MAX, &seconds))
        return seconds * SECOND_NS;
    if (!mg_http_date_parse(mg_field_value(f), (int64_t)wall, &at) || (double)at <= wall ||
        (double)at > wall + RETRY_AFTER_MAX)
        return 0;
    return (uint64_t)(((double)at - wall) * (double)SECOND_NS);
}
