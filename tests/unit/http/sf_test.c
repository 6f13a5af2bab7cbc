/* Structured fields: what is read and refused (RFC 9651 4.2), and that what is written is the one
 * canonical form (4.1). */
#include "http/sf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/test_arena.h"

enum kind { ITEM, LIST, DICTIONARY };

static const struct {
    enum kind kind;
    const char *text;
    const char *canonical; /* NULL: refused */
} cases[] = {
    /* 4.2.4 numbers */
    {ITEM, "42", "42"},
    {ITEM, "-0", "0"},
    {ITEM, "007", "7"},
    {ITEM, "999999999999999", "999999999999999"},
    {ITEM, "-999999999999999", "-999999999999999"},
    {ITEM, "1000000000000000", NULL},
    {ITEM, "1.5", "1.5"},
    {ITEM, "-0.5", "-0.5"},
    {ITEM, "1.500", "1.5"},
    {ITEM, "1.005", "1.005"},
    {ITEM, "1.0", "1.0"},
    {ITEM, "123456789012.123", "123456789012.123"},
    {ITEM, "1234567890123.1", NULL},
    {ITEM, "1.2345", NULL},
    {ITEM, "1.", NULL},
    {ITEM, ".5", NULL},
    {ITEM, "-", NULL},
    {ITEM, "--1", NULL},
    {ITEM, "+1", NULL},
    {ITEM, "1e3", NULL},
    {ITEM, "- 1", NULL},
    /* 4.2.5 strings */
    {ITEM, "\"a b\"", "\"a b\""},
    {ITEM, "\"\"", "\"\""},
    {ITEM, "\"a\\\"b\\\\\"", "\"a\\\"b\\\\\""},
    {ITEM, "\"a\\b\"", NULL},
    {ITEM, "\"a", NULL},
    {ITEM, "\"a\\", NULL},
    {ITEM, "\"a\tb\"", NULL},
    {ITEM, "\"caf\xc3\xa9\"", NULL},
    {ITEM, "'a'", NULL},
    /* 4.2.6 tokens */
    {ITEM, "a", "a"},
    {ITEM, "*a/b:c", "*a/b:c"},
    {ITEM, "A!#$%&'*+-.^_`|~:/1", "A!#$%&'*+-.^_`|~:/1"},
    {ITEM, "a(b", NULL},
    {ITEM, "&&&", NULL},
    /* 4.2.7 byte sequences */
    {ITEM, ":aGVsbG8=:", ":aGVsbG8=:"},
    {ITEM, "::", "::"},
    {ITEM, ":aGVsbG8:", NULL},
    {ITEM, ":aGVsbG8=", NULL},
    {ITEM, ":a:b:", NULL},
    /* 4.2.8 booleans, 4.2.9 dates, 4.2.10 display strings */
    {ITEM, "?1", "?1"},
    {ITEM, "?0", "?0"},
    {ITEM, "?", NULL},
    {ITEM, "?2", NULL},
    {ITEM, "@1659578233", "@1659578233"},
    {ITEM, "@-1", "@-1"},
    {ITEM, "@1.5", NULL},
    {ITEM, "@", NULL},
    {ITEM, "%\"caf%c3%a9 %25%22\"", "%\"caf%c3%a9 %25%22\""},
    {ITEM, "%\"%41\"", "%\"A\""},
    {ITEM, "%\"%C3%A9\"", NULL},
    {ITEM, "%\"%c3\"", NULL},
    {ITEM, "%\"%ed%a0%80\"", NULL},
    {ITEM, "%\"%c0%80\"", NULL},
    {ITEM, "%\"%f4%90%80%80\"", NULL},
    {ITEM, "%\"%f0%9f%98%80\"", "%\"%f0%9f%98%80\""},
    {ITEM, "%\"%4\"", NULL},
    {ITEM, "%\"%", NULL},
    {ITEM, "%a", NULL},
    /* Items: space around, parameters */
    {ITEM, "  a  ", "a"},
    {ITEM, "a; b=1;c", "a;b=1;c"},
    {ITEM, "a;b=1;c;b=2", "a;b=2;c"},
    {ITEM, "a;b=?1", "a;b"},
    {ITEM, "a;b=?0", "a;b=?0"},
    {ITEM, "a ;b", NULL},
    {ITEM, "a;b =1", NULL},
    {ITEM, "a;B", NULL},
    {ITEM, "a;", NULL},
    {ITEM, "a;b=(c)", NULL},
    {ITEM, "\ta", NULL},
    {ITEM, "", NULL},
    {ITEM, "a, b", NULL},
    {ITEM, "(a)", NULL},
    /* 4.2.1 lists */
    {LIST, "", ""},
    {LIST, "  ", ""},
    {LIST, "a,b", "a, b"},
    {LIST, "a \t,\t b", "a, b"},
    {LIST, "(a \"b\";q=1);x, c", "(a \"b\";q=1);x, c"},
    {LIST, "( a  b )", "(a b)"},
    {LIST, "()", "()"},
    {LIST, "a,", NULL},
    {LIST, "a, ", NULL},
    {LIST, ",a", NULL},
    {LIST, "a,,b", NULL},
    {LIST, "a b", NULL},
    {LIST, "(a", NULL},
    {LIST, "(a,b)", NULL},
    {LIST, "((a))", NULL},
    {LIST, "(a\"b\")", NULL},
    {LIST, "a=1", NULL},
    /* 4.2.2 dictionaries */
    {DICTIONARY, "", ""},
    {DICTIONARY, "max-age=60, public", "max-age=60, public"},
    {DICTIONARY, "a=1,b=2,a=3", "a=3, b=2"},
    {DICTIONARY, "a;x=1, b=?1;y, c=?0", "a;x=1, b;y, c=?0"},
    {DICTIONARY, "a=(1 2);q", "a=(1 2);q"},
    {DICTIONARY, "*k-1_.=tok", "*k-1_.=tok"},
    {DICTIONARY, "Max-age=60", NULL},
    {DICTIONARY, "max-age =60", NULL},
    {DICTIONARY, "max-age= 60", NULL},
    {DICTIONARY, "max-age=10000, &&&&&", NULL},
    {DICTIONARY, "a=1;;b", NULL},
    {DICTIONARY, "a=", NULL},
    {DICTIONARY, "a,", NULL},
    {DICTIONARY, "1a=2", NULL},
};

/* Reads and writes; false when refused. */
static bool round_trip(enum kind kind, struct mg_str text, struct mg_str *out)
{
    struct mg_sf_writer w;
    struct mg_sf_item item;
    struct mg_sf_members members;
    mg_sf_writer_init(&w, &arena);
    if (kind == ITEM) {
        if (!mg_sf_read_item(&arena, text, &item))
            return false;
        mg_sf_add_item(&w, &item);
    } else if (kind == LIST) {
        if (!mg_sf_read_list(&arena, text, &members))
            return false;
        mg_sf_add_list(&w, &members);
    } else {
        if (!mg_sf_read_dictionary(&arena, text, &members))
            return false;
        mg_sf_add_dictionary(&w, &members);
    }
    assert_false(w.failed);
    *out = mg_sf_writer_str(&w);
    return true;
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = strlen(cases[i].text);
        char *copy = malloc(n ? n : 1);
        memcpy(copy, cases[i].text, n);
        struct mg_str got;
        bool ok = round_trip(cases[i].kind, mg_str(copy, n), &got);
        if (ok != (cases[i].canonical != NULL))
            fail_msg("'%s' was %s", cases[i].text, ok ? "read" : "refused");
        if (ok && !mg_str_eq(got, mg_str_c(cases[i].canonical)))
            fail_msg("'%s': got '%.*s'", cases[i].text, MG_STR_ARGS(got));
        free(copy);
    }
}

static void test_lookup(void **state)
{
    (void)state;
    struct mg_sf_members d;
    assert_true(mg_sf_read_dictionary(&arena, MG_STR("a=1.25, b=\"x\\\"y\";p=@7, c=:AAE=:"), &d));
    const struct mg_sf_item *a = mg_sf_get(&d, MG_STR("a")), *b = mg_sf_get(&d, MG_STR("b"));
    assert_int_equal(a->bare.type, MG_SF_DECIMAL);
    assert_int_equal(a->bare.number, 1250);
    assert_true(mg_str_eq(b->bare.text, MG_STR("x\"y")));
    assert_int_equal(mg_sf_param(b, MG_STR("p"))->number, 7);
    assert_int_equal(mg_sf_param(b, MG_STR("p"))->type, MG_SF_DATE);
    assert_true(mg_str_eq(mg_sf_get(&d, MG_STR("c"))->bare.text, mg_str("\0\1", 2)));
    assert_null(mg_sf_get(&d, MG_STR("d")));
    assert_null(mg_sf_param(a, MG_STR("p")));
}

/* `n` times the piece, its '#' a number, between opening and closing text. */
static struct mg_str repeated(const char *open, const char *piece, unsigned n, const char *close)
{
    struct mg_sf_writer w;
    mg_sf_writer_init(&w, &arena);
    mg_sf_add_raw(&w, mg_str_c(open));
    const char *mark = strchr(piece, '#');
    struct mg_str before = mark ? mg_str(piece, (size_t)(mark - piece)) : mg_str_c(piece);
    for (unsigned i = 0; i < n; i++) {
        mg_sf_add_raw(&w, before);
        if (mark)
            mg_sf_add_raw(&w, mg_arena_printf(&arena, "%u%s", i, mark + 1));
    }
    mg_sf_add_raw(&w, mg_str_c(close));
    return mg_sf_writer_str(&w);
}

/* 1: as many as the RFC asks for are read, and not one more. */
static void test_limits(void **state)
{
    (void)state;
    struct mg_str got;
    assert_true(round_trip(LIST, repeated("", "a#,", MG_SF_MEMBERS_MAX - 1, "z"), &got));
    assert_false(round_trip(LIST, repeated("", "a#,", MG_SF_MEMBERS_MAX, "z"), &got));
    assert_true(round_trip(DICTIONARY, repeated("", "a#,", MG_SF_MEMBERS_MAX - 1, "z"), &got));
    assert_false(round_trip(DICTIONARY, repeated("", "a#,", MG_SF_MEMBERS_MAX, "z"), &got));
    assert_true(round_trip(LIST, repeated("(", "# ", MG_SF_INNER_ITEMS_MAX, ")"), &got));
    assert_false(round_trip(LIST, repeated("(", "# ", MG_SF_INNER_ITEMS_MAX + 1, ")"), &got));
    assert_true(round_trip(ITEM, repeated("a", ";p#", MG_SF_PARAMS_MAX, ""), &got));
    assert_false(round_trip(ITEM, repeated("a", ";p#", MG_SF_PARAMS_MAX + 1, ""), &got));
    assert_true(round_trip(ITEM, repeated("a", ";p", MG_SF_PARAMS_MAX + 1, ""), &got));
}

/* 4.1: what cannot be written sets `failed`. */
static void test_unwritable(void **state)
{
    (void)state;
    const struct mg_sf_bare bad[] = {
        mg_sf_integer(MG_SF_INTEGER_MAX + 1),
        mg_sf_integer(INT64_MIN),
        {.type = MG_SF_DECIMAL, .number = INT64_MAX},
        {.type = MG_SF_DECIMAL, .number = MG_SF_INTEGER_MAX + 1},
        mg_sf_text(MG_SF_STRING, MG_STR("a\nb")),
        mg_sf_text(MG_SF_STRING, MG_STR("\xc3\xa9")),
        mg_sf_text(MG_SF_TOKEN, MG_STR("1a")),
        mg_sf_text(MG_SF_TOKEN, MG_STR("")),
        mg_sf_text(MG_SF_DISPLAY, MG_STR("\xff")),
        {.type = MG_SF_INNER_LIST},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mg_sf_writer w;
        mg_sf_writer_init(&w, &arena);
        mg_sf_add_bare(&w, &bad[i]);
        if (!w.failed)
            fail_msg("number %zu was written", i);
    }
    struct mg_sf_writer w;
    mg_sf_writer_init(&w, &arena);
    struct mg_sf_bare yes = mg_sf_true();
    mg_sf_add_param(&w, MG_STR("Bad"), &yes);
    assert_true(w.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lookup, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unwritable, setup, teardown),
    };
    return cmocka_run_group_tests_name("http/sf", tests, NULL, NULL);
}
