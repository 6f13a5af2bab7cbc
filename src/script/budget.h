/*
 * How long policy code may run without waiting: a watchdog that costs nothing until it bites.
 *
 * A timer of the thread's CPU time ticks every few milliseconds of work. When its signal finds the
 * same run still going after its allowance, it sets a Lua hook on the coroutine that runs. The hook
 * makes the coroutine yield for good, which no pcall can catch; where it cannot yield (inside a
 * metamethod, or a callback of string.gsub) it raises an error, and again at each instruction,
 * until all is unwound.
 *
 * A *run* begins when a thread that runs no policy code enters some, and ends when it is back in C.
 * What is entered inside belongs to it. C functions cannot be stopped: they bound their own work.
 *
 * One budget for each thread, however many states it has; made, used and dropped on that thread.
 */
#ifndef MG_SCRIPT_BUDGET_H
#define MG_SCRIPT_BUDGET_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "script/state.h"

#define MG_BUDGET_TICK_NS UINT64_C(5000000)

struct mg_budget {
    /* Written by the thread, read by the handler that interrupts it. */
    lua_State *volatile running; /* innermost coroutine of the run; NULL: no run */
    volatile uint64_t run;       /* counts runs */
    volatile uint64_t run_ns;    /* allowance of this run */
    /* Set by the handler, cleared by the thread. */
    volatile bool overrun;
    /* The handler's own. */
    uint64_t seen_run;
    uint64_t seen_ticks;
    uint64_t next_arm; /* tick from which the hook may be armed again */

    uint32_t graces; /* extra allowances used in this run */
    uint32_t refs;
    timer_t timer;
    char where[160]; /* "file:line" where the overrun was first seen */
};

/* The present thread's budget, made at the first call. NULL with `err` set: no timer to be had. */
struct mg_budget *mg_budget_ref(struct mg_error *err);
void mg_budget_unref(struct mg_budget *b);

struct mg_budget_saved {
    lua_State *running;
    lua_State *watched;
};

/* Around each entry into Lua code of `s`: `co` is what runs now; afterwards what ran before. `s`
 * may have no budget; s->running is kept all the same. */
static inline void mg_budget_enter(struct mg_script *s, struct mg_budget_saved *saved,
                                   lua_State *co);
static inline void mg_budget_leave(struct mg_script *s, const struct mg_budget_saved *saved);

/* Has the present run used up its allowance? */
static inline bool mg_budget_overran(const struct mg_script *s)
{
    return s->budget && s->budget->overrun;
}

/* Gives the present run that much more, or less: for a C function that is known to take long, and
 * is bounded, around its work. Between the two calls nothing runs Lua. */
static inline void mg_budget_allow(const struct mg_script *s, int64_t ns);

/* A run that is being ended for overrun gets one more allowance, a few times at most, so that
 * <close> variables can give back what they hold. `co` is the coroutine that closes them. */
void mg_budget_grace(struct mg_script *s, lua_State *co);

/* Takes the budget's hook off a coroutine that may have it. */
void mg_budget_disarm(lua_State *L);

/* The hook that coroutines of the present thread have while the budget needs none, and get back
 * when its own is taken off. NULL, as at first: none. Whoever sets it puts it on those there are.
 */
void mg_budget_set_hook_at_rest(lua_Hook hook, int mask);

/* The text about the overrun: where, and how long was allowed. Pushes it on L; may raise a memory
 * error. */
const char *mg_budget_push_text(lua_State *L);

void _mg_budget_arm(struct mg_budget *b);

static inline void mg_budget_allow(const struct mg_script *s, int64_t ns)
{
    if (s->budget)
        s->budget->run_ns += (uint64_t)ns;
}

static inline void mg_budget_enter(struct mg_script *s, struct mg_budget_saved *saved,
                                   lua_State *co)
{
    struct mg_budget *b = s->budget;
    saved->running = s->running;
    saved->watched = b ? b->running : NULL;
    s->running = co;
    if (!b)
        return;
    if (!b->running) {
        b->run_ns = s->run_ns;
        b->where[0] = 0;
        b->run++;
    }
    b->running = co;
    if (__builtin_expect(b->overrun, 0))
        _mg_budget_arm(b);
}

static inline void mg_budget_leave(struct mg_script *s, const struct mg_budget_saved *saved)
{
    struct mg_budget *b = s->budget;
    s->running = saved->running;
    if (!b)
        return;
    b->running = saved->watched;
    if (__builtin_expect(b->overrun || b->graces, 0)) {
        /* An inner part that was ended does not clear the outer ones of the same run. */
        b->overrun = b->running != NULL;
        if (b->overrun)
            _mg_budget_arm(b);
        else
            b->graces = 0;
    }
}

#endif
