/*
 * A task: a coroutine that runs a step's code and may wait anywhere.
 *
 * C resumes it in one place (task.c). The resume is the error boundary and the budget meter.
 * Coroutines are pooled: starting and ending one costs about 100 ns.
 *
 * How a C function waits:
 *
 *     static int l_sleep(lua_State *L)
 *     {
 *         struct mg_task *t = mg_task_check_wait(L, "mg.sleep");    // raises where one cannot wait
 *         ... arm something that will push results on t->co and call mg_task_resume(t, n) ...
 *         return mg_task_wait(t, on_cancel, arg);                   // yields
 *     }
 *
 * The event must come after the C function has returned (use mg_soon when it could come at once).
 * When the task is cancelled instead, on_cancel(arg) undoes what was armed, and the coroutine's
 * pending <close> variables are closed.
 *
 * Values for a task's coroutine (arguments, results of a wait) are pushed outside of any
 * protection. That is fine from the loop. Where another task runs meanwhile, the memory limit
 * holds: make the values on the running L, and lua_xmove them.
 */
#ifndef MG_SCRIPT_TASK_H
#define MG_SCRIPT_TASK_H

#include "base/str.h"
#include "script/state.h"

enum mg_task_status {
    MG_TASK_DONE,    /* results are on top of t->co */
    MG_TASK_WAITING, /* on_done will be called */
    MG_TASK_FAILED,  /* t->failure and t->message say why */
};

enum mg_task_failure {
    MG_TASK_NO_FAILURE,
    MG_TASK_ERROR,     /* a Lua error */
    MG_TASK_OVERRUN,   /* ran longer than run_ns without waiting; pcall cannot catch it */
    MG_TASK_NO_MEMORY, /* the state's memory limit */
};

struct mg_task;
/* A task that had waited has ended (MG_TASK_DONE or MG_TASK_FAILED, never after a cancel). The
 * callee takes the results off and calls mg_task_free, or mg_task_move. Unprotected: what it calls
 * must not raise; the memory limit rests meanwhile. */
typedef void (*mg_task_done_fn)(struct mg_task *t, enum mg_task_status status, void *arg);

struct mg_task {
    struct mg_script *script;
    lua_State *co;      /* push the function and its arguments here before mg_task_start */
    void *context;      /* what it runs for (the script side of an exchange); NULL: nothing */
    const char *label;  /* borrowed for the state's life; step id, for messages */
    const void *source; /* whose code it is (a struct mg_step), or NULL; the tasks that it starts
                           inherit it */
    void *walk;         /* the struct mg_walk that it runs for, or NULL; they inherit it too */
    mg_task_done_fn on_done; /* NULL: failures are logged, results dropped */
    void (*on_cancelled)(struct mg_task *t, void *arg); /* NULL, or told by mg_task_cancel, last */
    void *arg;                                          /* of both */
    void (*on_end)(struct mg_task *t); /* NULL, or told whenever it is freed, `context` still set */
    enum mg_task_failure failure;
    struct mg_str message; /* failure text with traceback; lives until mg_task_free */
    struct mg_str summary; /* its part before the traceback */
    struct mg_link link;   /* in script->tasks while it waits, or in script->idle */
    struct mg_link owned;  /* for the owner's own list of tasks; mg_task_free takes it off */
    int results;           /* MG_TASK_DONE: how many values are on top of co */
    bool waiting;
    bool closing; /* its <close> variables are being closed; it cannot wait any more */

    int _ref; /* anchors co */
    size_t _summary_bytes;
    int _resumed;
    lua_KFunction _k;
    lua_KContext _k_context;
    void (*_on_cancel)(void *arg);
    void *_cancel_arg;
};

/* A task ready for its function; takes a pooled coroutine. May raise in no case; NULL when the
 * state is out of memory or is being freed. */
struct mg_task *mg_task_new(struct mg_script *s, void *context, const char *label);

/* Calls the function under the `nargs` arguments on top of t->co. On MG_TASK_WAITING `on_done`
 * comes later; on the other two it does not come, the caller looks at the result and calls
 * mg_task_free. May be called from a C function of another task: its run is then part of that
 * task's. */
enum mg_task_status mg_task_start(struct mg_task *t, int nargs, mg_task_done_fn on_done, void *arg);

/* Goes on with a waiting task, whose wait gives the `nresults` values on top of t->co. Calls
 * on_done when that ends it. Never from inside the C function that waits. */
void mg_task_resume(struct mg_task *t, int nresults);

/* Gives a done or failed task back to the pool; pops what is left of its results. */
void mg_task_free(struct mg_task *t);

/* Moves the results (of a failed task: its message, one string) onto `to`, which must have room for
 * them (lua_checkstack), and frees the task. Returns how many. Never raises. */
int mg_task_move(struct mg_task *t, lua_State *to);

/* Ends a waiting task: undoes its wait, closes its variables (they cannot wait any more), frees it.
 * on_done does not come. Not from inside the task itself, nor for one that is running further out.
 */
void mg_task_cancel(struct mg_task *t);

/* Cancels all tasks in a list of mg_task.owned. */
void mg_task_cancel_all(struct mg_link *owned);

/* For mg_script_free: cancels what waits, frees the idle ones. */
void mg_task_end_all(struct mg_script *s);

/* What log lines of a task's code say of it: by script->log_fields, else its label. Fills in at
 * most MG_TASK_LOG_FIELDS and returns how many; borrowed until the line is written. */
#define MG_TASK_LOG_FIELDS 4
/* A failure is told with more: whose code it was, and where in the config it stands. */
#define MG_TASK_FAILURE_FIELDS 6
size_t mg_task_log_fields(const struct mg_task *t, struct mg_log_field *out);

/* One error line about a failed task, with the fields above and its traceback. */
void mg_task_log_failure(const struct mg_task *t);

/* The running task, when this coroutine may wait here; else raises an error that says what to do
 * instead (inside string.gsub or table.sort callbacks, a module's top level, the author's own
 * coroutine). */
struct mg_task *mg_task_check_wait(lua_State *L, const char *what);
/* The same, but NULL where one cannot wait. */
struct mg_task *mg_task_that_can_wait(lua_State *L);

/* Yields; to be returned by the C function. The results of the wait become the function's results.
 * mg_task_wait_k calls `k` (a lua_KFunction) with them on top instead. */
int mg_task_wait(struct mg_task *t, void (*on_cancel)(void *arg), void *arg);
int mg_task_wait_k(struct mg_task *t, void (*on_cancel)(void *arg), void *arg, lua_KContext ctx,
                   lua_KFunction k);

/* lua_pcall with budget and traceback, for code that is no task and cannot wait: a module's top
 * level, a condition. On an error pushes its text with traceback and returns MG_FAIL, or MG_NOMEM.
 * Never raises. */
enum mg_rc mg_task_call(lua_State *L, int nargs, int nresults);

/* What the running task works for; NULL outside of one. */
static inline void *mg_task_context(lua_State *L)
{
    struct mg_task *t = mg_script_of(L)->current;
    return t ? t->context : NULL;
}

#endif
