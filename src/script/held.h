/* Pipelines that a policy's config holds (`s.steps`), as functions for the policy. Worker thread.
 */
#ifndef MG_SCRIPT_HELD_H
#define MG_SCRIPT_HELD_H

#include <lua.h>

#include "gateway/generation.h"

/* Pushes a function(req, last): runs the pipeline's steps on the request and then last(req), which
 * must give the response; without `last` the request is forwarded. Returns the response, when it
 * has come back through the steps. Waits; when its task is cancelled, so is all that the steps wait
 * for. The pipeline is borrowed for the state's life. */
void mg_held_push(lua_State *L, const struct mg_pipeline *pipeline);

#endif
