/*
 * What `moongate ndjson` answers: the route and the backend are found as the gateway finds them, by
 * the router and the pickers of a generation. Nothing is sent: backends are played (they tell the
 * item that the path names), and steps do not run.
 *
 * Without routes there is one rule: /api/vN/NAME and all below it is version vN of NAME-service.
 * One thread; loading waits for the disk.
 */
#ifndef MG_APP_NDJSON_ROUTES_H
#define MG_APP_NDJSON_ROUTES_H

#include "app/ndjson_message.h"
#include "gateway/generation.h"
#include "script/config.h"
#include "upstream/picker.h"

struct mg_ndjson_routes {
    struct mg_arena *_arena;    /* for answers; borrowed */
    struct mg_router *_rule;    /* used while there are no routes */
    struct mg_generation *_gen; /* a ref; NULL: there are no routes */
    struct mg_picker *_pickers; /* of its services */
};

/* Borrows the arena, whose owner may release it between two answers. */
void mg_ndjson_routes_init(struct mg_ndjson_routes *r, struct mg_arena *arena);
void mg_ndjson_routes_release(struct mg_ndjson_routes *r);

/* Takes the routes of a config in place of those before, whatever its dialect. On MG_FAIL these
 * stay, and `diagnostics` tells why, as it does of warnings. */
enum mg_rc mg_ndjson_routes_load(struct mg_ndjson_routes *r, const struct mg_config_source *source,
                                 struct mg_buf *diagnostics) MG_MUST_CHECK;

/* The answer to an api_request. Its texts are in the arena, or live as long as the routes do. */
struct mg_ndjson_reply mg_ndjson_routes_answer(struct mg_ndjson_routes *r,
                                               const struct mg_ndjson_message *m);

#endif
