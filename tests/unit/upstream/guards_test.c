/* What protects a service, over reloads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "upstream/service.h"

#define SECOND UINT64_C(1000000000)

static struct mg_service *new_service(const struct mg_guards_config *guards)
{
    struct mg_backend_config backend = {.address = MG_STR("10.0.0.1:80"), .weight = 1};
    struct mg_service_config config = {
        .name = MG_STR("s"), .backends = &backend, .backend_count = 1, .guards = *guards};
    struct mg_service *s = mg_service_new(&config, NULL);
    assert_non_null(s);
    return s;
}

static bool refuses(const struct mg_service *s)
{
    return mg_breaker_refuses(mg_service_guards(s)->breaker, SECOND);
}

static void are_not_there_unless_defined(void **state)
{
    struct mg_service *s = new_service(&(struct mg_guards_config){.breaker = {.failures = 5}});
    (void)state;
    assert_null(mg_service_guards(s));
    mg_service_unref(s);
}

static void stay_over_a_reload_when_defined_alike(void **state)
{
    struct mg_guards_config one = {.breaker = {.failures = 1, .open_ns = 10 * SECOND}};
    struct mg_guards_config other = {.breaker = {.failures = 1, .open_ns = 20 * SECOND}};
    struct mg_service *before = new_service(&one), *same = new_service(&one);
    struct mg_service *changed = new_service(&other),
                      *none = new_service(&(struct mg_guards_config){0});
    uint64_t ticket;
    (void)state;
    struct mg_breaker *b = mg_service_guards(before)->breaker;
    assert_true(mg_breaker_admit(b, SECOND, &ticket));
    assert_int_equal(mg_breaker_report(b, ticket, MG_BREAKER_FAILURE, SECOND), MG_BREAKER_OPENED);
    mg_service_inherit(same, before, 0);
    mg_service_inherit(changed, before, 0);
    mg_service_inherit(none, before, 0);
    mg_service_unref(before);
    assert_true(refuses(same));
    assert_false(refuses(changed));
    assert_null(mg_service_guards(none));
    mg_service_unref(same);
    mg_service_unref(changed);
    mg_service_unref(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_not_there_unless_defined),
        cmocka_unit_test(stay_over_a_reload_when_defined_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
