/* mg.sleep, spawn, background, after, every on a simulated clock. */
#include "script/script_test.h"

#include "script/lib_time.h"

/* A context with a list of its tasks, as an exchange has one. */
struct context {
    struct mg_link tasks;
};

static struct mg_link *tasks_of(void *context)
{
    return &((struct context *)context)->tasks;
}

static void open_functions(lua_State *L)
{
    mg_lib_time_open(L);
}

static void start_with(struct script_test *t, struct mg_script_options options)
{
    script_test_start(t, options);
    script_test_open(t, open_functions);
    t->s->tasks_of = tasks_of;
}

static void start(struct script_test *t)
{
    start_with(t, (struct mg_script_options){0});
}

static int count(const char *text, const char *part)
{
    int n = 0;
    while ((text = strstr(text, part)) != NULL)
        n++, text++;
    return n;
}

#define MG "local mg = require 'mg'; "
#define AT "local t0 = mg.now() local function at() return ('%.3f'):format(mg.now() - t0) end; "

static void test_clocks(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    script_test_gives(&t, "1767225600.0", MG "return mg.now()");
    script_test_gives(&t, "true",
                      MG "local a, b = mg.now(), mg.monotonic() mg.sleep(2.5)\n"
                         "return mg.now() - a == 2.5 and mg.monotonic() - b == 2.5");
    script_test_end(&t);
}

static void test_sleep(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    script_test_gives(&t, "0.150", MG AT "mg.sleep(0.1) mg.sleep(0) mg.sleep(0.05) return at()");
    script_test_gives(&t, "0", MG "return select('#', mg.sleep(1))");
    static const char *const bad[] = {"mg.sleep()",          "mg.sleep(-1)",  "mg.sleep(0/0)",
                                      "mg.sleep(math.huge)", "mg.sleep('x')", "mg.sleep(1e10)"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        char text[128];
        snprintf(text, sizeof text, MG "%s", bad[i]);
        script_test_fails(&t, MG_TASK_ERROR, "bad argument #1 to 'sleep'", text);
    }
    /* A cancelled sleep leaves no timer behind. */
    struct mg_task *task;
    script_test_begin(&t, NULL, MG "mg.sleep(10)", &task);
    mg_task_cancel(task);
    script_test_advance(&t, 20);
    script_test_end(&t);
}

static void test_spawn_and_wait(void **state)
{
    (void)state;
    static const struct {
        const char *want, *text;
    } cases[] = {
        /* As long as the slowest, not the sum; results in order. */
        {"0.300 a b 0.300",
         MG AT "local a = mg.spawn(function(s) mg.sleep(s) return 'a', at() end, 0.3)\n"
               "local b = mg.spawn(function() mg.sleep(0.1) return 'b' end)\n"
               "local x, when = a:wait() return table.concat({at(), x, b:wait(), when}, ' ')"},
        /* Runs at once up to its first wait. */
        {"123", MG
         "local s = '1' local t = mg.spawn(function() s = s .. '2' mg.sleep(0) s = s .. '4' end)\n"
         "local r = s .. '3' t:wait() return r"},
        {"nil x nil 4", MG
         "local t = mg.spawn(function() return nil, 'x', nil, 4 end)\n"
         "local a, b, c, d = t:wait() return table.concat({tostring(a), b, tostring(c), d}, ' ')"},
        {"0", MG "return select('#', mg.spawn(function() end):wait())"},
        {"0", MG "return select('#', mg.spawn(function() mg.sleep(1) end):wait())"},
        /* Again, and by several at once. */
        {"7 7 7 7", MG "local t = mg.spawn(function() mg.sleep(1) return 7 end)\n"
                       "local u, v = mg.spawn(t.wait, t), mg.spawn(t.wait, t)\n"
                       "return table.concat({t:wait(), u:wait(), v:wait(), t:wait()}, ' ')"},
        {"300", MG "local t = {} for i = 1, 300 do t[i] = mg.spawn(function() mg.sleep(i % 7) "
                   "return i end) end\n"
                   "for i = 300, 1, -1 do assert(t[i]:wait() == i) end return #t"},
        {"5000", MG "return select('#', mg.spawn(function() mg.sleep(1) return table.unpack({}, 1, "
                    "5000) end):wait())"},
        {"task (running) task (ended)",
         MG "local t = mg.spawn(mg.sleep, 1) local a = tostring(t) t:wait()\n"
            "return a .. ' ' .. tostring(t)"},
    };
    struct script_test t;
    start(&t);
    for (size_t i = 0; i < COUNT(cases); i++)
        script_test_gives(&t, cases[i].want, cases[i].text);
    assert_int_equal(t.log_n, 0);
    script_test_end(&t);
}

static void test_wait_with_a_limit(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    script_test_gives(&t, "timeout 0.500 late 1.000",
                      MG AT
                      "local t = mg.spawn(function() mg.sleep(1) return 'late' end)\n"
                      "local r, err = t:wait(0.5) assert(r == nil and tostring(err) == 'timeout')\n"
                      "return err.code .. ' ' .. at() .. ' ' .. t:wait(5) .. ' ' .. at()");
    script_test_gives(&t, "0.500",
                      MG AT "local t = mg.spawn(mg.sleep, 0.5) t:wait(0.5) return at()");
    script_test_fails(&t, MG_TASK_ERROR, "bad argument #1 to 'wait'",
                      MG "local t = mg.spawn(mg.sleep, 1) t:wait(-1)");
    script_test_advance(&t, 1);
    script_test_end(&t);
}

static void test_failures(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    script_test_gives(&t, "error: test:1: boo",
                      MG
                      "local t = mg.spawn(function() mg.sleep(1) error('boo') end)\n"
                      "local r, err = t:wait() assert(r == nil and err.message == tostring(err))\n"
                      "return err.code .. ': ' .. err.message");
    assert_int_equal(t.log_n, 0); /* somebody waited for it */
    script_test_gives(&t, "0.100",
                      MG AT "mg.spawn(function() error('alone') end)\n"
                            "mg.spawn(function() mg.sleep(0.1) error('later') end)\n"
                            "mg.sleep(0.1) mg.sleep(0) return at()");
    assert_int_equal(count(t.log, "alone"), 1);
    assert_int_equal(count(t.log, "later"), 1);
    assert_int_equal(count(t.log, "stack traceback"), 2);
    assert_int_equal(count(t.log, "step-1"), 2);
    script_test_fails(&t, MG_TASK_ERROR, "function expected", MG "mg.spawn(1)");
    script_test_fails(&t, MG_TASK_ERROR, "a task cannot wait for itself",
                      MG
                      "local t t = mg.spawn(function() mg.sleep(0) t:wait() end) assert(t:wait())");
    script_test_end(&t);
}

static void test_cancel(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    script_test_gives(
        &t, "cancelled 0.200 true false",
        MG AT "local closed\n"
              "local t = mg.spawn(function()\n"
              "  local v <close> = setmetatable({}, {__close = function() closed = at() end})\n"
              "  mg.sleep(9) error('not reached') end)\n"
              "mg.sleep(0.2) local a, b = t:cancel(), t:cancel() local _, err = t:wait()\n"
              "assert(tostring(t) == 'task (cancelled)')\n"
              "return table.concat({err.code, closed, tostring(a), tostring(b)}, ' ')");
    script_test_gives(&t, "cancelled",
                      MG "local t = mg.spawn(mg.sleep, 9)\n"
                         "mg.spawn(function() mg.sleep(1) t:cancel() end)\n"
                         "local _, err = t:wait() return err.code");
    script_test_fails(&t, MG_TASK_ERROR, "cannot be cancelled from inside itself",
                      MG "local t t = mg.spawn(function() mg.sleep(0) t:cancel() end) local _, e = "
                         "t:wait() error(e)");
    script_test_fails(
        &t, MG_TASK_ERROR, "mg.spawn cannot be called while the variables of a cancelled task",
        MG "local message\n"
           "local t = mg.spawn(function()\n"
           "  local v <close> = setmetatable({}, {__close = function()\n"
           "    message = select(2, pcall(mg.spawn, print)) mg.background(print) end})\n"
           "  mg.sleep(9) end)\n"
           "t:cancel() error(message)");
    script_test_end(&t);
}

/* What belongs to a context ends with it; what is in the background does not. */
static void test_context_ends(void **state)
{
    (void)state;
    struct script_test t;
    struct context c;
    struct mg_task *task;
    start(&t);
    mg_list_init(&c.tasks);
    script_test_begin(
        &t, &c,
        MG "mg.spawn(function() mg.spawn(function() mg.sleep(1) print('inner') end) mg.sleep(1) "
           "print('spawn') end)\n"
           "mg.after(1, function() print('after') end)\n"
           "mg.every(1, function() print('every') end)\n"
           "mg.background(function(x) mg.spawn(function() mg.sleep(3) print('grandchild') end)\n"
           "  mg.sleep(1) print(x) end, 'background')\n"
           "mg.sleep(10)",
        &task);
    assert_int_equal(t.s->live_tasks, 7);
    assert_int_equal(mg_script_background_count(t.s), 2);
    mg_task_cancel(task);
    mg_task_cancel_all(&c.tasks);
    assert_int_equal(t.s->live_tasks, 2);
    script_test_advance(&t, 5);
    assert_int_equal(count(t.log, "\n"), 2);
    assert_non_null(strstr(t.log, "background"));
    assert_non_null(strstr(t.log, "grandchild"));
    script_test_end(&t);
}

static void test_background(void **state)
{
    (void)state;
    struct script_test t;
    start_with(&t, (struct mg_script_options){.background_limit = 3});
    script_test_gives(
        &t, "3 too_many_tasks too many background tasks",
        MG "local n, err, got = 0\n"
           "repeat got, err = mg.background(mg.sleep, 5) n = n + (got and 1 or 0) until not got\n"
           "return n .. ' ' .. err.code .. ' ' .. tostring(err)");
    script_test_gives(&t, "too_many_tasks", MG "local _, err = mg.spawn(print) return err.code");
    script_test_advance(&t, 5);
    assert_int_equal(mg_script_background_count(t.s), 0);
    /* While a module loads too; there mg.spawn has nothing to belong to. */
    lua_State *L = t.s->L;
    assert_int_equal(
        mg_sandbox_load(L, MG_STR(MG "mg.background(function() mg.sleep(1) error('bg') end)"),
                        "=load"),
        MG_OK);
    assert_int_equal(mg_task_call(L, 0, 0), MG_OK);
    assert_int_equal(mg_sandbox_load(L, MG_STR(MG "mg.spawn(print)"), "=load"), MG_OK);
    assert_int_equal(mg_task_call(L, 0, 0), MG_FAIL);
    assert_non_null(
        strstr(lua_tostring(L, -1), "mg.spawn can only be called while a request or a task runs"));
    lua_settop(L, 0);
    assert_int_equal(mg_script_background_count(t.s), 1);
    script_test_advance(&t, 2);
    assert_int_equal(mg_script_background_count(t.s), 0);
    assert_int_equal(count(t.log, "load:1: bg"), 1);
    script_test_end(&t);
}

static void test_after(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    script_test_gives(&t, "2.000 x y 3.500",
                      MG AT "local t = mg.after(2, function(a, b) local now = at() mg.sleep(1.5) "
                            "return now, a, b end, 'x', 'y')\n"
                            "local r = {t:wait()} r[4] = at() return table.concat(r, ' ')");
    script_test_gives(&t, "cancelled",
                      MG "local t = mg.after(1, error) t:cancel() mg.sleep(2)\n"
                         "return select(2, t:wait()).code");
    script_test_gives(&t, NULL, MG "mg.after(0, function() error('boo') end) mg.sleep(1)");
    assert_int_equal(count(t.log, "boo"), 1);
    script_test_fails(&t, MG_TASK_ERROR, "bad argument", MG "mg.after(-1, print)");
    script_test_fails(&t, MG_TASK_ERROR, "bad argument", MG "mg.after(1)");
    script_test_end(&t);
}

static void test_every(void **state)
{
    (void)state;
    struct script_test t;
    start_with(&t, (struct mg_script_options){.run_ns = 20 * MG_MILLISECOND});
    script_test_gives(&t, "1.000 2.000 3.000",
                      MG AT
                      "local got = {} local t = mg.every(1, function() got[#got + 1] = at() end)\n"
                      "mg.sleep(3.5) t:cancel() mg.sleep(5) return table.concat(got, ' ')");
    /* One at a time; times that have passed are left out. */
    script_test_gives(
        &t, "1.000 4.000 7.000",
        MG AT
        "local got = {} local t = mg.every(1, function() got[#got + 1] = at() mg.sleep(2.5) end)\n"
        "mg.sleep(9) t:cancel() return table.concat(got, ' ')");
    assert_int_equal(t.log_n, 0);
    /* Failures are logged, and it goes on. */
    script_test_gives(
        &t, "5",
        MG "local n = 0 local t = mg.every(1, function() n = n + 1\n"
           "  if n == 1 then error('one') elseif n == 2 then mg.sleep(0.1) error('two')\n"
           "  elseif n == 3 then while true do end end end)\n"
           "mg.sleep(5.5) t:cancel() return n");
    assert_int_equal(count(t.log, "test:2: one"), 1);
    assert_int_equal(count(t.log, "test:2: two"), 1);
    assert_int_equal(count(t.log, "ran longer than 20 ms"), 1);
    script_test_gives(&t, "true",
                      MG AT "local got, last = {}, 0 local t = mg.every(1, function() got[#got + "
                            "1] = tonumber(at()) end, {jitter = 0.5})\n"
                            "mg.sleep(20) t:cancel() local off = {}\n"
                            "for i, v in ipairs(got) do assert(v >= i and v <= i + 0.5) "
                            "off[('%.2f'):format(v - i)] = true end\n"
                            "return #got >= 19 and next(off, next(off)) ~= nil");
    static const struct {
        const char *text, *want;
    } bad[] = {
        {MG "mg.every(0, print)", "at least 0.001 seconds"},
        {MG "mg.every(1, print, {jiter = 1})", "mg.every: unknown option 'jiter'"},
        {MG "mg.every(1, print, {jitter = 'x'})", "jitter must be seconds"},
        {MG "mg.every(1, print, {jitter = -1})", "jitter must be seconds"},
        {MG "mg.every(1, print, {7})", "unknown option '?'"},
        {MG "mg.every(1, print, 5)", "table expected"},
        {MG "mg.every(1)", "function expected"},
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        script_test_fails(&t, MG_TASK_ERROR, bad[i].want, bad[i].text);
    script_test_end(&t);
}

static void test_every_at_load(void **state)
{
    (void)state;
    for (uint32_t worker = 0; worker < 2; worker++) {
        struct script_test t;
        start_with(&t, (struct mg_script_options){.worker = worker});
        lua_State *L = t.s->L;
        assert_int_equal(
            mg_sandbox_load(
                L, MG_STR(MG "mg.every(1, function() print('here') end, {one_worker = true})"),
                "=load"),
            MG_OK);
        assert_int_equal(mg_task_call(L, 0, 0), MG_OK);
        script_test_advance(&t, 3.5);
        assert_int_equal(count(t.log, "here"), worker == 0 ? 3 : 0);
        assert_int_equal(mg_script_background_count(t.s), 0); /* a shutdown does not wait for it */
        assert_int_equal(t.s->live_tasks, worker == 0 ? 1 : 0);
        mg_script_free(t.s);
        mg_loop_free(t.loop);
        mg_log_set_sink(NULL, NULL);
    }
}

static void test_end_of_the_state(void **state)
{
    (void)state;
    struct script_test t;
    start(&t);
    script_test_begin(&t, NULL,
                      MG "local child = mg.spawn(function()\n"
                         "  local v <close> = setmetatable({}, {__close = function()\n"
                         "    print(pcall(mg.background, print)) end})\n"
                         "  mg.sleep(100) end)\n"
                         "mg.every(1, print) mg.after(1, print) mg.spawn(child.wait, child)\n"
                         "child:wait()",
                      NULL);
    mg_script_free(t.s);
    assert_non_null(strstr(t.log, "cannot start a task: shutting down"));
    mg_loop_simulate(t.loop, UINT64_MAX, NULL); /* nothing of it is left in the loop */
    mg_loop_free(t.loop);
    mg_log_set_sink(NULL, NULL);
}

static void test_without_a_loop(void **state)
{
    (void)state;
    struct mg_script *s = mg_script_new(&(struct mg_script_options){0});
    static const char *const calls[] = {
        "sleep(1)",          "now()",           "monotonic()",    "spawn(print)",
        "background(print)", "after(1, print)", "every(1, print)"};
    lua_newtable(s->L);
    mg_lib_time_open(s->L);
    mg_sandbox_preload(s->L, "mg");
    for (size_t i = 0; i < COUNT(calls); i++) {
        char text[128];
        int n = snprintf(text, sizeof text, MG "mg.%s", calls[i]);
        assert_int_equal(mg_sandbox_load(s->L, mg_str(text, (size_t)n), "=test"), MG_OK);
        assert_int_equal(mg_task_call(s->L, 0, 0), MG_FAIL);
        assert_non_null(strstr(lua_tostring(s->L, -1), "while a module loads"));
        lua_settop(s->L, 0);
    }
    mg_script_free(s);
}

static void test_memory_limit(void **state)
{
    (void)state;
    struct script_test t;
    start_with(&t, (struct mg_script_options){.memory_bytes = 2 << 20});
    for (int i = 0; i < 3; i++) {
        script_test_fails(
            &t, MG_TASK_NO_MEMORY, "not enough memory",
            MG "local all = {} while true do all[#all + 1] = assert(mg.spawn(function()\n"
               "  return ('x'):rep(1000) .. #all end)) end");
        script_test_gives(&t, "x",
                          MG "return mg.spawn(function() mg.sleep(0) return 'x' end):wait()");
    }
    script_test_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks),         cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_spawn_and_wait), cmocka_unit_test(test_wait_with_a_limit),
        cmocka_unit_test(test_failures),       cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_context_ends),   cmocka_unit_test(test_background),
        cmocka_unit_test(test_after),          cmocka_unit_test(test_every),
        cmocka_unit_test(test_every_at_load),  cmocka_unit_test(test_end_of_the_state),
        cmocka_unit_test(test_without_a_loop), cmocka_unit_test(test_memory_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
