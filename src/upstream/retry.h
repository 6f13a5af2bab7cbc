/*
 * When a request is tried again, and how long after. Pure; time and chance are arguments. Any
 * thread.
 */
#ifndef MG_UPSTREAM_RETRY_H
#define MG_UPSTREAM_RETRY_H

#include "http/message.h"
#include "upstream/fetch_error.h"

/* Failures that a rule can name, beside statuses. */
enum {
    MG_RETRY_CONNECT = 1, /* no connection, or no handshake: nothing was sent */
    MG_RETRY_RESET = 2,   /* closed before the end of the response's head, or that was none */
    MG_RETRY_TIMEOUT = 4, /* no response in time */
};

#define MG_RETRY_STATUS_WORDS 10

/* `attempts` 0: there is no rule. */
struct mg_retry_config {
    uint32_t attempts;                        /* beyond the first */
    uint32_t failures;                        /* MG_RETRY_... */
    uint64_t statuses[MG_RETRY_STATUS_WORDS]; /* a bit for each */
    uint32_t methods;                         /* a bit for each enum mg_method; 0: any */
    uint64_t backoff_ns;
};

void mg_retry_add_status(struct mg_retry_config *c, unsigned status);
/* Does the rule name it? */
bool mg_retry_on_error(const struct mg_retry_config *c, enum mg_fetch_error error);
bool mg_retry_on_status(const struct mg_retry_config *c, unsigned status);
bool mg_retry_on_method(const struct mg_retry_config *c, enum mg_method method);

/* How long to wait before the n-th attempt beyond the first (from 1): any time up to a bound that
 * doubles each time, to ten times the first one. All of it is chance (full jitter), so that those
 * who failed together do not come back together. */
uint64_t mg_retry_backoff(const struct mg_retry_config *c, uint32_t n, uint64_t random);

/* What Retry-After says, as a time from now; 0: nothing, or nothing that can be read. `wall`:
 * seconds since 1970. */
uint64_t mg_retry_after(const struct mg_message *response, double wall);

#endif
