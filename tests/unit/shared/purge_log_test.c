/* Purges of several gateways: what is known, what is missed, and what becomes of responses. */
#include "shared/purge_log.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEY mg_str("http\0a.example\0/shop/list\0page=1", 32)

static struct mg_purge_log *log_; /* the gateway that is looked at */
static struct mg_purge_log *other;
static uint64_t newest; /* of the place where they meet */

static int setup(void **state)
{
    (void)state;
    log_ = mg_purge_log_new();
    other = mg_purge_log_new();
    newest = 1000;
    mg_purge_log_read(log_, newest, newest, NULL, 0);
    mg_purge_log_read(other, newest, newest, NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mg_purge_log_free(log_);
    mg_purge_log_free(other);
    return 0;
}

static struct mg_purge purge(enum mg_cache_purge_by by, struct mg_str what, bool soft)
{
    return (struct mg_purge){.by = by, .what = what, .soft = soft};
}

/* What the outbox of `from` holds goes to where they meet, and from there to `to` (NULL: nobody).
 * The last that it heard. */
static enum mg_purge_heard carry(struct mg_purge_log *from, struct mg_purge_log *to,
                                 struct mg_purge *got)
{
    static char said[MG_PURGE_BATCH][MG_PURGE_TEXT_MAX + 64];
    struct mg_purge_telling tellings[MG_PURGE_BATCH];
    uint64_t numbers[MG_PURGE_BATCH];
    enum mg_purge_heard heard = MG_PURGE_OLD;
    size_t lengths[MG_PURGE_BATCH], count = mg_purge_log_tell(from, tellings);
    for (size_t i = 0; i < count; i++) {
        int front = snprintf(said[i], sizeof said[i], "%llu %llu ", (unsigned long long)newest + 5,
                             (unsigned long long)newest);
        memcpy(said[i] + front, tellings[i].text.p, tellings[i].text.n);
        lengths[i] = (size_t)front + tellings[i].text.n;
        numbers[i] = newest += 5;
    }
    mg_purge_log_told(from, numbers, count);
    for (size_t i = 0; i < count && to; i++)
        heard = mg_purge_log_hear(to, mg_str(said[i], lengths[i]), got);
    return heard;
}

static enum mg_purge_verdict judge(uint64_t known)
{
    return mg_purge_log_judge(log_, KEY, MG_STR("news  home"), known);
}

static void test_what_concerns_it(void **state)
{
    (void)state;
    static const struct {
        enum mg_cache_purge_by by;
        struct mg_str what;
        bool concerns;
    } cases[] = {
        {MG_CACHE_BY_KEY, {"http\0a.example\0/shop/list\0page=1", 32}, true},
        {MG_CACHE_BY_KEY, {"http\0a.example\0/shop/list\0page=2", 32}, false},
        {MG_CACHE_BY_KEY, {"http\0a.example\0/shop/", 21}, false},
        {MG_CACHE_BY_TAG, {"home", 4}, true},
        {MG_CACHE_BY_TAG, {"news", 4}, true},
        {MG_CACHE_BY_TAG, {"new", 3}, false},
        {MG_CACHE_BY_PREFIX, {"http\0a.example\0/shop/", 21}, true},
        {MG_CACHE_BY_PREFIX, {"http\0a.example\0/shop/list", 25}, true},
        {MG_CACHE_BY_PREFIX, {"http\0a.example\0/shop/other", 26}, true}, /* the same folder */
        {MG_CACHE_BY_PREFIX, {"http\0a.example\0/shop/a/", 23}, false},
        {MG_CACHE_BY_PREFIX, {"http\0a.example\0/shops/", 22}, false},
        {MG_CACHE_BY_PREFIX, {"http\0b.example\0/", 16}, false},
        {MG_CACHE_BY_PREFIX, {"http\0a.example\0/shop/list\0page", 30}, true},
        {MG_CACHE_BY_PREFIX, {"htt", 3}, true},
        {MG_CACHE_BY_PREFIX, {"https\0", 6}, false},
        {MG_CACHE_ALL, {NULL, 0}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int soft = 0; soft < 2; soft++) {
            struct mg_purge got, p = purge(cases[i].by, cases[i].what, soft);
            uint64_t before = newest;
            mg_purge_log_add(other, &p);
            assert_int_equal(carry(other, log_, &got), MG_PURGE_NEW);
            assert_int_equal(got.by, p.by);
            assert_int_equal(got.soft, p.soft);
            assert_true(mg_str_eq(got.what, p.what));
            enum mg_purge_verdict want = soft ? MG_PURGE_SOFT : MG_PURGE_HARD;
            if (judge(before) != (cases[i].concerns ? want : MG_PURGE_NOT))
                fail_msg("case %zu, soft %d", i, soft);
            assert_int_equal(judge(newest), MG_PURGE_NOT); /* asked for since */
        }
    }
}

static void test_deep_folders(void **state)
{
    (void)state;
    static const char deep[] = "http\0a\0/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20";
    struct mg_purge got, p = purge(MG_CACHE_BY_PREFIX, mg_str(deep, sizeof deep - 2), false);
    mg_purge_log_add(other, &p);
    assert_int_equal(carry(other, log_, &got), MG_PURGE_NEW);
    struct mg_str key = mg_str(deep, sizeof deep - 1);
    assert_int_equal(mg_purge_log_judge(log_, key, MG_STR_NONE, newest - 1), MG_PURGE_HARD);
}

/* From the moment it is made, though it has no number; and it is not done twice. */
static void test_our_own(void **state)
{
    (void)state;
    struct mg_purge got, p = purge(MG_CACHE_BY_TAG, MG_STR("home"), false);
    uint64_t before = newest;
    mg_purge_log_add(log_, &p);
    assert_int_equal(judge(UINT64_MAX - 1), MG_PURGE_HARD);
    assert_int_equal(carry(log_, log_, &got), MG_PURGE_OLD);
    assert_int_equal(judge(before), MG_PURGE_HARD);
    assert_int_equal(judge(newest), MG_PURGE_NOT);
    assert_true(mg_purge_log_known(log_) == newest);
}

static void test_not_told(void **state)
{
    (void)state;
    struct mg_purge_telling tellings[MG_PURGE_BATCH];
    struct mg_purge p = purge(MG_CACHE_BY_TAG, MG_STR("home"), false);
    mg_purge_log_add(log_, &p);
    assert_int_equal(mg_purge_log_tell(log_, tellings), 1);
    assert_int_equal(mg_purge_log_tell(log_, tellings), 0); /* somebody is at it */
    mg_purge_log_told(log_, NULL, 0);
    assert_int_equal(judge(UINT64_MAX - 1), MG_PURGE_HARD);
    assert_int_equal(mg_purge_log_tell(log_, tellings), 1);
    mg_purge_log_told(log_, NULL, 0);
}

static void test_too_many(void **state)
{
    (void)state;
    struct mg_purge_telling tellings[MG_PURGE_BATCH];
    char what[16];
    mg_purge_log_add(log_, &(struct mg_purge){.by = MG_CACHE_BY_TAG, .what = MG_STR("first")});
    assert_int_equal(mg_purge_log_tell(log_, tellings), 1); /* on its way, so it stays */
    for (int i = 0; i <= MG_PURGE_OUTBOX_MAX; i++) {
        snprintf(what, sizeof what, "tag%d", i);
        struct mg_purge p = purge(MG_CACHE_BY_TAG, mg_str_c(what), false);
        mg_purge_log_add(log_, &p);
    }
    assert_true(mg_str_ends(tellings[0].text, MG_STR(" th first")));
    mg_purge_log_told(log_, NULL, 0);
    assert_int_equal(mg_purge_log_tell(log_, tellings), 2);
    assert_true(mg_str_ends(tellings[0].text, MG_STR(" th first")));
    assert_true(mg_str_ends(tellings[1].text, MG_STR(" ah ")));
    mg_purge_log_told(log_, NULL, 0);
    assert_int_equal(mg_purge_log_judge(log_, MG_STR("any"), MG_STR_NONE, UINT64_MAX - 1),
                     MG_PURGE_HARD);
}

static void test_missed(void **state)
{
    (void)state;
    struct mg_purge got, p = purge(MG_CACHE_BY_TAG, MG_STR("other"), false);
    mg_purge_log_add(other, &p);
    carry(other, NULL, NULL);
    mg_purge_log_add(other, &p);
    assert_int_equal(carry(other, log_, &got), MG_PURGE_MISSED);
    assert_true(mg_purge_log_known(log_) == 0);
    assert_int_equal(judge(newest), MG_PURGE_HARD);
    const struct mg_purge_row rows[] = {{MG_PURGE_BUCKETS, newest - 3}, {99999, 7}};
    assert_true(mg_purge_log_read(log_, newest, 1, rows, 2)); /* what we hold has to go */
    assert_false(mg_purge_log_read(log_, newest, 1, rows, 2));
    assert_int_equal(judge(newest), MG_PURGE_NOT);
    assert_int_equal(judge(newest - 4), MG_PURGE_HARD);
}

/* The place has lost what it knew: its newest is not ours, or nothing leads to it. */
static void test_newest(void **state)
{
    (void)state;
    mg_purge_log_newest(log_, newest, newest);
    assert_true(mg_purge_log_known(log_) == newest);
    mg_purge_log_newest(log_, newest - 1, newest + 9); /* what we asked with is the past */
    assert_true(mg_purge_log_known(log_) == newest);
    mg_purge_log_newest(log_, newest, newest - 1);
    assert_true(mg_purge_log_known(log_) == 0);
    assert_true(mg_purge_log_read(log_, 2000, 2000, NULL, 0));
    assert_int_equal(judge(1999), MG_PURGE_HARD); /* from before it was born */
    assert_int_equal(judge(2000), MG_PURGE_NOT);
}

static void test_first_time(void **state)
{
    (void)state;
    struct mg_purge_log *fresh = mg_purge_log_new();
    assert_true(mg_purge_log_known(fresh) == 0);
    assert_int_equal(mg_purge_log_judge(fresh, KEY, MG_STR_NONE, UINT64_MAX), MG_PURGE_HARD);
    assert_false(mg_purge_log_read(fresh, 0, 0, NULL, 0));
    assert_true(mg_purge_log_known(fresh) == 0);
    assert_false(mg_purge_log_read(fresh, 5, 5, NULL, 0)); /* nothing was held, nothing missed */
    mg_purge_log_free(fresh);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "1005",
        "1005 1000",
        "1005 1000 ",
        "1005 1000 0123456789abcdef th",
        "1005 1000 0123456789abcdef xh home",
        "1005 1000 0123456789abcdef tx home",
        "1005 1000 0123456789abcdefgth home",
        "1005 1000 0123456789abcdef thxhome",
        " 1005 1000 0123456789abcdef th home",
        "-5 1000 0123456789abcdef th home",
        "99999999999999999999 1000 0123456789abcdef th home",
        "0 1000 0123456789abcdef th home",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_purge got;
        mg_purge_log_read(log_, newest, newest, NULL, 0);
        if (mg_purge_log_hear(log_, mg_str_c(cases[i]), &got) != MG_PURGE_BAD)
            fail_msg("'%s'", cases[i]);
        assert_true(mg_purge_log_known(log_) == 0);
    }
}

static unsigned woken;

static void wake(void *arg)
{
    (void)arg;
    woken++;
}

static void test_wakes(void **state)
{
    (void)state;
    struct mg_purge p = purge(MG_CACHE_ALL, MG_STR_NONE, true);
    int a, b;
    mg_purge_log_on_add(log_, wake, &a);
    mg_purge_log_add(log_, &p);
    assert_int_equal(woken, 1);
    mg_purge_log_off_add(log_, &b); /* not the one */
    mg_purge_log_add(log_, &p);
    assert_int_equal(woken, 2);
    mg_purge_log_off_add(log_, &a);
    mg_purge_log_add(log_, &p);
    assert_int_equal(woken, 2);
}

/* Purges of our own, those of others, and judges, at once. */
static void *tell_often(void *arg)
{
    struct mg_purge p = purge(MG_CACHE_BY_TAG, MG_STR("home"), false), got;
    (void)arg;
    for (int i = 0; i < 300; i++) {
        mg_purge_log_add(log_, &p);
        carry(log_, log_, &got);
    }
    return NULL;
}

static void *judge_often(void *arg)
{
    unsigned *seen = arg;
    for (int i = 0; i < 2000; i++)
        *seen += judge(1000) == MG_PURGE_HARD;
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t teller, judges[2];
    unsigned seen[2] = {0, 0};
    pthread_create(&teller, NULL, tell_often, NULL);
    for (int i = 0; i < 2; i++)
        pthread_create(&judges[i], NULL, judge_often, &seen[i]);
    pthread_join(teller, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(judges[i], NULL);
    assert_int_equal(judge(1000), MG_PURGE_HARD);
    assert_int_equal(judge(newest), MG_PURGE_NOT);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_concerns_it),
        TEST(test_deep_folders),
        TEST(test_our_own),
        TEST(test_not_told),
        TEST(test_too_many),
        TEST(test_missed),
        TEST(test_newest),
        TEST(test_first_time),
        TEST(test_bad),
        TEST(test_wakes),
        TEST(test_threads),
    };
    return cmocka_run_group_tests_name("shared/purge_log", tests, NULL, NULL);
}
