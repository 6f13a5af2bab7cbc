/* The registry: who shares a dictionary, and when it goes. */
#include "shared/dicts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define SIZE ((size_t)1 << 20)

static void outlives_a_generation(void **state)
{
    (void)state;
    struct mg_dicts *dicts = mg_dicts_new();
    struct mg_dict_value one = {.kind = MG_DICT_INTEGER, .integer = 1}, got;
    struct mg_dict *old = mg_dicts_get(dicts, MG_STR("limits"), SIZE, NULL);
    assert_non_null(old);
    assert_int_equal(mg_dict_set(old, MG_STR("key"), one, 0, 0), MG_DICT_OK);

    struct mg_dict *next = mg_dicts_get(dicts, MG_STR("limits"), SIZE, NULL);
    assert_ptr_equal(next, old);
    mg_dicts_put(dicts, old);
    assert_int_equal(mg_dict_get(next, MG_STR("key"), 0, &got, NULL), MG_DICT_OK);
    mg_dicts_put(dicts, next);

    struct mg_dict *later = mg_dicts_get(dicts, MG_STR("limits"), SIZE, NULL);
    assert_int_equal(mg_dict_get(later, MG_STR("key"), 0, &got, NULL), MG_DICT_ABSENT);
    mg_dicts_put(dicts, later);
    mg_dicts_free(dicts);
}

static void each_definition_has_its_own(void **state)
{
    (void)state;
    struct mg_dicts *dicts = mg_dicts_new();
    struct mg_dict *a = mg_dicts_get(dicts, MG_STR("a"), SIZE, NULL);
    struct mg_dict *b = mg_dicts_get(dicts, MG_STR("b"), SIZE, NULL);
    struct mg_dict *larger = mg_dicts_get(dicts, MG_STR("a"), 2 * SIZE, NULL);
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(a, larger);
    mg_dicts_put(dicts, a);
    mg_dicts_put(dicts, larger);
    mg_dicts_put(dicts, b);
    mg_dicts_free(dicts);
    mg_dicts_free(NULL);
}

static void too_small(void **state)
{
    (void)state;
    struct mg_dicts *dicts = mg_dicts_new();
    struct mg_error err;
    assert_null(mg_dicts_get(dicts, MG_STR("a"), 1, &err));
    assert_string_equal(err.text, "a dictionary needs at least 131072 bytes, not 1");
    mg_dicts_free(dicts);
}

static void add_sizes(void *arg, struct mg_str name, const struct mg_dict_stats *stats)
{
    assert_int_equal(name.n, 1);
    *(size_t *)arg += stats->limit_bytes;
}

static void all_are_listed(void **state)
{
    (void)state;
    struct mg_dicts *dicts = mg_dicts_new();
    struct mg_dict *a = mg_dicts_get(dicts, MG_STR("a"), SIZE, NULL);
    struct mg_dict *b = mg_dicts_get(dicts, MG_STR("b"), 2 * SIZE, NULL);
    size_t sum = 0;
    mg_dicts_each(dicts, add_sizes, &sum);
    assert_int_equal(sum, 3 * SIZE);
    mg_dicts_put(dicts, a);
    mg_dicts_put(dicts, b);
    mg_dicts_free(dicts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outlives_a_generation),
        cmocka_unit_test(each_definition_has_its_own),
        cmocka_unit_test(too_small),
        cmocka_unit_test(all_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
