/*
 * A task: a coroutine that runs a step's code and may wait anywhere.
 *
 * C resumes it in one place (task.c). The resume is the error boundary, the stopwatch and the budget
 * meter. Coroutines are pooled: starting and ending one costs about 100 ns.
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
 * The event must come after the C function has returned (use mg_soon when it could come at once). When the
 * task is cancelled instead, on_cancel(arg) undoes what was armed, and the coroutine's pending <close>
 * variables are closed.
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
    MG_TASK_OVERRUN,   /* ran longer than run_ns without yielding; pcall cannot catch it */
    MG_TASK_NO_MEMORY, /* the state's memory limit */
};

struct mg_task;
/* A task that had waited has ended (MG_TASK_DONE or MG_TASK_FAILED, never after a cancel). The callee takes
 * the results off and calls mg_task_free. */
typedef void (*mg_task_done_fn)(struct mg_task *t, enum mg_task_status status, void *arg);

struct mg_task {
    struct mg_script *script;
    lua_State *co;            /* push the function and its arguments here before mg_task_start */
    void *context;            /* what it runs for (the script side of an exchange); NULL: nothing */
    const char *label;        /* borrowed; step id, for messages */
    mg_task_done_fn on_done;
    void *arg;
    enum mg_task_failure failure;
    struct mg_str message;    /* failure text with traceback; lives until mg_task_free */
    struct mg_link link;      /* in script->tasks while it waits, or in script->idle */
    struct mg_link owned;     /* for the owner's own list of tasks */
    int results;              /* MG_TASK_DONE: how many values are on top of co */
    bool waiting;
    int _ref;                 /* anchors co */
    void (*_on_cancel)(void *arg);
    void *_cancel_arg;
    char *_message;
};

/* A task ready for its function; takes a pooled coroutine. May raise in no case; NULL when the state is out
 * of memory. */
struct mg_task *mg_task_new(struct mg_script *s, void *context, const char *label);

/* Calls the function under the `nargs` arguments on top of t->co. On MG_TASK_WAITING `on_done` comes later;
 * on the other two it does not come, the caller looks at the result and calls mg_task_free. */
enum mg_task_status mg_task_start(struct mg_task *t, int nargs, mg_task_done_fn on_done, void *arg);

/* Goes on with a waiting task, whose wait gives the `nresults` values on top of t->co. Calls on_done when
 * that ends it. Never from inside the C function that waits. */
void mg_task_resume(struct mg_task *t, int nresults);

/* As above, but the wait raises the error value on top of t->co. */
void mg_task_resume_error(struct mg_task *t);

/* Gives a done or failed task back to the pool; pops what is left of its results. */
void mg_task_free(struct mg_task *t);

/* Ends a waiting task: undoes its wait, closes its variables (they cannot wait any more), frees it. on_done
 * does not come. Not from inside the task itself. */
void mg_task_cancel(struct mg_task *t);

/* The running task, when this coroutine may wait here; else raises an error that says what to do instead
 * (inside string.gsub or table.sort callbacks, a module's top level, the author's own coroutine). */
struct mg_task *mg_task_check_wait(lua_State *L, const char *what);

/* Yields; to be returned by the C function. The results of the wait become the function's results.
 * mg_task_wait_k calls `k` (a lua_KFunction) with them instead. */
int mg_task_wait(struct mg_task *t, void (*on_cancel)(void *arg), void *arg);
int mg_task_wait_k(struct mg_task *t, void (*on_cancel)(void *arg), void *arg, lua_KContext ctx,
                   lua_KFunction k);

/* What the running task works for; NULL outside of one. */
static inline void *mg_task_context(lua_State *L)
{
    struct mg_task *t = mg_script_of(L)->current;
    return t ? t->context : NULL;
}

#endif
