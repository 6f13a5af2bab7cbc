/* mg.json.editor as policies see it; editing itself is tested in base/. */
#include "script/lua_test.h"

static void test_edits(void **state)
{
    (void)state;
    static const char *const code[] = {
        "e = mg.json.editor { fields = { a = { name = 'b' }, c = { drop = true } } }",
        "gives('{\"b\":1.50,\"x\":[ ]}', e '{\"a\":1.50,\"c\":{},\"x\":[ ]}')",
        "gives(true, e:streams()) gives('moongate.JsonEditor', getmetatable(e))",
        "fails('the text is no JSON', e '{') code('bad_json', e '')",
        "gives('{\"b\":{\"a\":[],\"b\":false}}',"
        " mg.json.editor { fields = { b = { set = { b = false, a = mg.json.array() } } } } '{}')",
        "gives('{\"a\":1,\"B\":1}', mg.json.editor { case = 'snake', only = true,"
        " fields = { a = { cast = 'number' }, b = { name = 'B', set = 1, absent = true } } } "
        "'{\"a\":\"1\",\"c\":5}')",
        "gives('{\"l\":[{\"x\":1}]}',"
        " mg.json.editor { fields = { l = { items = { fields = { y = { drop = true } } } } } } "
        "'{\"l\":[{\"x\":1,\"y\":1}]}')",
        /* One node for two names: the first that comes. */
        "local node = { name = 'c' }\n"
        "gives('{\"c\":1}', mg.json.editor { fields = { a = node, b = node } } "
        "'{\"b\":1,\"a\":2}')",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_values(void **state)
{
    (void)state;
    static const char *const code[] = {
        "e = mg.json.editor { fields = { a = { fill = { 'by \"', 1, '\"' } }, b = { fill = { 1 } } "
        "} }",
        "gives('{\"a\":\"by \\\\\"x\\\\n\\\\\"\",\"b\":\"x\\\\n\"}', e('{}', { 'x\\n' }))",
        "gives('{\"a\":\"by \\\\\"\\\\\"\"}', e '{}')",
        "gives('{\"a\":\"by \\\\\"\\\\\"\"}', e('{}', { '\\xff' }))",
        "gives('{\"a\":\"\"}', mg.json.editor { fields = { a = { fill = {} } } } '{}')",
        "e = mg.json.editor { look = { fields = { id = { capture = 1 } } },"
        " fields = { id = { drop = true }, key = { fill = { 1 } } } }",
        "gives('{\"x\":1,\"key\":[1,2]}', e '{\"x\":1,\"id\":[1,2]}')",
        "gives('{\"x\":1}', e '{\"x\":1}') gives(false, e:streams())",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_wrong_use(void **state)
{
    (void)state;
    static const char *const code[] = {
        "raises('expected a node (a table), got a nil', mg.json.editor)",
        "raises(\"wrong field 'nam' in a node\", mg.json.editor, { nam = 1 })",
        "raises(\"wrong field '?' in a node\", mg.json.editor, { 1 })",
        "raises(\"wrong field 'name'\", mg.json.editor, { fields = { a = { name = 1 } } })",
        "raises(\"wrong field 'case'\", mg.json.editor, { fields = { a = { case = 'snake' } } })",
        "raises('case: unknown word', mg.json.editor, { case = 'upper' })",
        "raises('cast: unknown word', mg.json.editor, { fields = { a = { cast = 5 } } })",
        "raises('the root can have only', mg.json.editor, { set = 1 })",
        "raises('fields: expected names, got a number', mg.json.editor, { fields = { {} } })",
        "raises('fields: expected a table', mg.json.editor, { fields = 1 })",
        "raises('set: cannot encode', mg.json.editor, { fields = { a = { set = print } } })",
        "raises('not UTF-8', mg.json.editor, { fields = { ['a'] = { name = '\\xff' } } })",
        "raises('a slot is an integer from 1 to 1000', mg.json.editor, { fields = { a = { capture "
        "= 0 } } })",
        "raises('a slot is an integer from 1 to 1000', mg.json.editor, { fields = { a = { fill = { "
        "1001 } } } })",
        "raises('fill: expected a list', mg.json.editor, { fields = { a = { fill = 'x' } } })",
        "local deep = {} for i = 1, 40 do deep = { items = deep } end\n"
        "raises('too deep', mg.json.editor, deep)",
        "local many = {} for i = 1, 1001 do many['a' .. i] = {} end\n"
        "raises('fields: at most 1000', mg.json.editor, { fields = many })",
        "local e = mg.json.editor { fields = { a = { fill = { 1 } } } }\n"
        "raises('string expected, got number', e, 5)\n"
        "raises('table expected, got string', e, '{}', 'x')\n"
        "raises('value 1: expected string, got boolean', e, '{}', { true })",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_starved(void **state)
{
    (void)state;
    lua_test_run_starved(NULL,
                         "local e = mg.json.editor { look = { fields = { a = { capture = 1 } } },"
                         " fields = { b = { fill = { 'x', 1, 2 } }, c = { set = { d = 1 } } } }\n"
                         "e('{\"a\":1}', { nil, 'y' }) pcall(e, '{')");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
