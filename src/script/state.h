/*
 * One Lua state: all policy code of one worker in one generation (or of the control thread).
 *
 * Its memory is counted against a limit; reaching it is "not enough memory" in the step that asked, and
 * the others go on. One thread.
 */
#ifndef MG_SCRIPT_STATE_H
#define MG_SCRIPT_STATE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "net/loop.h"

struct mg_budget;
struct mg_task;

struct mg_script_options {
    size_t memory_bytes;    /* limit of the Lua heap; 0: none */
    uint64_t run_ns;        /* CPU time that policy code may take without yielding; 0: no limit */
    struct mg_loop *loop;   /* borrowed; NULL for a state that never waits (control, tools) */
    void *owner;            /* for the code that registers functions: the worker, or NULL */
};

struct mg_script {
    /* Set once. */
    lua_State *L;
    struct mg_loop *loop;
    void *owner;
    size_t memory_limit;
    uint64_t run_ns;
    struct mg_budget *budget; /* NULL: no limit on run time, or simulated by a test */

    size_t memory_used;       /* bytes in the Lua heap now */
    struct mg_task *current;  /* the task whose code runs now, or NULL */
    struct mg_link idle;      /* finished tasks with their coroutines, for reuse */
    uint32_t idle_count;
    uint32_t live_tasks;      /* started and not yet done; tests look that it comes back to 0 */
    struct mg_link tasks;     /* all that wait, for cancelling at the end */
};

/* A state with the sandboxed libraries opened and nothing of ours registered. NULL: out of memory. */
struct mg_script *mg_script_new(const struct mg_script_options *options);
/* Cancels all tasks, closes the state. */
void mg_script_free(struct mg_script *s);

/* The script of any coroutine of it; one load. */
static inline struct mg_script *mg_script_of(lua_State *L)
{
    return *(struct mg_script **)lua_getextraspace(L);
}

#endif
