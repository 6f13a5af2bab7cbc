/* Byte ranges against lengths (RFC 9110 14.1.2, 14.2, 14.4, 17.15). */
#include "http/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *field;
    uint64_t length;
    enum mg_range_verdict want;
    uint64_t first, last;
} cases[] = {
    /* 14.1.2 */
    {"bytes=0-499", 10000, MG_RANGE_PART, 0, 499},
    {"bytes=500-999", 10000, MG_RANGE_PART, 500, 999},
    {"bytes=-500", 10000, MG_RANGE_PART, 9500, 9999},
    {"bytes=9500-", 10000, MG_RANGE_PART, 9500, 9999},
    {"bytes=0-0", 10000, MG_RANGE_PART, 0, 0},
    {"bytes=0-", 11, MG_RANGE_PART, 0, 10},
    {"bytes=-11", 11, MG_RANGE_PART, 0, 10},
    {"bytes=-12", 11, MG_RANGE_PART, 0, 10},
    {"bytes=5-20", 11, MG_RANGE_PART, 5, 10},
    {"BYTES=1-2", 11, MG_RANGE_PART, 1, 2},
    {"bytes=00001-0002", 11, MG_RANGE_PART, 1, 2},
    {"bytes=1-99999999999999999999999999", 11, MG_RANGE_PART, 1, 10},
    {"bytes=-99999999999999999999999999", 11, MG_RANGE_PART, 0, 10},
    /* 15.5.17 */
    {"bytes=11-", 11, MG_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=99999999999999999999999999-", 11, MG_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=-0", 11, MG_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=0-", 0, MG_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=-1", 0, MG_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=20-30, 40-", 11, MG_RANGE_UNSATISFIABLE, 0, 0},
    /* Several: joined, or the whole. */
    {"bytes=0-1,2-3", 11, MG_RANGE_PART, 0, 3},
    {"bytes=5-6,0-4", 11, MG_RANGE_PART, 0, 6},
    {"bytes=0-9,2-3", 11, MG_RANGE_PART, 0, 9},
    {"bytes=0-1 , ,\t20-30", 11, MG_RANGE_PART, 0, 1},
    {"bytes=0-1,3-4", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=-1,0-0", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-", 11, MG_RANGE_PART, 0, 10},
    {"bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=9-,9-,9-,9-,9-,9-,9-,9-,9-,9-,9-,9-,9-,9-,9-,9-,9-", 5, MG_RANGE_WHOLE, 0, 0},
    /* 14.2: ignored */
    {"", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=,", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=-", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=a-b", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=1", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=2-1", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=1--2", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=+1-2", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=1 - 2", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes =1-2", 11, MG_RANGE_WHOLE, 0, 0},
    {"bytes=0-1,x", 11, MG_RANGE_WHOLE, 0, 0},
    {"lines=0-1", 11, MG_RANGE_WHOLE, 0, 0},
};

static void test_choose(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = strlen(cases[i].field);
        char *copy = malloc(n ? n : 1);
        struct mg_range got = {0, 0};
        memcpy(copy, cases[i].field, n);
        enum mg_range_verdict verdict = mg_range_choose(mg_str(copy, n), cases[i].length, &got);
        free(copy);
        if (verdict != cases[i].want || got.first != cases[i].first || got.last != cases[i].last)
            fail_msg("'%s' of %u: verdict %d, %u to %u", cases[i].field, (unsigned)cases[i].length,
                     (int)verdict, (unsigned)got.first, (unsigned)got.last);
    }
}

/* One range, and the one way to write it; NULL: several, or none. */
static const struct {
    const char *field, *want;
} singles[] = {
    {"bytes=0-499", "bytes=0-499"},
    {"BYTES=0-0", "bytes=0-0"},
    {"bytes=00-0499", "bytes=0-499"},
    {"bytes=, \t500-,", "bytes=500-"},
    {"bytes=0-", "bytes=0-"},
    {"bytes=-5", "bytes=-5"},
    {"bytes=-005", "bytes=-5"},
    {"bytes=-0", "bytes=-0"},
    {"bytes=1-99999999999999999999999999", "bytes=1-"},
    {"bytes=0-1,2-3", NULL},
    {"bytes=0-1,0-1", NULL},
    {"bytes=0-1,x", NULL},
    {"bytes=x", NULL},
    {"bytes=", NULL},
    {"bytes=2-1", NULL},
    {"bytes=1 - 2", NULL},
    {"lines=0-1", NULL},
    {"", NULL},
};

static void test_one(void **state)
{
    (void)state;
    struct mg_pool pool;
    struct mg_arena arena;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    for (size_t i = 0; i < sizeof singles / sizeof singles[0]; i++) {
        struct mg_range_asked asked;
        const char *want = singles[i].want;
        bool one = mg_range_read_one(mg_str_c(singles[i].field), &asked);
        if (one != (want != NULL))
            fail_msg("'%s' was read as %d", singles[i].field, one);
        if (one && !mg_str_eq(mg_range_text(&arena, &asked), mg_str_c(want)))
            fail_msg("'%s' is not '%s'", singles[i].field, want);
    }
    mg_arena_release(&arena);
    mg_pool_release(&pool);
}

/* Of a part from 4 to 9. */
static const struct {
    const char *field;
    uint64_t length;
    bool ok;
    uint64_t first, last;
} within[] = {
    {"bytes=4-9", 20, true, 4, 9},    {"bytes=5-5", 20, true, 5, 5},
    {"bytes=9-9", 20, true, 9, 9},    {"bytes=3-5", 20, false, 0, 0},
    {"bytes=5-10", 20, false, 0, 0},  {"bytes=0-20", 20, false, 0, 0},
    {"bytes=10-12", 20, false, 0, 0}, {"bytes=5-", 20, false, 0, 0},
    {"bytes=-3", 20, false, 0, 0},    {"bytes=5-", 10, true, 5, 9},
    {"bytes=5-99", 10, true, 5, 9},   {"bytes=-3", 10, true, 7, 9},
    {"bytes=-7", 10, false, 0, 0},    {"bytes=-0", 10, false, 0, 0},
    {"bytes=10-", 10, false, 0, 0},
};

static void test_within(void **state)
{
    (void)state;
    const struct mg_range part = {4, 9};
    for (size_t i = 0; i < sizeof within / sizeof within[0]; i++) {
        struct mg_range_asked asked;
        struct mg_range got;
        assert_true(mg_range_read_one(mg_str_c(within[i].field), &asked));
        bool ok = mg_range_within(&asked, part, within[i].length, &got);
        if (ok != within[i].ok ||
            (ok && (got.first != within[i].first || got.last != within[i].last)))
            fail_msg("'%s' of %u: %d", within[i].field, (unsigned)within[i].length, ok);
    }
}

static const struct {
    const char *field;
    bool ok;
    uint64_t first, last, length;
} contents[] = {
    {"bytes 0-499/1234", true, 0, 499, 1234},
    {"Bytes 734-1233/1234", true, 734, 1233, 1234},
    {"bytes 4-9/10", true, 4, 9, 10},
    {"bytes 0-4/*", true, 0, 4, MG_RANGE_END},
    {"bytes 4-9223372036854775806/*", true, 4, MG_RANGE_END - 1, MG_RANGE_END},
    {"bytes 4-9223372036854775807/*", false, 0, 0, 0},
    {"bytes 0-4/**", false, 0, 0, 0},
    {"bytes 0-4/", false, 0, 0, 0},
    {"bytes */1234", false, 0, 0, 0},
    {"bytes 0-10/10", false, 0, 0, 0},
    {"bytes 5-4/10", false, 0, 0, 0},
    {"bytes 0-4", false, 0, 0, 0},
    {"bytes=0-4/10", false, 0, 0, 0},
    {"bytes 0 - 4/10", false, 0, 0, 0},
    {"bytes 0-4/99999999999999999999", false, 0, 0, 0},
    {"lines 0-4/10", false, 0, 0, 0},
    {"", false, 0, 0, 0},
};

/* 14.4, read and written */
static void test_content(void **state)
{
    (void)state;
    struct mg_pool pool;
    struct mg_arena arena;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        struct mg_range got = {0, 0};
        uint64_t length = 0;
        bool ok = mg_range_read_content(mg_str_c(contents[i].field), &got, &length);
        if (ok != contents[i].ok || got.first != contents[i].first ||
            got.last != contents[i].last || length != contents[i].length)
            fail_msg("'%s' was read as %d", contents[i].field, ok);
        if (ok && length != MG_RANGE_END)
            assert_true(
                mg_str_ieq(mg_range_content(&arena, got, length), mg_str_c(contents[i].field)));
    }
    assert_true(mg_str_eq(mg_range_content_unsatisfied(&arena, 47), MG_STR("bytes */47")));
    mg_arena_release(&arena);
    mg_pool_release(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_within),
        cmocka_unit_test(test_content),
    };
    return cmocka_run_group_tests_name("http/range", tests, NULL, NULL);
}
