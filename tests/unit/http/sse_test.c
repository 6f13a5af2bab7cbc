/* Server-sent events: read whole and in pieces, written and read again. */
#include "http/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define LIMIT 100

/* --- what was read, as a text: [name|data|id|retry], (id|retry) of bare blocks, #comment, ! --- */

static void show_text(struct mg_buf *out, struct mg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\n')
            mg_buf_add_c(out, "\\n");
        else
            mg_buf_add_char(out, s.p[i]);
}

static void show_event(struct mg_buf *out, const struct mg_sse_event *e)
{
    mg_buf_add_char(out, e->has_data ? '[' : '(');
    if (e->has_data) {
        show_text(out, e->name);
        mg_buf_add_char(out, '|');
        show_text(out, e->data);
        mg_buf_add_char(out, '|');
    }
    show_text(out, e->has_id ? e->id : MG_STR("-"));
    if (e->retry_ms >= 0)
        mg_buf_printf(out, "|%lld", (long long)e->retry_ms);
    mg_buf_add_char(out, e->has_data ? ']' : ')');
}

/* False: it became too large. */
static bool read_piece(struct mg_sse_reader *r, struct mg_str in, struct mg_buf *out)
{
    while (in.n) {
        switch (mg_sse_read(r, &in)) {
        case MG_SSE_MORE:
            assert_int_equal(in.n, 0);
            break;
        case MG_SSE_EVENT:
        case MG_SSE_BARE:
            show_event(out, &r->event);
            break;
        case MG_SSE_COMMENT:
            mg_buf_add_char(out, '#');
            show_text(out, r->comment);
            break;
        case MG_SSE_TOO_LARGE:
            mg_buf_add_char(out, '!');
            return false;
        }
    }
    return true;
}

/* Each piece lies in memory of its own, so that whatever is kept of it shows. */
static bool read_copy(struct mg_sse_reader *r, struct mg_str in, struct mg_buf *out)
{
    char *copy = malloc(in.n + 1);
    memcpy(copy, in.p, in.n);
    bool fits = read_piece(r, mg_str(copy, in.n), out);
    free(copy);
    return fits;
}

static void read_cut(struct mg_str in, size_t at, struct mg_buf *out)
{
    struct mg_sse_reader r;
    mg_buf_reset(out);
    mg_sse_reader_init(&r, LIMIT);
    if (read_copy(&r, mg_str(in.p, at), out))
        read_copy(&r, mg_str(in.p + at, in.n - at), out);
    mg_sse_reader_release(&r);
    mg_buf_add_char(out, '\0');
}

static void read_bytewise(struct mg_str in, struct mg_buf *out)
{
    struct mg_sse_reader r;
    mg_buf_reset(out);
    mg_sse_reader_init(&r, LIMIT);
    for (size_t i = 0; i < in.n && read_copy(&r, mg_str(in.p + i, 1), out); i++)
        ;
    mg_sse_reader_release(&r);
    mg_buf_add_char(out, '\0');
}

/* --- the table --- */

#define X20 "xxxxxxxxxxxxxxxxxxxx"

static const struct {
    const char *in, *out;
} cases[] = {
    {"", ""},
    {"data: a\n\n", "[|a|-]"},
    {"data:a\r\rdata: b\r\n\r\ndata:  c\n\n", "[|a|-][|b|-][| c|-]"},
    {"data: a\ndata:\ndata: b\n\n", "[|a\\n\\nb|-]"},
    {"data\n\n", "[||-]"},
    {"data\ndata\n\n", "[|\\n|-]"},
    {"data:\n\n", "[||-]"},
    {"data: not over\n", ""},
    {"data: not over", ""},
    {"event: add\ndata: 1\n\ndata: 2\n\n", "[add|1|-][|2|-]"},
    {"event: a\nevent: b\ndata: 1\n\n", "[b|1|-]"},
    {"event: lost\n\ndata: 1\n\n", "[|1|-]"},
    {"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", "[|a|1][|b|1][|c|]"},
    {"id: 7\n\ndata: a\n\n", "(7)[|a|7]"},
    {"retry: 10\n\ndata: a\n\n", "(-|10)[|a|-]"},
    {"retry: 10\ndata: a\n\ndata: b\n\n", "[|a|-|10][|b|-]"},
    {"retry: 1x\nretry:\nretry: -1\nretry: 99999999999999999999\ndata: a\n\n", "[|a|-]"},
    {": hello\n:\n\ndata: a\n\n", "#hello#[|a|-]"},
    {"data: a\n:keep\ndata: b\n\n", "#keep[|a\\nb|-]"},
    {"\xef\xbb\xbf"
     "data: a\n\n\xef\xbb\xbf"
     "data: b\n\n",
     "[|a|-]"},
    {"other: x\nDATA: x\n data: x\ndata : x\n\n", ""},
    {"data: a: b\n\n", "[|a: b|-]"},
    {"\n\n\r\n\r", ""},
    {"data: " X20 X20 X20 X20 "\n\n", "[|" X20 X20 X20 X20 "|-]"},
    {"data: " X20 X20 X20 X20 X20 "\n\n", "!"},
    {":" X20 X20 X20 X20 X20, "!"},
    {"data: " X20 X20 "\ndata: " X20 X20 "\ndata: " X20 "\n\n", "!"},
    {"id: " X20 X20 X20 "\ndata: " X20 "\n\ndata: " X20 X20 "\n\n", "[|" X20 "|" X20 X20 X20 "]!"},
    {"data: 1\n\n: " X20 X20 X20 X20 "\n: " X20 X20 X20 X20 "\n",
     "[|1|-]#" X20 X20 X20 X20 "#" X20 X20 X20 X20},
};

static void test_reads_in_any_pieces(void **unused)
{
    struct mg_buf out;
    (void)unused;
    mg_buf_init(&out, 10000);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mg_str in = mg_str_c(cases[i].in);
        for (size_t at = 0; at <= in.n; at++) {
            read_cut(in, at, &out);
            if (strcmp(out.p, cases[i].out) != 0)
                fail_msg("case %zu cut at %zu: %s, not %s", i, at, out.p, cases[i].out);
        }
        read_bytewise(in, &out);
        assert_string_equal(out.p, cases[i].out);
    }
    mg_buf_release(&out);
}

static void test_id_with_nul_is_none(void **unused)
{
    struct mg_buf out;
    (void)unused;
    mg_buf_init(&out, 1000);
    read_cut(MG_STR("id: a\0b\ndata: x\n\n"), 0, &out);
    assert_string_equal(out.p, "[|x|-]");
    mg_buf_release(&out);
}

/* --- writing --- */

static void test_writes(void **unused)
{
    const struct {
        struct mg_sse_event event;
        const char *text;
    } events[] = {
        {{.data = MG_STR("a"), .has_data = true, .retry_ms = -1}, "data: a\n\n"},
        {{.data = MG_STR(""), .has_data = true, .retry_ms = -1}, "data:\n\n"},
        {{.name = MG_STR("message"),
          .data = MG_STR("a\nb\r\nc\rd\n"),
          .has_data = true,
          .retry_ms = -1},
         "data: a\ndata: b\ndata: c\ndata: d\ndata:\n\n"},
        {{.name = MG_STR("add"),
          .data = MG_STR(" x"),
          .id = MG_STR("7"),
          .has_id = true,
          .has_data = true,
          .retry_ms = 0},
         "event: add\nid: 7\nretry: 0\ndata:  x\n\n"},
        {{.has_id = true, .retry_ms = 500}, "id:\nretry: 500\n\n"},
        {{.retry_ms = -1}, "\n"},
    };
    struct mg_buf out;
    (void)unused;
    mg_buf_init(&out, 1000);
    for (size_t i = 0; i < COUNT(events); i++) {
        mg_buf_reset(&out);
        mg_sse_write(&out, &events[i].event);
        mg_buf_add_char(&out, '\0');
        assert_string_equal(out.p, events[i].text);
    }
    mg_buf_reset(&out);
    mg_sse_write_comment(&out, MG_STR("a\nb"));
    mg_sse_write_comment(&out, MG_STR_NONE);
    mg_buf_add_char(&out, '\0');
    assert_string_equal(out.p, ": a\n: b\n:\n");
    mg_buf_release(&out);
}

static void test_knows_what_cannot_be_written(void **unused)
{
    (void)unused;
    assert_true(mg_sse_is_name(MG_STR("a b")));
    assert_false(mg_sse_is_name(MG_STR("a\nb")));
    assert_false(mg_sse_is_name(MG_STR("a\r")));
    assert_true(mg_sse_is_id(MG_STR("")));
    assert_false(mg_sse_is_id(MG_STR("a\0b")));
    assert_false(mg_sse_is_id(MG_STR("\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_in_any_pieces),
        cmocka_unit_test(test_id_with_nul_is_none),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_knows_what_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
