/* Tasks: results, waits, errors and their texts, cancelling, nesting, reuse. */
#include "script/script_test.h"

/* --- what the tests' Lua text can call: pause() waits until the test goes on with it --- */

static struct mg_task *paused[16];
static int paused_count, undone;

static void undo_pause(void *arg)
{
    (void)arg;
    undone++;
}

static int l_pause(lua_State *L)
{
    struct mg_task *t = mg_task_check_wait(L, "pause");
    paused[paused_count++] = t;
    return mg_task_wait(t, undo_pause, NULL);
}

static int after_pause(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    lua_pushinteger(L, (lua_Integer)ctx + lua_gettop(L));
    return 1;
}

/* Gives 100 and the number of values on its stack then. */
static int l_pause_k(lua_State *L)
{
    struct mg_task *t = mg_task_check_wait(L, "pause");
    paused[paused_count++] = t;
    return mg_task_wait_k(t, undo_pause, NULL, 100, after_pause);
}

/* Yields as a C module could that knows nothing of tasks. */
static int l_foreign_yield(lua_State *L)
{
    return lua_yield(L, 0);
}

static int l_context(lua_State *L)
{
    lua_pushboolean(L, mg_task_context(L) != NULL);
    return 1;
}

static struct script_test *nested;

/* start(f): a task inside the task; gives its status and text. */
static int l_start(lua_State *L)
{
    struct mg_task *t = mg_task_new(mg_script_of(L), NULL, "inner");
    lua_settop(L, 1);
    lua_xmove(L, t->co, 1);
    enum mg_task_status status = mg_task_start(t, 0, script_test_done, nested);
    if (status != MG_TASK_WAITING)
        script_test_done(t, status, nested);
    lua_pushinteger(L, status);
    lua_pushstring(L, nested->text);
    return 2;
}

/* go_on(i): resumes a paused task from inside this one. */
static int l_go_on(lua_State *L)
{
    mg_task_resume(paused[luaL_checkinteger(L, 1)], 0);
    return 0;
}

static int l_cancel(lua_State *L)
{
    mg_task_cancel(paused[luaL_checkinteger(L, 1)]);
    return 0;
}

static void open_functions(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"pause", l_pause},     {"pause_k", l_pause_k}, {"foreign_yield", l_foreign_yield},
        {"context", l_context}, {"start", l_start},     {"go_on", l_go_on},
        {"cancel", l_cancel},   {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}

static void start(struct script_test *t)
{
    paused_count = undone = 0;
    nested = t;
    script_test_start(t, (struct mg_script_options){0});
    script_test_open(t, open_functions);
}

#define MG "local mg = require 'mg'; "

/* --- */

static void test_results(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    struct mg_task *task = script_test_task(&t, NULL, "return ...");
    lua_pushinteger(task->co, 7);
    lua_pushliteral(task->co, "x");
    assert_int_equal(mg_task_start(task, 2, NULL, NULL), MG_TASK_DONE);
    assert_int_equal(task->results, 2);
    assert_int_equal(lua_tointeger(task->co, -2), 7);
    assert_string_equal(lua_tostring(task->co, -1), "x");
    assert_int_equal(mg_task_move(task, t.s->L), 2);
    assert_string_equal(lua_tostring(t.s->L, -1), "x");
    lua_settop(t.s->L, 0);
    script_test_gives(&t, "", "");
    script_test_end(&t);
}

static void test_coroutines_are_reused(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    struct mg_task *task;
    script_test_begin(&t, NULL, "return 1", &task);
    lua_State *co = task->co;
    assert_int_equal(t.s->idle_count, 1);
    for (int i = 0; i < 4; i++) {
        static const char *const texts[] = {"return 2", "error('x')", MG "mg.pause()",
                                            MG "mg.foreign_yield()"};
        script_test_begin(&t, NULL, texts[i], &task);
        assert_ptr_equal(task->co, co);
        if (task->waiting)
            mg_task_cancel(task);
        assert_int_equal(lua_gettop(co), 0);
        assert_int_equal(t.s->idle_count, 1);
        script_test_gives(&t, "2", "return 2");
    }
    script_test_end(&t);
}

static void test_waiting(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    assert_int_equal(
        script_test_begin(&t, NULL, MG "local a, b = mg.pause(1, 2, 3) return a .. b", NULL),
        MG_TASK_WAITING);
    assert_int_equal(t.done, 0);
    assert_true(paused[0]->waiting);
    lua_pushliteral(paused[0]->co, "x");
    lua_pushliteral(paused[0]->co, "y");
    mg_task_resume(paused[0], 2);
    assert_int_equal(t.done, 1);
    assert_string_equal(t.text, "xy");
    script_test_end(&t);
}

static void test_waiting_with_a_continuation(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    script_test_begin(&t, NULL, MG "return mg.pause_k(1, 2)", NULL);
    lua_pushnil(paused[0]->co);
    mg_task_resume(paused[0], 1);
    assert_string_equal(t.text, "103");
    script_test_end(&t);
}

/* A wait works in all these places. */
static void test_places_to_wait(void **state)
{
    (void)state;
    static const char *const texts[] = {
        MG "return (select(2, pcall(mg.pause)))",
        MG "return (select(2, xpcall(mg.pause, print)))",
        MG "for x in mg.pause do return x end",
        MG "return setmetatable({}, {__index = function() return mg.pause() end}).x",
        MG "return setmetatable({}, {__add = function() return mg.pause() end}) + 1",
        MG
        "local r do local v <close> = setmetatable({}, {__close = function() r = mg.pause() end}) "
        "end return r",
        MG "return load('return ...')(mg.pause())",
        MG "local ok, r = pcall(pcall, function() error(mg.pause(), 0) end) return select(2, pcall("
           "error, 'x'))",
    };
    struct script_test t;
    start(&t);
    for (size_t i = 0; i < COUNT(texts); i++) {
        paused_count = 0;
        assert_int_equal(script_test_begin(&t, NULL, texts[i], NULL), MG_TASK_WAITING);
        lua_pushliteral(paused[0]->co, "x");
        mg_task_resume(paused[0], 1);
        assert_int_equal(t.status, MG_TASK_DONE);
        assert_string_equal(t.text, "x");
    }
    script_test_end(&t);
}

/* Elsewhere the error says what to do. */
static void test_places_not_to_wait(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {MG "('x'):gsub('x', mg.pause)", "inside a callback of string.gsub or table.sort"},
        {MG "table.sort({1, 2, 3}, mg.pause)", "inside a callback of string.gsub or table.sort"},
        {MG "tostring(setmetatable({}, {__tostring = function() mg.pause() end}))",
         "in a metamethod"},
        {MG "coroutine.wrap(function() mg.pause() end)()",
         "test:1: pause cannot be called inside a coroutine of your own; use mg.spawn"},
        {"coroutine.yield()", "coroutine.yield can only be called inside a coroutine of your own"},
        {"coroutine.resume(coroutine.running())",
         "cannot resume the coroutine of a request or task"},
        {"coroutine.close(coroutine.running())", "cannot close the coroutine of a request or task"},
        {MG "mg.foreign_yield()", "a task cannot yield but by waiting"},
    };
    struct script_test t;
    start(&t);
    for (size_t i = 0; i < COUNT(cases); i++)
        script_test_fails(&t, MG_TASK_ERROR, cases[i].want, cases[i].text);
    assert_int_equal(paused_count, 0);

    assert_int_equal(mg_sandbox_load(t.s->L, MG_STR(MG "mg.pause()"), "=test"), MG_OK);
    assert_int_equal(mg_task_call(t.s->L, 0, 0), MG_FAIL);
    assert_non_null(strstr(lua_tostring(t.s->L, -1), "not while a module loads or in a condition"));
    lua_settop(t.s->L, 0);
    script_test_end(&t);
}

static void test_error_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"local function f() error('boo') end\nf()",
         "test:1: boo\nstack traceback:\n\t[C]: in function 'error'\n\ttest:1: in local "
         "'f'\n\ttest:2: in main chunk"},
        {"\nerror({})", "test:2: error value is {}\nstack traceback:"},
        {"error({ code = 'late', message = 'too late' })", "test:1: late: too late\nstack"},
        {"error({ message = 'too late', n = 1 })", "test:1: too late\nstack"},
        {"error({ code = 'late' })", "test:1: late\nstack"},
        {"error({ n = { 1, 2 }, b = true })", "test:1: error value is {\"b\":true,\"n\":[1,2]}\n"},
        {"error({ print })", "test:1: error value is a table; give it a 'message'\n"},
        {"error({ ('x'):rep(400) })", "test:1: error value is a table; give it a 'message'\n"},
        {"local t = {} t.t = t error(t)", "test:1: error value is a table; give it a 'message'\n"},
        {"error(nil)", "test:1: error value is a nil; raise a text\n"},
        {"error(12)", "test:1: 12\nstack"},
        {"error()", "test:1: error value is a nil; raise a text\n"},
        {"error('own', 0)", "own\nstack"},
        {"error(setmetatable({}, {__tostring = function() return 'mine' end}))",
         "test:1: mine\nstack"},
        {"error(setmetatable({}, {__tostring = function() error('worse') end}))", "worse"},
        {"error(setmetatable({}, {__tostring = function() return {} end}))",
         "must return a string"},
        {"local x = nil; x.y = 1", "attempt to index a nil value (local 'x')"},
        {"coroutine.wrap(function() error('inner') end)()", "inner"},
        {"local v <close> = setmetatable({}, {__close = function() error('from close') end})\n"
         "error('first')",
         "from close"},
    };
    struct script_test t;
    start(&t);
    for (size_t i = 0; i < COUNT(cases); i++)
        script_test_fails(&t, MG_TASK_ERROR, cases[i].want, cases[i].text);
    script_test_fails(&t, MG_TASK_ERROR, "boo", "error('boo')");
    const char *end = strrchr(t.text, '\n');
    assert_string_equal(end, "\n\ttest:1: in main chunk"); /* not task.c's own function */
    script_test_end(&t);
}

static void test_summary(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    struct mg_task *task = script_test_task(&t, NULL, "error('a\\nb', 0)");
    assert_int_equal(mg_task_start(task, 0, NULL, NULL), MG_TASK_FAILED);
    assert_true(mg_str_eq(task->summary, MG_STR("a\nb")));
    assert_true(task->message.n > task->summary.n);
    mg_task_log_failure(task);
    assert_non_null(strstr(t.log, "step-1"));
    assert_int_equal(mg_task_move(task, t.s->L), 1);
    assert_true(lua_isstring(t.s->L, -1));
    lua_settop(t.s->L, 0);
    script_test_end(&t);
}

static void test_deep_recursion(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "local function f() return 1 + f() end f()",
        "local function f() f() end f()",
        "local function f(s) return (s:gsub('x', f)) end f('x')",
        "local t = {} t = setmetatable(t, {__index = function(_, k) return t[k] end}) return t.x",
        "local function f() coroutine.wrap(f)() end f()",
        "local function f() return pcall(f) and error('x') end f() error('end')",
        "local function f() xpcall(error, f) end f() error('end')",
        "local s = ('('):rep(1000) assert(load('return ' .. s))",
        "local t = {} error(setmetatable(t, {__tostring = function() return tostring(t) end}))",
        "local function g() return xpcall(error, g) end g() error('end')",
        "return string.format(('%s'):rep(300), table.unpack({}, 1, 1e6))",
    };
    struct script_test t;
    start(&t);
    for (size_t i = 0; i < COUNT(texts); i++)
        script_test_fails(&t, MG_TASK_ERROR, "", texts[i]);
    script_test_gives(&t, "2", "return 2");
    script_test_end(&t);
}

static void test_closing_after_an_error(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    /* Variables are closed, in reverse, and may wait. */
    script_test_begin(&t, NULL,
                      MG "local function v(n) return setmetatable({}, {__close = function(_, e)\n"
                         "  mg.pause() print(n, e) end}) end\n"
                         "local a <close> = v 'a'\n"
                         "local c <close> = v 'c'\n"
                         "error('boo', 0)",
                      NULL);
    assert_int_equal(paused_count, 1);
    mg_task_resume(paused[0], 0);
    assert_non_null(strstr(t.log, "c\\tboo"));
    assert_null(strstr(t.log, "a\\tboo"));
    mg_task_resume(paused[1], 0);
    assert_non_null(strstr(t.log, "a\\tboo"));
    assert_int_equal(t.done, 1);
    assert_non_null(strstr(t.text, "boo\nstack traceback"));
    script_test_end(&t);
}

static int cancelled;

static void on_cancelled(struct mg_task *t, void *arg)
{
    assert_ptr_equal(t->arg, arg);
    cancelled++;
}

static void test_cancel(void **state)
{
    (void)state;
    struct script_test t;
    struct mg_task *task;
    start(&t);
    cancelled = 0;
    script_test_begin(
        &t, &t,
        MG "local v <close> = setmetatable({}, {__close = function()\n"
           "  print('closed', mg.context(), pcall(mg.pause)) error('in close') end})\n"
           "local w <close> = setmetatable({}, {__close = function() print('first') end})\n"
           "pcall(mg.pause) print('not reached')",
        &task);
    task->on_cancelled = on_cancelled;
    mg_task_cancel(task);
    assert_int_equal(undone, 1);
    assert_int_equal(cancelled, 1);
    assert_int_equal(t.done, 0);
    assert_true(strstr(t.log, "first") < strstr(t.log, "closed\\ttrue\\tfalse"));
    assert_non_null(strstr(t.log, "while the variables of a cancelled task are closed"));
    assert_non_null(strstr(t.log, "in close"));
    assert_null(strstr(t.log, "not reached"));
    script_test_gives(&t, "1", "return 1");
    script_test_end(&t);
}

static void test_cancel_all(void **state)
{
    (void)state;
    struct script_test t;
    struct mg_link owned;
    start(&t);
    mg_list_init(&owned);
    for (int i = 0; i < 3; i++) {
        struct mg_task *task;
        /* The first one's closing cancels the second. */
        script_test_begin(
            &t, NULL,
            i ? MG "mg.pause()"
              : MG "local v <close> = setmetatable({}, {__close = function() mg.cancel(1) end})\n"
                   "mg.pause()",
            &task);
        mg_list_push_back(&owned, &task->owned);
    }
    mg_task_cancel_all(&owned);
    assert_true(mg_list_empty(&owned));
    assert_int_equal(undone, 3);
    script_test_end(&t);
}

static void test_script_free_cancels(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    for (int i = 0; i < 3; i++)
        script_test_begin(
            &t, NULL,
            MG "local v <close> = setmetatable({}, {__close = function() print('closed') "
               "end})\nmg.pause()",
            NULL);
    mg_script_free(t.s);
    assert_int_equal(undone, 3);
    assert_int_equal(t.done, 0);
    assert_non_null(strstr(t.log, "closed"));
    mg_loop_free(t.loop);
    mg_log_set_sink(NULL, NULL);
}

static void test_nesting(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    script_test_begin(&t, NULL,
                      MG "assert(mg.start(function() error 'x' end) == 2)\n"
                         "local status, text = mg.start(function() return 'inner' end)\n"
                         "assert(status == 0 and text == 'inner')\n"
                         "assert(mg.start(function() mg.pause() end) == 1)\n"
                         "coroutine.wrap(function() mg.start(function() mg.pause() end) end)()\n"
                         "mg.go_on(0)\n"
                         "mg.cancel(1)\n"
                         "return true",
                      NULL);
    assert_string_equal(t.text, "true");
    assert_int_equal(undone, 1);
    /* Too deep is an error, not a crash. */
    script_test_begin(&t, NULL,
                      MG "local deepest, depth = 0, 0\n"
                         "local function f()\n"
                         "  depth = depth + 1 deepest = math.max(deepest, depth)\n"
                         "  mg.start(f)\n"
                         "  depth = depth - 1\n"
                         "end\n"
                         "f() return deepest > 10 and deepest < 200",
                      NULL);
    assert_string_equal(t.text, "true");
    script_test_end(&t);
}

static void test_context(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    script_test_begin(&t, &t, MG "return mg.context(), mg.start(function() end)", NULL);
    assert_string_equal(t.text, "true");
    script_test_gives(&t, "false", MG "return mg.context()");
    script_test_begin(&t, &t, MG "return coroutine.wrap(mg.context)()", NULL);
    assert_string_equal(t.text, "true");
    script_test_end(&t);
}

static void test_without_on_done(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    for (int i = 0; i < 2; i++) {
        struct mg_task *task = script_test_task(&t, NULL, MG "mg.pause() error('lost')");
        assert_int_equal(mg_task_start(task, 0, NULL, NULL), MG_TASK_WAITING);
        mg_task_resume(task, 0);
    }
    assert_non_null(strstr(t.log, "lost"));
    script_test_end(&t);
}

static void test_call(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    lua_State *L = t.s->L;
    assert_int_equal(mg_sandbox_load(L, MG_STR("return ..., 2"), "=test"), MG_OK);
    lua_pushinteger(L, 1);
    assert_int_equal(mg_task_call(L, 1, 2), MG_OK);
    assert_int_equal(lua_gettop(L), 2);
    assert_int_equal(lua_tointeger(L, 2), 2);
    lua_settop(L, 0);
    assert_int_equal(mg_sandbox_load(L, MG_STR("error('boo')"), "=test"), MG_OK);
    assert_int_equal(mg_task_call(L, 0, 2), MG_FAIL);
    assert_int_equal(lua_gettop(L), 1);
    assert_non_null(strstr(lua_tostring(L, 1), "test:1: boo\nstack traceback:"));
    lua_settop(L, 0);
    script_test_end(&t);
}

static void test_many(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    struct mg_task *all[1000];
    for (size_t i = 0; i < COUNT(all); i++) {
        all[i] = script_test_task(&t, NULL, "return 1");
        assert_int_equal(mg_task_start(all[i], 0, NULL, NULL), MG_TASK_DONE);
    }
    assert_int_equal(t.s->live_tasks, COUNT(all));
    for (size_t i = 0; i < COUNT(all); i++)
        mg_task_free(all[i]);
    assert_true(t.s->idle_count > 0 && t.s->idle_count < COUNT(all));
    script_test_end(&t);
}

static void test_no_memory_for_a_task(void **state)
{
    (void)state;
    struct script_test t;
    nested = &t;
    script_test_start(&t, (struct mg_script_options){.memory_bytes = 4 << 20});
    script_test_open(&t, open_functions);
    script_test_begin(&t, NULL,
                      MG "local hold = {} for i = 1, 2000 do hold[i] = ('x'):rep(1000) .. i end\n"
                         "mg.pause() return #hold",
                      NULL);
    paused_count = 0;
    /* The one that asked fails; the one that waits goes on. */
    script_test_fails(&t, MG_TASK_NO_MEMORY, "not enough memory",
                      "local t = {} while true do t = {t} end");
    script_test_run(&t, "return 5");
    assert_string_equal(t.text, "5");
    mg_task_end_all(t.s);
    script_test_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_coroutines_are_reused),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_waiting_with_a_continuation),
        cmocka_unit_test(test_places_to_wait),
        cmocka_unit_test(test_places_not_to_wait),
        cmocka_unit_test(test_error_texts),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_deep_recursion),
        cmocka_unit_test(test_closing_after_an_error),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_all),
        cmocka_unit_test(test_script_free_cancels),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_without_on_done),
        cmocka_unit_test(test_call),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_no_memory_for_a_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
