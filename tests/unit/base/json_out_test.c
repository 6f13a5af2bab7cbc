/* JSON, member by member. */
#include "base/json_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_text(struct mg_buf *out, const char *text)
{
    mg_buf_add_char(out, '\0');
    assert_string_equal(out->p, text);
    mg_buf_release(out);
}

static void commas_come_by_themselves(void **state)
{
    (void)state;
    struct mg_buf out;
    mg_buf_init(&out, 1000);
    mg_json_out_begin(&out, NULL, '{');
    mg_json_out_text(&out, "a", MG_STR("x{"));
    mg_json_out_integer(&out, "b", 7);
    mg_json_out_begin(&out, "c", '[');
    mg_json_out_text(&out, NULL, MG_STR(""));
    mg_json_out_begin(&out, NULL, '{');
    mg_buf_add_char(&out, '}');
    mg_json_out_begin(&out, NULL, '[');
    mg_buf_add_c(&out, "]]");
    mg_json_out_flag(&out, "d", true);
    mg_json_out_null(&out, "e");
    mg_json_out_ms(&out, "f", 1500000);
    mg_json_out_text_or_null(&out, "g", MG_STR(""));
    mg_json_out_text_or_null(&out, "h", MG_STR("h"));
    mg_buf_add_char(&out, '}');
    assert_text(&out, "{\"a\":\"x{\",\"b\":7,\"c\":[\"\",{},[]],\"d\":true,\"e\":null,\"f\":1.500,"
                      "\"g\":null,\"h\":\"h\"}");
}

static void texts_need_not_be_utf8(void **state)
{
    (void)state;
    struct mg_buf out;
    mg_buf_init(&out, 1000);
    mg_json_out_begin(&out, NULL, '[');
    mg_json_out_text(&out, NULL, MG_STR("a\"\n"));
    mg_json_out_text(&out, NULL, MG_STR("ab\xff"));
    mg_buf_add_char(&out, ']');
    assert_text(&out, "[\"a\\\"\\n\",\"?\"]");
}

static void too_much_is_known(void **state)
{
    (void)state;
    struct mg_buf out;
    mg_buf_init(&out, 10);
    mg_json_out_begin(&out, NULL, '{');
    mg_json_out_text(&out, "name", MG_STR("value"));
    assert_true(out.failed);
    mg_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_come_by_themselves),
        cmocka_unit_test(texts_need_not_be_utf8),
        cmocka_unit_test(too_much_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
