/*
 * The policies `rate-limit` and `quota`: limit how much a client may ask for. A step that C runs;
 * its options are a struct mg_rate_limit_options. Worker thread.
 */
#ifndef MG_GATEWAY_RATE_LIMIT_H
#define MG_GATEWAY_RATE_LIMIT_H

#include "gateway/exchange.h"

/* For mg_step_ops. */
enum mg_step_result mg_rate_limit_request(const struct mg_step *step, struct mg_walk *w);
enum mg_step_result mg_rate_limit_response(const struct mg_step *step, struct mg_walk *w);

#endif
