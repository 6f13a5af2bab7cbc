/*
 * mg.sleep, mg.spawn and their kin. One thread.
 *
 * A handle (userdata) stands for each task that Lua has started. The registry anchors it while the
 * task lives or somebody waits for it, so the task may always use it; its results, once it has
 * ended, lie in its user value. Waiters are woken at the end of the turn, never inside the task
 * that ends.
 */
#include "script/lib_time.h"

#include <lauxlib.h>
#include <math.h>

#include "script/fail.h"
#include "script/state.h"
#include "script/task.h"

#define HANDLE "moongate.task"
#define SECONDS_MAX 1e9

enum outcome { RUNNING, ENDED, FAILED, CANCELLED };

struct handle {
    struct mg_script *script;
    struct mg_task *task; /* NULL: no longer */
    enum outcome outcome;
    int results; /* ENDED: in the user value, from 1 */
    bool background;
    bool always_log;
    struct mg_link waiters; /* of struct wait */
    struct mg_soon wake;
    int ref; /* anchor in the registry; LUA_NOREF: none */
};

/* One wait, a userdata on the waiting coroutine's stack. */
struct wait {
    struct mg_task *task;
    struct mg_timer timer;
    struct mg_link link; /* in the handle's waiters */
};

static struct mg_script *check_loop(lua_State *L, const char *what)
{
    struct mg_script *s = mg_script_of(L);
    if (!s->loop)
        luaL_error(L, "%s cannot be called while a module loads; call it in `new` or in the step",
                   what);
    return s;
}

static double check_seconds(lua_State *L, int arg)
{
    double seconds = luaL_checknumber(L, arg);
    luaL_argcheck(L, seconds >= 0 && seconds <= SECONDS_MAX, arg, "seconds from 0 to 1e9 expected");
    return seconds;
}

static uint64_t after_seconds(const struct mg_script *s, double seconds)
{
    return mg_loop_now(s->loop) + (uint64_t)(seconds * (double)MG_SECOND);
}

/* --- waits --- */

static void undo_wait(void *arg)
{
    struct wait *w = arg;
    mg_timer_release(&w->timer);
    mg_list_remove(&w->link);
}

static void end_wait(void *arg)
{
    struct wait *w = arg;
    undo_wait(w);
    mg_task_resume(w->task, 0);
}

/* Pushes a wait of the task. */
static struct wait *push_wait(lua_State *L, struct mg_task *t)
{
    struct wait *w = lua_newuserdatauv(L, sizeof *w, 0);
    w->task = t;
    mg_timer_init(&w->timer, t->script->loop, end_wait, w);
    mg_list_init(&w->link);
    return w;
}

static int l_sleep(lua_State *L)
{
    double seconds = check_seconds(L, 1);
    struct mg_task *t = mg_task_check_wait(L, "mg.sleep");
    struct wait *w = push_wait(L, t);
    mg_timer_set(&w->timer, after_seconds(t->script, seconds));
    return mg_task_wait(t, undo_wait, w);
}

/* --- handles --- */

static struct handle *check_handle(lua_State *L)
{
    return luaL_checkudata(L, 1, HANDLE);
}

static void drop_anchor(struct handle *h)
{
    luaL_unref(h->script->L, LUA_REGISTRYINDEX, h->ref);
    h->ref = LUA_NOREF;
}

/* The waiters go on; each takes the outcome from the handle, which is on its stack. */
static void wake_waiters(void *arg)
{
    struct handle *h = arg;
    while (!mg_list_empty(&h->waiters))
        end_wait(MG_CONTAINER_OF(h->waiters.next, struct wait, link));
    drop_anchor(h);
}

static struct handle *push_handle(lua_State *L, struct mg_script *s)
{
    struct handle *h = lua_newuserdatauv(L, sizeof *h, 1);
    *h = (struct handle){.script = s, .outcome = CANCELLED, .ref = LUA_NOREF};
    mg_list_init(&h->waiters);
    mg_soon_init(&h->wake, wake_waiters, h);
    luaL_setmetatable(L, HANDLE);
    return h;
}

static void set_ended(struct handle *h, enum outcome outcome)
{
    h->outcome = outcome;
    h->task = NULL;
    if (h->background) {
        h->background = false;
        h->script->background--;
    }
    if (mg_list_empty(&h->waiters))
        drop_anchor(h);
    else
        mg_soon_run(h->script->loop, &h->wake);
}

/* Moves what the task has brought into the handle at `index` of L. Where L is protected this may
 * raise a memory error, with the task gone and the handle consistent; elsewhere the memory limit
 * must rest. */
static void keep_results(lua_State *L, int index, struct mg_task *t)
{
    struct handle *h = lua_touserdata(L, index);
    bool ok = t->failure == MG_TASK_NO_FAILURE;
    size_t summary = t->summary.n;
    if (!lua_checkstack(L, t->results + 5)) {
        mg_task_free(t);
        set_ended(h, ok ? ENDED : FAILED);
        return;
    }
    int n = mg_task_move(t, L);
    set_ended(h, ok ? ENDED : FAILED);
    if (!ok) {
        lua_pushlstring(L, lua_tostring(L, -1), summary);
        mg_fail_wrap(L, "error");
        lua_setiuservalue(L, index, 1);
        lua_pop(L, 1);
    } else if (n > 0) {
        lua_createtable(L, n, 0);
        lua_insert(L, -(n + 1));
        for (int i = n; i > 0; i--)
            lua_rawseti(L, -(i + 1), i);
        lua_setiuservalue(L, index, 1);
        h->results = n;
    }
}

static void log_unless_waited(const struct handle *h, const struct mg_task *t)
{
    if (t->failure != MG_TASK_NO_FAILURE && (h->always_log || mg_list_empty(&h->waiters)))
        mg_task_log_failure(t);
}

static void on_done(struct mg_task *t, enum mg_task_status status, void *arg)
{
    struct handle *h = arg;
    lua_State *L = mg_script_host(h->script);
    (void)status;
    log_unless_waited(h, t);
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->ref);
    keep_results(L, lua_gettop(L), t);
    lua_pop(L, 1);
}

static void on_cancelled(struct mg_task *t, void *arg)
{
    (void)t;
    set_ended(arg, CANCELLED);
}

/* --- starting --- */

/* The list of the tasks that end with the context, or NULL. */
static struct mg_link *owner_of(const struct mg_script *s, void *context)
{
    return context && s->tasks_of ? s->tasks_of(context) : NULL;
}

/* Starts the function under the `nargs` arguments on top, and puts the handle in their place.
 * `count`: it is one of the tasks that a shutdown waits for. */
static void start(lua_State *L, int nargs, void *context, bool count)
{
    struct mg_script *s = mg_script_of(L);
    struct mg_link *owner = owner_of(s, context);
    const char *label = s->current ? s->current->label : NULL;
    const void *source = s->current ? s->current->source : NULL;
    void *walk = s->current ? s->current->walk : NULL;
    struct handle *h = push_handle(L, s);
    lua_pushvalue(L, -1);
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_insert(L, -(nargs + 2));
    if (s->trial) {
        luaL_unref(L, LUA_REGISTRYINDEX, ref);
        lua_pop(L, nargs + 1);
        return;
    }
    int index = lua_gettop(L) - nargs - 1;

    struct mg_task *t = mg_task_new(s, context, label);
    if (!t || !lua_checkstack(t->co, nargs + 1)) {
        if (t)
            mg_task_free(t);
        luaL_unref(L, LUA_REGISTRYINDEX, ref);
        luaL_error(L, s->ending ? "cannot start a task: shutting down" : "not enough memory");
    }
    h->ref = ref;
    h->task = t;
    h->outcome = RUNNING;
    h->background = count;
    s->background += count;
    t->on_cancelled = on_cancelled;
    t->source = source;
    t->walk = walk;
    if (owner)
        mg_list_push_back(owner, &t->owned);
    lua_xmove(L, t->co, nargs + 1);
    if (mg_task_start(t, nargs, on_done, h) == MG_TASK_WAITING)
        return;
    log_unless_waited(h, t);
    keep_results(L, index, t);
}

static void refuse_while_closing(lua_State *L, const char *what)
{
    const struct mg_task *t = mg_script_of(L)->current;
    if (t && t->closing)
        luaL_error(L, "%s cannot be called while the variables of a cancelled task are closed",
                   what);
}

static int too_many(lua_State *L)
{
    return mg_fail_push(L, "too_many_tasks", "too many background tasks");
}

static int l_spawn(lua_State *L)
{
    struct mg_script *s = check_loop(L, "mg.spawn");
    luaL_checktype(L, 1, LUA_TFUNCTION);
    refuse_while_closing(L, "mg.spawn");
    if (!s->current)
        return luaL_error(L, "mg.spawn can only be called while a request or a task runs; use "
                             "mg.background");
    void *context = s->current->context;
    if (!context && s->background >= s->background_limit)
        return too_many(L);
    start(L, lua_gettop(L) - 1, context, !context);
    return 1;
}

int mg_lib_time_background(lua_State *L)
{
    struct mg_script *s = check_loop(L, "mg.background");
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (s->background >= s->background_limit)
        return too_many(L);
    start(L, lua_gettop(L) - 1, NULL, true);
    return 1;
}

/* --- after --- */

static int after_called(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    return lua_gettop(L) - (int)ctx;
}

/* (seconds, f, ...), and above the `ctx` values of that what the wait left. */
static int after_due(lua_State *L, int status, lua_KContext ctx)
{
    int n = (int)ctx;
    (void)status;
    lua_settop(L, n);
    lua_callk(L, n - 2, LUA_MULTRET, 1, after_called);
    return after_called(L, LUA_OK, 1);
}

static int after_body(lua_State *L)
{
    int n = lua_gettop(L);
    struct mg_task *t = mg_task_check_wait(L, "mg.after");
    struct wait *w = push_wait(L, t);
    mg_timer_set(&w->timer, after_seconds(t->script, lua_tonumber(L, 1)));
    return mg_task_wait_k(t, undo_wait, w, n, after_due);
}

static int l_after(lua_State *L)
{
    check_loop(L, "mg.after");
    check_seconds(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    refuse_while_closing(L, "mg.after");
    lua_pushcfunction(L, after_body);
    lua_insert(L, 1);
    start(L, lua_gettop(L) - 1, mg_task_context(L), false);
    return 1;
}

/* --- every --- */

/* The stack of every_body, which is a task that only waits and starts others: so the function may
 * fail or be stopped for overrun, and is called again all the same. */
enum { INTERVAL = 1, FUNCTION, JITTER, WAIT, NEXT, CALLED };

static int every_again(lua_State *L, int status, lua_KContext ctx);

static int every_due(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    if (mg_task_check_wait(L, "mg.every")->script->retired)
        return 0;
    lua_settop(L, NEXT);
    lua_pushvalue(L, FUNCTION);
    start(L, 0, mg_task_context(L), false);
    struct handle *h = lua_touserdata(L, CALLED);
    if (h->outcome != RUNNING)
        return every_again(L, LUA_OK, 0);
    h->always_log = true;
    struct wait *w = lua_touserdata(L, WAIT);
    mg_list_push_back(&h->waiters, &w->link);
    return mg_task_wait_k(w->task, undo_wait, w, 0, every_again);
}

/* Waits until the next time; times that have passed meanwhile are left out. */
static int every_again(lua_State *L, int status, lua_KContext ctx)
{
    struct wait *w = lua_touserdata(L, WAIT);
    struct mg_script *s = w->task->script;
    double interval = lua_tonumber(L, INTERVAL) * (double)MG_SECOND;
    double next = lua_tonumber(L, NEXT) + interval, now = (double)mg_loop_now(s->loop);
    double random = (double)(mg_script_random(s) >> 11) * 0x1p-53;
    (void)status, (void)ctx;
    if (next < now)
        next += ceil((now - next) / interval) * interval;
    lua_settop(L, WAIT);
    lua_pushnumber(L, next);
    mg_timer_set(&w->timer,
                 (uint64_t)(next + random * lua_tonumber(L, JITTER) * (double)MG_SECOND));
    return mg_task_wait_k(w->task, undo_wait, w, 0, every_due);
}

static int every_body(lua_State *L)
{
    struct mg_task *t = mg_task_check_wait(L, "mg.every");
    push_wait(L, t);
    lua_pushnumber(L, (double)mg_loop_now(t->script->loop));
    return every_again(L, LUA_OK, 0);
}

struct every_options {
    double jitter; /* seconds that are added to a wait at most */
    bool one_worker;
};

static struct every_options check_every_options(lua_State *L, int arg)
{
    struct every_options o = {0};
    if (lua_isnoneornil(L, arg))
        return o;
    luaL_checktype(L, arg, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        struct mg_str key = MG_STR("?");
        if (lua_type(L, -2) == LUA_TSTRING)
            key = mg_str_c(lua_tostring(L, -2));
        if (mg_str_eq(key, MG_STR("jitter"))) {
            o.jitter = lua_tonumber(L, -1);
            if (!lua_isnumber(L, -1) || !(o.jitter >= 0 && o.jitter <= SECONDS_MAX))
                luaL_error(L, "mg.every: jitter must be seconds");
        } else if (mg_str_eq(key, MG_STR("one_worker")))
            o.one_worker = lua_toboolean(L, -1);
        else
            luaL_error(L, "mg.every: unknown option '%s'", key.p);
    }
    return o;
}

static int l_every(lua_State *L)
{
    struct mg_script *s = check_loop(L, "mg.every");
    double interval = check_seconds(L, 1);
    luaL_argcheck(L, interval >= 0.001, 1, "at least 0.001 seconds expected");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    refuse_while_closing(L, "mg.every");
    struct every_options o = check_every_options(L, 3);
    if (o.one_worker && s->worker != 0) {
        push_handle(L, s);
        return 1;
    }
    lua_settop(L, 2);
    lua_pushnumber(L, o.jitter);
    lua_pushcfunction(L, every_body);
    lua_insert(L, 1);
    start(L, 3, mg_task_context(L), false);
    return 1;
}

/* --- methods of a handle --- */

/* Returns what the task returned, or nil and why not. */
static int give_outcome(lua_State *L, const struct handle *h)
{
    switch (h->outcome) {
    case RUNNING:
        return mg_fail_push(L, "timeout", "timeout");
    case CANCELLED:
        return mg_fail_push(L, "cancelled", "the task was cancelled");
    case FAILED:
        lua_pushnil(L);
        lua_getiuservalue(L, 1, 1);
        return 2;
    case ENDED:
        break;
    }
    luaL_checkstack(L, h->results + 1, "too many results");
    lua_getiuservalue(L, 1, 1);
    int table = lua_gettop(L);
    for (int i = 1; i <= h->results; i++)
        lua_rawgeti(L, table, i);
    return h->results;
}

static int wait_over(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    return give_outcome(L, check_handle(L));
}

static int l_wait(lua_State *L)
{
    struct handle *h = check_handle(L);
    bool limited = !lua_isnoneornil(L, 2);
    double seconds = limited ? check_seconds(L, 2) : 0;
    if (h->outcome != RUNNING)
        return give_outcome(L, h);
    struct mg_task *t = mg_task_check_wait(L, "task:wait");
    if (t == h->task)
        return luaL_error(L, "a task cannot wait for itself");
    struct wait *w = push_wait(L, t);
    mg_list_push_back(&h->waiters, &w->link);
    if (limited)
        mg_timer_set(&w->timer, after_seconds(h->script, seconds));
    return mg_task_wait_k(t, undo_wait, w, 0, wait_over);
}

static int l_cancel(lua_State *L)
{
    struct handle *h = check_handle(L);
    lua_pushboolean(L, h->outcome == RUNNING);
    if (h->outcome != RUNNING)
        return 1;
    if (!h->task->waiting)
        return luaL_error(L, "a task cannot be cancelled from inside itself");
    mg_task_cancel(h->task);
    return 1;
}

static int l_tostring(lua_State *L)
{
    static const char *const words[] = {"running", "ended", "failed", "cancelled"};
    lua_pushfstring(L, "task (%s)", words[check_handle(L)->outcome]);
    return 1;
}

/* Only when nothing anchors it: no task, and at most a wake-up that the state's end has overtaken.
 */
static int l_gc(lua_State *L)
{
    mg_soon_cancel(&check_handle(L)->wake);
    return 0;
}

/* --- clocks --- */

static int l_now(lua_State *L)
{
    lua_pushnumber(L, mg_loop_wall(check_loop(L, "mg.now")->loop));
    return 1;
}

static int l_monotonic(lua_State *L)
{
    lua_pushnumber(L, (double)mg_loop_now(check_loop(L, "mg.monotonic")->loop) / (double)MG_SECOND);
    return 1;
}

static void open_handle(lua_State *L)
{
    static const luaL_Reg meta[] = {
        {"__gc", l_gc},
        {"__tostring", l_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"cancel", l_cancel},
        {"wait", l_wait},
        {NULL, NULL},
    };
    luaL_newmetatable(L, HANDLE);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void mg_lib_time_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"after", l_after}, {"background", mg_lib_time_background},
        {"every", l_every}, {"monotonic", l_monotonic},
        {"now", l_now},     {"sleep", l_sleep},
        {"spawn", l_spawn}, {NULL, NULL},
    };
    open_handle(L);
    luaL_setfuncs(L, functions, 0);
}
