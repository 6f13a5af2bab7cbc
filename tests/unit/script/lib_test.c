/* The table as a whole: what is in it, and that opening it may run out of memory. */
#include "script/lua_test.h"

static void test_everything_is_there(void **state)
{
    (void)state;
    static const char *const code[] = {
        "for name in ('crypto file ip json key log secret shared url'):gmatch('%w+') do\n"
        "  assert(mg[name], name)\n"
        "end",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_stack_is_kept(void **state)
{
    (void)state;
    struct lua_test t;
    lua_test_init(&t);
    lua_newtable(t.L);
    mg_lib_open_pure(t.L);
    mg_lib_open_pure(t.L); /* again does no harm */
    assert_int_equal(lua_gettop(t.L), 1);
    assert_int_equal(lua_type(t.L, 1), LUA_TTABLE);
    lua_test_end(&t);
}

static void test_env_is_replaced(void **state)
{
    (void)state;
    struct lua_test t;
    int a, b;
    lua_test_init(&t);
    assert_null(mg_lib_env(t.L)->arg);
    mg_lib_set_env(t.L, &(struct mg_lib_env){.arg = &a});
    assert_ptr_equal(mg_lib_env(t.L)->arg, &a);
    mg_lib_set_env(t.L, &(struct mg_lib_env){.arg = &b});
    assert_ptr_equal(mg_lib_env(t.L)->arg, &b);
    assert_int_equal(lua_gettop(t.L), 0);
    lua_test_end(&t);
}

static void test_opening_starved(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct lua_test t;
        lua_test_init(&t);
        lua_pushcfunction(t.L, lua_test_open);
        t.left = n;
        int status = lua_pcall(t.L, 0, 0, 0);
        lua_test_end(&t);
        if (status == LUA_OK)
            break;
        assert_int_equal(status, LUA_ERRMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_there),
        cmocka_unit_test(test_stack_is_kept),
        cmocka_unit_test(test_env_is_replaced),
        cmocka_unit_test(test_opening_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
