/* mg.regex as policies see it; matching itself is tested in base/. */
#include "script/lua_test.h"

static void test_matches(void **state)
{
    (void)state;
    static const char *const code[] = {
        "re = mg.regex('^a+$')",
        "gives(true, re('aaa')) gives(true, re:test('a')) gives(false, re('')) gives(false, "
        "re('ab'))",
        "gives(false, re('a\\n')) gives(false, re('a\\0'))",
        "gives(false, mg.regex('b')('B')) gives(true, mg.regex('b', 'i')('B'))",
        "gives(false, mg.regex('^.$')('\\u{e4}')) gives(true, mg.regex('^.$', 'u')('\\u{e4}'))",
        "gives(true, mg.regex('^\\u{c4}$', 'iu')('\\u{e4}'))",
        "gives(false, mg.regex('.', 'u')('\\xff'))",
        "gives(true, mg.regex('')(''))",
        "gives('moongate.Regex', getmetatable(re))",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_gives_up(void **state)
{
    (void)state;
    static const char *const code[] = {
        "hard = mg.regex('^(a+)+$')",
        "fails('the match takes too many steps', hard(('a'):rep(5000) .. 'b'))",
        "code('too_hard', hard(('a'):rep(5000) .. 'b'))",
        "gives(true, mg.regex('^a')(('a'):rep(16384)))",
        "code('too_long', mg.regex('^a')(('a'):rep(16385)))",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_wrong_use(void **state)
{
    (void)state;
    static const char *const code[] = {
        "raises('string expected, got nil', mg.regex, nil)",
        "raises('string expected, got number', mg.regex, 5)",
        "raises('bad regular expression at byte 1', mg.regex, '(')",
        "raises(\"expected flags: 'i', 'u' or both\", mg.regex, 'a', 'x')",
        "local re = mg.regex('a')\n"
        "raises('string expected, got nil', re, nil)\n"
        "raises('moongate.Regex expected, got string', re.test, 'a')",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_starved(void **state)
{
    (void)state;
    lua_test_run_starved(NULL, "local re = mg.regex('^a+$')\n"
                               "re('a') pcall(mg.regex, '(')");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_gives_up),
        cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
