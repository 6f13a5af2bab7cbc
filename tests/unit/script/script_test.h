/*
 * For tests of the runtime itself: a real sandboxed state on a simulated loop, Lua text run as
 * tasks, and the log lines they caused. Brings cmocka along.
 *
 * The text sees the fields of `mg` that the test opened, by `local mg = require "mg"`.
 */
#ifndef MG_TESTS_SCRIPT_SCRIPT_TEST_H
#define MG_TESTS_SCRIPT_SCRIPT_TEST_H

#include <lauxlib.h>
#include <lua.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "net/loop.h"
#include "script/sandbox.h"
#include "script/state.h"
#include "script/task.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

struct script_test {
    struct mg_loop *loop;
    struct mg_script *s;
    char log[8192]; /* what was logged, cut short when longer */
    size_t log_n;
    int done; /* calls of script_test_done */
    enum mg_task_status status;
    enum mg_task_failure failure;
    char text[4096]; /* first result, or the failure's message */
};

static inline void script_test_log(void *arg, enum mg_log_level level, struct mg_str line)
{
    struct script_test *t = arg;
    (void)level;
    if (line.n > sizeof t->log - 1 - t->log_n)
        line.n = sizeof t->log - 1 - t->log_n;
    memcpy(t->log + t->log_n, line.p, line.n);
    t->log_n += line.n;
    t->log[t->log_n] = 0;
}

static inline void script_test_start(struct script_test *t, struct mg_script_options options)
{
    memset(t, 0, sizeof *t);
    mg_log_configure(MG_LOG_DEBUG, MG_LOG_JSON);
    mg_log_set_sink(script_test_log, t);
    options.loop = t->loop = mg_loop_new_simulated(1);
    t->s = mg_script_new(&options);
    assert_non_null(t->s);
}

static inline void script_test_open(struct script_test *t, void (*open)(lua_State *L))
{
    lua_newtable(t->s->L);
    open(t->s->L);
    mg_sandbox_preload(t->s->L, "mg");
}

/* All tasks must be over. */
static inline void script_test_end(struct script_test *t)
{
    assert_int_equal(t->s->live_tasks, 0);
    assert_int_equal(t->s->background, 0);
    assert_int_equal(t->s->memory_lenient, 0);
    assert_null(t->s->current);
    assert_null(t->s->running);
    mg_script_free(t->s);
    mg_loop_free(t->loop);
    mg_log_set_sink(NULL, NULL);
}

static inline void script_test_advance(struct script_test *t, double seconds)
{
    mg_loop_simulate(t->loop, mg_loop_now(t->loop) + (uint64_t)(seconds * (double)MG_SECOND), NULL);
}

/* Notes how a task ended, and frees it. */
static inline void script_test_done(struct mg_task *task, enum mg_task_status status, void *arg)
{
    struct script_test *t = arg;
    t->done++;
    t->status = status;
    t->failure = task->failure;
    if (status == MG_TASK_FAILED) {
        snprintf(t->text, sizeof t->text, "%.*s", MG_STR_ARGS(task->message));
    } else {
        const char *text = task->results ? luaL_tolstring(task->co, -task->results, NULL) : "";
        snprintf(t->text, sizeof t->text, "%s", text);
    }
    mg_task_free(task);
}

/* A task with the compiled text on its stack. */
static inline struct mg_task *script_test_task(struct script_test *t, void *context,
                                               const char *text)
{
    struct mg_task *task = mg_task_new(t->s, context, "step-1");
    assert_non_null(task);
    if (mg_sandbox_load(t->s->L, mg_str_c(text), "=test") != MG_OK)
        fail_msg("%s\nin: %s", lua_tostring(t->s->L, -1), text);
    lua_xmove(t->s->L, task->co, 1);
    return task;
}

static inline enum mg_task_status script_test_begin(struct script_test *t, void *context,
                                                    const char *text, struct mg_task **out)
{
    struct mg_task *task = script_test_task(t, context, text);
    if (out)
        *out = task;
    enum mg_task_status status = mg_task_start(task, 0, script_test_done, t);
    if (status != MG_TASK_WAITING)
        script_test_done(task, status, t);
    return status;
}

/* Runs the text as a task to its end, however long that takes on the simulated clock. */
static inline void script_test_run(struct script_test *t, const char *text)
{
    int done = t->done;
    script_test_begin(t, NULL, text, NULL);
    if (t->done == done)
        mg_loop_simulate(t->loop, mg_loop_now(t->loop) + 3600 * MG_SECOND, NULL);
    assert_int_equal(t->done, done + 1);
}

/* The same, for a text that must end well; with a result, which must be `want`. */
static inline void script_test_gives(struct script_test *t, const char *want, const char *text)
{
    script_test_run(t, text);
    if (t->status != MG_TASK_DONE)
        fail_msg("%s\nin: %s", t->text, text);
    if (want)
        assert_string_equal(t->text, want);
}

/* The same, for a text that must fail with `want` in its message. */
static inline void script_test_fails(struct script_test *t, enum mg_task_failure failure,
                                     const char *want, const char *text)
{
    script_test_run(t, text);
    if (t->status != MG_TASK_FAILED)
        fail_msg("gives '%s', not '%s'\nin: %s", t->text, want, text);
    if (t->failure != failure)
        fail_msg("%s\nin: %s", t->text, text);
    if (!strstr(t->text, want))
        fail_msg("want: %s\ngot:  %s\nin: %s", want, t->text, text);
}

#endif
