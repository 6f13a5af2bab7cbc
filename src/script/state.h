/*
 * One Lua state: all policy code of one worker in one generation (or of the control thread).
 *
 * Its memory is counted against a limit. The limit holds while policy code runs, where reaching it
 * is "not enough memory" in the step that asked, and the others go on. C code between the runs
 * (which pushes a few values without protection) may go beyond it. One thread.
 */
#ifndef MG_SCRIPT_STATE_H
#define MG_SCRIPT_STATE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "base/log.h"
#include "net/loop.h"
#include "script/heap.h"

struct mg_budget;
struct mg_guest;
struct mg_task;

/* Loading happens once and makes no client wait; this limit on run time only stops what would never
 * end. */
#define MG_SCRIPT_LOAD_RUN_NS (10 * MG_SECOND)

struct mg_script_options {
    size_t memory_bytes;       /* limit of the Lua heap; 0: none */
    uint64_t run_ns;           /* CPU time that policy code may take without waiting; 0: no limit */
    struct mg_loop *loop;      /* borrowed; NULL for a state that never waits (control, tools) */
    void *owner;               /* for the code that registers functions: the worker, or NULL */
    uint32_t worker;           /* its number; what only one worker shall do is done by 0 */
    uint32_t background_limit; /* tasks that belong to no request, at a time; 0: 1,000 */
    struct mg_guest
        *guest; /* simulation: not a state of its own, but a guest's place in one; borrowed */
};

struct mg_script {
    /* Set once. */
    lua_State *L;
    struct mg_loop *loop;
    void *owner;
    size_t memory_limit;
    uint64_t run_ns;
    uint32_t worker;
    uint32_t background_limit;
    struct mg_budget *budget; /* the thread's own; NULL: no limit on run time */
    /* The list (of mg_task.owned) of the tasks that end with `context`. Set by whoever gives tasks
     * their contexts, before code runs. */
    struct mg_link *(*tasks_of)(void *context);
    /* Fills in what log lines of a task's code say (request id, route, step; of failures, for which
     * there is more room, also policy and path) and returns how many fields; borrowed until the
     * line is written. NULL: they say the task's label. Never raises. */
    size_t (*log_fields)(const struct mg_task *t, struct mg_log_field *out, size_t room);

    struct mg_heap heap;
    size_t memory_used;      /* bytes in the Lua heap now */
    uint32_t memory_lenient; /* above 0: C code that cannot raise is at work, so the limit rests */
    char refused_at[160];    /* "file:line: " of the code that was last refused memory */
    lua_State *running; /* the innermost coroutine whose code runs now, or NULL; see budget.h */
    struct mg_task *current; /* the task whose code runs now, or NULL */
    struct mg_link idle;     /* finished tasks with their coroutines, for reuse */
    uint32_t idle_count;
    uint32_t live_tasks;         /* taken and not yet freed; tests look that it comes back to 0 */
    bool retired;                /* its config is in force no more: mg.every ends */
    uint32_t background;         /* of these, tasks of mg.background and what they spawned */
    struct mg_link tasks;        /* all that wait, for cancelling at the end */
    const void *handle_metas[5]; /* metatables of the handles' kinds; see context.h */
    bool ending;                 /* mg_script_free has begun; no new tasks */
    bool trial;      /* built only to see whether it can be: it starts no tasks, and logs nothing */
    uint64_t random; /* state of mg_script_random */

    struct mg_guest *guest; /* NULL: the state is ours */
    int _anchor;            /* a guest's: reference of L */
};

/* A state with the sandboxed libraries opened and nothing of ours registered. With `run_ns` it must
 * be made, used and freed on one thread. NULL: out of memory, or the system has no CPU timer left
 * (logged). */
struct mg_script *mg_script_new(const struct mg_script_options *options);
/* Cancels all tasks, closes the state. Not from inside its code. NULL is fine. */
void mg_script_free(struct mg_script *s);

/* Cheap random numbers, not secret. The same in each run when the loop is simulated. */
uint64_t mg_script_random(struct mg_script *s);

/* What a shutdown waits for: tasks that belong to no request and have not ended. */
static inline uint32_t mg_script_background_count(const struct mg_script *s)
{
    return s->background;
}

/* For allocators: is there room for so many bytes more? */
bool mg_script_may_grow(struct mg_script *s, size_t growth);

/* The extra space of a Lua thread holds its script. The lowest bit tells the coroutines of tasks
 * from those that policy code makes itself: the latter copy the main thread's space, which has it
 * clear. */
#define MG_SCRIPT_TASK_BIT ((uintptr_t)1)

/* The script of any coroutine of it; one load. */
static inline struct mg_script *mg_script_of(lua_State *L)
{
    return (struct mg_script *)(*(uintptr_t *)lua_getextraspace(L) & ~MG_SCRIPT_TASK_BIT);
}

/* Is L a task's own coroutine (running, waiting or idle)? */
static inline bool mg_script_is_task(lua_State *L)
{
    return (*(uintptr_t *)lua_getextraspace(L) & MG_SCRIPT_TASK_BIT) != 0;
}

/* Where C code may call Lua now: the innermost running coroutine, else the main one. */
static inline lua_State *mg_script_host(struct mg_script *s)
{
    return s->running ? s->running : s->L;
}

#endif
