/* The `mg` table, put together. Any thread, each in its own state. */
#include "script/module.h"

#include <lauxlib.h>

#include "script/claims.h"
#include "script/context.h"
#include "script/expr.h"
#include "script/instances.h"
#include "script/lib.h"
#include "script/lib_cache.h"
#include "script/lib_client_key.h"
#include "script/lib_fetch.h"
#include "script/lib_redis.h"
#include "script/lib_reply.h"
#include "script/lib_request.h"
#include "script/lib_response.h"
#include "script/lib_sse.h"
#include "script/lib_time.h"

void mg_lua_module_open(lua_State *L)
{
    mg_expr_open(L);
    mg_claims_open(L);
    mg_lib_request_open(L);
    mg_lib_response_open(L);
    mg_handle_register_bare(L);
    lua_newtable(L);
    mg_lib_open_pure(L);
    mg_lib_time_open(L);
    mg_lib_client_key_open(L);
    mg_lib_reply_open(L);
    mg_lib_sse_open(L);
    mg_lib_fetch_open(L);
    mg_lib_cache_open(L);
    mg_lib_redis_open(L);
}

static void exchange_ends(struct mg_exchange *ex)
{
    mg_context_end(ex->script);
}

static uint32_t background_count(const struct mg_worker_generation *wg)
{
    const struct mg_instances *all = wg->script;
    return mg_script_background_count(all->script);
}

static size_t memory(const struct mg_worker_generation *wg)
{
    const struct mg_instances *all = wg->script;
    return all->script->memory_used;
}

static void retire(struct mg_worker_generation *wg)
{
    const struct mg_instances *all = wg->script;
    all->script->retired = true;
}

const struct mg_script_hooks mg_script_hooks = {
    .build = mg_instances_build,
    .build_more = mg_instances_build_more,
    .drop = mg_instances_drop,
    .exchange_ends = exchange_ends,
    .request_saved = mg_context_save_identity,
    .request_restored = mg_context_restore_identity,
    .exchange_follows = mg_context_follow,
    .request_value = mg_expr_request_value,
    .request_item = mg_expr_request_item,
    .request_subject = mg_expr_request_subject,
    .request_claims = mg_claims_of_request,
    .background_count = background_count,
    .memory = memory,
    .retire = retire,
};
