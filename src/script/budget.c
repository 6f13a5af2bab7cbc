/*
 * The CPU watchdog: one timer a thread, a signal handler, and the hook it sets.
 *
 * The handler runs on the thread it watches, in the middle of anything. It reads what is volatile,
 * calls lua_sethook (which Lua allows in a handler) and nothing else: not even clock_gettime, so
 * time is counted in ticks. Lua may lose the hook's mark in a frame that is just being entered, so
 * it is set anew at each tick.
 */
#include "script/budget.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memory.h"

#if defined(__SANITIZE_THREAD__)
#define MG_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MG_TSAN 1
#endif
#endif

#ifdef MG_TSAN
#include <setjmp.h>
/* Lua leaves C functions, for an error or a wait, by other names of longjmp, which ThreadSanitizer
 * does not know: its own stack of callers would grow with each. */
void __longjmp_chk(jmp_buf env, int value) __attribute__((noreturn));
void __longjmp_chk(jmp_buf env, int value)
{
    longjmp(env, value); /* lint: allow longjmp, it is Lua's own */
}
void _longjmp(jmp_buf env, int value)
{
    longjmp(env, value); /* lint: allow longjmp, it is Lua's own */
}

/* ThreadSanitizer would hold the signal back until the thread calls libc, which an endless loop
 * never does. This name of the same function is one it does not know. */
int __sigaction(int number, const struct sigaction *action, struct sigaction *old);
#define sigaction(number, action, old) __sigaction(number, action, old)
#define UNCHECKED __attribute__((no_sanitize("thread")))
#else
#define UNCHECKED
#endif

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Extra allowances in a run: for the coroutine that is ended and a few around it. */
#define GRACES 4

static _Thread_local struct mg_budget *of_thread __attribute__((tls_model("initial-exec")));

/* Through a pointer that is set when the program is loaded: a handler must not be the first to call
 * a function that the dynamic linker has yet to find. */
static void (*volatile const sethook)(lua_State *, lua_Hook, int, int) = lua_sethook;

static int signal_number(void)
{
    return SIGRTMIN + 1;
}

/* --- the hook --- */

static void note_where(struct mg_budget *b, lua_State *L, lua_Debug *ar)
{
    if (b->where[0] || !lua_getinfo(L, "Sl", ar))
        return;
    snprintf(b->where, sizeof b->where, "%s:%d", ar->short_src, ar->currentline);
}

const char *mg_budget_push_text(lua_State *L)
{
    struct mg_budget *b = mg_script_of(L)->budget;
    bool loads = b->run_ns == MG_SCRIPT_LOAD_RUN_NS;
    return lua_pushfstring(L, "%s%sran longer than %I ms without waiting%s", b->where,
                           b->where[0] ? ": " : "", (LUAI_UACINT)(b->run_ns / MG_MILLISECOND),
                           loads ? "" : "; do less at a time, or raise limits.lua_run");
}

static _Thread_local lua_Hook hook_at_rest;
static _Thread_local int mask_at_rest;

static void on_hook(lua_State *L, lua_Debug *ar)
{
    struct mg_script *s = mg_script_of(L);
    if (!mg_budget_overran(
            s)) { /* set on a run that ended in time, or inherited from one that did not */
        lua_sethook(L, hook_at_rest, mask_at_rest, 0);
        return;
    }
    note_where(s->budget, L, ar);
    if (lua_isyieldable(L)) {
        lua_yield(L, 0);
        return;
    }
    mg_budget_push_text(L);
    lua_error(L);
}

void mg_budget_set_hook_at_rest(lua_Hook hook, int mask)
{
    hook_at_rest = hook;
    mask_at_rest = mask;
}

void mg_budget_disarm(lua_State *L)
{
    if (lua_gethook(L) == on_hook)
        lua_sethook(L, hook_at_rest, mask_at_rest, 0);
}

UNCHECKED void _mg_budget_arm(struct mg_budget *b)
{
    sethook(b->running, on_hook, LUA_MASKCOUNT, 1);
}

void mg_budget_grace(struct mg_script *s, lua_State *co)
{
    struct mg_budget *b = s->budget;
    if (!b || !b->overrun || b->graces == GRACES)
        return;
    b->graces++;
    b->run++; /* the handler counts from 0 again */
    b->overrun = false;
    mg_budget_disarm(co);
}

/* --- the handler --- */

UNCHECKED static void on_tick(int number, siginfo_t *info, void *machine)
{
    struct mg_budget *b = of_thread;
    (void)number, (void)machine;
    if (!b || !b->running)
        return;
    if (b->seen_run != b->run) {
        b->seen_run = b->run;
        b->seen_ticks = 0; /* the first tick says only that the run is on */
        b->next_arm = 0;
        return;
    }
    b->seen_ticks += 1 + (uint64_t)(info->si_overrun > 0 ? info->si_overrun : 0);
    if (b->seen_ticks * MG_BUDGET_TICK_NS < b->run_ns)
        return;
    b->overrun = true;
    /* lua_sethook walks all frames: with 200,000 of them, at each tick, there would be time for
     * nothing else. */
    if (b->seen_ticks < b->next_arm)
        return;
    b->next_arm = 2 * b->seen_ticks;
    _mg_budget_arm(b);
}

static void install_handler(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART};
    action.sa_sigaction = on_tick;
    sigemptyset(&action.sa_mask);
    sigaction(signal_number(), &action, NULL);
}

/* --- life --- */

static bool start_timer(struct mg_budget *b)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal_number()};
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &b->timer) != 0)
        return false;
    const struct timespec tick = {.tv_nsec = (long)MG_BUDGET_TICK_NS};
    const struct itimerspec every = {.it_interval = tick, .it_value = tick};
    if (timer_settime(b->timer, 0, &every, NULL) == 0)
        return true;
    timer_delete(b->timer);
    return false;
}

struct mg_budget *mg_budget_ref(struct mg_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (of_thread) {
        of_thread->refs++;
        return of_thread;
    }
    pthread_once(&once, install_handler);
    struct mg_budget *b = mg_calloc(1, sizeof *b);
    if (!start_timer(b)) {
        mg_error_set(err, "cannot make a CPU timer: %m");
        free(b);
        return NULL;
    }
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, signal_number());
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
    b->refs = 1;
    of_thread = b;
    return b;
}

void mg_budget_unref(struct mg_budget *b)
{
    MG_BUG_ON(b != of_thread);
    if (--b->refs)
        return;
    of_thread = NULL; /* a tick on its way finds nothing */
    timer_delete(b->timer);
    free(b);
}
