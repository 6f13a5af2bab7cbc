/* Cache directives as they are read (RFC 9111 5.2, 1.2.2, 4.2.1; RFC 5861; RFC 8246; RFC 9213). */
#include "http/cache_control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/test_arena.h"

static const struct {
    enum mg_cache_directive bit;
    const char *name;
} words[] = {
    {MG_CC_MAX_AGE, "max-age"},
    {MG_CC_S_MAXAGE, "s-maxage"},
    {MG_CC_NO_CACHE, "no-cache"},
    {MG_CC_NO_STORE, "no-store"},
    {MG_CC_NO_TRANSFORM, "no-transform"},
    {MG_CC_PUBLIC, "public"},
    {MG_CC_PRIVATE, "private"},
    {MG_CC_MUST_REVALIDATE, "must-revalidate"},
    {MG_CC_PROXY_REVALIDATE, "proxy-revalidate"},
    {MG_CC_MUST_UNDERSTAND, "must-understand"},
    {MG_CC_IMMUTABLE, "immutable"},
    {MG_CC_STALE_WHILE_REVALIDATE, "stale-while-revalidate"},
    {MG_CC_STALE_IF_ERROR, "stale-if-error"},
    {MG_CC_ONLY_IF_CACHED, "only-if-cached"},
    {MG_CC_MAX_STALE, "max-stale"},
    {MG_CC_MIN_FRESH, "min-fresh"},
};

static uint32_t number_of(const struct mg_cache_control *cc, enum mg_cache_directive bit)
{
    switch (bit) {
    case MG_CC_MAX_AGE:
        return cc->max_age;
    case MG_CC_S_MAXAGE:
        return cc->s_maxage;
    case MG_CC_STALE_WHILE_REVALIDATE:
        return cc->stale_while_revalidate;
    case MG_CC_STALE_IF_ERROR:
        return cc->stale_if_error;
    case MG_CC_MAX_STALE:
        return cc->max_stale;
    default:
        return cc->min_fresh;
    }
}

/* What was read, in the order of `words`: "max-age=60 public no-cache(a,b)". */
static void describe(const struct mg_cache_control *cc, char *out, size_t room)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!mg_cache_control_has(cc, words[i].bit))
            continue;
        bool number =
            words[i].bit & (MG_CC_MAX_AGE | MG_CC_S_MAXAGE | MG_CC_MAX_STALE |
                            MG_CC_STALE_WHILE_REVALIDATE | MG_CC_STALE_IF_ERROR | MG_CC_MIN_FRESH);
        n += (size_t)snprintf(out + n, room - n, "%s%s", n ? " " : "", words[i].name);
        if (number)
            n += (size_t)snprintf(out + n, room - n, "=%u", number_of(cc, words[i].bit));
    }
    if (cc->no_cache_fields.n)
        n += (size_t)snprintf(out + n, room - n, "%sno-cache(%.*s)", n ? " " : "",
                              MG_STR_ARGS(cc->no_cache_fields));
    if (cc->private_fields.n)
        snprintf(out + n, room - n, "%sprivate(%.*s)", n ? " " : "",
                 MG_STR_ARGS(cc->private_fields));
}

/* Field lines, '|' between them. */
static void fill(struct mg_fields *fields, struct mg_str name, const char *lines)
{
    struct mg_str rest = mg_str_c(lines), line;
    *fields = (struct mg_fields){0};
    while (mg_str_split(&rest, '|', &line)) {
        char *exact = malloc(line.n ? line.n : 1); /* reading beyond it is found out */
        memcpy(exact, line.p, line.n);
        mg_arena_on_release(&arena, free, exact);
        mg_fields_add(fields, &arena, name, mg_str(exact, line.n));
    }
}

static const struct {
    const char *lines, *want;
} cases[] = {
    {"max-age=3600", "max-age=3600"},
    {"MaX-aGe=3600, No-StOrE", "max-age=3600 no-store"},
    {"foobar, max-age=3600, x=y, z=\"a,b\"", "max-age=3600"},
    {"public,private , no-transform\t,immutable", "no-transform public private immutable"},
    {"must-revalidate, proxy-revalidate, must-understand",
     "must-revalidate proxy-revalidate must-understand"},
    {",, max-age=1,,", "max-age=1"},
    {"", ""},
    /* 1.2.2: delta-seconds, and their overflow */
    {"max-age=0", "max-age=0"},
    {"max-age=003600", "max-age=3600"},
    {"max-age=2147483647", "max-age=2147483647"},
    {"max-age=2147483649", "max-age=2147483648"},
    {"max-age=99999999999", "max-age=2147483648"},
    {"max-age=99999999999999999999999999999999999", "max-age=2147483648"},
    /* 4.2.1: invalid is stale */
    {"max-age", "max-age=0"},
    {"max-age=", "max-age=0"},
    {"max-age=-3600", "max-age=0"},
    {"max-age='3600'", "max-age=0"},
    {"max-age=3600.0", "max-age=0"},
    {"max-age=a3600", "max-age=0"},
    {"max-age=3600a", "max-age=0"},
    {"max-age =3600", "max-age=0"},
    {"max-age= 3600", "max-age=0"},
    {"max-age=3600 s-maxage=1", "max-age=0"},
    {"max-age:3600", "max-age=0"},
    {"s-maxage=x, stale-while-revalidate=y, stale-if-error",
     "s-maxage=0 stale-while-revalidate=0 stale-if-error=0"},
    /* 5.2: both forms of an argument */
    {"max-age=\"3600\"", "max-age=3600"},
    {"max-age=\"36\\00\"", "max-age=0"},
    {"max-age=\"3600", "max-age=0"},
    {"max-age=\"3600\"\"1\"", "max-age=0"},
    {"max-age=\"\"", "max-age=0"},
    {"extension=\"max-age=3600\", max-age=1", "max-age=1"},
    {"max-age=1, extension=\"max-age=3600\"", "max-age=1"},
    {"extension=\"a\\\", no-store\", max-age=1", "max-age=1"},
    /* what nobody closes hides nothing */
    {"extension=\"a, no-store", "no-store"},
    {"private=\"a, max-age=1, x=\"b, no-store\"", "no-store private"},
    /* 4.2.1: the strictest of several */
    {"max-age=1800, max-age=1", "max-age=1"},
    {"max-age=1|max-age=1800", "max-age=1"},
    {"max-age=1800, max-age=x", "max-age=0"},
    {"max-stale=5, max-stale=3", "max-stale=3"},
    {"min-fresh=5, min-fresh=30", "min-fresh=30"},
    {"s-maxage=3600|max-age=1", "max-age=1 s-maxage=3600"},
    /* 5.2.1: of requests */
    {"max-stale", "max-stale=2147483648"},
    {"max-stale, max-stale=10", "max-stale=10"},
    {"max-stale=x", "max-stale=0"},
    {"min-fresh=x", ""},
    {"only-if-cached, no-cache", "no-cache only-if-cached"},
    /* 5.2.2.4 and 5.2.2.7: with field names */
    {"no-cache=\"Set-Cookie\"", "no-cache(Set-Cookie)"},
    {"no-cache=Set-Cookie", "no-cache(Set-Cookie)"},
    {"private=\"a, b\", no-cache=\"c\", private=d", "no-cache(c) private(a, b,d)"},
    {"private=\"a\", private", "private private(a)"},
    {"no-cache=\"\"", "no-cache"},
    {"no-cache=\" , \"", "no-cache"},
    {"no-cache=", "no-cache"},
    {"no-cache=\"a(b\"", "no-cache"},
    {"private=\"a", "private"},
    {"no-store=\"x\", public=1", "no-store public"},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_fields fields;
        struct mg_cache_control cc;
        char got[512];
        fill(&fields, MG_STR("cache-Control"), cases[i].lines);
        mg_cache_control_read(&fields, &arena, &cc);
        describe(&cc, got, sizeof got);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("'%s': got '%s', want '%s'", cases[i].lines, got, cases[i].want);
    }
}

static const struct {
    const char *lines, *want; /* NULL: the field is ignored */
} targeted[] = {
    {"max-age=3600", "max-age=3600"},
    {"foobar, max-age=3600;x=1", "max-age=3600"},
    {"max-age=99999999999", "max-age=2147483648"},
    {"max-age=-1", "max-age=0"},
    {"max-age=1, max-age=60", "max-age=60"}, /* the last one: RFC 9651 4.2.2 */
    {"max-age=1|no-store", "max-age=1 no-store"},
    {"no-store=?0, private", "private"},
    {"no-cache=\"Set-Cookie\"", "no-cache(Set-Cookie)"},
    {"private=(\"a\" b)", "private(,a,b)"},
    {"private=(1 2)", "private"},
    {"private=3", "private"},
    {"foo", ""},
    {"", NULL},
    {"MaX-aGe=3600", NULL},
    {"max-age =100", NULL},
    {"max-age= 100", NULL},
    {"max-age=10000, &&&&&", NULL},
    {"max-age=\"10000\"", NULL},
    {"max-age=1.5", NULL},
    {"max-age", NULL},
    {"no-store=1", NULL},
};

/* RFC 9213 2.1 */
static void test_targeted(void **state)
{
    (void)state;
    const struct mg_str name = MG_STR("CDN-Cache-Control");
    for (size_t i = 0; i < sizeof targeted / sizeof targeted[0]; i++) {
        struct mg_fields fields;
        struct mg_cache_control cc;
        char got[512];
        fill(&fields, name, targeted[i].lines);
        bool ok = mg_cache_control_read_targeted(&fields, &name, 1, &arena, &cc);
        describe(&cc, got, sizeof got);
        if (ok != (targeted[i].want != NULL))
            fail_msg("'%s' was %s", targeted[i].lines, ok ? "taken" : "ignored");
        if (strcmp(got, ok ? targeted[i].want : "") != 0)
            fail_msg("'%s': got '%s'", targeted[i].lines, got);
    }
}

/* RFC 9213 2.2: the first of the list that can be used. */
static void test_target_order(void **state)
{
    (void)state;
    const struct mg_str names[] = {MG_STR("Moongate-Cache-Control"), MG_STR("CDN-Cache-Control")};
    struct mg_fields fields;
    struct mg_cache_control cc;
    fill(&fields, names[1], "max-age=2");
    assert_true(mg_cache_control_read_targeted(&fields, names, 2, &arena, &cc));
    assert_int_equal(cc.max_age, 2);
    mg_fields_add(&fields, &arena, names[0], MG_STR("max-age=1"));
    assert_true(mg_cache_control_read_targeted(&fields, names, 2, &arena, &cc));
    assert_int_equal(cc.max_age, 1);
    mg_fields_set(&fields, &arena, names[0], MG_STR("max-age=1,"));
    assert_true(mg_cache_control_read_targeted(&fields, names, 2, &arena, &cc));
    assert_int_equal(cc.max_age, 2);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(mg_cache_control_names(MG_STR("a, Set-Cookie ,b"), MG_STR("set-cookie")));
    assert_true(mg_cache_control_names(MG_STR(",a,b"), MG_STR("B")));
    assert_false(mg_cache_control_names(MG_STR("a, Set-Cookie ,b"), MG_STR("cookie")));
    assert_false(mg_cache_control_names(MG_STR(""), MG_STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_targeted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_target_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
    };
    return cmocka_run_group_tests_name("http/cache_control", tests, NULL, NULL);
}
