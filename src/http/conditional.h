/*
 * Validators and conditional requests (RFC 9110 8.8 and 13). Pure; any thread.
 */
#ifndef MG_HTTP_CONDITIONAL_H
#define MG_HTTP_CONDITIONAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "http/message.h"

#define MG_DATE_NONE INT64_MIN

/* What a representation can be compared by. */
struct mg_validators {
    struct mg_str etag;    /* as written, with quotes and perhaps "W/"; empty: none, or malformed */
    int64_t last_modified; /* seconds since 1970, or MG_DATE_NONE */
    int64_t date;          /* when it was generated, as its Date says; or MG_DATE_NONE */
};

/* Borrows from the fields. `now`: seconds since 1970, see mg_http_date_parse. */
void mg_validators_read(const struct mg_fields *response, int64_t now, struct mg_validators *out);

/* One entity-tag and nothing else (8.8.3). */
bool mg_etag_is_valid(struct mg_str etag);
/* 8.8.3.2, of two valid ones. */
bool mg_etag_equal_strong(struct mg_str a, struct mg_str b);
bool mg_etag_equal_weak(struct mg_str a, struct mg_str b);

/* Is a stored response that may be used what the client has already (RFC 9111 4.3.2)? By
 * If-None-Match, else If-Modified-Since; without a Last-Modified the Date stands for it. */
bool mg_condition_not_modified(const struct mg_message *request, const struct mg_validators *stored,
                               int64_t now);

/* Has the request a condition that only the origin can judge (If-Match, If-Unmodified-Since)? */
bool mg_condition_is_for_origin(const struct mg_fields *request);

/* May a Range be answered with a part (13.1.5)? True when there is no If-Range. */
bool mg_condition_if_range(const struct mg_fields *request, const struct mg_validators *selected,
                           int64_t now);

/* Takes all conditions of 13.1 away, so that the origin sends the whole. */
void mg_condition_remove(struct mg_fields *request);

/* Makes a request that asks whether the stored response is still good (RFC 9111 4.3.1): its own
 * conditions and its Range go, If-None-Match and If-Modified-Since come, in its arena. False, and
 * only those gone, when the stored response has no validator. */
bool mg_condition_validate(struct mg_message *request, const struct mg_fields *stored, int64_t now);

#endif
