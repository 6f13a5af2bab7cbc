/* The JSON reader and writers: what is accepted, what is refused and where, and that numbers
 * survive. */
#include "base/json.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* A copy without a byte to spare, so that a sanitizer sees a read past the end. */
static struct mg_str exact_copy(struct mg_str s)
{
    char *p = malloc(s.n ? s.n : 1);
    assert_non_null(p);
    if (s.n)
        memcpy(p, s.p, s.n);
    return mg_str(p, s.n);
}

static void print_token(struct mg_buf *out, enum mg_json_token t, const struct mg_json_reader *r)
{
    switch (t) {
    case MG_JSON_OBJECT:
        mg_buf_add_c(out, "{ ");
        break;
    case MG_JSON_OBJECT_END:
        mg_buf_add_c(out, "} ");
        break;
    case MG_JSON_ARRAY:
        mg_buf_add_c(out, "[ ");
        break;
    case MG_JSON_ARRAY_END:
        mg_buf_add_c(out, "] ");
        break;
    case MG_JSON_KEY:
        mg_buf_printf(out, "k:%.*s ", MG_STR_ARGS(r->text));
        break;
    case MG_JSON_STRING:
        mg_buf_printf(out, "s:%.*s ", MG_STR_ARGS(r->text));
        break;
    case MG_JSON_INTEGER:
        mg_buf_printf(out, "i:%lld ", (long long)r->integer);
        break;
    case MG_JSON_FLOAT:
        mg_buf_printf(out, "f:%.17g ", r->number);
        break;
    case MG_JSON_TRUE:
        mg_buf_add_c(out, "true ");
        break;
    case MG_JSON_FALSE:
        mg_buf_add_c(out, "false ");
        break;
    case MG_JSON_NULL:
        mg_buf_add_c(out, "null ");
        break;
    case MG_JSON_END:
        mg_buf_add_c(out, "end");
        break;
    case MG_JSON_ERROR:
        mg_buf_printf(out, "error %zu %s", r->at, r->fault);
        break;
    }
}

/* All tokens of `input` as one line of text in `out`. */
static void trace(struct mg_str input, const struct mg_json_options *o, struct mg_buf *out)
{
    struct mg_buf scratch;
    struct mg_json_reader r;
    struct mg_str copy = exact_copy(input);
    mg_buf_init(&scratch, 1 << 20);
    mg_buf_reset(out);
    mg_json_reader_init(&r, copy, o, &scratch);
    enum mg_json_token t;
    do {
        t = mg_json_next(&r);
        print_token(out, t, &r);
    } while (t != MG_JSON_END && t != MG_JSON_ERROR);
    assert_int_equal(mg_json_next(&r), t); /* stays there */
    mg_buf_add_char(out, 0);
    mg_buf_release(&scratch);
    free((char *)copy.p);
}

struct trace_case {
    struct mg_str input;
    const char *tokens;
};

static void check_traces(const struct trace_case *cases, size_t count,
                         const struct mg_json_options *o)
{
    struct mg_buf out;
    mg_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        trace(cases[i].input, o, &out);
        if (strcmp(out.p, cases[i].tokens) != 0)
            fail_msg("case %zu: %.*s\n  want: %s\n  got:  %s", i, MG_STR_ARGS(cases[i].input),
                     cases[i].tokens, out.p);
    }
    mg_buf_release(&out);
}

static void test_accepts(void **state)
{
    (void)state;
    static const struct trace_case cases[] = {
        {MG_STR("null"), "null end"},
        {MG_STR(" \t\r\n true \n"), "true end"},
        {MG_STR("false"), "false end"},
        {MG_STR("[]"), "[ ] end"},
        {MG_STR("{}"), "{ } end"},
        {MG_STR("[ [ ] , { } ]"), "[ [ ] { } ] end"},
        {MG_STR("{\"a\":1,\"b\":[true,null]}"), "{ k:a i:1 k:b [ true null ] } end"},
        {MG_STR("{ \"a\" : { \"b\" : [ ] } , \"c\" : 2 }"), "{ k:a { k:b [ ] } k:c i:2 } end"},
        {MG_STR("[{\"a\":[{}]},[1]]"), "[ { k:a [ { } ] } [ i:1 ] ] end"},
        {MG_STR("{\"\":\"\"}"), "{ k: s: } end"},
        {MG_STR("\"\""), "s: end"},
        {MG_STR("\"plain text, longer than a word or two\""),
         "s:plain text, longer than a word or two end"},
        {MG_STR("\"\\\" \\\\ \\/ \\b\\f\\n\\r\\t\""), "s:\" \\ / \b\f\n\r\t end"},
        {MG_STR("\"\\u0041\\u00e9\\u20AC\\uD83d\\ude00.\""),
         "s:A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80. end"},
        {MG_STR("\"\\uD800\\uDC00\\uDBFF\\uDFFF\""), "s:\xf0\x90\x80\x80\xf4\x8f\xbf\xbf end"},
        {MG_STR("\"gr\xc3\xbc\xc3\x9f \xe6\x97\xa5 \xf0\x9f\x98\x80\""),
         "s:gr\xc3\xbc\xc3\x9f \xe6\x97\xa5 \xf0\x9f\x98\x80 end"},
        {MG_STR("\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\""),
         "s:\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf end"},
        {MG_STR("\"del \x7f is no control character here\""),
         "s:del \x7f is no control character here end"},
        {MG_STR("{\"k\\u0065y\\n\":\"v\\t\"}"), "{ k:key\n s:v\t } end"},
    };
    check_traces(cases, COUNT(cases), NULL);
}

static void test_refuses(void **state)
{
    (void)state;
#define EOI " unexpected end of input"
    static const struct trace_case cases[] = {
        {MG_STR(""), "error 0" EOI},
        {MG_STR(" \n"), "error 2" EOI},
        {MG_STR("\xef\xbb\xbf{}"), "error 0 byte order mark"},
        {MG_STR("\f1"), "error 0 expected a value"},
        {MG_STR("\0"), "error 0 expected a value"},
        {MG_STR("1\0"), "i:1 error 1 something follows the value"},
        {MG_STR("1 2"), "i:1 error 2 something follows the value"},
        {MG_STR("{}}"), "{ } error 2 something follows the value"},
        {MG_STR("[] // no"), "[ ] error 3 something follows the value"},
        /* words */
        {MG_STR("tru"), "error 3" EOI},
        {MG_STR("[nul]"), "[ error 1 expected a value"},
        {MG_STR("True"), "error 0 expected a value"},
        {MG_STR("truex"), "true error 4 something follows the value"},
        {MG_STR("NaN"), "error 0 expected a value"},
        {MG_STR("Infinity"), "error 0 expected a value"},
        {MG_STR("'a'"), "error 0 expected a value"},
        /* containers */
        {MG_STR("["), "[ error 1" EOI},
        {MG_STR("[1"), "[ i:1 error 2" EOI},
        {MG_STR("[1,"), "[ i:1 error 3" EOI},
        {MG_STR("[1,]"), "[ i:1 error 3 expected a value"},
        {MG_STR("[,1]"), "[ error 1 expected a value"},
        {MG_STR("[1 2]"), "[ i:1 error 3 expected ',' or ']'"},
        {MG_STR("[1}"), "[ i:1 error 2 expected ',' or ']'"},
        {MG_STR("[\"a\":1]"), "[ s:a error 4 expected ',' or ']'"},
        {MG_STR("]"), "error 0 expected a value"},
        {MG_STR("{"), "{ error 1" EOI},
        {MG_STR("{]"), "{ error 1 expected a key in quotes"},
        {MG_STR("{1:2}"), "{ error 1 expected a key in quotes"},
        {MG_STR("{a:2}"), "{ error 1 expected a key in quotes"},
        {MG_STR("{\"a\"}"), "{ error 4 expected ':'"},
        {MG_STR("{\"a\" 1}"), "{ error 5 expected ':'"},
        {MG_STR("{\"a\""), "{ error 4" EOI},
        {MG_STR("{\"a\":"), "{ k:a error 5" EOI},
        {MG_STR("{\"a\":}"), "{ k:a error 5 expected a value"},
        {MG_STR("{\"a\":1"), "{ k:a i:1 error 6" EOI},
        {MG_STR("{\"a\":1,}"), "{ k:a i:1 error 7 expected a key in quotes"},
        {MG_STR("{\"a\":1]"), "{ k:a i:1 error 6 expected ',' or '}'"},
        {MG_STR("{\"a\":1 \"b\":2}"), "{ k:a i:1 error 7 expected ',' or '}'"},
        /* strings */
        {MG_STR("\""), "error 1" EOI},
        {MG_STR("\"abc"), "error 4" EOI},
        {MG_STR("\"abc\\"), "error 5" EOI},
        {MG_STR("\"abcdefghijk\\\""), "error 14" EOI},
        {MG_STR("\"a\nb\""), "error 2 control character in a string"},
        {MG_STR("\"12345678\x1f\""), "error 9 control character in a string"},
        {MG_STR("\"\0\""), "error 1 control character in a string"},
        {MG_STR("{\"a\tb\":1}"), "{ error 3 control character in a string"},
        {MG_STR("\"\\n\x01\""), "error 3 control character in a string"},
        {MG_STR("\"\\x41\""), "error 1 unknown escape"},
        {MG_STR("\"\\'\""), "error 1 unknown escape"},
        {MG_STR("\"\\\n\""), "error 1 unknown escape"},
        {MG_STR("\"\\U0041\""), "error 1 unknown escape"},
        {MG_STR("\"ab\\u00g0\""), "error 3 '\\u' without four hexadecimal digits"},
        {MG_STR("\"\\u12"), "error 1 '\\u' without four hexadecimal digits"},
        {MG_STR("\"\\u123\""), "error 1 '\\u' without four hexadecimal digits"},
        {MG_STR("\"\\ud800\""), "error 1 lone surrogate"},
        {MG_STR("\"x\\udc00\""), "error 2 lone surrogate"},
        {MG_STR("\"\\ud800\\u0041\""), "error 1 lone surrogate"},
        {MG_STR("\"\\ud800\\ud800\""), "error 1 lone surrogate"},
        {MG_STR("\"\\ud800xudc00\""), "error 1 lone surrogate"},
        {MG_STR("\"\\ud800\\udc0\""), "error 1 lone surrogate"},
        /* numbers */
        {MG_STR("-"), "error 1" EOI},
        {MG_STR("+1"), "error 0 expected a value"},
        {MG_STR(".5"), "error 0 expected a value"},
        {MG_STR("-a"), "error 1 expected a digit"},
        {MG_STR("-.5"), "error 1 expected a digit"},
        {MG_STR("01"), "error 1 number with a leading zero"},
        {MG_STR("-00"), "error 2 number with a leading zero"},
        {MG_STR("1."), "error 2" EOI},
        {MG_STR("[1.]"), "[ error 3 expected a digit"},
        {MG_STR("1.e5"), "error 2 expected a digit"},
        {MG_STR("1e"), "error 2" EOI},
        {MG_STR("[1e]"), "[ error 3 expected a digit"},
        {MG_STR("[1e+]"), "[ error 4 expected a digit"},
        {MG_STR("1.5E-"), "error 5" EOI},
        {MG_STR("0x10"), "i:0 error 1 something follows the value"},
        {MG_STR("1_000"), "i:1 error 1 something follows the value"},
        {MG_STR("1.2.3"), "f:1.2 error 3 something follows the value"},
        {MG_STR("9223372036854775808"), "error 0 integer out of range"},
        {MG_STR("[-9223372036854775809]"), "[ error 1 integer out of range"},
        {MG_STR("18446744073709551617"), "error 0 integer out of range"},
        {MG_STR("1e309"), "error 0 number out of range"},
        {MG_STR("-1e999999999999"), "error 0 number out of range"},
    };
    check_traces(cases, COUNT(cases), NULL);
}

/* Every form of ill-formed UTF-8, at each distance from the eight bytes that are looked at
 * together. */
static void test_refuses_bad_utf8(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc3",
        "\xc3\x28",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xe2\x82",
        "\xe2\x28\xa1",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x9f\x98",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf1\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
    };
    struct mg_buf text, out;
    mg_buf_init(&text, 1000);
    mg_buf_init(&out, 1000);
    for (size_t i = 0; i < COUNT(bad); i++) {
        for (int before = 0; before < 10; before++) {
            char want[64];
            mg_buf_reset(&text);
            mg_buf_printf(&text, "\"%.*s%s\"", before, "abcdefghij", bad[i]);
            snprintf(want, sizeof want, "error %d invalid UTF-8", before + 1);
            trace(mg_buf_str(&text), NULL, &out);
            assert_string_equal(out.p, want);
            assert_false(mg_json_write_string(&out, mg_str(text.p + 1, text.n - 2)));
        }
    }
    mg_buf_release(&text);
    mg_buf_release(&out);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct trace_case cases[] = {
        {MG_STR("0"), "i:0 end"},
        {MG_STR("-0"), "i:0 end"},
        {MG_STR("7"), "i:7 end"},
        {MG_STR("-1"), "i:-1 end"},
        {MG_STR("1000000000000000000"), "i:1000000000000000000 end"},
        {MG_STR("9223372036854775807"), "i:9223372036854775807 end"},
        {MG_STR("-9223372036854775808"), "i:-9223372036854775808 end"},
        {MG_STR("0.0"), "f:0 end"},
        {MG_STR("-0.0"), "f:-0 end"},
        {MG_STR("1.0"), "f:1 end"},
        {MG_STR("1e2"), "f:100 end"},
        {MG_STR("1E+2"), "f:100 end"},
        {MG_STR("-25e-1"), "f:-2.5 end"},
        {MG_STR("0.1"), "f:0.10000000000000001 end"},
        {MG_STR("1e23"), "f:9.9999999999999992e+22 end"},
        {MG_STR("9007199254740993.0"), "f:9007199254740992 end"},
        {MG_STR("0.00000000000000000000000000000000000000012"), "f:1.2e-40 end"},
        {MG_STR("1.7976931348623157e308"), "f:1.7976931348623157e+308 end"},
        {MG_STR("5e-324"), "f:4.9406564584124654e-324 end"},
        {MG_STR("1e-400"), "f:0 end"},
        {MG_STR("0e999999999999"), "f:0 end"},
        {MG_STR("123456789012345678901234567890.5"), "f:1.2345678901234568e+29 end"},
    };
    static const struct trace_case big[] = {
        {MG_STR("9223372036854775807"), "i:9223372036854775807 end"},
        {MG_STR("9223372036854775808"), "f:9.2233720368547758e+18 end"},
        {MG_STR("-123456789012345678901234567890"), "f:-1.2345678901234568e+29 end"},
        {MG_STR("1e309"), "error 0 number out of range"},
    };
    check_traces(cases, COUNT(cases), NULL);
    check_traces(big, COUNT(big), &(struct mg_json_options){.big_numbers_as_float = true});
}

static void test_number_length(void **state)
{
    (void)state;
    static const struct mg_json_options big = {.big_numbers_as_float = true};
    struct mg_buf text, out;
    mg_buf_init(&text, 4000);
    mg_buf_init(&out, 4000);
    mg_buf_add_c(&text, "0.");
    while (text.n < MG_JSON_NUMBER_MAX)
        mg_buf_add_char(&text, '0');
    trace(mg_buf_str(&text), NULL, &out);
    assert_string_equal(out.p, "f:0 end");
    mg_buf_add_char(&text, '0');
    trace(mg_buf_str(&text), NULL, &out);
    assert_string_equal(out.p, "error 0 number too long");

    mg_buf_reset(&text);
    while (text.n < MG_JSON_NUMBER_MAX)
        mg_buf_add_char(&text, '9');
    trace(mg_buf_str(&text), NULL, &out);
    assert_string_equal(out.p, "error 0 integer out of range");
    trace(mg_buf_str(&text), &big, &out);
    assert_string_equal(out.p, "error 0 number out of range");
    mg_buf_add_char(&text, '9');
    trace(mg_buf_str(&text), &big, &out);
    assert_string_equal(out.p, "error 0 number too long");
    mg_buf_release(&text);
    mg_buf_release(&out);
}

/* `depth` arrays and objects by turns; returns what the reader says in the end. */
static enum mg_json_token read_nested(unsigned depth, unsigned limit, size_t *at)
{
    struct mg_buf text, scratch;
    struct mg_json_reader r;
    mg_buf_init(&text, 1 << 20);
    mg_buf_init(&scratch, 0);
    for (unsigned i = 0; i < depth; i++)
        mg_buf_add_c(&text, i % 3 ? "[" : "{\"\":");
    mg_buf_add_c(&text, "1");
    for (unsigned i = depth; i-- > 0;)
        mg_buf_add_c(&text, i % 3 ? "]" : "}");
    mg_json_reader_init(&r, mg_buf_str(&text), &(struct mg_json_options){.depth_limit = limit},
                        &scratch);
    enum mg_json_token t;
    while ((t = mg_json_next(&r)) > MG_JSON_END)
        ;
    if (t == MG_JSON_ERROR)
        assert_string_equal(r.fault, "nested too deeply");
    *at = r.at;
    mg_buf_release(&text);
    mg_buf_release(&scratch);
    return t;
}

static void test_depth(void **state)
{
    (void)state;
    size_t at;
    assert_int_equal(read_nested(MG_JSON_DEPTH, 0, &at), MG_JSON_END);
    assert_int_equal(read_nested(MG_JSON_DEPTH + 1, 0, &at), MG_JSON_ERROR);
    assert_int_equal(read_nested(3, 3, &at), MG_JSON_END);
    assert_int_equal(read_nested(4, 3, &at), MG_JSON_ERROR);
    assert_int_equal(at, 6);
    assert_int_equal(read_nested(MG_JSON_DEPTH_MAX, 1u << 30, &at), MG_JSON_END);
    assert_int_equal(read_nested(MG_JSON_DEPTH_MAX + 1, 1u << 30, &at), MG_JSON_ERROR);
}

static void test_views_without_escape(void **state)
{
    (void)state;
    static const char text[] = "[\"plain\", \"esc\\u0061ped\"]";
    struct mg_buf scratch;
    struct mg_json_reader r;
    mg_buf_init(&scratch, 100);
    mg_json_reader_init(&r, mg_str_c(text), NULL, &scratch);
    assert_int_equal(mg_json_next(&r), MG_JSON_ARRAY);
    assert_int_equal(mg_json_next(&r), MG_JSON_STRING);
    assert_ptr_equal(r.text.p, text + 2);
    assert_int_equal(r.at, 1);
    assert_int_equal(mg_json_next(&r), MG_JSON_STRING);
    assert_ptr_equal(r.text.p, scratch.p);
    assert_true(mg_str_eq(r.text, MG_STR("escaped")));
    assert_int_equal(r.at, 10);
    mg_buf_release(&scratch);
}

static void test_scratch_limit(void **state)
{
    (void)state;
    struct mg_buf scratch;
    struct mg_json_reader r;
    mg_buf_init(&scratch, 10);
    mg_json_reader_init(&r, MG_STR(" \"0123456789\\n\""), NULL, &scratch);
    assert_int_equal(mg_json_next(&r), MG_JSON_ERROR);
    assert_string_equal(r.fault, "string too long");
    assert_int_equal(r.at, 1);
    mg_buf_release(&scratch);
}

static void test_places(void **state)
{
    (void)state;
    static const struct {
        struct mg_str input;
        const char *text;
    } cases[] = {
        {MG_STR("{]"), "line 1 column 2: expected a key in quotes"},
        {MG_STR("{\n  \"a\": 1,\n  b\n}"), "line 3 column 3: expected a key in quotes"},
        {MG_STR("[\"\xc3\xbc\xf0\x9f\x98\x80\" x]"), "line 1 column 7: expected ',' or ']'"},
        {MG_STR("[1,\n"), "line 2 column 1: unexpected end of input"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mg_buf scratch;
        struct mg_json_reader r;
        struct mg_error err;
        mg_buf_init(&scratch, 100);
        mg_json_reader_init(&r, cases[i].input, NULL, &scratch);
        while (mg_json_next(&r) > MG_JSON_END)
            ;
        assert_int_equal(mg_json_reader_error(&r, &err), MG_FAIL);
        assert_string_equal(err.text, cases[i].text);
        mg_buf_release(&scratch);
    }
}

static void test_refuse(void **state)
{
    (void)state;
    struct mg_buf scratch;
    struct mg_json_reader r;
    struct mg_error err;
    mg_buf_init(&scratch, 100);
    mg_json_reader_init(&r, MG_STR("{\"a\":1, \"a\" :2}"), NULL, &scratch);
    for (int i = 0; i < 4; i++)
        assert_true(mg_json_next(&r) > MG_JSON_END);
    mg_json_reader_refuse(&r, "twice");
    assert_int_equal(mg_json_next(&r), MG_JSON_ERROR);
    assert_int_equal(mg_json_reader_error(&r, &err), MG_FAIL);
    assert_string_equal(err.text, "line 1 column 9: twice");
    mg_buf_release(&scratch);
}

static void test_check(void **state)
{
    (void)state;
    struct mg_error err;
    static const char *const good[] = {"1", " {\"a\" : [\"\\u0041\", null]}\n", "\"x\"", "-1e999",
                                       "99999999999999999999"};
    static const char *const bad[] = {"", " ", "{", "1 2", "[1,]", "\"\xff\"", "nul"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(mg_json_check(mg_str_c(good[i]), &err), MG_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(mg_json_check(mg_str_c(bad[i]), &err), MG_FAIL);
        assert_memory_equal(err.text, "line 1 column ", 14);
    }
}

static void test_write_string(void **state)
{
    (void)state;
    static const struct {
        struct mg_str in, out;
    } cases[] = {
        {MG_STR_NONE, MG_STR("\"\"")},
        {MG_STR("a"), MG_STR("\"a\"")},
        {MG_STR("a / b \x7f"), MG_STR("\"a / b \x7f\"")},
        {MG_STR("\"quoted\\\""), MG_STR("\"\\\"quoted\\\\\\\"\"")},
        {MG_STR("\b\f\n\r\t"), MG_STR("\"\\b\\f\\n\\r\\t\"")},
        {MG_STR("\0\x01\x1f"), MG_STR("\"\\u0000\\u0001\\u001f\"")},
        {MG_STR("12345678\"12345678"), MG_STR("\"12345678\\\"12345678\"")},
        {MG_STR("\xc3\xbc\n\xf0\x9f\x98\x80"), MG_STR("\"\xc3\xbc\\n\xf0\x9f\x98\x80\"")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mg_buf out;
        mg_buf_init(&out, 1000);
        struct mg_str copy = exact_copy(cases[i].in);
        assert_true(mg_json_write_string(&out, copy));
        assert_true(mg_str_eq(mg_buf_str(&out), cases[i].out));
        free((char *)copy.p);
        mg_buf_release(&out);
    }
}

static void test_write_limit(void **state)
{
    (void)state;
    struct mg_buf out;
    for (size_t limit = 0; limit < 12; limit++) {
        mg_buf_init(&out, limit);
        assert_true(mg_json_write_string(&out, MG_STR("abc\n\x01z")));
        assert_true(out.failed);
        assert_true(out.n <= limit);
        mg_buf_release(&out);
    }
    mg_buf_init(&out, 3);
    mg_json_write_integer(&out, INT64_MIN);
    assert_true(out.failed);
    mg_buf_release(&out);
}

static const char *float_text(double v, char out[64])
{
    struct mg_buf b;
    mg_buf_init(&b, 63);
    assert_true(mg_json_write_float(&b, v));
    assert_false(b.failed);
    memcpy(out, b.p, b.n);
    out[b.n] = 0;
    mg_buf_release(&b);
    return out;
}

static void test_write_numbers(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *text;
    } floats[] = {
        {0, "0.0"},
        {-0.0, "-0.0"},
        {1, "1.0"},
        {-2.5, "-2.5"},
        {0.1, "0.1"},
        {19.99, "19.99"},
        {0.001, "0.001"},
        {0.00001, "0.00001"},
        {1e-6, "1e-06"},
        {100000, "100000.0"},
        {0x1p-2, "0.25"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {5e-324, "4.94065645841247e-324"},
        {9007199254740991.0, "9007199254740991.0"},
        {9007199254740992.0, "9007199254740992.0"},
        {1e15, "1000000000000000.0"},
        {1e22, "1e+22"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {123456.789e3, "123456789.0"},
    };
    static const struct {
        int64_t v;
        const char *text;
    } integers[] = {
        {0, "0"},
        {-1, "-1"},
        {1234567890, "1234567890"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    char text[64];
    for (size_t i = 0; i < COUNT(floats); i++)
        assert_string_equal(float_text(floats[i].v, text), floats[i].text);

    struct mg_buf out;
    mg_buf_init(&out, 100);
    for (size_t i = 0; i < COUNT(integers); i++) {
        mg_buf_reset(&out);
        mg_json_write_integer(&out, integers[i].v);
        assert_true(mg_str_eq(mg_buf_str(&out), mg_str_c(integers[i].text)));
    }
    mg_buf_reset(&out);
    assert_false(mg_json_write_float(&out, NAN));
    assert_false(mg_json_write_float(&out, INFINITY));
    assert_false(mg_json_write_float(&out, -INFINITY));
    assert_int_equal(out.n, 0);
    mg_buf_release(&out);
}

static size_t significant_digits(const char *text)
{
    size_t n = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (*text == '0' && n == 0))
            continue;
        n++;
        zeros = *text == '0' ? zeros + 1 : 0;
    }
    return n - zeros;
}

/* What is written reads back as the same bits, by strtod and by the reader, and has no digit too
 * many. */
static void check_float(double v)
{
    char text[64], printed[400];
    float_text(v, text);
    double back = strtod(text, NULL);
    assert_memory_equal(&back, &v, sizeof v);
    assert_true(strpbrk(text, ".e") != NULL);

    struct mg_json_reader r;
    struct mg_buf scratch;
    mg_buf_init(&scratch, 0);
    mg_json_reader_init(&r, mg_str_c(text), NULL, &scratch);
    assert_int_equal(mg_json_next(&r), MG_JSON_FLOAT);
    assert_memory_equal(&r.number, &v, sizeof v);

    int digits = 15;
    do
        snprintf(printed, sizeof printed, "%.*g", digits++, v);
    while (strtod(printed, NULL) != v);
    if (significant_digits(text) > significant_digits(printed))
        fail_msg("%s has more digits than %s", text, printed);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void test_floats_survive(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = next_random(&seed);
        double any, everyday = (double)(int64_t)bits / 1e15;
        memcpy(&any, &bits, sizeof any);
        if (isfinite(any))
            check_float(any);
        check_float(everyday);
        check_float(ldexp(1, (int)(bits % 200) - 100)); /* steps of two widths meet here */
        check_float(nextafter(ldexp(1, (int)(bits % 200) - 100), 0));
        check_float((double)(bits % 100000) / 100);
    }
    check_float(1e-5);
    check_float(nextafter(1e-5, 0));
    check_float(nextafter(0x1p53, 0));
}

static void test_locale_does_not_matter(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE"};
    size_t i = 0;
    while (i < COUNT(names) && !setlocale(LC_NUMERIC, names[i]))
        i++;
    if (i == COUNT(names))
        print_message("# no locale here writes a comma: shown for the C locale only\n");
    char text[64];
    struct mg_json_reader r;
    struct mg_buf scratch;
    mg_buf_init(&scratch, 0);
    mg_json_reader_init(&r, MG_STR("1.5e300"), NULL, &scratch);
    assert_int_equal(mg_json_next(&r), MG_JSON_FLOAT);
    assert_true(r.number == 1.5e300);
    assert_string_equal(float_text(1.5e300, text), "1.5e+300");
    assert_string_equal(float_text(1.5, text), "1.5");
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_refuses_bad_utf8),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_number_length),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_views_without_escape),
        cmocka_unit_test(test_scratch_limit),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_write_string),
        cmocka_unit_test(test_write_limit),
        cmocka_unit_test(test_write_numbers),
        cmocka_unit_test(test_floats_survive),
        cmocka_unit_test(test_locale_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
