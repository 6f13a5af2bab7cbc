/* JSON without duplicate keys. */
#include "crypto/json_strict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static bool accepts(struct mg_str text)
{
    struct mg_json_strict s;
    mg_json_strict_init(&s, text);
    bool good =
        mg_json_strict_skip(&s, mg_json_strict_next(&s)) && mg_json_strict_next(&s) == MG_JSON_END;
    mg_json_strict_release(&s);
    return good;
}

static void duplicates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } CASES[] = {
        {"{}", true},
        {"[]", true},
        {"1", true},
        {"", false},
        {"{\"a\":1}", true},
        {"{\"a\":1,\"b\":2}", true},
        {"{\"a\":1,\"a\":2}", false},
        {"{\"a\":1,\"b\":0,\"a\":1}", false},
        {"{\"\":1,\"\":1}", false},
        {"{\"a\":1,\"\\u0061\":1}", false},
        {"{\"\\u0061\":1,\"a\":1}", false},
        {"{\"a\":1,\"A\":1}", true},
        {"{\"a\":1,\"a\\u0000\":1}", true},
        /* the same key in other objects */
        {"{\"a\":{\"a\":{\"a\":1}}}", true},
        {"[{\"a\":1},{\"a\":1}]", true},
        {"{\"b\":{\"a\":1},\"a\":1}", true},
        {"{\"a\":1,\"b\":{\"a\":1}}", true},
        {"{\"x\":{\"a\":1},\"y\":{\"a\":1},\"z\":[{\"a\":1},{\"a\":1}]}", true},
        /* and again after one came in between */
        {"{\"a\":{\"b\":1},\"a\":1}", false},
        {"{\"a\":1,\"b\":{\"c\":1},\"a\":1}", false},
        {"{\"x\":[{\"a\":1,\"b\":{},\"a\":2}]}", false},
        {"{\"a\":\":::::\",\"b\":1}", true},
        {"{\"a\":1} x", false},
        {"{\"a\":1}{}", false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        if (accepts(mg_str_c(CASES[i].text)) != CASES[i].good)
            fail_msg("%s", CASES[i].text);
}

/* With few keys and many, in the room inside and in that from the heap. */
static void many_keys(void **state)
{
    (void)state;
    static const size_t COUNTS[] = {1, 7, 8, 63, 64, 65, 66, 1000, 20000};
    for (size_t i = 0; i < COUNT(COUNTS); i++) {
        for (int twice = 0; twice < 2; twice++) {
            struct mg_buf text;
            mg_buf_init(&text, 1 << 20);
            mg_buf_add_char(&text, '{');
            for (size_t k = 0; k < COUNTS[i]; k++)
                mg_buf_printf(&text, "\"%zx\":1,", k);
            mg_buf_printf(&text, "\"%s\":1}", twice ? "0" : "last");
            assert_int_equal(accepts(mg_buf_str(&text)), !twice);
            mg_buf_release(&text);
        }
    }
}

/* The shortest members there are, so that the estimate of how many is at its edge. */
static void short_keys(void **state)
{
    (void)state;
    struct mg_buf text;
    mg_buf_init(&text, 1 << 20);
    mg_buf_add_char(&text, '[');
    for (int i = 0; i < 1000; i++)
        mg_buf_add_c(&text, "{\"\":1},");
    mg_buf_add_c(&text, "{\"\":1}]");
    assert_true(accepts(mg_buf_str(&text)));
    mg_buf_release(&text);
}

static void depth(void **state)
{
    (void)state;
    char text[4 * MG_JSON_STRICT_DEPTH];
    for (size_t n = 1; n <= MG_JSON_STRICT_DEPTH + 2; n++) {
        memset(text, '[', n);
        memset(text + n, ']', n);
        assert_int_equal(accepts(mg_str(text, 2 * n)), n <= MG_JSON_STRICT_DEPTH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duplicates),
        cmocka_unit_test(many_keys),
        cmocka_unit_test(short_keys),
        cmocka_unit_test(depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
