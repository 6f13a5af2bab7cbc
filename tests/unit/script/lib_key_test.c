/* mg.key: different lists never join to the same text. */
#include "script/lua_test.h"

static void test_texts(void **state)
{
    (void)state;
    static const char *const code[] = {
        "gives('', mg.key())",
        "gives('s3:abc', mg.key('abc'))",
        "gives('s0:', mg.key(''))",
        "gives('i-7;tfn', mg.key(-7, true, false, nil))",
        "gives('i2;', mg.key(2.0))",
        "gives('d0.5;', mg.key(0.5))",
        "gives('i9223372036854775807;', mg.key(math.maxinteger))",
        "gives('s3:a\\0b', mg.key('a\\0b'))",
        "gives('s4:userse:', (mg.key('user', 'e:'):gsub('s2:', 's')))",
        "assert(#mg.key(('x'):rep(100000), 'y') == 100000 + 8 + 4)",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

/* Parts with which clients may try to make one key look like another. */
static void test_injective(void **state)
{
    (void)state;
    static const char *const code[] = {
        "local parts = {n = 16, '', 'a', 's1:a', '1:a', 'i1;', ';', ':', 'n', 't', 1, -1, 1.5, "
        "true, false, nil, 'as0:'}\n"
        "local seen, count = {}, 0\n"
        "local function note(...)\n"
        "  local key, list = mg.key(...), table.pack(...)\n"
        "  if seen[key] then error('twice: ' .. key) end\n"
        "  seen[key] = list count = count + 1\n"
        "end\n"
        "for i = 1, parts.n do\n"
        "  note(parts[i])\n"
        "  for j = 1, parts.n do\n"
        "    note(parts[i], parts[j])\n"
        "    for k = 1, parts.n do note(parts[i], parts[j], parts[k]) end\n"
        "  end\n"
        "end\n"
        "assert(count == 16 + 16^2 + 16^3)",
        "assert(mg.key(1) ~= mg.key('1') and mg.key(0.1) ~= mg.key(0.1 + 2^-55))",
        "assert(mg.key(2^53) == mg.key(1 << 53) and mg.key(1e300) ~= mg.key(1e301))",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_wrong_use(void **state)
{
    (void)state;
    static const char *const code[] = {
        "raises(\"bad argument #2 to 'key' (string, number, boolean or nil expected, got table)\","
        " function() mg.key('a', {}) end)",
        "raises('got function', mg.key, print)",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_starved(void **state)
{
    (void)state;
    lua_test_run_starved(NULL, "mg.key(('x'):rep(5000), 1, nil, ('y'):rep(5000))");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_injective),
        cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
