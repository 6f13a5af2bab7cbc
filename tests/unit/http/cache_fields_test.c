/* Fields that are kept, renewed and sent (RFC 9111 3.1, 3.2, 4.3.4, 4.3.5, 5.1). */
#include "http/cache_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/test_fields.h"

#define NOW 1700000000 /* Tue, 14 Nov 2023 22:13:20 GMT */

static void assert_fields(const struct mg_fields *fields, const char *want, const char *what)
{
    char got[1024] = "";
    size_t n = 0;
    for (unsigned i = 0; i < fields->n; i++)
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%.*s: %.*s", i ? "|" : "",
                              fields->v[i].name_len, fields->v[i].name, (int)fields->v[i].value_len,
                              fields->v[i].value);
    if (strcmp(got, want) != 0)
        fail_msg("%s: got '%s', want '%s'", what, got, want);
}

#define DATE "Date: Tue, 14 Nov 2023 22:13:20 GMT"

static const struct {
    const char *response, *kept, *own;
} keeping[] = {
    {"A: 1|" DATE "|a: 2", "A: 1|" DATE "|a: 2", ""},
    {"A: 1", "A: 1|" DATE, ""},
    {DATE "|Age: 5|Proxy-Authenticate: x|Proxy-Authorization: x|proxy-authentication-info: x|"
          "Proxy-Status: x",
     DATE "|Proxy-Status: x", ""},
    {DATE "|Cache-Control: no-cache=\"set-cookie\", private=\"x-user, b\"|Set-Cookie: a|X-User: 1|"
          "B: 2|C: 3",
     DATE "|Cache-Control: no-cache=\"set-cookie\", private=\"x-user, b\"|C: 3",
     "Set-Cookie: a|X-User: 1|B: 2"},
    {DATE "|Set-Cookie: a|Set-Cookie: b", DATE "|Set-Cookie: a|Set-Cookie: b", ""},
};

static void test_keep(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof keeping / sizeof keeping[0]; i++) {
        struct mg_fields response = fields_of(keeping[i].response), kept, own = {0};
        struct mg_cache_control cc;
        mg_cache_control_read(&response, &arena, &cc);
        mg_cache_fields_keep(&response, &cc, NOW, &arena, &kept);
        assert_fields(&kept, keeping[i].kept, keeping[i].response);
        mg_cache_fields_own(&response, &cc, &arena, &own);
        assert_fields(&own, keeping[i].own, keeping[i].response);
    }
}

static const struct {
    const char *stored, *newer;
    bool confirmed;
    const char *updated;
} updates[] = {
    {"A: 1|B: 2", "B: 3", true, "A: 1|B: 3"},
    {"A: 1|a: 2|C: 3", "A: 4|A: 5", true, "C: 3|A: 4|A: 5"},
    {"A: 1", "Age: 7", true, "A: 1|Age: 7"},
    {"A: 1|Content-Encoding: gzip|Content-Type: a/b", "Content-Encoding: br|Content-Type: c/d",
     true, "A: 1|Content-Encoding: gzip|Content-Type: c/d"},
    {"A: 1", "Proxy-Authenticate: x|Content-Range: bytes 0-1/2", true, "A: 1"},
    {"Cache-Control: max-age=1", "Cache-Control: max-age=3600", true,
     "Cache-Control: max-age=3600"},
    /* 4.3.4 */
    {"ETag: \"a\"", "ETag: \"a\"", true, "ETag: \"a\""},
    {"ETag: \"a\"", "ETag: \"b\"", false, "ETag: \"b\""},
    {"ETag: W/\"a\"", "ETag: \"a\"", false, "ETag: \"a\""},
    {"ETag: \"a\"", "ETag: W/\"a\"", true, "ETag: W/\"a\""},
    {"ETag: \"a\"", "ETag: W/\"b\"", false, "ETag: W/\"b\""},
    {"A: 1", "ETag: \"a\"", false, "A: 1|ETag: \"a\""},
    {"Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT", "Last-Modified: Wed, 01 Jan 2020 00:00:01 GMT",
     false, "Last-Modified: Wed, 01 Jan 2020 00:00:01 GMT"},
    {"Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT", "Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT",
     true, "Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT"},
};

static void test_update(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof updates / sizeof updates[0]; i++) {
        struct mg_fields stored = fields_of(updates[i].stored);
        struct mg_fields newer = fields_of(updates[i].newer), out;
        if (mg_cache_fields_confirmed(&stored, &newer, NOW) != updates[i].confirmed)
            fail_msg("'%s' and '%s'", updates[i].stored, updates[i].newer);
        mg_cache_fields_update(&stored, &newer, &arena, &out);
        assert_fields(&out, updates[i].updated, updates[i].newer);
    }
}

static void test_sending(void **state)
{
    (void)state;
    struct mg_message m;
    mg_message_init(&m, &arena);
    m.status = 200;
    m.content_length = 10;
    m.fields = fields_of("ETag: \"a\"|Last-Modified: x|Content-Type: a/b|Content-Language: de|"
                         "Content-Location: /b|Content-Security-Policy: x|Vary: a|" DATE);
    mg_cache_fields_set_age(&m, 5);
    mg_cache_fields_set_age(&m, 7);
    mg_cache_fields_not_modified(&m);
    assert_int_equal(m.status, 304);
    assert_int_equal(m.content_length, -1);
    assert_fields(&m.fields,
                  "ETag: \"a\"|Content-Location: /b|Content-Security-Policy: x|Vary: a|" DATE
                  "|Age: 7",
                  "304");
    m.fields = fields_of("Last-Modified: x");
    mg_cache_fields_not_modified(&m);
    assert_fields(&m.fields, "Last-Modified: x", "304 without ETag");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_update, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sending, setup, teardown),
    };
    return cmocka_run_group_tests_name("http/cache_fields", tests, NULL, NULL);
}
