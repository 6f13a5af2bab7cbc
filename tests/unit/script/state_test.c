/* Making and ending states; the memory count and its limit; warnings. */
#include "script/script_test.h"

#include "base/memory.h"

static void test_new_and_free(void **state)
{
    (void)state;
    struct script_test t;
    int owner;
    script_test_start(&t, (struct mg_script_options){.owner = &owner, .worker = 3});
    assert_ptr_equal(mg_script_of(t.s->L), t.s);
    assert_ptr_equal(t.s->owner, &owner);
    assert_int_equal(t.s->worker, 3);
    assert_int_equal(t.s->background_limit, 1000);
    assert_null(t.s->budget);
    assert_true(t.s->memory_used > 1000);
    assert_int_equal(lua_gettop(t.s->L), 0);
    script_test_end(&t);
    mg_script_free(NULL);
}

static void test_every_thread_knows_its_script(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    lua_State *co = lua_newthread(t.s->L);
    assert_ptr_equal(mg_script_of(co), t.s);
    assert_false(mg_script_is_task(co));
    struct mg_task *task = mg_task_new(t.s, NULL, NULL);
    assert_ptr_equal(mg_script_of(task->co), t.s);
    assert_true(mg_script_is_task(task->co));
    co = lua_newthread(task->co);
    assert_ptr_equal(mg_script_of(co), t.s);
    assert_false(mg_script_is_task(co));
    mg_task_free(task);
    script_test_end(&t);
}

static void test_memory_is_counted(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    lua_gc(t.s->L, LUA_GCCOLLECT);
    lua_gc(t.s->L, LUA_GCSTOP);
    size_t before = t.s->memory_used;
    lua_newuserdatauv(t.s->L, 100000, 0);
    assert_in_range(t.s->memory_used - before, 100000, 101000);
    lua_pop(t.s->L, 1);
    lua_gc(t.s->L, LUA_GCCOLLECT);
    assert_true(t.s->memory_used <= before + 200);
    script_test_end(&t);
}

static void test_memory_limit(void **state)
{
    (void)state;
    static const char *const hogs[] = {
        "local t = {} for i = 1, 1e9 do t[i] = {i} end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end",
        "return string.pack('c16000000', ''), ('x'):rep(16 << 20)",
        "local function f(n) return f(n .. n .. 'x') end f('')",
        "local t <close> = setmetatable({}, {__close = function() ('x'):rep(9 << 20) end})",
    };
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){.memory_bytes = 8 << 20});
    for (size_t i = 0; i < COUNT(hogs); i++) {
        script_test_fails(&t, MG_TASK_NO_MEMORY, "not enough memory: the limit of 8192 KiB",
                          hogs[i]);
        assert_true(t.s->memory_used < 2 << 20);
        script_test_gives(&t, "42", "return 42");
    }
    script_test_end(&t);
}

static void test_memory_error_can_be_caught(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){.memory_bytes = 8 << 20});
    script_test_gives(&t, "not enough memory",
                      "local ok, err = pcall(function()\n"
                      "  local s = 'x' while true do s = s .. s end\n"
                      "end)\n"
                      "return err");
    script_test_end(&t);
}

static void test_limit_rests_between_runs(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){.memory_bytes = 1 << 20});
    for (int i = 0; i < 3; i++)
        lua_newuserdatauv(t.s->L, 1 << 20, 0); /* would be a panic */
    script_test_fails(&t, MG_TASK_NO_MEMORY, "not enough memory", "return {}, ('x'):rep(1000)");
    lua_settop(t.s->L, 0);
    lua_gc(t.s->L, LUA_GCCOLLECT);
    script_test_gives(&t, "1000", "return #('x'):rep(1000)");
    script_test_end(&t);
}

static void test_warnings_are_logged(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    lua_warning(t.s->L, "@on", 0);
    assert_int_equal(t.log_n, 0);
    lua_warning(t.s->L, "one ", 1);
    lua_warning(t.s->L, "two", 0);
    assert_non_null(strstr(t.log, "one two"));
    for (int i = 0; i < 100; i++)
        lua_warning(t.s->L, "much too long a warning", 1);
    lua_warning(t.s->L, "", 0);
    assert_null(strstr(t.log, "@on"));
    script_test_end(&t);
}

static void test_random(void **state)
{
    (void)state;
    struct script_test a, b;
    script_test_start(&a, (struct mg_script_options){0});
    script_test_start(&b, (struct mg_script_options){0});
    uint64_t x = mg_script_random(a.s);
    assert_int_equal(x, mg_script_random(b.s)); /* simulated: repeatable */
    assert_int_not_equal(x, mg_script_random(a.s));
    script_test_end(&b);
    script_test_end(&a);

    struct mg_script *one = mg_script_new(&(struct mg_script_options){0});
    struct mg_script *two = mg_script_new(&(struct mg_script_options){0});
    assert_int_not_equal(mg_script_random(one), mg_script_random(two));
    mg_script_free(one);
    mg_script_free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_and_free),
        cmocka_unit_test(test_every_thread_knows_its_script),
        cmocka_unit_test(test_memory_is_counted),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_memory_error_can_be_caught),
        cmocka_unit_test(test_limit_rests_between_runs),
        cmocka_unit_test(test_warnings_are_logged),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
