/* What Lua keeps of who the client is (`req.auth`), for policies that C runs. Worker thread. */
#ifndef MG_SCRIPT_CLAIMS_H
#define MG_SCRIPT_CLAIMS_H

#include "gateway/claim.h"
#include "script/context.h"

/* Once a state, before the other. May raise a Lua memory error. */
void mg_claims_open(lua_State *L);

/* For mg_script_hooks.request_claims. Runs no code of a policy. */
bool mg_claims_of_request(struct mg_request *req, const struct mg_claim_name *names, size_t count,
                          struct mg_claim *out);

#endif
