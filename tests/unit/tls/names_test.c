/* Host names to certificates: what matches, what is no name, and that many names stay cheap. */
#include "tls/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

#define LABEL63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"
/* 3 * 64 + 61 = 253 */
#define NAME253                                                                                    \
    LABEL63 "." LABEL63 "." LABEL63 "."                                                            \
            "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffg"

static void names_and_others(void **state)
{
    (void)state;
    static const struct {
        struct mg_str name;
        bool valid;
    } CASES[] = {
        {MG_STR("example.com"), true},
        {MG_STR("EXAMPLE.com"), true},
        {MG_STR("example.com."), true},
        {MG_STR("localhost"), true},
        {MG_STR("a"), true},
        {MG_STR("_dmarc.example.com"), true},
        {MG_STR("xn--bcher-kva.example"), true},
        {MG_STR("10.0.0.1"), true},
        {MG_STR("-a-.example"), true},
        {MG_STR(LABEL63 ".com"), true},
        {MG_STR(NAME253), true},
        {MG_STR(NAME253 "."), true},
        {MG_STR("*.example.com"), true},
        {MG_STR("*.Example.com."), true},
        {MG_STR("*.local"), true},
        {MG_STR(""), false},
        {MG_STR("."), false},
        {MG_STR(".."), false},
        {MG_STR(".com"), false},
        {MG_STR("a..b"), false},
        {MG_STR("example.com.."), false},
        {MG_STR(LABEL63 "x.com"), false},
        {MG_STR(NAME253 "x"), false},
        {MG_STR("*"), false},
        {MG_STR("*."), false},
        {MG_STR("*.."), false},
        {MG_STR("**.com"), false},
        {MG_STR("*.*.com"), false},
        {MG_STR("www.*.com"), false},
        {MG_STR("w*.example.com"), false},
        {MG_STR("*w.example.com"), false},
        {MG_STR("a b"), false},
        {MG_STR("a\0b"), false},
        {MG_STR("example.com\0.evil.example"), false},
        {MG_STR("b\xc3\xbc"
                "cher.example"),
         false},
        {MG_STR("a:443"), false},
        {MG_STR("[::1]"), false},
        {MG_STR("a/b"), false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        if (mg_tls_name_is_valid(CASES[i].name) != CASES[i].valid)
            fail_msg("'%.*s'", MG_STR_ARGS(CASES[i].name));
}

static void pairs(void **state)
{
    (void)state;
    static const struct {
        struct mg_str pattern, host;
        bool matches;
    } CASES[] = {
        {MG_STR("a.example"), MG_STR("a.example"), true},
        {MG_STR("a.example"), MG_STR("A.EXAMPLE."), true},
        {MG_STR("A.example."), MG_STR("a.example"), true},
        {MG_STR("a.example"), MG_STR("b.example"), false},
        {MG_STR("a.example"), MG_STR("xa.example"), false},
        {MG_STR("a.example"), MG_STR("a.example.org"), false},
        {MG_STR("*.example"), MG_STR("a.example"), true},
        {MG_STR("*.EXAMPLE"), MG_STR("a.Example"), true},
        {MG_STR("*.example"), MG_STR("example"), false},
        {MG_STR("*.example"), MG_STR(".example"), false},
        {MG_STR("*.example"), MG_STR("a.b.example"), false},
        {MG_STR("*.example"), MG_STR("*.example"), false},
        {MG_STR("*.b.example"), MG_STR("a.b.example"), true},
        {MG_STR("*.example"), MG_STR("a\0.example"), false},
        {MG_STR("a.example"), MG_STR("a.example\0"), false},
        {MG_STR("a.example\0x"), MG_STR("a.example"), false},
        {MG_STR("*.com"), MG_STR(""), false},
        {MG_STR(""), MG_STR(""), false},
        {MG_STR("w*.example"), MG_STR("www.example"), false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        if (mg_tls_name_matches(CASES[i].pattern, CASES[i].host) != CASES[i].matches)
            fail_msg("'%.*s' for '%.*s'", MG_STR_ARGS(CASES[i].pattern),
                     MG_STR_ARGS(CASES[i].host));
}

static uint32_t first_value(const struct mg_tls_names *t, struct mg_str name)
{
    const struct mg_tls_name_entry *e = mg_tls_names_find(t, name);
    return e ? e->values[0] : 0;
}

static void found(void **state)
{
    (void)state;
    static const struct {
        struct mg_str name;
        uint32_t value; /* 0: nobody's */
    } CASES[] = {
        {MG_STR("example.com"), 1},
        {MG_STR("Example.COM."), 1},
        {MG_STR("www.example.com"), 2},  /* exact before wildcard */
        {MG_STR("blog.example.com"), 3}, /* by the wildcard */
        {MG_STR("BLOG.example.com."), 3},
        {MG_STR("a.blog.example.com"), 0}, /* one label only */
        {MG_STR("*.example.com"), 0},      /* not what a client may ask for */
        {MG_STR(".example.com"), 0},
        {MG_STR("www.example.com\0"), 0},
        {MG_STR("www.example.com\0.evil.org"), 0},
        {MG_STR("evil\0.example.com"), 0},
        {MG_STR("\xff\xfe.example.com"), 0},
        {MG_STR("org"), 0},
        {MG_STR(""), 0},
        {MG_STR("."), 0},
        {{NULL, 0}, 0},
        {MG_STR(NAME253), 4},
        {MG_STR(NAME253 "."), 4},
        {MG_STR(NAME253 "x"), 0},
    };
    struct mg_tls_names *t = mg_tls_names_new();
    assert_null(mg_tls_names_find(t, MG_STR("example.com")));
    assert_true(mg_tls_names_add(t, MG_STR("EXAMPLE.com"), 1));
    assert_true(mg_tls_names_add(t, MG_STR("*.example.com"), 3));
    assert_true(mg_tls_names_add(t, MG_STR("www.example.com."), 2));
    assert_true(mg_tls_names_add(t, MG_STR(NAME253), 4));
    assert_false(mg_tls_names_add(t, MG_STR("a b"), 5));
    for (size_t i = 0; i < COUNT(CASES); i++)
        if (first_value(t, CASES[i].name) != CASES[i].value)
            fail_msg("'%.*s'", MG_STR_ARGS(CASES[i].name));
    mg_tls_names_free(t);
    mg_tls_names_free(NULL);
}

static void values_side_by_side(void **state)
{
    (void)state;
    struct mg_tls_names *t = mg_tls_names_new();
    for (uint32_t i = 0; i < MG_TLS_NAME_VALUES; i++) {
        assert_true(mg_tls_names_add(t, MG_STR("a.example"), 10 - i));
        assert_true(mg_tls_names_add(t, MG_STR("A.example."), 10 - i)); /* again: no change */
    }
    assert_false(mg_tls_names_add(t, MG_STR("a.example"), 11));
    assert_true(mg_tls_names_add(t, MG_STR("a.example"), 10));
    const struct mg_tls_name_entry *e = mg_tls_names_find(t, MG_STR("a.example"));
    assert_non_null(e);
    assert_int_equal(e->count, MG_TLS_NAME_VALUES);
    for (uint32_t i = 0; i < MG_TLS_NAME_VALUES; i++)
        assert_int_equal(e->values[i], 10 - i);
    mg_tls_names_free(t);
}

/* As many as a hoster has; also 64 KB of rubbish from a client. */
static void many(void **state)
{
    (void)state;
    enum { NAMES = 10000, LONG = 64 * 1024 };
    char name[64];
    struct mg_tls_names *t = mg_tls_names_new();
    for (uint32_t i = 0; i < NAMES; i++) {
        int n = snprintf(name, sizeof name, "%s%u.example.org", i % 2 ? "*.w" : "h", i);
        assert_true(mg_tls_names_add(t, mg_str(name, (size_t)n), i));
    }
    for (uint32_t i = 0; i < NAMES; i++) {
        int n = snprintf(name, sizeof name, "%s%u.example.org", i % 2 ? "x.w" : "h", i);
        const struct mg_tls_name_entry *e = mg_tls_names_find(t, mg_str(name, (size_t)n));
        assert_non_null(e);
        assert_int_equal(e->count, 1);
        assert_int_equal(e->values[0], i);
    }
    char *rubbish = malloc(LONG);
    static const char FILL[] = {'a', '.', 0, (char)0xff};
    for (size_t i = 0; i < sizeof FILL; i++) {
        memset(rubbish, FILL[i], LONG);
        assert_null(mg_tls_names_find(t, mg_str(rubbish, LONG)));
    }
    free(rubbish);
    mg_tls_names_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_others),    cmocka_unit_test(pairs), cmocka_unit_test(found),
        cmocka_unit_test(values_side_by_side), cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
