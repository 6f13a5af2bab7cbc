/* The options of a call to a service, from Lua into a request. Worker thread. */
#ifndef MG_SCRIPT_CALL_OPTIONS_H
#define MG_SCRIPT_CALL_OPTIONS_H

#include "script/adhoc.h"
#include "script/context.h"

#define MG_CALL_STATUS_WORDS (600 / 64 + 1)

enum mg_call_accept { MG_CALL_ACCEPT_DEFAULT, MG_CALL_ACCEPT_ANY, MG_CALL_ACCEPT_LISTED };

struct mg_call_options {
    struct mg_picker *picker;
    struct mg_adhoc *adhoc;    /* named by URL; NULL: a service of the config */
    struct mg_message request; /* in the context's arena */
    struct mg_str body;
    bool has_body;
    uint64_t timeout_ns; /* 0: none of its own */
    uint32_t retries;
    bool stream, optional;
    enum mg_call_accept accept;
    uint64_t statuses[MG_CALL_STATUS_WORDS]; /* MG_CALL_ACCEPT_LISTED: a bit for each */
};

/* Is a response with this status a failure? `strict`: of fetch_all and race, which without an
 * option take those from 500. */
bool mg_call_refuses(const struct mg_call_options *o, unsigned status, bool strict);

/* Reads service (or URL) at `service_index` and the table (or nil) at `options_index`; an item at
 * [1] of the table is the service again and passed over. Raises, with `what` in front, for what is
 * wrong, unknown options included. */
void mg_call_options_read(lua_State *L, int service_index, int options_index,
                          struct mg_context *ctx, const char *what, struct mg_call_options *o);

/* Path and query with the service's base path; n 0: the request's own. */
struct mg_str mg_call_options_target(const struct mg_call_options *o, struct mg_arena *arena);

/* A number of seconds, above 0, as nanoseconds. */
uint64_t mg_call_seconds(lua_State *L, int index, const char *what, const char *name);

#endif
