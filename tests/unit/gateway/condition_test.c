/* Which conditions need no Lua. What they mean is compared with Lua in
 * tests/spec/conditions_spec.lua. */
#include "gateway/condition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/test_arena.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const char *const known[] = {
    "req.method == 'GET'",
    "  req.method~=\"GET\"\n",
    "'GET' == req.method",
    "req.query == nil",
    "req:header 'x-beta'",
    "req:header(\"x-beta\") == '1'and req:arg'debug'",
    "req:header 'content-length' == '5'",
    "not req:cookie 'c'",
    "not not req:cookie 'c'",
    "not (req.method == 'GET' or req.method == 'HEAD') and req.scheme == 'https'",
    "((req.host == 'a'))",
    "req.path:sub(1, 5) == '/api/'",
    "req.path:find '^/api/'",
    "req.path:match('^/api%-v1/')",
    "mg.ip.matcher { '10.0.0.0/8', '::1' }(req.client_ip)",
    "mg.ip.matcher({ '10.0.0.0/8' }):has(req.client_ip)",
};

/* Unknown forms, and known ones that go on in a way which changes what they mean. */
static const char *const unknown[] = {
    "",
    "true",
    "req",
    "req.auth",
    "req.port == 80",
    "req.params.id == '1'",
    "req.method == 'GET' == true",
    "not req.method == 'GET'",
    "not req.path:sub(1, 2) == '/a'",
    "(req.method) == 'GET'",
    "(req.method == 'GET') == true",
    "req.method == ('GET')",
    "req.method == 'GE' .. 'T'",
    "req.method == 'G\\69T'",
    "req.method < 'H'",
    "req.method:lower() == 'get'",
    "req.method:len()",
    "req.query:sub(1, 2) == 'a='",
    "req.path:sub(2, 3) == 'a'",
    "req.path:sub(1, -1) == 'a'",
    "req.path:sub(1, 0) == ''",
    "req.path:find '/api/'",
    "req.path:find('^/api/', 2)",
    "req.path:find '^/api/.*'",
    "req.path:find '^/%d'",
    "req.path:find '^/api%'",
    "req.path:find '^/' == 1",
    "req:header 'a' 'b'",
    "req:header 'a':lower() == 'b'",
    "req:header(name)",
    "req.headers 'a'",
    "res.status == 200",
    "req.method == 'GET' and",
    "req.method == 'GET' or res.status == 200",
    "(req.method == 'GET'",
    "req.method == 'GET')",
    "req.method == 'GET' -- why",
    "req.method == [[GET]]",
    "mg.ip.matcher { '10.0.0.0/99' }(req.client_ip)",
    "mg.ip.matcher { '10.0.0.0/8' }(req.host)",
    "mg.ip.matcher { ip }(req.client_ip)",
    "((((((((((((((((((req.query))))))))))))))))))",
    "'open",
};

static void expect(const char *text, bool wanted)
{
    bool is = mg_condition_parse(&arena, mg_str_c(text)) != NULL;
    if (is != wanted)
        fail_msg("%s: %s", text, is ? "was taken" : "was left to Lua");
}

static void the_common_forms_are_known(void **state)
{
    for (size_t i = 0; i < COUNT(known); i++)
        expect(known[i], true);
    (void)state;
}

static void all_others_are_left_to_lua(void **state)
{
    for (size_t i = 0; i < COUNT(unknown); i++)
        expect(unknown[i], false);
    (void)state;
}

/* Every beginning of one that is known; a sanitizer watches the reads. */
static void cut_ones_are_read_to_their_end_only(void **state)
{
    for (size_t i = 0; i < COUNT(known); i++) {
        for (size_t n = 0; n <= strlen(known[i]); n++) {
            char *copy = malloc(n + !n);
            memcpy(copy, known[i], n);
            mg_condition_parse(&arena, mg_str(copy, n));
            free(copy);
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_common_forms_are_known),
        cmocka_unit_test(all_others_are_left_to_lua),
        cmocka_unit_test(cut_ones_are_read_to_their_end_only),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
