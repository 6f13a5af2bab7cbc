/* Entity-tags, conditions in their order, If-Range, and validation requests (RFC 9110 8.8, 13; RFC
 * 9111 4.3). */
#include "http/conditional.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/test_arena.h"
#include "http/date.h"

#define NOW 1700000000

/* "If-Match: x|If-Range: @-60": '@' and seconds is the date that far from now. */
static void fill(struct mg_message *m, const char *method, const char *lines)
{
    struct mg_str rest = mg_str_c(lines), line;
    mg_message_init(m, &arena);
    m->method = mg_str_c(method);
    m->method_id = mg_method_id(m->method);
    while (mg_str_split(&rest, '|', &line)) {
        size_t colon = (size_t)mg_str_find(line, ':');
        struct mg_str value = mg_str_trim(mg_str(line.p + colon + 1, line.n - colon - 1));
        if (value.n > 0 && value.p[0] == '@')
            value = mg_http_date(NOW + strtod(value.p + 1, NULL));
        mg_fields_add(&m->fields, &arena, mg_str(line.p, colon), mg_arena_str(&arena, value));
    }
}

static const struct {
    const char *etag;
    bool valid;
} etags[] = {
    {"\"abc\"", true},    {"\"\"", true},       {"W/\"abc\"", true}, {"\"a,b!#~\x80\"", true},
    {"w/\"abc\"", false}, {"abc", false},       {"\"abc", false},    {"\"a b\"", false},
    {"\"a\"b\"", false},  {"W/", false},        {"", false},         {"\"a\" ", false},
    {"W\"abc\"", false},  {"\"a\x7f\"", false},
};

/* 8.8.3 */
static void test_etag(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof etags / sizeof etags[0]; i++)
        if (mg_etag_is_valid(mg_str_c(etags[i].etag)) != etags[i].valid)
            fail_msg("'%s'", etags[i].etag);
    /* The table of 8.8.3.2 */
    struct mg_str w1 = MG_STR("W/\"1\""), w2 = MG_STR("W/\"2\""), s1 = MG_STR("\"1\"");
    assert_false(mg_etag_equal_strong(w1, w1));
    assert_true(mg_etag_equal_weak(w1, w1));
    assert_false(mg_etag_equal_weak(w1, w2));
    assert_false(mg_etag_equal_strong(w1, s1));
    assert_true(mg_etag_equal_weak(w1, s1));
    assert_true(mg_etag_equal_strong(s1, s1));
}

static const struct {
    const char *method, *request, *response;
    bool same;
} cases[] = {
    {"GET", "", "ETag: \"a\"", false},
    /* 13.1.1 If-Match and 13.1.4 If-Unmodified-Since: nothing for a cache */
    {"GET", "If-Match: \"a\"", "ETag: \"a\"", false},
    {"GET", "If-Match: \"b\"", "ETag: \"a\"", false},
    {"PUT", "If-Unmodified-Since: @-60", "Last-Modified: @-60", false},
    {"PUT", "If-Unmodified-Since: @-61", "Last-Modified: @-60", false},
    /* 13.1.2 If-None-Match: weak */
    {"GET", "If-None-Match: \"a\"", "ETag: \"a\"", true},
    {"HEAD", "If-None-Match: \"a\"", "ETag: \"a\"", true},
    {"PUT", "If-None-Match: \"a\"", "ETag: \"a\"", false},
    {"PUT", "If-None-Match: *", "", false},
    {"GET", "If-None-Match: *", "", true},
    {"GET", "If-None-Match: W/\"a\"", "ETag: \"a\"", true},
    {"GET", "If-None-Match: \"a\"", "ETag: W/\"a\"", true},
    {"GET", "If-None-Match: \"b\", W/\"c,d\" ,, \"a\"", "ETag: \"a\"", true},
    {"GET", "If-None-Match: \"b\"|If-None-Match: \"a\"", "ETag: \"a\"", true},
    {"GET", "If-None-Match: \"b\"", "ETag: \"a\"", false},
    {"GET", "If-None-Match: \"a\"", "", false},
    {"GET", "If-None-Match: a", "ETag: \"a\"", false},
    {"GET", "If-None-Match: a", "ETag: a", false},
    {"GET", "If-None-Match: \"b\" \"a\"", "ETag: \"a\"", false},
    {"GET", "If-None-Match: \"x, \"a\"", "ETag: \"a\"", false},
    /* 13.1.3 If-Modified-Since, not looked at beside If-None-Match */
    {"GET", "If-Modified-Since: @-60", "Last-Modified: @-60", true},
    {"GET", "If-Modified-Since: @-59", "Last-Modified: @-60", true},
    {"GET", "If-Modified-Since: @-61", "Last-Modified: @-60", false},
    {"GET", "If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT", "Last-Modified: @0", true},
    {"POST", "If-Modified-Since: @-59", "Last-Modified: @-60", false},
    {"GET", "If-Modified-Since: x", "Last-Modified: @-60", false},
    {"GET", "If-Modified-Since: @0|If-Modified-Since: @0", "Last-Modified: @-60", false},
    {"GET", "If-None-Match: \"b\"|If-Modified-Since: @0", "ETag: \"a\"|Last-Modified: @-60", false},
    {"GET", "If-None-Match: \"a\"|If-Modified-Since: @-900", "ETag: \"a\"|Last-Modified: @-60",
     true},
    /* RFC 9111 4.3.2: the Date stands in */
    {"GET", "If-Modified-Since: @-5", "Date: @-5", true},
    {"GET", "If-Modified-Since: @-6", "Date: @-5", false},
    {"GET", "If-Modified-Since: @-6", "", false},
};

static void test_conditions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_message request, response;
        struct mg_validators v;
        fill(&request, cases[i].method, cases[i].request);
        fill(&response, "GET", cases[i].response);
        mg_validators_read(&response.fields, NOW, &v);
        if (mg_condition_not_modified(&request, &v, NOW) != cases[i].same)
            fail_msg("%s %s / %s", cases[i].method, cases[i].request, cases[i].response);
    }
}

static const struct {
    const char *request, *response;
    bool part;
} ranges[] = {
    {"", "", true},
    {"If-Range: \"a\"", "ETag: \"a\"", true},
    {"If-Range: \"b\"", "ETag: \"a\"", false},
    {"If-Range: W/\"a\"", "ETag: W/\"a\"", false},
    {"If-Range: \"a\"", "", false},
    {"If-Range: \"a\"|If-Range: \"a\"", "ETag: \"a\"", false},
    {"If-Range: @-60", "Last-Modified: @-60|Date: @0", true},
    {"If-Range: @-59", "Last-Modified: @-60|Date: @0", false},
    {"If-Range: @-60", "Last-Modified: @-60|Date: @-60", false}, /* a weak date */
    {"If-Range: @-60", "Last-Modified: @-60", false},
    {"If-Range: x", "Last-Modified: @-60|ETag: \"x\"", false},
};

/* 13.1.5 */
static void test_if_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct mg_message request, response;
        struct mg_validators v;
        fill(&request, "GET", ranges[i].request);
        fill(&response, "GET", ranges[i].response);
        mg_validators_read(&response.fields, NOW, &v);
        if (mg_condition_if_range(&request.fields, &v, NOW) != ranges[i].part)
            fail_msg("%s / %s", ranges[i].request, ranges[i].response);
    }
}

/* RFC 9111 4.3.1 */
static void test_validate(void **state)
{
    (void)state;
    struct mg_message request, stored;
    fill(&request, "GET", "If-None-Match: \"x\"|If-Modified-Since: @0|Range: bytes=0-1|A: b");
    fill(&stored, "GET", "ETag: W/\"a\"|Last-Modified: @-60");
    assert_true(mg_condition_validate(&request, &stored.fields, NOW));
    assert_int_equal(request.fields.n, 3);
    assert_true(mg_str_eq(mg_field_value(mg_fields_get(&request.fields, MG_FIELD_IF_NONE_MATCH)),
                          MG_STR("W/\"a\"")));
    assert_true(
        mg_str_eq(mg_field_value(mg_fields_get(&request.fields, MG_FIELD_IF_MODIFIED_SINCE)),
                  mg_field_value(mg_fields_get(&stored.fields, MG_FIELD_LAST_MODIFIED))));

    fill(&request, "GET", "If-Match: \"x\"|If-Range: \"x\"|A: b");
    assert_true(mg_condition_is_for_origin(&request.fields));
    fill(&stored, "GET", "ETag: unquoted|Last-Modified: x");
    assert_false(mg_condition_validate(&request, &stored.fields, NOW));
    assert_int_equal(request.fields.n, 1);
    assert_false(mg_condition_is_for_origin(&request.fields));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_etag, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_if_range, setup, teardown),
        cmocka_unit_test_setup_teardown(test_validate, setup, teardown),
    };
    return cmocka_run_group_tests_name("http/conditional", tests, NULL, NULL);
}
