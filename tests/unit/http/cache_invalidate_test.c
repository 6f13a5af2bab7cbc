/* What unsafe requests make useless (RFC 9111 4.4), and POST for GET (RFC 9110 9.3.3). */
#include "http/cache_invalidate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct mg_cache_target target = {
    .authority = {"example.com", 11},
    .path = {"/a/b c", 6},
    .query = {"q=1", 3},
};

static const struct {
    const char *reference;
    const char *named; /* "/path?query"; NULL: nothing of ours; "": the target */
} cases[] = {
    {"/x", "/x"},
    {"/x?y", "/x?y"},
    {"x", "/a/x"},
    {"x/../y", "/a/y"},
    {"../x", "/x"},
    {"./", "/a/"},
    {"?q=2", "/a/b c?q=2"},
    {"?q=1", ""},
    {"", ""},
    {"#top", ""},
    {"/a/b%20c?q=1", ""},
    {"/a//b%20c?q=1", ""},
    {"/a/b%20c?q=1#f", ""},
    {"/a/b%20c", "/a/b c"},
    {"http://example.com/x", "/x"},
    {"HTTP://EXAMPLE.com:80/x#f", "/x"},
    {"http://example.com", "/"},
    {"http://example.com?z", "/?z"},
    {"//example.com/x", "/x"},
    {"http://example.com/a/b%20c?q=1", ""},
    /* Of others, or malformed */
    {"https://example.com/x", NULL},
    {"http://example.com:81/x", NULL},
    {"http://example.org/x", NULL},
    {"//example.org/x", NULL},
    {"http://u@example.com/x", NULL},
    {"mailto:x", NULL},
    {"a:b", NULL},
    {"http:", NULL},
    {"http:///x", NULL},
    {"//", NULL},
    {"/x%zz", NULL},
    {"/../../x", NULL},
    {"/x y", NULL},
};

static void test_references(void **state)
{
    (void)state;
    struct mg_pool pool;
    struct mg_arena arena;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_cache_target out[MG_CACHE_INVALID_MAX];
        struct mg_fields fields = {0};
        const char *named = cases[i].named;
        size_t n = strlen(cases[i].reference);
        char *exact = malloc(n ? n : 1);
        memcpy(exact, cases[i].reference, n);
        mg_fields_add_id(&fields, &arena, MG_FIELD_CONTENT_LOCATION, mg_str(exact, n));
        mg_fields_add_id(&fields, &arena, MG_FIELD_LOCATION, mg_str(exact, n));
        unsigned count = mg_cache_invalid_targets(&target, &fields, &arena, out);
        if (count != (named && named[0]))
            fail_msg("'%s': %u named", cases[i].reference, count);
        if (count) {
            struct mg_str got =
                mg_arena_printf(&arena, "%.*s%s%.*s", MG_STR_ARGS(out[0].path),
                                out[0].query.p ? "?" : "", MG_STR_ARGS(out[0].query));
            if (!mg_str_eq(got, mg_str_c(named)))
                fail_msg("'%s': '%.*s'", cases[i].reference, MG_STR_ARGS(got));
            assert_true(mg_str_eq(out[0].authority, target.authority));
        }
        free(exact);
    }
    struct mg_cache_target out[MG_CACHE_INVALID_MAX];
    struct mg_fields fields = {0};
    mg_fields_add_id(&fields, &arena, MG_FIELD_LOCATION, MG_STR("/x"));
    mg_fields_add_id(&fields, &arena, MG_FIELD_CONTENT_LOCATION, MG_STR("/y"));
    assert_int_equal(mg_cache_invalid_targets(&target, &fields, &arena, out), 2);
    mg_fields_add_id(&fields, &arena, MG_FIELD_LOCATION, MG_STR("/z")); /* one of two is right */
    assert_int_equal(mg_cache_invalid_targets(&target, &fields, &arena, out), 1);
    mg_arena_release(&arena);
    mg_pool_release(&pool);
}

static void test_methods(void **state)
{
    (void)state;
    assert_true(mg_cache_invalidates(MG_METHOD_POST, 200));
    assert_true(mg_cache_invalidates(MG_METHOD_PUT, 201));
    assert_true(mg_cache_invalidates(MG_METHOD_DELETE, 204));
    assert_true(mg_cache_invalidates(MG_METHOD_PATCH, 303));
    assert_true(mg_cache_invalidates(MG_METHOD_OTHER, 200));
    assert_false(mg_cache_invalidates(MG_METHOD_POST, 404));
    assert_false(mg_cache_invalidates(MG_METHOD_PUT, 500));
    assert_false(mg_cache_invalidates(MG_METHOD_GET, 200));
    assert_false(mg_cache_invalidates(MG_METHOD_HEAD, 200));
    assert_false(mg_cache_invalidates(MG_METHOD_OPTIONS, 200));
    assert_false(mg_cache_invalidates(MG_METHOD_TRACE, 200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_methods),
    };
    return cmocka_run_group_tests_name("http/cache_invalidate", tests, NULL, NULL);
}
