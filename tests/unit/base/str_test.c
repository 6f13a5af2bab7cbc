/* Borrowed byte ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/str.h"

static void equality(void **state)
{
    static const struct {
        struct mg_str a, b;
        bool eq, ieq;
    } cases[] = {
        {MG_STR(""), MG_STR(""), true, true},
        {MG_STR_NONE, MG_STR(""), true, true},
        {MG_STR("a"), MG_STR_NONE, false, false},
        {MG_STR("Host"), MG_STR("Host"), true, true},
        {MG_STR("Host"), MG_STR("hOST"), false, true},
        {MG_STR("Host"), MG_STR("Hos"), false, false},
        {MG_STR("a\0b"), MG_STR("a\0B"), false, true},
        {MG_STR("a\0b"), MG_STR("a\0c"), false, false},
        /* Only letters have a case: these differ by the same bit. */
        {MG_STR("@"), MG_STR("`"), false, false},
        {MG_STR("["), MG_STR("{"), false, false},
        {MG_STR("\xc4"), MG_STR("\xe4"), false, false},
        {MG_STR("AZaz"), MG_STR("azAZ"), false, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(mg_str_eq(cases[i].a, cases[i].b), cases[i].eq);
        assert_int_equal(mg_str_eq(cases[i].b, cases[i].a), cases[i].eq);
        assert_int_equal(mg_str_ieq(cases[i].a, cases[i].b), cases[i].ieq);
    }
}

static void lower_case(void **state)
{
    (void)state;
    for (int c = -128; c < 128; c++) {
        char want = c >= 'A' && c <= 'Z' ? (char)(c + 32) : (char)c;
        assert_int_equal(mg_lower((char)c), want);
    }
}

static void starts_and_ends(void **state)
{
    static const struct {
        struct mg_str s, part;
        bool starts, ends;
    } cases[] = {
        {MG_STR("abcab"), MG_STR("ab"), true, true},   {MG_STR("abc"), MG_STR("abc"), true, true},
        {MG_STR("abc"), MG_STR("abcd"), false, false}, {MG_STR("abc"), MG_STR("bc"), false, true},
        {MG_STR("abc"), MG_STR_NONE, true, true},      {MG_STR_NONE, MG_STR_NONE, true, true},
        {MG_STR_NONE, MG_STR("a"), false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(mg_str_starts(cases[i].s, cases[i].part), cases[i].starts);
        assert_int_equal(mg_str_ends(cases[i].s, cases[i].part), cases[i].ends);
    }
}

static void trimming(void **state)
{
    static const struct {
        struct mg_str s, want;
    } cases[] = {
        {MG_STR(" \t a b\t "), MG_STR("a b")},
        {MG_STR("a"), MG_STR("a")},
        {MG_STR("\t "), MG_STR("")},
        {MG_STR_NONE, MG_STR_NONE},
        {MG_STR("\r\na\v"), MG_STR("\r\na\v")},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(mg_str_eq(mg_str_trim(cases[i].s), cases[i].want));
}

static void finding(void **state)
{
    (void)state;
    assert_int_equal(mg_str_find(MG_STR("abcb"), 'b'), 1);
    assert_int_equal(mg_str_find(MG_STR("abc"), 'x'), -1);
    assert_int_equal(mg_str_find(MG_STR("a\0b"), 'b'), 2);
    assert_int_equal(mg_str_find(MG_STR("abc"), 0), -1); /* the NUL is not part of it */
    assert_int_equal(mg_str_find(MG_STR_NONE, 'a'), -1);
}

static void splitting(void **state)
{
    static const struct {
        struct mg_str text;
        const char *items; /* each followed by '|' */
    } cases[] = {
        {MG_STR("a,b,c"), "a|b|c|"}, {MG_STR("a,,b"), "a||b|"}, {MG_STR(""), ""},
        {MG_STR_NONE, ""},           {MG_STR("a"), "a|"},       {MG_STR(",a"), "|a|"},
        {MG_STR(","), "|"},          {MG_STR("a,"), "a|"},      {MG_STR("a,,"), "a||"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_str rest = cases[i].text, item;
        char items[32] = "";
        size_t n = 0;
        while (mg_str_split(&rest, ',', &item))
            n += (size_t)snprintf(items + n, sizeof items - n, "%.*s|", MG_STR_ARGS(item));
        assert_string_equal(items, cases[i].items);
        item = MG_STR("old");
        assert_false(mg_str_split(&rest, ',', &item)); /* and it stays at the end */
        assert_int_equal(item.n, 0);
    }
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } cases[] = {
        {"0", 0, true, 0},
        {"1", 0, false, 0},
        {"9", 5, false, 0},
        {"007", 9, true, 7},
        {"65535", 65535, true, 65535},
        {"65536", 65535, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999999", UINT64_MAX, false, 0},
        {"", 9, false, 0},
        {"-1", 9, false, 0},
        {"+1", 9, false, 0},
        {" 1", 9, false, 0},
        {"1 ", 9, false, 0},
        {"0x1", 99, false, 0},
        {"1e1", 99, false, 0},
        {"\xb1", 99, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t v = 12345;
        bool ok = mg_str_to_u64(mg_str_c(cases[i].text), cases[i].max, &v);
        if (ok != cases[i].ok || v != (ok ? cases[i].value : 12345))
            fail_msg("'%s': %d, %llu", cases[i].text, ok, (unsigned long long)v);
    }
}

static void decimal_digits(void **state)
{
    static const uint64_t values[] = {0, 1, 9, 10, 99, 100, 12345678901, UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char want[24], got[20];
        int n = snprintf(want, sizeof want, "%llu", (unsigned long long)values[i]);
        assert_int_equal(mg_u64_to_dec(values[i], got), n);
        assert_memory_equal(got, want, (size_t)n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality),        cmocka_unit_test(lower_case),
        cmocka_unit_test(starts_and_ends), cmocka_unit_test(trimming),
        cmocka_unit_test(finding),         cmocka_unit_test(splitting),
        cmocka_unit_test(numbers),         cmocka_unit_test(decimal_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
