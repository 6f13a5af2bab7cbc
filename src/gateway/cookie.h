/* Looking into Cookie fields and query strings. Pure. */
#ifndef MG_GATEWAY_COOKIE_H
#define MG_GATEWAY_COOKIE_H

#include "gateway/exchange.h"

/* Value of the first cookie of that name, as sent, quotes taken off (RFC 6265 5.4). A view. */
bool mg_cookie_find(const struct mg_message *m, struct mg_str name, struct mg_str *value);

/* Value of the first query argument of that (decoded) name, decoded; in the arena or a view. An
 * argument without "=" is the empty text. */
bool mg_cookie_arg(const struct mg_request *req, struct mg_str name, struct mg_arena *arena,
                   struct mg_str *value);

#endif
