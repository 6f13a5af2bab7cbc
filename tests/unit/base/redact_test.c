/* Names of header fields, as they are written in headers, in Lua and in configs. */
#include "base/redact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool hidden;
    } cases[] = {
        {"authorization", true}, {"Set_Cookie", true}, {"COOKIE", true},
        {"x_api-key", true},     {"X-Session", true},  {"x_session", true},
        {"cookies", false},      {"session", false},   {"", false},
    };
    static const struct mg_str own[] = {MG_STR("x-session")};
    static const struct mg_redact redact = {own, 1}, none = {NULL, 0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(mg_redact_has(&redact, mg_str_c(cases[i].name)), cases[i].hidden);
    assert_false(mg_redact_has(&none, MG_STR("x-session")));
    assert_true(mg_redact_has(&none, MG_STR("proxy-authorization")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
