/* The end of a walk: sends the request to its service and brings the response back. Worker thread.
 */
#ifndef MG_GATEWAY_FORWARD_H
#define MG_GATEWAY_FORWARD_H

#include "gateway/exchange.h"

/* error_code of the response when nothing is left of the request's body to send. */
#define MG_FORWARD_BODY_TAKEN "body_taken"

/* A walk's terminal (see mg_walk). */
void mg_forward(struct mg_walk *w);

/* The path and query that the backend sees, by the route's strip_prefix and rewrite and the
 * service's base path; n 0: the request's own, unchanged. In the arena. */
struct mg_str mg_forward_target(struct mg_request *req, const struct mg_service_config *service);

#endif
