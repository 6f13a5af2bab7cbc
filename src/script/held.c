/*
 * Running a pipeline that a config holds. Worker thread.
 *
 * The calling task waits for two things: that the walk has come to its end inward, where `last` is
 * called, and that the response has come back. An onion in the pipeline may go inward more than
 * once, and at the same time: `arrivals` is a queue.
 *
 * The walk has a scope of its own. A variable of the call, closed like any `<close>` one, cancels
 * it when the task is cancelled or fails, wherever it is: in the wait for the walk, or in `last`.
 */
#include "script/held.h"

#include <lauxlib.h>

#include "gateway/forward.h"
#include "script/context.h"
#include "script/task.h"

/* Stack places of the function's arguments, and of its guard, which stay there while it waits. */
enum { ARG_REQUEST = 1, ARG_LAST, GUARD };

/* Registry key of the guards' metatable: the address counts. */
static const char guard_key;

struct arrival {
    struct mg_link link;
    struct mg_walk *walk;
};

/* One call. In the arena of its request. */
struct held {
    struct mg_walk *walk;
    struct mg_scope scope;
    struct mg_task *task; /* waits; NULL: not now */
    struct mg_link arrivals;
    struct mg_walk *answering; /* `last` runs for it */
    bool done;
};

static int go_on(lua_State *L, struct held *h);

static void wake(struct held *h)
{
    struct mg_task *t = h->task;
    h->task = NULL;
    if (t)
        mg_task_resume(t, 0);
}

/* --- the walk --- */

/* A terminal (see mg_walk). */
static void arrive(struct mg_walk *w)
{
    struct held *h = w->terminal_arg;
    struct arrival *a = mg_arena_alloc(w->req->arena, sizeof *a);
    a->walk = w;
    mg_list_push_back(&h->arrivals, &a->link);
    wake(h);
}

static void on_done(struct mg_walk *w, void *arg)
{
    struct held *h = arg;
    (void)w;
    h->done = true;
    wake(h);
}

/* --- the function --- */

static int after_last(lua_State *L, int status, lua_KContext k)
{
    struct held *h = (struct held *)k;
    struct mg_handle *res = mg_handle_peek(L, -1, MG_HANDLE_RESPONSE);
    (void)status;
    if (!res)
        return luaL_error(L, "steps: the last function returned %s; expected a response",
                          luaL_typename(L, -1));
    mg_walk_answer(h->answering, res->object);
    return go_on(L, h);
}

static int call_last(lua_State *L, struct held *h)
{
    struct mg_link *first = h->arrivals.next;
    mg_list_remove(first);
    h->answering = MG_CONTAINER_OF(first, struct arrival, link)->walk;
    lua_pushvalue(L, ARG_LAST);
    mg_handle_push(L, mg_context_of(h->walk->ex), MG_HANDLE_REQUEST, h->answering->req);
    lua_callk(L, 1, 1, (lua_KContext)h, after_last);
    return after_last(L, LUA_OK, (lua_KContext)h);
}

static int resumed(lua_State *L, int status, lua_KContext k)
{
    (void)status;
    return go_on(L, (struct held *)k);
}

static void cancel(void *arg)
{
    struct held *h = arg;
    h->task = NULL;
}

static int go_on(lua_State *L, struct held *h)
{
    lua_settop(L, GUARD);
    if (!mg_list_empty(&h->arrivals))
        return call_last(L, h);
    if (h->done) {
        mg_handle_push(L, mg_context_of(h->walk->ex), MG_HANDLE_RESPONSE, h->walk->res);
        return 1;
    }
    h->task = mg_task_check_wait(L, "steps");
    return mg_task_wait_k(h->task, cancel, h, (lua_KContext)h, resumed);
}

/* --- the guard: a box with the call in it --- */

static int l_close(lua_State *L)
{
    struct held *h = *(struct held **)lua_touserdata(L, 1);
    if (!h->done)
        mg_context_cancel_scope(mg_context_of(h->walk->ex), &h->scope);
    return 0;
}

static void push_guard_metatable(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &guard_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__close");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_key);
}

/* At GUARD, the top of the stack from now on. */
static void push_guard(lua_State *L, struct held *h)
{
    lua_settop(L, ARG_LAST);
    *(struct held **)lua_newuserdatauv(L, sizeof h, 0) = h;
    push_guard_metatable(L);
    lua_setmetatable(L, GUARD);
    lua_toclose(L, GUARD);
}

/* The walk that the running code belongs to; raises where there is none. */
static struct mg_walk *walk_of(lua_State *L, struct mg_task *t, struct mg_context *ctx)
{
    if (!ctx->ex || !t->walk)
        luaL_error(L, "steps can only run for a request that waits for its response");
    if (ctx->ex->ended || ctx->ex->answered)
        luaL_error(L, "steps cannot run when the response has left");
    return t->walk;
}

static int l_run(lua_State *L)
{
    struct mg_task *t = mg_task_check_wait(L, "steps");
    struct mg_context *ctx = mg_context_check(L, "steps");
    struct mg_walk *outer = walk_of(L, t, ctx);
    struct mg_request *req = mg_context_keep_request(L, ctx, ARG_REQUEST);
    bool own_end = !lua_isnoneornil(L, ARG_LAST);
    if (own_end)
        luaL_checktype(L, ARG_LAST, LUA_TFUNCTION);
    struct mg_walk *w = mg_walk_held(outer, lua_touserdata(L, lua_upvalueindex(1)), req);
    if (!w)
        return luaL_error(L, "steps: nested too deeply");
    struct held *h = mg_arena_calloc(req->arena, sizeof *h);
    mg_list_init(&h->arrivals);
    h->walk = w;
    w->tentative = true; /* the policy may not want their errors */
    w->terminal = own_end ? arrive : mg_forward;
    w->terminal_arg = h;
    w->on_done = on_done;
    w->arg = h;
    mg_walk_open_scope(w, &h->scope);
    push_guard(L, h);
    mg_walk_start(w);
    return go_on(L, h);
}

void mg_held_push(lua_State *L, const struct mg_pipeline *pipeline)
{
    lua_pushlightuserdata(L, (void *)pipeline);
    lua_pushcclosure(L, l_run, 1);
}
