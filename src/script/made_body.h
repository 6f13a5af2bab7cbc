/* Bodies that a Lua function rewrites or writes, in the context's arena. Worker thread. */
#ifndef MG_SCRIPT_MADE_BODY_H
#define MG_SCRIPT_MADE_BODY_H

#include "script/context.h"

/* Why one broke whose function failed: mg_body.reason; its status is 500 then. */
#define MG_MADE_BODY_FAILED "policy-error"

/* What the function at `index`, fn(piece, eof), makes of `inner`, which has no other reader from
 * here on. */
struct mg_body *mg_made_body_transform(lua_State *L, int index, struct mg_context *ctx,
                                       struct mg_body *inner);
/* Is the function of a transform, or of one that it reads from, running now? It would wait for
 * itself if it read the body. */
bool mg_made_body_is_running(const struct mg_body *b);

/* What the function at `index`, fn(write), writes. */
struct mg_body *mg_made_body_written(lua_State *L, int index, struct mg_context *ctx);

#endif
