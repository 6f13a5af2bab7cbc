/* Items of the field RateLimit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "http/rate_limit_field.h"

static void names_are_strings_of_structured_fields(void **state)
{
    static const struct {
        const char *name, *head;
    } cases[] = {
        {"minute", "\"minute\";r="},
        {"", "\"\";r="},
        {"a b", "\"a b\";r="},
        {"\"\\", "\"\\\"\\\\\";r="},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mg_str name = mg_str_c(cases[i].name);
        char *out = malloc(2 * name.n + 5); /* no more than the header says it takes */
        size_t n = mg_rate_limit_field_head(name, out);
        assert_int_equal(n, strlen(cases[i].head));
        assert_memory_equal(out, cases[i].head, n);
        free(out);
    }
}

static void an_item_tells_what_is_left_and_when_there_is_more(void **state)
{
    static const struct {
        struct mg_limiter_result result;
        const char *item;
    } cases[] = {
        {{.ok = true, .remaining = 42, .reset_s = 16.001}, "\"x\";r=42;t=17"},
        {{.ok = true, .remaining = 0, .reset_s = 60}, "\"x\";r=0;t=60"},
        {{.ok = true, .remaining = 5}, "\"x\";r=5;t=0"},
        {{.remaining = 3, .reset_s = 60, .retry_after_s = 0.1}, "\"x\";r=3;t=1"},
        {{.ok = true, .remaining = 0x1p53, .reset_s = 1e9},
         "\"x\";r=9007199254740992;t=1000000000"},
    };
    struct mg_str head = MG_STR("\"x\";r=");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out = malloc(2 * (head.n + MG_RATE_LIMIT_FIELD_MORE));
        size_t one = mg_rate_limit_field_add(out, 0, head, &cases[i].result);
        assert_int_equal(one, strlen(cases[i].item));
        assert_memory_equal(out, cases[i].item, one);
        size_t two = mg_rate_limit_field_add(out, one, head, &cases[i].result);
        assert_int_equal(two, 2 * one + 2);
        assert_memory_equal(out + one, ", ", 2);
        assert_memory_equal(out + one + 2, cases[i].item, one);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_strings_of_structured_fields),
        cmocka_unit_test(an_item_tells_what_is_left_and_when_there_is_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
