/* The CPU watchdog: what it stops, what it leaves alone, and what still works afterwards. */
#include "script/script_test.h"

#include <pthread.h>
#include <time.h>

#include "script/budget.h"
#include "script/lib_time.h"

#define RUN_NS (20 * MG_MILLISECOND)
/* Generous, for a loaded machine under a sanitizer; without the watchdog it would be for ever. */
#define STOPPED_NS (1000 * MG_MILLISECOND)

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * MG_SECOND + (uint64_t)t.tv_nsec;
}

/* burn(ms): policy code that runs that long, with a C function as its clock. */
static int l_cpu_ms(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)(cpu_ns() / MG_MILLISECOND));
    return 1;
}

static struct mg_task *paused[8];
static int paused_count;

static int l_pause(lua_State *L)
{
    struct mg_task *t = mg_task_check_wait(L, "pause");
    paused[paused_count++] = t;
    return mg_task_wait(t, NULL, NULL);
}

static int l_start(lua_State *L)
{
    struct mg_task *t = mg_task_new(mg_script_of(L), NULL, "inner");
    lua_settop(L, 1);
    lua_xmove(L, t->co, 1);
    enum mg_task_status status = mg_task_start(t, 0, NULL, NULL);
    if (status != MG_TASK_WAITING)
        mg_task_free(t);
    lua_pushinteger(L, status);
    return 1;
}

static void open_functions(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"cpu_ms", l_cpu_ms}, {"pause", l_pause}, {"start", l_start}, {NULL, NULL}};
    mg_lib_time_open(L);
    luaL_setfuncs(L, functions, 0);
}

static void start_with(struct script_test *t, uint64_t run_ns)
{
    paused_count = 0;
    script_test_start(t, (struct mg_script_options){.run_ns = run_ns, .memory_bytes = 64 << 20});
    script_test_open(t, open_functions);
}

static void start(struct script_test *t)
{
    start_with(t, RUN_NS);
}

#define MG                                                                                         \
    "local mg = require 'mg'; local function burn(ms) local t = mg.cpu_ms() + ms "                 \
    "while mg.cpu_ms() < t do end end; "
#define LOOP "local function loop() while true do end end; "
#define V(body) "setmetatable({}, {__close = function() " body " end}); "

static void test_stops(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "while true do end",
        "::top:: goto top",
        "for i = 1, math.huge do end",
        "local function f() return f() end f()",
        LOOP "while true do pcall(loop) end",
        LOOP "pcall(pcall, pcall, loop) loop()",
        LOOP "while true do xpcall(loop, loop) end",
        LOOP "while true do xpcall(loop, print) end",
        "while true do pcall(error) end",
        LOOP "coroutine.wrap(loop)()",
        LOOP "while true do pcall(coroutine.wrap(loop)) end",
        LOOP "while true do coroutine.resume(coroutine.create(loop)) end",
        LOOP "coroutine.wrap(function() coroutine.wrap(function() pcall(loop) loop() end)() loop() "
             "end)() "
             "loop()",
        LOOP "local co = coroutine.wrap(function() while true do coroutine.yield(1) end end) "
             "while true do co() end",
        LOOP "('x'):gsub('x', loop)",
        LOOP "while true do pcall(string.gsub, 'x', 'x', loop) end",
        LOOP "('x'):gsub('x', function() while true do pcall(loop) end end)",
        LOOP "('x'):gsub('x', function() coroutine.wrap(loop)() end)",
        LOOP "coroutine.wrap(function() ('x'):gsub('x', loop) end)()",
        LOOP "table.sort({1, 2, 3}, loop)",
        "local t = {} for i = 1, 100 do t[i] = i end while true do table.sort(t) end",
        LOOP "return setmetatable({}, {__index = loop}).x",
        LOOP "tostring(setmetatable({}, {__tostring = loop}))",
        LOOP "error(setmetatable({}, {__tostring = loop}))",
        LOOP "for _ in loop do end",
        LOOP "load(loop)",
        LOOP "do local v <close> = setmetatable({}, {__close = loop}) end",
        LOOP "local v <close> = setmetatable({}, {__close = loop}) error('x')",
        LOOP "local v <close> = setmetatable({}, {__close = loop}) loop()",
        LOOP "local v <close> = setmetatable({}, {__close = loop}) "
             "local w <close> = setmetatable({}, {__close = loop}) ('x'):gsub('x', loop)",
        LOOP "coroutine.wrap(function() local v <close> = setmetatable({}, {__close = loop}) "
             "loop() end)()",
        LOOP "local co = coroutine.create(function() local v <close> = setmetatable({}, {__close = "
             "loop}) "
             "coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
        MG LOOP "mg.start(loop) loop()",
        MG LOOP "while true do mg.start(loop) end",
        MG LOOP "while true do pcall(mg.start, function() pcall(loop) end) end",
        MG "while true do mg.start(function() end) end",
        MG LOOP "while true do mg.spawn(function() end) end",
        "local s = ('a'):rep(2000) while true do pcall(string.find, s, '.-.-.-.-b') end",
    };
    struct script_test t;
    start(&t);
    for (size_t i = 0; i < COUNT(texts); i++) {
        uint64_t before = cpu_ns();
        script_test_fails(&t, MG_TASK_OVERRUN, "ran longer than 20 ms without waiting", texts[i]);
        uint64_t took = cpu_ns() - before;
        if (took < RUN_NS || took > STOPPED_NS)
            fail_msg("took %d ms: %s", (int)(took / MG_MILLISECOND), texts[i]);
        /* The same coroutine again, and with it the hook. */
        script_test_gives(&t, "3", "local n = 0 for i = 1, 3 do n = n + 1 end return n");
        assert_false(t.s->budget->overrun);
        assert_int_equal(t.s->budget->graces, 0);
    }
    script_test_end(&t);
}

static void test_text_tells_where(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    script_test_fails(&t, MG_TASK_OVERRUN,
                      "test:3: ran longer than 20 ms without waiting; do less at a time, or raise "
                      "limits.lua_run\nstack traceback:",
                      "local function f()\n"
                      "  local x = 0\n"
                      "  while true do x = x + 1 end\n"
                      "end\n"
                      "local ok = pcall(f)\n"
                      "f()");
    assert_non_null(strstr(t.text, "in function 'pcall'\n\ttest:5: in main chunk"));
    /* The first place, although a pcall there has caught the first error. */
    script_test_fails(&t, MG_TASK_OVERRUN, "test:1: ran longer than 20 ms",
                      "local function loop() while true do end end\n"
                      "('x'):gsub('x', function() pcall(loop) while true do end end)");
    script_test_end(&t);
}

/* What <close> variables hold is given back, however the code is stopped. */
static void test_variables_are_closed(void **state)
{
    (void)state;
    static const char *const texts[] = {
        LOOP "local v <close> = " V("print('closed')") " loop()",
        LOOP "local v <close> = " V("print('closed')") " ('x'):gsub('x', loop)",
        LOOP "local v <close> = " V("print('closed')") " coroutine.wrap(loop)()",
        LOOP "coroutine.wrap(function() local v <close> = " V("print('closed')") " loop() end)()",
        LOOP "pcall(function() local v <close> = " V("print('closed')") " loop() end)",
        LOOP "local v <close> = " V("print('closed')") " pcall(string.gsub, 'x', 'x', loop)",
        LOOP "local v <close> = " V("print('closed')") "local w <close> = " V("loop()") " loop()",
        MG LOOP "mg.start(function() local v <close> = " V("print('closed')") " loop() end)",
    };
    struct script_test t;
    start(&t);
    for (size_t i = 0; i < COUNT(texts); i++) {
        t.log_n = t.log[0] = 0;
        script_test_fails(&t, MG_TASK_OVERRUN, "ran longer", texts[i]);
        if (!strstr(t.log, "closed"))
            fail_msg("not closed: %s", texts[i]);
    }
    script_test_end(&t);
}

static void test_leaves_alone(void **state)
{
    (void)state;
    struct script_test t;
    /* Ten times the allowance, but in parts that are far below it: where a machine has others as
     * guests, their time may be taken for ours. */
    start_with(&t, 100 * MG_MILLISECOND);
    script_test_gives(
        &t, "100", MG "for i = 1, 100 do burn(10) mg.sleep(0) if i == 100 then return i end end");
    for (int i = 0; i < 20; i++)
        script_test_gives(&t, "1", MG "burn(10) return 1");
    assert_int_equal(t.log_n, 0);
    script_test_end(&t);
}

static void test_cancel_is_watched(void **state)
{
    (void)state;
    struct script_test t;
    struct mg_task *task;
    start(&t);
    uint64_t before = cpu_ns();
    script_test_begin(&t, NULL,
                      MG "local v <close> = " V("print('closed')") "local w <close> = " V(
                          "while true do end") "mg.pause()",
                      &task);
    mg_task_cancel(task);
    assert_true(cpu_ns() - before < STOPPED_NS);
    assert_non_null(strstr(t.log, "ran longer than 20 ms"));
    script_test_gives(&t, "1", "return 1");
    script_test_end(&t);
}

static void test_call_is_watched(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    lua_State *L = t.s->L;
    static const char *const texts[] = {
        "while true do end",
        LOOP "while true do pcall(loop) end",
        LOOP "coroutine.wrap(loop)()",
        MG LOOP "mg.start(loop) loop()",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        uint64_t before = cpu_ns();
        assert_int_equal(mg_sandbox_load(L, mg_str_c(texts[i]), "=test"), MG_OK);
        assert_int_equal(mg_task_call(L, 0, 0), MG_FAIL);
        assert_true(cpu_ns() - before < STOPPED_NS);
        assert_non_null(strstr(lua_tostring(L, -1), "ran longer than 20 ms"));
        assert_null(lua_gethook(L));
        lua_settop(L, 0);
    }
    script_test_end(&t);
}

static int lines_seen;

static void count_lines(lua_State *L, lua_Debug *ar)
{
    (void)L;
    if (ar->event == LUA_HOOKLINE)
        lines_seen++;
}

/* Somebody else's hook is on all coroutines: runs are ended all the same, and it comes back. */
static void test_hook_at_rest(void **state)
{
    (void)state;
    static const char *const texts[] = {
        LOOP "loop()",
        LOOP "('x'):gsub('x', loop)",
        LOOP "local v <close> = " V("print('closed')") " coroutine.wrap(loop)()",
        MG LOOP "mg.start(loop) loop()",
    };
    struct script_test t;
    start(&t);
    mg_budget_set_hook_at_rest(count_lines, LUA_MASKLINE);
    lua_sethook(t.s->L, count_lines, LUA_MASKLINE, 0);
    for (size_t i = 0; i < COUNT(texts); i++) {
        script_test_fails(&t, MG_TASK_OVERRUN, "ran longer", texts[i]);
        for (int again = 0; again < 3;
             again++) { /* also coroutines that were ended are used again */
            lines_seen = 0;
            script_test_gives(&t, "3", "local a = 1\nlocal b = 2\nreturn a + b");
            assert_int_equal(lines_seen, 3);
        }
    }
    lua_State *L = t.s->L;
    assert_int_equal(mg_sandbox_load(L, MG_STR("while true do end"), "=test"), MG_OK);
    assert_int_equal(mg_task_call(L, 0, 0), MG_FAIL);
    lua_settop(L, 0);
    assert_ptr_equal(lua_gethook(L), count_lines);
    mg_budget_set_hook_at_rest(NULL, 0);
    script_test_end(&t);
}

/* A C function that outlasts the allowance and then waits: it has come in time after all. */
static int l_burn_and_pause(lua_State *L)
{
    uint64_t until = cpu_ns() + 3 * RUN_NS;
    while (cpu_ns() < until)
        continue;
    return l_pause(L);
}

static void test_overrun_in_c_then_wait(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    struct mg_task *task = script_test_task(&t, NULL, "local f = ... f() return 'x'");
    lua_pushcfunction(task->co, l_burn_and_pause);
    assert_int_equal(mg_task_start(task, 1, script_test_done, &t), MG_TASK_WAITING);
    assert_false(t.s->budget->overrun);
    mg_task_resume(task, 0);
    assert_int_equal(t.status, MG_TASK_DONE);
    assert_string_equal(t.text, "x");
    script_test_end(&t);
}

/* Two generations in one thread share its timer. */
static void test_two_states(void **state)
{
    (void)state;
    struct script_test a, b;
    start(&a);
    start(&b);
    assert_ptr_equal(a.s->budget, b.s->budget);
    script_test_fails(&b, MG_TASK_OVERRUN, "ran longer", "while true do end");
    script_test_fails(&a, MG_TASK_OVERRUN, "ran longer", "while true do end");
    script_test_end(&a);
    script_test_fails(&b, MG_TASK_OVERRUN, "ran longer", "while true do end");
    script_test_end(&b);
}

static void *run_thread(void *arg)
{
    struct mg_script *s = mg_script_new(&(struct mg_script_options){.run_ns = RUN_NS});
    int *stopped = arg;
    for (int i = 0; i < 5; i++) {
        struct mg_task *t = mg_task_new(s, NULL, NULL);
        if (mg_sandbox_load(t->co, MG_STR(LOOP "while true do pcall(loop) end"), "=test") ==
                MG_OK &&
            mg_task_start(t, 0, NULL, NULL) == MG_TASK_FAILED && t->failure == MG_TASK_OVERRUN)
            ++*stopped;
        mg_task_free(t);
    }
    mg_script_free(s);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[3];
    int stopped[3] = {0};
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_create(&threads[i], NULL, run_thread, &stopped[i]);
    for (size_t i = 0; i < COUNT(threads); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(stopped[i], 5);
    }
}

static void test_no_limit(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    script_test_open(&t, open_functions);
    assert_null(t.s->budget);
    script_test_gives(&t, "1", MG "burn(100) return 1");
    script_test_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_text_tells_where),
        cmocka_unit_test(test_variables_are_closed),
        cmocka_unit_test(test_leaves_alone),
        cmocka_unit_test(test_cancel_is_watched),
        cmocka_unit_test(test_call_is_watched),
        cmocka_unit_test(test_hook_at_rest),
        cmocka_unit_test(test_overrun_in_c_then_wait),
        cmocka_unit_test(test_two_states),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
