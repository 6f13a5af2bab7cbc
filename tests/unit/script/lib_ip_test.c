/* mg.ip as policies see it; the sets themselves are tested in base/. */
#include "script/lua_test.h"

static void test_parse(void **state)
{
    (void)state;
    static const char *const code[] = {
        "local text, family = mg.ip.parse('10.0.0.1') assert(text == '10.0.0.1' and family == 4)",
        "local text, family = mg.ip.parse('2001:DB8:0::1')"
        " assert(text == '2001:db8::1' and family == 6)",
        "local text, family = mg.ip.parse('::ffff:10.0.0.1')"
        " assert(text == '10.0.0.1' and family == 4)",
        "for _, bad in ipairs{'', '10.0.0', '10.0.0.1:80', '010.0.0.1', 'localhost', '10.0.0.1\\0'}"
        " do fails('not an IP address', mg.ip.parse(bad)) end",
        "code('bad_address', mg.ip.parse('x'))",
        "raises('string expected, got nil', mg.ip.parse, nil)",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_matcher(void **state)
{
    (void)state;
    static const char *const code[] = {
        "m = mg.ip.matcher{'10.0.0.0/8', '192.168.1.7', '2001:db8::/32'}",
        "gives(true, m('10.255.0.1')) gives(true, m:has('10.0.0.0')) gives(false, m('11.0.0.0'))",
        "gives(true, m('192.168.1.7')) gives(false, m('192.168.1.8'))",
        "gives(true, m('2001:db8::9')) gives(false, m('2001:db9::'))",
        "gives(true, m('::ffff:10.1.1.1'))",
        "gives(false, m('')) gives(false, m('unix:/tmp/x')) gives(false, m('10.0.0.1:80'))",
        "local none = mg.ip.matcher{} gives(false, none('10.0.0.1'))",
        "local many = {} for i = 0, 999 do many[#many + 1] = ('10.%d.%d.0/24'):format(i // 256, i "
        "% 256) end\n"
        "local m = mg.ip.matcher(many)\n"
        "for i = 0, 999 do assert(m(('10.%d.%d.77'):format(i // 256, i % 256))) end\n"
        "assert(not m('10.3.232.0'))",
        "gives('moongate.IpMatcher', getmetatable(m))",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_wrong_use(void **state)
{
    (void)state;
    static const char *const code[] = {
        "raises('table expected, got string', mg.ip.matcher, '10.0.0.0/8')",
        "raises('item 2: expected string, got number', mg.ip.matcher, {'::1', 5})",
        "raises('10.0.0.1/8', mg.ip.matcher, {'10.0.0.1/8'})",
        "raises('nonsense', mg.ip.matcher, {'10.0.0.0/8', 'nonsense'})",
        "local m = mg.ip.matcher{'::/0'}\n"
        "raises('string expected, got nil', m, nil)\n"
        "raises('moongate.IpMatcher expected, got string', m.has, '::1')",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_starved(void **state)
{
    (void)state;
    lua_test_run_starved(NULL, "local m = mg.ip.matcher{'10.0.0.0/8', '::1'}\n"
                               "m('10.0.0.1') mg.ip.parse('::1') pcall(mg.ip.matcher, {'x'})");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_matcher),
        cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
