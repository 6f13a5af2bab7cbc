/*
 * Tasks: the one place where C resumes Lua. One thread.
 *
 * The bottom of each task's coroutine is body(), which calls the task's function protected. So an
 * error has its traceback taken where it happens, <close> variables are closed on its way out while
 * the budget still watches, and the coroutine itself ends well and can be used again. An error
 * outside of body's protection would leave Lua's hooks switched off in that coroutine for good.
 *
 * Always true: a task is in script->tasks exactly while `waiting`; one that is idle is in
 * script->idle with an empty stack; the coroutine of every task is anchored in the registry.
 */
#include "script/task.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "script/budget.h"
#include "script/fail.h"

/* Coroutines kept for reuse; each takes about 1 KB. */
#define IDLE_MAX 256

/* What is switched around each piece of Lua code. */
struct frame {
    struct mg_task *task;
    struct mg_budget_saved budget;
};

static void enter(struct mg_script *s, struct frame *f, struct mg_task *t, lua_State *co)
{
    f->task = s->current;
    s->current = t;
    mg_budget_enter(s, &f->budget, co);
}

static void leave(struct mg_script *s, const struct frame *f)
{
    mg_budget_leave(s, &f->budget);
    s->current = f->task;
}

/* Closes the variables of a coroutine that has yielded and shall not go on, and empties it. */
static int reset(lua_State *co)
{
#if LUA_VERSION_RELEASE_NUM >= 50406
    return lua_closethread(co, NULL);
#else
    return lua_resetthread(co);
#endif
}

/* --- what went wrong --- */

/* Of a traceback too deep to be shown whole. */
#define LEVELS_SHOWN 20

/* luaL_traceback counts all levels, in a time that is more than linear: a second for 200,000 of
 * them. */
static bool is_deep(lua_State *of)
{
    lua_Debug ar;
    return lua_getstack(of, 1000, &ar) != 0;
}

/* The innermost levels alone, as luaL_traceback writes them but for the functions' names. */
static void push_inner_levels(lua_State *L, lua_State *of, const char *text, int level)
{
    lua_Debug ar;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, text);
    luaL_addstring(&b, "\nstack traceback:");
    for (int i = level; i < level + LEVELS_SHOWN && lua_getstack(of, i, &ar); i++) {
        lua_getinfo(of, "Sl", &ar);
        lua_pushfstring(L, "\n\t%s:%d:", ar.short_src, ar.currentline);
        luaL_addvalue(&b);
    }
    luaL_addstring(&b, "\n\t...");
    luaL_pushresult(&b);
}

/* Pushes a traceback of `of` below the text, without the C function that every task begins with. */
static void push_traceback(lua_State *L, lua_State *of, const char *text, int level)
{
    if (is_deep(of)) {
        push_inner_levels(L, of, text, level);
        return;
    }
    static const char bottom[] = "\n\t[C]: in ?";
    size_t n;
    luaL_traceback(L, of, text, level);
    struct mg_str s = {lua_tolstring(L, -1, &n), 0};
    s.n = n;
    if (mg_str_ends(s, MG_STR(bottom)))
        s.n -= sizeof bottom - 1;
    lua_pushlstring(L, s.p, s.n);
    lua_remove(L, -2);
}

/* Message handler: runs where the error was raised and nothing inside catches it. */
static int on_error(lua_State *L)
{
    struct mg_script *s = mg_script_of(L);
    struct mg_task *t = s->current;
    size_t n;
    const char *text = mg_fail_push_text(L, 1, 1, &n);
    push_traceback(L, L, text, 1);
    if (t && t->co == L) {
        t->_summary_bytes = n;
        if (mg_budget_overran(s))
            t->failure = MG_TASK_OVERRUN;
    }
    mg_budget_grace(s, L);
    return 1;
}

static void set_message(struct mg_task *t)
{
    size_t n;
    const char *text = lua_tolstring(t->co, -1, &n);
    t->message = text ? mg_str(text, n) : MG_STR("unknown error");
    t->summary = t->message;
    t->results = 0;
    if (t->_summary_bytes < n)
        t->summary.n = t->_summary_bytes;
}

/* --- running --- */

static int body_ended(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - 1; /* all but the message handler */
    struct mg_task *t = mg_script_of(L)->current;
    if (t->failure == MG_TASK_NO_FAILURE)
        t->failure = status == LUA_ERRMEM ? MG_TASK_NO_MEMORY : MG_TASK_ERROR;
    return 1;
}

/* (f, ...): calls it. */
static int body(lua_State *L)
{
    int nargs = lua_gettop(L) - 1;
    lua_pushcfunction(L, on_error);
    lua_insert(L, 1);
    return body_ended(L, lua_pcallk(L, nargs, LUA_MULTRET, 1, 0, body_ended), 0);
}

/* Pushes why a coroutine has yielded that does not wait, and where. Its stack still tells. */
static void push_stop_message(struct mg_task *t, lua_State *L, size_t *summary_bytes)
{
    const char *text;
    if (mg_budget_overran(t->script)) {
        t->failure = MG_TASK_OVERRUN;
        text = mg_budget_push_text(L);
    } else {
        t->failure = MG_TASK_ERROR;
        text =
            lua_pushliteral(L, "a task cannot yield but by waiting; use a coroutine of your own");
    }
    *summary_bytes = strlen(text);
    push_traceback(L, t->co, text, 0);
    lua_remove(L, -2);
}

/* Ends a coroutine that has yielded but does not wait. */
static void stop(struct mg_task *t)
{
    struct mg_script *s = t->script;
    size_t summary_bytes;
    s->memory_lenient++;
    push_stop_message(t, s->L, &summary_bytes);
    s->memory_lenient--;
    t->closing = true;
    mg_budget_grace(s, t->co);
    reset(t->co);
    t->closing = false;
    lua_settop(t->co, 0);
    lua_xmove(s->L, t->co, 1);
    t->_summary_bytes = summary_bytes;
}

/* An error that body did not catch: the coroutine could not even begin. */
static void fail_early(struct mg_task *t, int status)
{
    lua_State *L = t->script->L;
    t->failure = status == LUA_ERRMEM ? MG_TASK_NO_MEMORY : MG_TASK_ERROR;
    lua_xmove(t->co, L, 1);
    reset(t->co);
    lua_settop(t->co, 0);
    lua_xmove(L, t->co, 1);
    t->_summary_bytes = SIZE_MAX;
}

/* The memory error has no traceback, since there was no memory for one; say at least where it was
 * and what the limit is. Then make room for the others. */
static void note_no_memory(struct mg_task *t)
{
    lua_pop(t->co, 1);
    lua_pushfstring(t->co,
                    "%snot enough memory: the limit of %I KiB is used up; keep less, or raise "
                    "limits.lua_memory",
                    t->script->refused_at, (LUAI_UACINT)(t->script->memory_limit / 1024));
    t->script->refused_at[0] = 0;
    t->_summary_bytes = SIZE_MAX;
    lua_gc(mg_script_host(t->script), LUA_GCCOLLECT);
}

static enum mg_task_status run(struct mg_task *t, int nargs)
{
    struct mg_script *s = t->script;
    struct frame f;
    enter(s, &f, t, t->co);
    int status = lua_resume(t->co, f.budget.running, nargs, &t->results);
    if (status == LUA_YIELD && !t->waiting)
        stop(t);
    else if (status != LUA_OK && status != LUA_YIELD)
        fail_early(t, status);
    leave(s, &f);
    if (t->waiting)
        return MG_TASK_WAITING;
    if (t->failure == MG_TASK_NO_FAILURE)
        return MG_TASK_DONE;
    s->memory_lenient++;
    if (t->failure == MG_TASK_NO_MEMORY)
        note_no_memory(t);
    set_message(t);
    s->memory_lenient--;
    return MG_TASK_FAILED;
}

/* --- life --- */

/* (task): makes its coroutine. */
static int make_coroutine(lua_State *L)
{
    struct mg_task *t = lua_touserdata(L, 1);
    lua_State *co = lua_newthread(L);
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    *(uintptr_t *)lua_getextraspace(co) |= MG_SCRIPT_TASK_BIT;
    t->co = co;
    t->_ref = ref;
    return 0;
}

static struct mg_task *new_with_coroutine(struct mg_script *s)
{
    struct mg_task *t = mg_calloc(1, sizeof *t);
    lua_State *L = mg_script_host(s);
    t->script = s;
    mg_list_init(&t->link);
    mg_list_init(&t->owned);
    if (!lua_checkstack(L, 2))
        goto fail;
    lua_pushcfunction(L, make_coroutine);
    lua_pushlightuserdata(L, t);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return t;
    lua_pop(L, 1);
fail:
    free(t);
    return NULL;
}

static struct mg_task *take_idle(struct mg_script *s)
{
    struct mg_task *t = MG_CONTAINER_OF(s->idle.next, struct mg_task, link);
    mg_list_remove(&t->link);
    s->idle_count--;
    return t;
}

struct mg_task *mg_task_new(struct mg_script *s, void *context, const char *label)
{
    struct mg_task *t;
    if (s->ending)
        return NULL;
    t = mg_list_empty(&s->idle) ? new_with_coroutine(s) : take_idle(s);
    if (!t)
        return NULL;
    t->context = context;
    t->label = label;
    s->live_tasks++;
    lua_pushcfunction(t->co, body);
    return t;
}

enum mg_task_status mg_task_start(struct mg_task *t, int nargs, mg_task_done_fn on_done, void *arg)
{
    t->on_done = on_done;
    t->arg = arg;
    return run(t, nargs + 1);
}

static void destroy(struct mg_task *t)
{
    luaL_unref(t->script->L, LUA_REGISTRYINDEX, t->_ref);
    free(t);
}

static void forget(struct mg_task *t)
{
    t->context = NULL;
    t->label = NULL;
    t->source = NULL;
    t->walk = NULL;
    t->on_done = NULL;
    t->on_cancelled = NULL;
    t->on_end = NULL;
    t->failure = MG_TASK_NO_FAILURE;
    t->message = t->summary = MG_STR_NONE;
    t->results = 0;
    t->_summary_bytes = 0;
}

void mg_task_free(struct mg_task *t)
{
    struct mg_script *s = t->script;
    MG_BUG_ON(t->waiting);
    s->live_tasks--;
    mg_list_remove(&t->owned);
    lua_settop(t->co, 0);
    if (t->on_end)
        t->on_end(t);
    if (lua_gethook(t->co)) /* the tick came just before it waited or ended */
        mg_budget_disarm(t->co);
    if (s->idle_count == IDLE_MAX || s->ending) {
        destroy(t);
        return;
    }
    forget(t);
    mg_list_push_front(&s->idle, &t->link);
    s->idle_count++;
}

int mg_task_move(struct mg_task *t, lua_State *to)
{
    int n = t->failure == MG_TASK_NO_FAILURE ? t->results : 1;
    lua_xmove(t->co, to, n);
    mg_task_free(t);
    return n;
}

static size_t log_fields(const struct mg_task *t, struct mg_log_field *out, size_t room)
{
    if (t->script->log_fields && t->context)
        return t->script->log_fields(t, out, room);
    out[0] = MG_LOG_C("step", t->label ? t->label : "-");
    return 1;
}

size_t mg_task_log_fields(const struct mg_task *t, struct mg_log_field *out)
{
    return log_fields(t, out, MG_TASK_LOG_FIELDS);
}

static void log_error_of(const struct mg_task *t, enum mg_log_level level, const char *msg,
                         struct mg_str error)
{
    struct mg_log_field fields[MG_TASK_FAILURE_FIELDS + 1];
    size_t n = log_fields(t, fields, MG_TASK_FAILURE_FIELDS);
    fields[n++] = MG_LOG_STR("error", error);
    if (mg_log_enabled(level))
        mg_log_fields(level, mg_str_c(msg), fields, n);
}

void mg_task_log_failure(const struct mg_task *t)
{
    log_error_of(t, MG_LOG_ERROR, "policy code failed", t->message);
}

/* --- waiting --- */

/* `what` cannot be done where the present code runs. */
static int refuse(lua_State *L, const char *what, const char *why)
{
    return luaL_error(L, "%s %s", what, why);
}

struct mg_task *mg_task_check_wait(lua_State *L, const char *what)
{
    struct mg_task *t = mg_script_of(L)->current;
    if (!t)
        refuse(
            L, what,
            "can only be called while a request or a task runs, not while a module loads or in a "
            "condition; call it in the step");
    if (t->co != L)
        refuse(L, what, "cannot be called inside a coroutine of your own; use mg.spawn");
    if (t->closing)
        refuse(L, what, "cannot be called while the variables of a cancelled task are closed");
    if (!lua_isyieldable(L))
        refuse(
            L, what,
            "cannot be called inside a callback of string.gsub or table.sort, in a metamethod, or "
            "while a module loads; collect first, then call");
    return t;
}

struct mg_task *mg_task_that_can_wait(lua_State *L)
{
    struct mg_task *t = mg_script_of(L)->current;
    return t && t->co == L && !t->closing && lua_isyieldable(L) ? t : NULL;
}

static void begin_wait(struct mg_task *t, void (*on_cancel)(void *arg), void *arg)
{
    MG_BUG_ON(t->waiting || t->script->current != t);
    t->waiting = true;
    t->_on_cancel = on_cancel;
    t->_cancel_arg = arg;
    mg_list_push_back(&t->script->tasks, &t->link);
}

static void end_wait(struct mg_task *t)
{
    MG_BUG_ON(!t->waiting);
    t->waiting = false;
    mg_list_remove(&t->link);
}

static int after_wait(lua_State *L, int status, lua_KContext ctx)
{
    struct mg_task *t = mg_script_of(L)->current;
    (void)ctx;
    return t->_k ? t->_k(L, status, t->_k_context) : t->_resumed;
}

int mg_task_wait(struct mg_task *t, void (*on_cancel)(void *arg), void *arg)
{
    return mg_task_wait_k(t, on_cancel, arg, 0, NULL);
}

int mg_task_wait_k(struct mg_task *t, void (*on_cancel)(void *arg), void *arg, lua_KContext ctx,
                   lua_KFunction k)
{
    begin_wait(t, on_cancel, arg);
    t->_k = k;
    t->_k_context = ctx;
    return lua_yieldk(t->co, 0, 0, after_wait);
}

void mg_task_resume(struct mg_task *t, int nresults)
{
    struct mg_script *s = t->script;
    end_wait(t);
    t->_resumed = nresults;
    enum mg_task_status status = run(t, nresults);
    if (status == MG_TASK_WAITING)
        return;
    s->memory_lenient++;
    if (t->on_done) {
        t->on_done(t, status, t->arg);
    } else {
        if (status == MG_TASK_FAILED)
            mg_task_log_failure(t);
        mg_task_free(t);
    }
    s->memory_lenient--;
}

/* --- cancelling --- */

static void close_variables(struct mg_task *t)
{
    struct mg_script *s = t->script;
    struct frame f;
    t->closing = true;
    enter(s, &f, t, t->co);
    int status = reset(t->co);
    leave(s, &f);
    t->closing = false;
    if (status == LUA_OK)
        return;
    s->memory_lenient++;
    const char *text = lua_tostring(t->co, -1);
    log_error_of(t, MG_LOG_WARN, "error while the variables of a cancelled task were closed",
                 mg_str_c(text ? text : luaL_typename(t->co, -1)));
    s->memory_lenient--;
}

void mg_task_cancel(struct mg_task *t)
{
    end_wait(t);
    mg_list_remove(&t->owned);
    if (t->_on_cancel)
        t->_on_cancel(t->_cancel_arg);
    close_variables(t);
    if (t->on_cancelled)
        t->on_cancelled(t, t->arg);
    mg_task_free(t);
}

void mg_task_cancel_all(struct mg_link *owned)
{
    /* Closing one's variables may cancel others, so the list is looked at anew each time. */
    while (!mg_list_empty(owned))
        mg_task_cancel(MG_CONTAINER_OF(owned->next, struct mg_task, owned));
}

void mg_task_end_all(struct mg_script *s)
{
    while (!mg_list_empty(&s->tasks))
        mg_task_cancel(MG_CONTAINER_OF(s->tasks.next, struct mg_task, link));
    while (!mg_list_empty(&s->idle))
        destroy(take_idle(s));
}

/* --- calls that cannot wait --- */

enum mg_rc mg_task_call(lua_State *L, int nargs, int nresults)
{
    struct mg_script *s = mg_script_of(L);
    struct frame f;
    int function = lua_gettop(L) - nargs;
    lua_pushcfunction(L, on_error);
    lua_insert(L, function);
    enter(s, &f, NULL, L);
    int status = lua_pcall(L, nargs, nresults, function);
    leave(s, &f);
    lua_remove(L, function);
    if (lua_gethook(L) && !mg_budget_overran(s))
        mg_budget_disarm(L);
    return status == LUA_OK ? MG_OK : status == LUA_ERRMEM ? MG_NOMEM : MG_FAIL;
}
