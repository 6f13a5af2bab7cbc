/* Regular expressions: what matches, what is refused, and that no subject stalls them. */
#include "base/regex.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static struct mg_regex *compiled(const char *pattern, unsigned flags)
{
    struct mg_error err;
    struct mg_regex *re = mg_regex_new(mg_str_c(pattern), flags, NULL, &err);
    if (!re)
        fail_msg("%s: %s", pattern, err.text);
    return re;
}

static void matching(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        unsigned flags;
        struct mg_str subject;
        int count;
    } CASES[] = {
        {"b", 0, MG_STR("abc"), 1},
        {"^b", 0, MG_STR("abc"), 0},
        {"b", MG_REGEX_ANCHORED, MG_STR("abc"), 0},
        {"a", MG_REGEX_ANCHORED, MG_STR("abc"), 1},
        {"B", 0, MG_STR("abc"), 0},
        {"B", MG_REGEX_ICASE, MG_STR("abc"), 1},
        {"c$", 0, MG_STR("abc"), 1},
        {"c$", 0, MG_STR("abc\n"), 0},
        {"", 0, MG_STR(""), 1},
        {"", 0, MG_STR_NONE, 1},
        {"a\\x00b", 0, MG_STR("a\0b"), 1},
        {"^..$", 0, MG_STR("\xc3\xa9"), 1},
        {"^.$", MG_REGEX_UTF, MG_STR("\xc3\xa9"), 1},
        {"^.+$", MG_REGEX_UTF, MG_STR("a\xff"), 0},
        {"(a)(b)?(c)", 0, MG_STR("ac"), 4},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_regex *re = compiled(CASES[i].pattern, CASES[i].flags);
        assert_int_equal(mg_regex_match(re, CASES[i].subject, 0, NULL, 0), CASES[i].count);
        mg_regex_free(re);
    }
}

static void groups_are_views(void **state)
{
    (void)state;
    struct mg_regex *re = compiled("/(?<major>\\d+)(\\.\\d+)?/(.*)(x)?", 0);
    struct mg_str subject = MG_STR("/v/12/rest"), g[8];
    assert_int_equal(mg_regex_group_count(re), 5);
    assert_true(mg_str_eq(mg_regex_group_name(re, 1), MG_STR("major")));
    assert_int_equal(mg_regex_group_name(re, 2).n, 0);
    assert_int_equal(mg_regex_match(re, subject, 0, g, COUNT(g)), 5);
    assert_ptr_equal(g[0].p, subject.p + 2);
    assert_int_equal(g[0].n, 8);
    assert_true(mg_str_eq(g[1], MG_STR("12")));
    assert_null(g[2].p);
    assert_true(mg_str_eq(g[3], MG_STR("rest")));
    assert_null(g[4].p);

    struct mg_str one[2] = {MG_STR_NONE, MG_STR("kept")};
    assert_int_equal(mg_regex_match(re, subject, 0, one, 1), 5);
    assert_true(mg_str_eq(one[0], MG_STR("/12/rest")));
    assert_true(mg_str_eq(one[1], MG_STR("kept")));
    assert_int_equal(mg_regex_match(re, subject, 3, g, COUNT(g)), MG_REGEX_NONE);
    assert_int_equal(mg_regex_match(re, subject, subject.n + 1, g, COUNT(g)), MG_REGEX_NONE);
    mg_regex_free(re);
    mg_regex_free(NULL);
}

static void bad_patterns_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        size_t at;
        const char *why;
    } CASES[] = {
        {"a(b", 3, "missing closing parenthesis"},
        {"[a", 2, "missing terminating ]"},
        {"*a", 0, "quantifier does not follow"},
        {"\\C", 2, "\\C"},
        {"(*UTF)a", 6, "UTF"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_error err;
        size_t at = 99;
        assert_null(mg_regex_new(mg_str_c(CASES[i].pattern), 0, &at, &err));
        assert_int_equal(at, CASES[i].at);
        assert_non_null(strstr(err.text, CASES[i].why));
    }

    char text[MG_REGEX_PATTERN_MAX + 1];
    struct mg_error err;
    memset(text, 'a', sizeof text);
    assert_null(mg_regex_new(mg_str(text, sizeof text), 0, NULL, &err));
    assert_non_null(strstr(err.text, "longer than"));
    for (size_t i = 0; i < MG_REGEX_GROUPS_MAX; i++)
        memcpy(text + 3 * i, "(a)", 3);
    assert_null(mg_regex_new(mg_str(text, 3 * MG_REGEX_GROUPS_MAX), 0, NULL, &err));
    assert_non_null(strstr(err.text, "more than 31 groups"));
    struct mg_regex *most =
        mg_regex_new(mg_str(text, 3 * (MG_REGEX_GROUPS_MAX - 1)), 0, NULL, &err);
    assert_non_null(most);
    mg_regex_free(most);
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Each of these takes seconds to centuries without bounds. The time allowed leaves room for
 * sanitizers and busy machines. */
static void hostile_subjects_do_not_stall(void **state)
{
    (void)state;
    static const char *const PATTERNS[] = {
        "^(a+)+$",
        "(a+)+$",
        "(a|aa)+[bc]",
        "(\\w+\\s?)*$",
        "a*a*a*a*[bc]",
        "[a-z]*[a-z]*[0-9]",
        "(a*)\\1[bc]",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(*NO_JIT)^(a+)+$",
        "(*NO_JIT)[a-z]*[a-z]*[0-9]",
        "(*NO_JIT)(a|aa)+[bc]",
    };
    char text[MG_REGEX_SUBJECT_MAX];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '!';
    for (size_t i = 0; i < COUNT(PATTERNS); i++) {
        struct mg_regex *re = compiled(PATTERNS[i], 0);
        double before = cpu_ms();
        assert_int_equal(mg_regex_match(re, mg_str(text, sizeof text), 0, NULL, 0),
                         MG_REGEX_TOO_HARD);
        assert_true(cpu_ms() - before < 1000);
        assert_int_equal(mg_regex_match(re, MG_STR("-"), 0, NULL, 0) >= 0, 1);
        mg_regex_free(re);
    }
}

static void long_subjects_are_refused(void **state)
{
    (void)state;
    static char text[MG_REGEX_SUBJECT_MAX + 1];
    struct mg_regex *re = compiled("^.*a", 0);
    memset(text, 'a', sizeof text);
    assert_int_equal(mg_regex_match(re, mg_str(text, MG_REGEX_SUBJECT_MAX), 0, NULL, 0), 1);
    assert_int_equal(mg_regex_match(re, mg_str(text, sizeof text), 0, NULL, 0), MG_REGEX_TOO_LONG);
    mg_regex_free(re);
}

static void *match_many(void *arg)
{
    size_t *good = calloc(1, sizeof *good);
    for (size_t i = 0; i < 2000; i++) {
        char text[] = "/users/0000";
        struct mg_str g[2];
        text[7] = (char)('0' + i % 10);
        int count = mg_regex_match(arg, mg_str_c(text), 0, g, 2);
        *good += count == 2 && g[1].p == text + 7 && g[1].n == 4;
    }
    return good;
}

static void threads_share_a_regex(void **state)
{
    (void)state;
    struct mg_regex *re = compiled("^/users/(\\d+)$", 0);
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, match_many, re), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *good;
        assert_int_equal(pthread_join(threads[i], &good), 0);
        assert_int_equal(*(size_t *)good, 2000);
        free(good);
    }
    mg_regex_free(re);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matching),
        cmocka_unit_test(groups_are_views),
        cmocka_unit_test(bad_patterns_are_refused),
        cmocka_unit_test(hostile_subjects_do_not_stall),
        cmocka_unit_test(long_subjects_are_refused),
        cmocka_unit_test(threads_share_a_regex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
