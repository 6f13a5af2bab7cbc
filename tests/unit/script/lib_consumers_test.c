/* mg.consumers. */
#include "script/lua_test.h"

#include "script/pack.h"

static struct mg_buf packed;

/* What the config gives to the plan. */
static struct mg_str pack_list(void)
{
    static const char list[] = "return {{name = 'ann', keys = {'k'}, roles = {'r'}, groups = {}}}";
    struct lua_test t;
    lua_test_init(&t);
    mg_buf_init(&packed, 4096);
    assert_false(luaL_dostring(t.L, list));
    assert_true(mg_pack(t.L, -1, &packed, NULL));
    lua_test_end(&t);
    return mg_buf_str(&packed);
}

static void test_list(void **state)
{
    (void)state;
    static const char *const code[] = {
        "gives('ann', mg.consumers()[1].name) gives('k', mg.consumers()[1].keys[1])",
        "gives(1, #mg.consumers()) gives(0, #mg.consumers()[1].groups)",
        /* Each caller has its own. */
        "mg.consumers()[1].roles[1] = 'root' gives('r', mg.consumers()[1].roles[1])",
    };
    struct mg_lib_env env = {.consumers = pack_list()};
    lua_test_run_each(&env, code, COUNT(code));
    mg_buf_release(&packed);
}

static void test_without_consumers(void **state)
{
    (void)state;
    static const char *const code[] = {"gives(0, #mg.consumers())"};
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_requests_get_none(void **state)
{
    (void)state;
    struct lua_test t;
    lua_test_start(&t, NULL);
    t.script.current = &t.task;
    if (luaL_dostring(t.L, "raises('call mg.consumers in new', mg.consumers)"))
        fail_msg("%s", lua_tostring(t.L, -1));
    t.script.current = NULL;
    lua_test_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_without_consumers),
        cmocka_unit_test(test_requests_get_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
