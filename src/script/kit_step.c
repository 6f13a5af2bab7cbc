/*
 * A step of the kit's own in front of every pipeline: gives a request the identity, the parameters
 * and the facts about TLS that the spec chose, and keeps what became of it for the spec to see. It
 * enters Lua for the former only. Spec's thread.
 *
 * Always true: its index is the last of the generation, one for all places where it stands; the
 * plan does not know it.
 */
#include <lauxlib.h>

#include "script/claims.h"
#include "script/context.h"
#include "script/expr.h"
#include "script/kit.h"
#include "script/lib_tls.h"
#include "script/module.h"

static struct mg_kit_call *call_of(const struct mg_exchange *ex)
{
    struct mg_kit *kit = MG_CONTAINER_OF(ex->worker, struct mg_kit, worker);
    return mg_kit_client_find(kit, ex->req.peer.port);
}

/* --- before --- */

static enum mg_step_entry enter(const struct mg_step *step, struct mg_walk *w)
{
    (void)step, (void)w;
    return MG_STEP_ENTER;
}

static void set_value(lua_State *L, int inject, const char *name, int handle, int value)
{
    if (lua_getfield(L, inject, name) == LUA_TTABLE)
        lua_setiuservalue(L, handle, value);
    else
        lua_pop(L, 1);
}

/* What the spec says of the connection's TLS goes on top of what there is. */
static void set_tls(lua_State *L, int inject, int handle, const struct mg_request *req)
{
    if (lua_getfield(L, inject, "tls") != LUA_TTABLE || !req->security)
        return;
    mg_lib_tls_push(L, req->security);
    lua_pushnil(L);
    while (lua_next(L, -3)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    lua_setiuservalue(L, handle, MG_HANDLE_TLS);
}

static enum mg_step_result request(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_kit_call *call = call_of(w->ex);
    (void)step;
    if (!call)
        return MG_STEP_NEXT;
    struct mg_instances *all = w->ex->wg->script;
    lua_State *L = mg_script_host(all->script);
    int top = lua_gettop(L);
    mg_kit_client_push_inject(L, call);
    if (lua_istable(L, -1)) {
        mg_handle_push(L, mg_context_of(w->ex), MG_HANDLE_REQUEST, w->req);
        set_value(L, top + 1, "auth", top + 2, MG_HANDLE_AUTH);
        set_value(L, top + 1, "params", top + 2, MG_HANDLE_PARAMS);
        set_tls(L, top + 1, top + 2, w->req);
    }
    lua_settop(L, top);
    return MG_STEP_NEXT;
}

/* --- after --- */

/* Has anything but the forwarding itself looked at the response's body? */
static bool is_touched(const struct mg_response *res)
{
    return res->is_buffered || !res->fetch || !res->fetch->out ||
           res->body != &res->fetch->out->response_body;
}

static enum mg_step_result response(const struct mg_step *step, struct mg_walk *w)
{
    struct mg_kit_call *call = call_of(w->ex);
    (void)step;
    if (call)
        mg_kit_client_set_touched(call, is_touched(w->res));
    return MG_STEP_NEXT;
}

static void push_text(lua_State *L, const char *key, struct mg_str value)
{
    lua_pushlstring(L, value.n ? value.p : "", value.n);
    lua_setfield(L, -2, key);
}

/* What policies left in the handle, and may not have made. */
static void push_handle_values(lua_State *L, const struct mg_exchange *ex)
{
    static const struct {
        const char *name;
        int value;
    } values[] = {{"auth", MG_HANDLE_AUTH}, {"ctx", MG_HANDLE_CTX}, {"params", MG_HANDLE_PARAMS}};
    const struct mg_handle *h = ex->script ? mg_handle_find(ex->script, &ex->req) : NULL;
    if (!h)
        return;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, h->ref);
        lua_getiuservalue(L, -1, values[i].value);
        lua_remove(L, -2);
        if (lua_isnil(L, -1))
            lua_pop(L, 1);
        else
            lua_setfield(L, -2, values[i].name);
    }
}

static void push_params(lua_State *L, const struct mg_request *req)
{
    lua_newtable(L);
    for (size_t i = 0; i < req->found.param_count; i++) {
        if (!req->found.values[i].p || i >= req->found.pattern->name_count)
            continue;
        struct mg_str name = req->found.pattern->names[i];
        lua_pushlstring(L, name.p, name.n);
        lua_pushlstring(L, req->found.values[i].p, req->found.values[i].n);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "params");
}

static void push_view(lua_State *L, struct mg_exchange *ex)
{
    struct mg_request *req = &ex->req;
    char ip[MG_IP_TEXT_MAX];
    int32_t service = req->service != MG_NO_SERVICE ? req->service : req->route->service;
    mg_kit_push_message(L, req->msg, req->is_buffered ? req->buffered : MG_STR_NONE);
    push_text(L, "id", mg_request_id(req));
    push_text(L, "route", req->route->name);
    push_text(L, "raw_path", req->msg->path);
    push_text(L, "path", req->path);
    push_text(L, "client_ip", mg_str(ip, mg_ip_format(mg_request_client(req), ip)));
    if (service != MG_NO_SERVICE)
        push_text(L, "service", mg_service_config(req->wg->gen->services[service])->name);
    push_params(L, req);
    push_handle_values(L, ex);
}

static enum mg_step_result finish(const struct mg_step *step, struct mg_exchange *ex)
{
    struct mg_kit_call *call = call_of(ex);
    (void)step;
    if (!call)
        return MG_STEP_NEXT;
    struct mg_instances *all = ex->wg->script;
    lua_State *L = mg_script_host(all->script);
    int top = lua_gettop(L);
    push_view(L, ex);
    mg_kit_client_set_view(L, call);
    lua_settop(L, top);
    return MG_STEP_NEXT;
}

static const struct mg_step_ops ops = {
    .enter = enter,
    .enter_response = enter,
    .request = request,
    .response = response,
    .finish = finish,
};

/* --- putting it in --- */

static void insert(struct mg_generation *gen, struct mg_pipeline *p, uint32_t index)
{
    struct mg_step *steps = mg_arena_calloc(&gen->arena, (p->count + 1) * sizeof *steps);
    steps[0] = (struct mg_step){.index = index,
                                .policy = MG_STR("moongate.test"),
                                .id = MG_STR("moongate.test"),
                                .path = MG_STR("moongate.test"),
                                .ops = &ops};
    if (p->count)
        memcpy(steps + 1, p->steps, p->count * sizeof *steps);
    p->steps = steps;
    p->count++;
    mg_generation_number(gen, p);
}

void mg_kit_step_insert(struct mg_generation *gen)
{
    uint32_t index = gen->step_count++;
    for (uint32_t i = 0; i < gen->route_count; i++)
        insert(gen, &gen->routes[i].pipeline, index);
}

static enum mg_rc build(struct mg_worker_generation *wg, struct mg_error *err)
{
    return mg_script_hooks.build(wg, err);
}

static enum mg_rc build_more(struct mg_worker_generation *wg, uint64_t slice_ns,
                             struct mg_error *err)
{
    enum mg_rc rc = mg_script_hooks.build_more(wg, slice_ns, err);
    wg->step_flags[wg->gen->step_count - 1] =
        MG_STEP_HAS_REQUEST | MG_STEP_HAS_RESPONSE | MG_STEP_HAS_FINISH;
    return rc;
}

static void drop(struct mg_worker_generation *wg)
{
    mg_script_hooks.drop(wg);
}

static void exchange_follows(struct mg_exchange *ex, struct mg_request *like,
                             struct mg_exchange *of)
{
    mg_script_hooks.exchange_follows(ex, like, of);
}

static void exchange_ends(struct mg_exchange *ex)
{
    mg_script_hooks.exchange_ends(ex);
}

static void *request_saved(struct mg_exchange *ex, struct mg_request *req)
{
    return mg_script_hooks.request_saved(ex, req);
}

static void request_restored(struct mg_exchange *ex, struct mg_request *req, void *saved)
{
    mg_script_hooks.request_restored(ex, req, saved);
}

static size_t memory(const struct mg_worker_generation *wg)
{
    return mg_script_hooks.memory(wg);
}

static void retire(struct mg_worker_generation *wg)
{
    mg_script_hooks.retire(wg);
}

const struct mg_script_hooks mg_kit_step_hooks = {
    .build = build,
    .build_more = build_more,
    .drop = drop,
    .exchange_ends = exchange_ends,
    .request_saved = request_saved,
    .request_restored = request_restored,
    .exchange_follows = exchange_follows,
    .request_value = mg_expr_request_value,
    .request_item = mg_expr_request_item,
    .request_subject = mg_expr_request_subject,
    .request_claims = mg_claims_of_request,
    .memory = memory,
    .retire = retire,
};
