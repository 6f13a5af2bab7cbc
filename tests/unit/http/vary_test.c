/* Names that Vary lists, and keys: equal where requests mean the same, different where they do not
 * (RFC 9110 12.5.5, 12.4.2; RFC 9111 4.1). */
#include "http/vary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/test_fields.h"

static const struct {
    const char *lines, *extra, *names; /* NULL: fits nothing else */
} names[] = {
    {"", "", ""},
    {"Vary: Foo", "", "foo"},
    {"Vary: Foo, accept-encoding,BAR", "", "accept-encoding,bar,foo"},
    {"Vary: b|Vary: a, B", "", "a,b"},
    {"Vary: ,a,,", "", "a"},
    {"Vary:", "X-Plan", "x-plan"},
    {"Vary: a", "b, A", "a,b"},
    {"Vary: *", "", NULL},
    {"Vary: *, *", "", NULL},
    {"Vary: *|Vary: *", "", NULL},
    {"Vary: , *", "", NULL},
    {"Vary:|Vary: *", "", NULL},
    {"Vary: *, Foo", "", NULL},
    {"Vary: Foo, *", "", NULL},
    {"Vary: Foo Bar", "", NULL},
    {"Vary: \"Foo\"", "", NULL},
    {"Vary: a0,a1,a2,a3,a4,a5,a6,a7,a8,a9,b0,b1,b2,b3,b4,b5,b6,b7,b8,b9,"
     "c0,c1,c2,c3,c4,c5,c6,c7,c8,c9,d0,d1,d2",
     "", NULL},
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct mg_fields response = fields_of(names[i].lines);
        struct mg_str got = MG_STR_NONE;
        bool ok = mg_vary_read(&response, mg_str_c(names[i].extra), &arena, &got);
        if (ok != (names[i].names != NULL))
            fail_msg("'%s': %d", names[i].lines, ok);
        if (ok && !mg_str_eq(got, mg_str_c(names[i].names)))
            fail_msg("'%s': '%.*s'", names[i].lines, MG_STR_ARGS(got));
    }
}

static const struct {
    const char *names, *a, *b;
    bool same;
} keys[] = {
    {"", "Foo: 1", "Foo: 2", true},
    {"foo", "Foo: 1", "foo: 1", true},
    {"foo", "Foo: 1", "Foo: 2", false},
    {"foo", "Foo: 1", "", false},
    {"foo", "Foo:", "", false},
    {"foo", "", "Other: 1", true},
    {"bar,foo", "Foo: 1|Bar: abc", "Bar: abc|Foo: 1", true},
    {"bar,foo", "Foo: 1|Bar: abc", "Foo: 1|Bar: abcde", false},
    {"bar,foo", "Foo: 1", "Bar: 1", false},
    {"bar,foo", "Foo: a|Bar: b", "Foo: b|Bar: a", false},
    /* No value can pass for another. */
    {"bar,foo", "Bar: 1-|Foo: x", "Bar: 1|Foo: -x", false},
    {"bar,foo", "Bar: a1:b|Foo:", "Bar: a|Foo: b", false},
    /* As lists */
    {"foo", "Foo: 1, 2", "Foo: 1|Foo: 2", true},
    {"foo", "Foo: 1,2", "Foo: 1 ,\t2", true},
    {"foo", "Foo: 1,2", "Foo: 2,1", false},
    {"foo", "Foo: a b", "Foo: ab", false},
    {"foo", "Foo: a  b", "Foo: a b", false},
    {"foo", "Foo: \"1, 2\"", "Foo: \"1,2\"", false},
    {"foo", "Foo: \"a\\\", b\"", "Foo: \"a\\\",b\"", false},
    {"foo", "Foo: \"a\", b", "Foo: \"a\",b", true},
    {"foo", "Foo: A", "Foo: a", false},
    /* As weights */
    {"accept-language", "Accept-Language: en, de", "Accept-Language: de, en", true},
    {"accept-language", "Accept-Language: en, de", "Accept-Language: eN, De", true},
    {"accept-language", "Accept-Language: en, de", "Accept-Language: en ,   de", true},
    {"accept-language", "Accept-Language: en, de", "Accept-Language: de|Accept-Language: en", true},
    {"accept-language", "Accept-Language: en, de;q=0.5", "Accept-Language: de, en;q=0.5", false},
    {"accept-language", "Accept-Language: en;q=1.0", "Accept-Language: en", true},
    {"accept-language", "Accept-Language: en;q=0.50", "Accept-Language: en ; Q=0.5", true},
    {"accept-language", "Accept-Language: en, fr;q=0", "Accept-Language: en", true},
    {"accept-language", "Accept-Language: *, fr;q=0", "Accept-Language: *", false},
    {"accept-language", "Accept-Language: en, en;q=0.1", "Accept-Language: en;q=0.1, en", true},
    {"accept-language", "Accept-Language: en;q=2", "Accept-Language: en", false},
    {"accept-language", "Accept-Language: en;x=2", "Accept-Language: en", false},
    {"accept-language", "Accept-Language: en", "", false},
    {"accept-encoding", "Accept-Encoding: gzip, deflate, br", "Accept-Encoding: br,gzip,deflate",
     true},
    {"accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: br", false},
    {"accept-encoding", "Accept-Encoding: gzip, identity;q=0", "Accept-Encoding: gzip", false},
    {"accept-encoding", "Accept-Encoding: gzip, *;q=0", "Accept-Encoding: gzip", false},
    {"accept-encoding", "Accept-Encoding:", "", false},
};

static void test_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct mg_fields a = fields_of(keys[i].a), b = fields_of(keys[i].b);
        struct mg_str key_a = mg_vary_key(mg_str_c(keys[i].names), &a, &arena);
        struct mg_str key_b = mg_vary_key(mg_str_c(keys[i].names), &b, &arena);
        if (mg_str_eq(key_a, key_b) != keys[i].same)
            fail_msg("%s: '%s' / '%s': '%.*s', '%.*s'", keys[i].names, keys[i].a, keys[i].b,
                     MG_STR_ARGS(key_a), MG_STR_ARGS(key_b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
    };
    return cmocka_run_group_tests_name("http/vary", tests, NULL, NULL);
}
