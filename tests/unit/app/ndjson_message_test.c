/* Messages and replies: what is read, what a reply repeats of it, and in which words. */
#include "app/ndjson_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* The reply "ok" to a message, or to what could be read of it. */
static const struct {
    const char *message, *want;
    const char *error; /* NULL: none */
} cases[] = {
    {"{\"src\":\"c\",\"dest\":\"g\",\"body\":{\"type\":\"t\",\"msg_id\":1}}",
     "{\"src\": \"g\", \"dest\": \"c\", \"body\": {\"type\": \"ok\", \"in_reply_to\": 1}}\n", NULL},
    {"{\"body\":{\"type\":\"t\",\"msg_id\":1},\"msg_id\":2,\"dest\":\"g\",\"src\":\"c\"}",
     "{\"src\": \"g\", \"dest\": \"c\", \"body\": {\"type\": \"ok\", \"in_reply_to\": 1}}\n", NULL},
    {"{\"msg_id\":2,\"src\":\"c\",\"body\":{}}",
     "{\"dest\": \"c\", \"body\": {\"type\": \"ok\"}}\n", NULL},
    {"{\"type\":\"t\",\"msg_id\":7}", "{\"type\": \"ok\", \"in_reply_to\": 7}\n", NULL},
    {"{}", "{\"type\": \"ok\"}\n", NULL},
    {"{\"msg_id\":\"a\\nb\\u00e4\\\"\"}",
     "{\"type\": \"ok\", \"in_reply_to\": \"a\\nb\xc3\xa4\\\"\"}\n", NULL},
    {"{\"msg_id\":123456789012345678901234567890}",
     "{\"type\": \"ok\", \"in_reply_to\": 123456789012345678901234567890}\n", NULL},
    {"{\"msg_id\":-1.50e3 }", "{\"type\": \"ok\", \"in_reply_to\": -1.50e3}\n", NULL},
    {"{\"msg_id\":{\"a\":[1,\n[],{},true],\"b\":{\"c\":null,\"d\":false}}}",
     "{\"type\": \"ok\", \"in_reply_to\": {\"a\": [1, [], {}, true], \"b\": {\"c\": null, \"d\": "
     "false}}}\n",
     NULL},
    {"[1]", "{\"type\": \"ok\"}\n", "expected an object"},
    {"{\"src\":\"c\",\"dest\":\"g\",\"body\":{\"msg_id\":4,}}",
     "{\"src\": \"g\", \"dest\": \"c\", \"body\": {\"type\": \"ok\", \"in_reply_to\": 4}}\n",
     "line 1 column 42: expected a key in quotes"},
    {"{\"msg_id\":4,\"headers\":{\"a\":x}}", "{\"type\": \"ok\", \"in_reply_to\": 4}\n",
     "line 1 column 28: "},
    {"{\"msg_id\":4\1}", "{\"type\": \"ok\", \"in_reply_to\": 4}\n", "line 1 column 12: "},
    {"{\"msg_id\":-7.5e+3+1}", "{\"type\": \"ok\", \"in_reply_to\": -7.5e+3}\n",
     "line 1 column 18: "},
    {"{\"msg_id\":[1,}", "{\"type\": \"ok\"}\n", "line 1 column 14: "},
};

static void test_repeated(void **unused)
{
    struct mg_pool pool;
    struct mg_arena arena;
    struct mg_buf scratch, out;
    (void)unused;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    mg_buf_init(&scratch, 4096);
    mg_buf_init(&out, 4096);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mg_ndjson_message m;
        struct mg_error err = {.text = ""};
        enum mg_rc rc =
            mg_ndjson_message_read(&arena, mg_str_c(cases[i].message), &scratch, &m, &err);
        mg_ndjson_reply_write(&out, &m, &(struct mg_ndjson_reply){.type = MG_STR("ok")});
        if (!mg_str_eq(mg_buf_str(&out), mg_str_c(cases[i].want)))
            fail_msg("case %zu: %.*s", i, MG_STR_ARGS(mg_buf_str(&out)));
        if ((rc == MG_OK) != !cases[i].error ||
            (cases[i].error && !strstr(err.text, cases[i].error)))
            fail_msg("case %zu: '%s'", i, err.text);
        mg_buf_reset(&out);
        mg_arena_release(&arena);
    }
    mg_buf_release(&out);
    mg_buf_release(&scratch);
    mg_pool_release(&pool);
}

static void test_fields(void **unused)
{
    static const char text[] =
        "{\"type\":\"api_request\",\"method\":\"PUT\",\"path\":\"/a\\/"
        "b\",\"headers\":{\"Host\":\"h\","
        "\"n\":1,\"X-A\":\"\"},\"routes\":[ {\"x\":[]} ],\"other\":{\"path\":\"/no\"}}";
    struct mg_pool pool;
    struct mg_arena arena;
    struct mg_buf scratch;
    struct mg_ndjson_message m;
    struct mg_error err;
    (void)unused;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    mg_buf_init(&scratch, 4096);
    assert_int_equal(mg_ndjson_message_read(&arena, mg_str_c(text), &scratch, &m, &err), MG_OK);
    assert_true(mg_str_eq(m.type, MG_STR("api_request")));
    assert_true(mg_str_eq(m.method, MG_STR("PUT")));
    assert_true(mg_str_eq(m.path, MG_STR("/a/b")));
    assert_true(mg_str_eq(m.routes, MG_STR("[ {\"x\":[]} ]")));
    assert_int_equal(m.header_count, 2);
    assert_true(mg_str_eq(m.headers[0].name, MG_STR("Host")));
    assert_true(mg_str_eq(m.headers[0].value, MG_STR("h")));
    assert_true(mg_str_eq(m.headers[1].name, MG_STR("X-A")));
    assert_int_equal(
        mg_ndjson_message_read(&arena, MG_STR("{\"path\":1,\"routes\":{}}"), &scratch, &m, &err),
        MG_OK);
    assert_null(m.path.p);
    assert_true(mg_str_eq(m.routes, MG_STR("null")));
    mg_buf_release(&scratch);
    mg_arena_release(&arena);
    mg_pool_release(&pool);
}

static void test_reply(void **unused)
{
    static const struct mg_ndjson_message m = {.msg_id = {"1", 1}};
    static const struct mg_ndjson_reply reply = {
        .type = {"api_response", 12},
        .status = 200,
        .service = {"users-service", 13},
        .version = {"v2", 2},
        .backend = {"users", 5},
        .body = {"{\"id\": 1}", 9},
        .text = {"\xff", 1},
    };
    struct mg_buf out;
    (void)unused;
    mg_buf_init(&out, 4096);
    mg_ndjson_reply_write(&out, &m, &reply);
    assert_true(mg_str_eq(
        mg_buf_str(&out),
        MG_STR("{\"type\": \"api_response\", \"in_reply_to\": 1, \"status\": 200, \"service\": "
               "\"users-service\", \"version\": \"v2\", \"backend\": \"users\", \"body\": "
               "\"{\\\"id\\\": 1}\", \"text\": null}\n")));
    mg_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
