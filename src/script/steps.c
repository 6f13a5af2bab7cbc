/*
 * Lua steps. Worker thread.
 *
 * A step's code runs as a task. What it returns decides how the walk goes on. An onion's `next`
 * starts a walk over what lies behind the step, and waits for its response.
 */
#include "script/steps.h"

#include "gateway/condition.h"
#include "gateway/detached.h"
#include "gateway/forward.h"
#include "script/module.h"

/* What a walk remembers of each of its steps, from the request phase to the response phase. */
struct slot {
    int on_return;  /* reference of the function that the request phase returned; 0: none */
    bool returning; /* it is that function which runs */
    bool skipped;   /* `when` was false */
};

/* Those of one walk. */
struct slots {
    struct mg_script *script;
    uint32_t count;
    struct slot v[];
};

struct onion {
    struct mg_walk *walk;
    const struct mg_step *step;
    struct mg_response *inner; /* what next gave last */
    uint32_t calls;            /* of next */
};

/* One call of next. */
struct inward {
    struct onion *onion;
    struct mg_walk *walk;
    struct mg_scope scope; /* of the walk: it ends with the task that called next */
    struct mg_task *task;  /* waits; NULL: not (yet, any more) */
    bool done;
};

static struct mg_instances *instances_of(const struct mg_walk *w)
{
    return w->ex->wg->script;
}

static const struct mg_instance *instance_of(const struct mg_walk *w, const struct mg_step *step)
{
    return &instances_of(w)->v[step->index];
}

/* A walk that ends early leaves functions that nobody will call. */
static void release_slots(void *arg)
{
    struct slots *slots = arg;
    for (uint32_t i = 0; i < slots->count; i++)
        if (slots->v[i].on_return)
            luaL_unref(slots->script->L, LUA_REGISTRYINDEX, slots->v[i].on_return);
}

static struct slots *slots_of(struct mg_walk *w, bool make)
{
    if (!w->script && make) {
        uint32_t count = w->pipeline->count;
        struct slots *slots =
            mg_arena_calloc(w->req->arena, sizeof *slots + count * sizeof *slots->v);
        slots->script = instances_of(w)->script;
        slots->count = count;
        mg_arena_on_release(w->req->arena, release_slots, slots);
        w->script = slots;
    }
    return w->script;
}

static struct slot *slot_at(struct mg_walk *w, const struct mg_step *step, bool make)
{
    struct slots *slots = slots_of(w, make);
    return slots ? &slots->v[step - w->pipeline->steps] : NULL;
}

static const char *failure_code(enum mg_task_failure failure)
{
    switch (failure) {
    case MG_TASK_OVERRUN:
        return "policy_overrun";
    case MG_TASK_NO_MEMORY:
        return "policy_memory";
    default:
        return "policy_error";
    }
}

static enum mg_step_result task_failed(struct mg_walk *w, const struct mg_step *step,
                                       struct mg_task *t)
{
    return mg_walk_step_failed(w, step, failure_code(t->failure), t->message);
}

/* The function `fn`, a reference, returned what is no result. */
static enum mg_step_result wrong_result(struct mg_walk *w, const struct mg_step *step, int fn,
                                        struct mg_task *t, const char *expected)
{
    lua_State *L = mg_script_host(t->script);
    bool any = t->results > 0;
    const char *got = any ? luaL_typename(t->co, lua_gettop(t->co) - t->results + 1) : "nothing";
    lua_Debug ar;
    lua_rawgeti(L, LUA_REGISTRYINDEX, fn);
    lua_getinfo(L, ">S", &ar);
    struct mg_str text =
        mg_arena_printf(w->req->arena, "%s:%d: the step returned %s%s; expected %s", ar.short_src,
                        ar.linedefined, any ? "a " : "", got, expected);
    return mg_walk_step_failed(w, step, "policy_error", text);
}

/* --- starting a task --- */

/* A task with its function on the stack. The limit on memory rests while C code pushes: it could
 * not cope with an error here, and the step's own code meets the limit soon enough. */
static struct mg_task *begin(struct mg_walk *w, const struct mg_step *step, int fn)
{
    struct mg_context *ctx = mg_context_of(w->ex);
    struct mg_task *t = mg_task_new(ctx->script, ctx, step->id.p);
    if (!t)
        return NULL;
    t->source = step;
    t->walk = w;
    mg_list_push_back(&ctx->tasks, &t->owned);
    ctx->script->memory_lenient++;
    lua_rawgeti(t->co, LUA_REGISTRYINDEX, fn);
    return t;
}

static void push_request(struct mg_walk *w, struct mg_task *t)
{
    mg_handle_push(t->co, t->context, MG_HANDLE_REQUEST, w->req);
}

static void push_response(struct mg_walk *w, struct mg_task *t)
{
    mg_handle_push(t->co, t->context, MG_HANDLE_RESPONSE, w->res);
}

static enum mg_task_status run(struct mg_task *t, int nargs, mg_task_done_fn on_done, void *arg)
{
    t->script->memory_lenient--;
    return mg_task_start(t, nargs, on_done, arg);
}

static enum mg_step_result no_memory(struct mg_walk *w, const struct mg_step *step)
{
    return mg_walk_step_failed(w, step, "policy_memory", MG_STR("not enough memory"));
}

/* --- when --- */

enum { CONDITION_UNKNOWN, CONDITION_NO, CONDITION_YES };

/* Where the answer is kept for `finish`; NULL: the step is not in the exchange's own pipeline. */
static uint8_t *condition_of(struct mg_exchange *ex, const struct mg_step *step)
{
    struct mg_context *ctx = mg_context_of(ex);
    const struct mg_pipeline *p = ex->walk.pipeline;
    if (step->place >= p->all_count || p->all[step->place] != step)
        return NULL;
    if (!ctx->conditions)
        ctx->conditions = mg_arena_calloc(ctx->arena, p->all_count);
    return &ctx->conditions[step->place];
}

/* Behind an onion a step may be asked more than once: it has run if the answer was yes once. */
static void keep_condition(struct mg_exchange *ex, const struct mg_step *step, bool yes)
{
    uint8_t *kept = condition_of(ex, step);
    if (kept && *kept != CONDITION_YES)
        *kept = yes ? CONDITION_YES : CONDITION_NO;
}

static bool is_conditional(const struct mg_instance *i)
{
    return i->condition || i->when != LUA_NOREF;
}

/* Asks Lua. MG_FAIL: `failure` says why. */
static enum mg_rc ask_lua(struct mg_exchange *ex, int when, struct mg_request *req,
                          struct mg_response *res, bool *yes, struct mg_str *failure)
{
    struct mg_context *ctx = mg_context_of(ex);
    struct mg_instances *all = ex->wg->script;
    lua_State *L = mg_script_host(ctx->script);
    ctx->script->memory_lenient++;
    lua_rawgeti(L, LUA_REGISTRYINDEX, when);
    mg_handle_push(L, ctx, MG_HANDLE_REQUEST, req);
    if (res)
        mg_handle_push(L, ctx, MG_HANDLE_RESPONSE, res);
    else
        lua_pushnil(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, all->module);
    ctx->script->memory_lenient--;
    enum mg_rc rc = mg_task_call(L, 3, 1);
    if (rc == MG_OK) {
        *yes = lua_toboolean(L, -1);
    } else {
        size_t n;
        const char *message = lua_tolstring(L, -1, &n);
        *failure = mg_arena_printf(ctx->arena, "when: %.*s", (int)n, message ? message : "");
    }
    lua_pop(L, 1);
    return rc;
}

/* Asks the condition of a step that has one; `res` may be NULL. */
static enum mg_rc ask(struct mg_exchange *ex, const struct mg_instance *i, struct mg_request *req,
                      struct mg_response *res, bool *yes, struct mg_str *failure)
{
    if (!i->condition)
        return ask_lua(ex, i->when, req, res, yes, failure);
    *yes = mg_condition_holds(i->condition, req);
    return MG_OK;
}

static enum mg_step_entry evaluate_when(struct mg_walk *w, const struct mg_step *step,
                                        const struct mg_instance *i)
{
    bool yes = false;
    struct mg_str failure;
    enum mg_rc rc = ask(w->ex, i, w->req, w->res, &yes, &failure);
    keep_condition(w->ex, step, yes);
    if (rc == MG_OK)
        return yes ? MG_STEP_ENTER : MG_STEP_SKIP;
    mg_walk_step_failed(w, step, "policy_error", failure);
    return step->on_error_continue ? MG_STEP_SKIP : MG_STEP_FAILED;
}

static bool is_response_only(const struct mg_instance *i)
{
    return i->request == LUA_NOREF && i->around == LUA_NOREF;
}

static enum mg_step_entry enter(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_instance *i = instance_of(w, step);
    if (!is_conditional(i) || is_response_only(i))
        return is_response_only(i) ? MG_STEP_SKIP : MG_STEP_ENTER;
    enum mg_step_entry entry = evaluate_when(w, step, i);
    if (entry == MG_STEP_SKIP)
        slot_at(w, step, true)->skipped = true;
    return entry;
}

static enum mg_step_entry enter_response(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_instance *i = instance_of(w, step);
    struct slot *slot = slot_at(w, step, false);
    if (slot && slot->skipped)
        return MG_STEP_SKIP;
    if (!(slot && slot->on_return) && i->response == LUA_NOREF)
        return MG_STEP_SKIP;
    if (is_conditional(i) && is_response_only(i))
        return evaluate_when(w, step, i);
    return MG_STEP_ENTER;
}

/* --- the request phase of table steps --- */

static enum mg_step_result request_result(struct mg_walk *w, const struct mg_step *step,
                                          struct mg_task *t, enum mg_task_status status)
{
    if (status == MG_TASK_FAILED)
        return task_failed(w, step, t);
    int index = lua_gettop(t->co) - t->results + 1;
    if (t->results == 0 || lua_isnil(t->co, index))
        return MG_STEP_NEXT;
    struct mg_handle *h = mg_handle_peek(t->co, index, MG_HANDLE_RESPONSE);
    if (h) {
        w->res = h->object;
        return MG_STEP_STOP;
    }
    if (!lua_isfunction(t->co, index))
        return wrong_result(w, step, instance_of(w, step)->request, t,
                            "nothing, a response or a function; mg.reply makes a response");
    struct slot *slot = slot_at(w, step, true);
    t->script->memory_lenient++;
    lua_pushvalue(t->co, index);
    slot->on_return = luaL_ref(t->co, LUA_REGISTRYINDEX);
    t->script->memory_lenient--;
    return MG_STEP_NEXT;
}

static void on_request_done(struct mg_task *t, enum mg_task_status status, void *arg)
{
    struct mg_walk *w = arg;
    enum mg_step_result result = request_result(w, &w->pipeline->steps[w->at], t, status);
    mg_task_free(t);
    mg_walk_resume(w, result);
}

static enum mg_step_result run_onion(const struct mg_step *step, struct mg_walk *w, int fn);

static enum mg_step_result request(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_instance *i = instance_of(w, step);
    if (i->around != LUA_NOREF)
        return run_onion(step, w, i->around);
    struct mg_task *t = begin(w, step, i->request);
    if (!t)
        return no_memory(w, step);
    push_request(w, t);
    enum mg_task_status status = run(t, 1, on_request_done, w);
    if (status == MG_TASK_WAITING)
        return MG_STEP_WAIT;
    enum mg_step_result result = request_result(w, step, t, status);
    mg_task_free(t);
    return result;
}

/* --- the response phase --- */

static enum mg_step_result run_response(const struct mg_step *step, struct mg_walk *w);

/* Looks at what `fn`, a reference, has returned. */
static void response_result(struct mg_walk *w, const struct mg_step *step, int fn,
                            struct mg_task *t, enum mg_task_status status)
{
    if (status == MG_TASK_FAILED) {
        task_failed(w, step, t);
        return;
    }
    int index = lua_gettop(t->co) - t->results + 1;
    if (t->results == 0 || lua_isnil(t->co, index))
        return;
    struct mg_handle *h = mg_handle_peek(t->co, index, MG_HANDLE_RESPONSE);
    if (!h) {
        wrong_result(w, step, fn, t, "nothing or a response; mg.reply makes one");
        return;
    }
    if (w->res != h->object && w->res->body)
        mg_body_cancel(w->res->body);
    w->res = h->object;
}

static void end_response(struct mg_walk *w, const struct mg_step *step, struct mg_task *t,
                         enum mg_task_status status)
{
    struct slot *slot = slot_at(w, step, true);
    bool returning = slot->returning;
    response_result(w, step, returning ? slot->on_return : instance_of(w, step)->response, t,
                    status);
    if (returning) {
        luaL_unref(t->co, LUA_REGISTRYINDEX, slot->on_return);
        slot->on_return = 0;
        slot->returning = false;
    }
    mg_task_free(t);
}

static void on_response_done(struct mg_task *t, enum mg_task_status status, void *arg)
{
    struct mg_walk *w = arg;
    const struct mg_step *step = &w->pipeline->steps[w->at - 1];
    end_response(w, step, t, status);
    if (run_response(step, w) != MG_STEP_WAIT)
        mg_walk_resume(w, MG_STEP_NEXT);
}

/* The function that the request phase returned is called g(res); a response function f(req, res). A
 * step may have both. */
static struct mg_task *begin_response(const struct mg_step *step, struct mg_walk *w, int *nargs)
{
    struct slot *slot = slot_at(w, step, true);
    if (slot->on_return) {
        struct mg_task *t = begin(w, step, slot->on_return);
        if (!t)
            return NULL;
        slot->returning = true;
        push_response(w, t);
        *nargs = 1;
        return t;
    }
    slot->skipped = true; /* it runs once */
    struct mg_task *t = begin(w, step, instance_of(w, step)->response);
    if (!t)
        return NULL;
    push_request(w, t);
    push_response(w, t);
    *nargs = 2;
    return t;
}

static enum mg_step_result run_response(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_instance *i = instance_of(w, step);
    for (;;) {
        struct slot *slot = slot_at(w, step, false);
        bool returned = slot && slot->on_return, has = i->response != LUA_NOREF;
        if (!returned && (!has || (slot && slot->skipped)))
            return MG_STEP_NEXT;
        int nargs = 0;
        struct mg_task *t = begin_response(step, w, &nargs);
        if (!t)
            return no_memory(w, step);
        enum mg_task_status status = run(t, nargs, on_response_done, w);
        if (status == MG_TASK_WAITING)
            return MG_STEP_WAIT;
        end_response(w, step, t, status);
    }
}

static enum mg_step_result response(const struct mg_step *step, struct mg_walk *w)
{
    return run_response(step, w);
}

/* --- onions --- */

/* Was there nothing left of the request's body for this call of next? */
static bool lacks_body(const struct inward *in)
{
    const struct mg_response *res = in->walk->res;
    return in->onion->calls > 1 && res->source == MG_SOURCE_GATEWAY && res->error_code &&
           strcmp(res->error_code, MG_FORWARD_BODY_TAKEN) == 0;
}

static int push_inner(lua_State *L, struct inward *in)
{
    if (lacks_body(in))
        return luaL_error(L,
                          "next: the body of the request has gone to the backend with the call "
                          "before; to call next again, have it in memory: call req:text() first, "
                          "or say body = { request = \"buffer\" } in the module");
    in->onion->inner = in->walk->res;
    mg_handle_push(L, mg_context_of(in->walk->ex), MG_HANDLE_RESPONSE, in->walk->res);
    return 1;
}

static int inner_came(lua_State *L, int status, lua_KContext k)
{
    (void)status;
    return push_inner(L, (struct inward *)k);
}

static void on_inner_done(struct mg_walk *inner, void *arg)
{
    struct inward *in = arg;
    (void)inner;
    in->done = true;
    if (in->task)
        mg_task_resume(in->task, 0);
}

static void cancel_inward(void *arg)
{
    struct inward *in = arg;
    in->task = NULL;
    mg_context_cancel_scope(mg_context_of(in->walk->ex), &in->scope);
}

/* Whose way inward: the step's of the client's request, or of the way of its own that the running
 * code has. */
static struct onion *onion_of(lua_State *L)
{
    const struct mg_handle *h = lua_touserdata(L, lua_upvalueindex(1));
    const struct mg_context *ctx = mg_task_context(L);
    struct onion *own = ctx ? ctx->onion : NULL;
    if (own && own->step == lua_touserdata(L, lua_upvalueindex(2)))
        return own;
    if (!h->object)
        luaL_error(L, "next: request has ended");
    return h->object;
}

static struct mg_request *request_of(lua_State *L, const struct onion *o)
{
    if (lua_isnoneornil(L, 1))
        return o->walk->req;
    struct mg_request *req = mg_context_keep_request(L, mg_context_of(o->walk->ex), 1);
    if (req->ex && req->ex != o->walk->ex)
        luaL_error(L, "next: the request is another one's; in the background take req:copy()");
    return req;
}

static int l_next(lua_State *L)
{
    struct onion *o = onion_of(L);
    struct mg_task *t = mg_task_check_wait(L, "next");
    struct mg_request *req = request_of(L, o);
    struct mg_walk *walk = mg_walk_inner(o->walk, req);
    if (!walk)
        return luaL_error(L, "next: called too deeply");
    struct inward *in = mg_arena_calloc(req->arena, sizeof *in);
    in->onion = o;
    in->walk = walk;
    walk->on_done = on_inner_done;
    walk->arg = in;
    mg_walk_open_scope(walk, &in->scope);
    o->calls++;
    mg_walk_start(walk);
    if (in->done)
        return push_inner(L, in);
    in->task = t;
    return mg_task_wait_k(t, cancel_inward, in, (lua_KContext)in, inner_came);
}

static enum mg_step_result onion_result(struct onion *o, struct mg_task *t,
                                        enum mg_task_status status)
{
    struct mg_walk *w = o->walk;
    enum mg_step_result result;
    if (status == MG_TASK_FAILED) {
        result = task_failed(w, o->step, t);
    } else {
        int index = lua_gettop(t->co) - t->results + 1;
        struct mg_handle *h = t->results ? mg_handle_peek(t->co, index, MG_HANDLE_RESPONSE) : NULL;
        if (h) {
            w->res = h->object;
            return MG_STEP_STOP;
        }
        result = wrong_result(w, o->step, instance_of(w, o->step)->around, t,
                              "a response (return next(req))");
    }
    if (result == MG_STEP_NEXT && o->calls) {
        /* on_error: continue, but what lies behind has run: its response goes on as it is. */
        if (!o->inner)
            return no_memory(w, o->step);
        w->res = o->inner;
        return MG_STEP_STOP;
    }
    return result;
}

static void on_onion_done(struct mg_task *t, enum mg_task_status status, void *arg)
{
    struct onion *o = arg;
    struct mg_walk *w = o->walk;
    enum mg_step_result result = onion_result(o, t, status);
    mg_task_free(t);
    mg_walk_resume(w, result);
}

static enum mg_step_result run_onion(const struct mg_step *step, struct mg_walk *w, int fn)
{
    struct onion *o = mg_arena_calloc(w->req->arena, sizeof *o);
    o->walk = w;
    o->step = step;
    struct mg_task *t = begin(w, step, fn);
    if (!t)
        return no_memory(w, step);
    push_request(w, t);
    mg_handle_push(t->co, t->context, MG_HANDLE_NEXT, o);
    lua_pushlightuserdata(t->co, (void *)step);
    lua_pushcclosure(t->co, l_next, 2);
    enum mg_task_status status = run(t, 2, on_onion_done, o);
    if (status == MG_TASK_WAITING)
        return MG_STEP_WAIT;
    enum mg_step_result result = onion_result(o, t, status);
    mg_task_free(t);
    return result;
}

/* --- code of a step on a way of its own --- */

static void on_detached_response(struct mg_detached *d)
{
    mg_detached_end(d, NULL);
}

/* The task is over, and with it the exchange. */
static void end_detached(struct mg_task *t, enum mg_task_status status, struct mg_walk *w)
{
    if (status == MG_TASK_FAILED)
        mg_task_log_failure(t);
    mg_task_free(t);
    w->res = mg_response_new(w->req->arena, 204, MG_SOURCE_POLICY);
    mg_walk_resume(w, MG_STEP_STOP);
}

static void on_detached_done(struct mg_task *t, enum mg_task_status status, void *arg)
{
    end_detached(t, status, arg);
}

static struct mg_walk *park(struct mg_walk *like, const struct mg_step *step)
{
    struct mg_detached *d = mg_detached_new(like);
    mg_detached_park(d, on_detached_response, NULL);
    struct onion *o = mg_arena_calloc(&d->in.arena, sizeof *o);
    o->walk = d->at;
    o->step = step;
    mg_context_of(d->at->ex)->onion = o;
    return d->at;
}

bool mg_steps_detach(lua_State *L, int nargs)
{
    struct mg_script *s = mg_script_of(L);
    const struct mg_context *now = s->current->context;
    struct mg_walk *like = s->current->walk; /* which a background task may outlive */
    const struct mg_step *step = s->current->source;
    if (!now || !now->ex || !like || !step || !mg_walk_is_repeatable(like))
        return false;
    struct mg_task *t = mg_task_new(s, NULL, step->id.p);
    if (!t || !lua_checkstack(t->co, nargs + 1)) {
        if (t)
            mg_task_free(t);
        return luaL_error(L, "not enough memory");
    }
    struct mg_walk *w = park(like, step);
    struct mg_context *ctx = mg_context_of(w->ex);
    t->context = ctx;
    t->source = step;
    t->walk = w;
    mg_list_push_back(&ctx->tasks, &t->owned);
    lua_xmove(L, t->co, nargs + 1);
    enum mg_task_status status = mg_task_start(t, nargs, on_detached_done, w);
    if (status != MG_TASK_WAITING)
        end_detached(t, status, w);
    return true;
}

/* --- finish --- */

static void finish_ended(struct mg_task *t, enum mg_task_status status)
{
    if (status == MG_TASK_FAILED)
        mg_task_log_failure(t);
    mg_task_free(t);
}

static void on_finish_done(struct mg_task *t, enum mg_task_status status, void *arg)
{
    struct mg_exchange *ex = arg;
    finish_ended(t, status);
    mg_exchange_finish_resume(ex);
}

static void push_info(lua_State *L, const struct mg_exchange *ex)
{
    uint64_t took = mg_loop_now(ex->worker->loop) - ex->in->started_ns;
    lua_createtable(L, 0, 4);
    if (ex->res) {
        lua_pushinteger(L, ex->res->msg->status);
        lua_setfield(L, -2, "status");
    }
    lua_pushinteger(L, (lua_Integer)ex->in->sent_bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushnumber(L, (double)took / 1e9);
    lua_setfield(L, -2, "duration");
    if (ex->reason) {
        lua_pushstring(L, ex->reason);
        lua_setfield(L, -2, "reason");
    }
}

/* Did `when` hold? A step that only has a finish is asked now, and one whose turn never came. */
static bool applies(const struct mg_step *step, struct mg_exchange *ex, const struct mg_instance *i)
{
    bool yes = false;
    struct mg_str failure;
    uint8_t *kept = condition_of(ex, step);
    if (*kept != CONDITION_UNKNOWN)
        return *kept == CONDITION_YES;
    if (ask(ex, i, &ex->req, ex->res, &yes, &failure) != MG_OK)
        mg_log_error("policy failed", MG_LOG_STR("policy", step->policy),
                     MG_LOG_STR("step", step->id), MG_LOG_STR("path", step->path),
                     MG_LOG_STR("route", ex->req.route ? ex->req.route->name : MG_STR_NONE),
                     MG_LOG_STR("request_id", mg_request_id(&ex->req)),
                     MG_LOG_STR("error", failure));
    return yes;
}

static enum mg_step_result finish(const struct mg_step *step, struct mg_exchange *ex)
{
    const struct mg_instances *all = ex->wg->script;
    const struct mg_instance *i = &all->v[step->index];
    if (is_conditional(i) && !applies(step, ex, i))
        return MG_STEP_NEXT;
    struct mg_task *t = begin(&ex->walk, step, i->finish);
    if (!t)
        return MG_STEP_NEXT;
    push_request(&ex->walk, t);
    if (ex->res)
        mg_handle_push(t->co, t->context, MG_HANDLE_RESPONSE, ex->res);
    else
        lua_pushnil(t->co); /* the client went before there was one */
    push_info(t->co, ex);
    enum mg_task_status status = run(t, 3, on_finish_done, ex);
    if (status == MG_TASK_WAITING)
        return MG_STEP_WAIT;
    finish_ended(t, status);
    return MG_STEP_NEXT;
}

const struct mg_step_ops mg_script_step_ops = {
    .enter = enter,
    .enter_response = enter_response,
    .request = request,
    .response = response,
    .finish = finish,
};

/* --- steps that C runs --- */

static enum mg_step_entry enter_if(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_instance *i = instance_of(w, step);
    return is_conditional(i) ? evaluate_when(w, step, i) : MG_STEP_ENTER;
}

enum mg_step_entry mg_steps_enter_native(const struct mg_step *step, struct mg_walk *w)
{
    enum mg_step_entry entry = enter_if(step, w);
    if (entry == MG_STEP_SKIP)
        slot_at(w, step, true)->skipped = true;
    return entry;
}

enum mg_step_entry mg_steps_enter_native_response(const struct mg_step *step, struct mg_walk *w)
{
    const struct slot *slot = slot_at(w, step, false);
    return slot && slot->skipped ? MG_STEP_SKIP : MG_STEP_ENTER;
}

enum mg_step_entry mg_steps_enter_response_only(const struct mg_step *step, struct mg_walk *w)
{
    return enter_if(step, w);
}

/* --- for the library --- */

size_t mg_steps_log_fields(const struct mg_task *t, struct mg_log_field *out, size_t room)
{
    const struct mg_context *ctx = t->context;
    const struct mg_step *step = t->source;
    size_t n = 0;
    bool failure = room >= MG_TASK_FAILURE_FIELDS;
    if (room < 3)
        return 0;
    if (failure && step)
        out[n++] = MG_LOG_STR("policy", step->policy);
    out[n++] = step ? MG_LOG_STR("step", step->id) : MG_LOG_C("step", t->label ? t->label : "-");
    if (failure && step)
        out[n++] = MG_LOG_STR("path", step->path);
    if (ctx && ctx->req) {
        if (ctx->req->route)
            out[n++] = MG_LOG_STR("route", ctx->req->route->name);
        out[n++] = MG_LOG_STR("request_id", mg_request_id(ctx->req));
    }
    return n;
}

struct mg_link *mg_steps_tasks_of(void *context)
{
    return &((struct mg_context *)context)->tasks;
}
