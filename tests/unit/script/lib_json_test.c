/* mg.json is the codec; the codec is tested in json_test.c. */
#include "script/lua_test.h"

static void test_module(void **state)
{
    (void)state;
    static const char *const code[] = {
        "gives('[1,null]', mg.json.encode{1, mg.json.null})",
        "assert(mg.json.is_array(mg.json.decode('[]')) and mg.json.array)",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_module)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
