/* Texts in a stream: mg_ndjson_frame_next, when it comes whole and in pieces of any size. */
#include "app/ndjson_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Appends what is found, a `|` behind each, and a `!` before what is broken. Each call sees a copy
 * without a byte to spare, so that a sanitizer sees a read past the end. */
static void split(struct mg_str all, size_t piece, struct mg_buf *out)
{
    struct mg_ndjson_frame f = {._depth = 0};
    size_t from = 0, to = 0;
    for (;;) {
        to = to + piece < all.n ? to + piece : all.n;
        for (;;) {
            struct mg_str text;
            size_t used, n = to - from;
            char *copy = malloc(n ? n : 1);
            memcpy(copy, all.p + from, n);
            enum mg_ndjson_frame_result result =
                mg_ndjson_frame_next(&f, mg_str(copy, n), to == all.n, &text, &used);
            assert_true(used <= n);
            if (result != MG_NDJSON_MORE)
                mg_buf_printf(out, "%s%.*s|", result == MG_NDJSON_BROKEN ? "!" : "",
                              MG_STR_ARGS(text));
            free(copy);
            from += used;
            if (result == MG_NDJSON_MORE)
                break;
        }
        if (to == all.n)
            return;
    }
}

static void test_texts(void **unused)
{
    static const struct {
        const char *input, *want;
    } cases[] = {
        {"", ""},
        {" \n\r\t", ""},
        {"{}", "{}|"},
        {"{\"a\":1}\n{\"b\":2}\n", "{\"a\":1}|{\"b\":2}|"},
        {"{}{}[] {}", "{}|{}|[]|{}|"},
        {"{\n\"a\": [\n{\n}\n,\n{}]\n}\n{}", "{\n\"a\": [\n{\n}\n,\n{}]\n}|{}|"},
        {"{\"}\\\"}\\\\\":\"{\"}{}", "{\"}\\\"}\\\\\":\"{\"}|{}|"},
        /* not JSON, but a whole text: for the reader to refuse */
        {"{a 1,,}{}", "{a 1,,}|{}|"},
        /* lines that are no texts */
        {"x y\n{}", "!x y|{}|"},
        {"x\ny\n", "!x|!y|"},
        {"x", "!x|"},
        {"}\n{}", "!}|{}|"},
        {"\"a\"\n1\n{}", "!\"a\"|!1|{}|"},
        /* cut off */
        {"{\"a\":1", "!{\"a\":1|"},
        {"{\"a\n{}", "!{\"a|{}|"},
        {"{\"a\":\n{}}", "{\"a\":\n{}}|"},
        {"{\"a\":1,\n{}", "!{\"a\":1,\n|{}|"},
        {"{\"a\":1\n{}\n{}", "!{\"a\":1\n|{}|{}|"},
        {"[1\n{}", "![1\n|{}|"},
        {"[1,\n{}]", "[1,\n{}]|"},
        {"{\"a\":1 {}\n{}", "!{\"a\":1 {}|{}|"},
        {"{]\n{}", "!{]|{}|"},
        {"[}\n{}", "![}|{}|"},
        /* what is left of several lines is passed over */
        {"{\n\"a\": ]\n\"b\": {\n}}\n{}\nx\n", "!{\n\"a\": ]|{}|!x|"},
        {"{\n\"a\nb\"}\n{}", "!{\n\"a|{}|"},
        {"{\n]\nleft", "!{\n]|"},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mg_str input = mg_str_c(cases[i].input);
        for (size_t piece = 1; piece <= input.n + 1; piece++) {
            struct mg_buf out;
            mg_buf_init(&out, 4096);
            split(input, piece, &out);
            if (!mg_str_eq(mg_buf_str(&out), mg_str_c(cases[i].want)))
                fail_msg("case %zu in pieces of %zu: %.*s", i, piece,
                         MG_STR_ARGS(mg_buf_str(&out)));
            mg_buf_release(&out);
        }
    }
}

static void test_depth(void **unused)
{
    char deep[2 * MG_NDJSON_DEPTH + 4];
    struct mg_buf out;
    (void)unused;
    mg_buf_init(&out, 4096);
    memset(deep, '[', MG_NDJSON_DEPTH);
    memset(deep + MG_NDJSON_DEPTH, ']', MG_NDJSON_DEPTH);
    split(mg_str(deep, sizeof deep - 4), 7, &out);
    assert_int_equal(*out.p, '[');
    mg_buf_reset(&out);
    memset(deep, '[', MG_NDJSON_DEPTH + 1);
    memset(deep + MG_NDJSON_DEPTH + 1, ']', MG_NDJSON_DEPTH + 1);
    split(mg_str(deep, sizeof deep - 2), 7, &out);
    assert_int_equal(*out.p, '!');
    mg_buf_release(&out);
}

static void test_skip(void **unused)
{
    struct mg_ndjson_frame f = {._depth = 0};
    struct mg_str text, long_one = MG_STR("{\"a\": \"bbb"), rest = MG_STR("{ccc\n{}");
    size_t used;
    (void)unused;
    assert_int_equal(mg_ndjson_frame_next(&f, long_one, false, &text, &used), MG_NDJSON_MORE);
    mg_ndjson_frame_skip(&f);
    assert_int_equal(mg_ndjson_frame_next(&f, rest, false, &text, &used), MG_NDJSON_TEXT);
    assert_true(mg_str_eq(text, MG_STR("{}")));
    assert_int_equal(used, rest.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_skip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
