/*
 * The admin's /explain: what the config in force would do with a request (script/explain.h).
 * Control thread.
 *
 *     GET  /explain?method=GET&url=/a&header=NAME:VALUE&header=...&listener=NAME&client=IP
 *     POST /explain  {"method": "GET", "url": "/a", "headers": {"NAME": "VALUE"}, ...}
 *
 * `method` is GET when left out. 400 for what is no request.
 */
#ifndef MG_APP_ADMIN_EXPLAIN_H
#define MG_APP_ADMIN_EXPLAIN_H

#include "app/reload.h"
#include "http/inbound.h"

/* Both answer, now or when the body is there; by the generation that serves then. */
void mg_admin_explain_get(struct mg_inbound *in, const struct mg_serving *serving);
void mg_admin_explain_post(struct mg_inbound *in, const struct mg_serving *serving);

#endif
