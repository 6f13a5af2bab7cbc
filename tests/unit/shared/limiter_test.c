/* Limiters: what is granted when, to whom, and to how many threads at once. */
#include "shared/limiter.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define KEY MG_STR("key")

static int setup(void **state)
{
    *state = mg_dict_new(MG_DICT_BYTES_MIN, NULL);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    mg_dict_free(*state);
    return 0;
}

static size_t entries(struct mg_dict *d)
{
    struct mg_dict_stats stats;
    mg_dict_stats(d, &stats);
    return stats.entries;
}

struct expected {
    int64_t now_ms;
    double cost;
    bool ok;
    double remaining, reset_s, retry_after_s;
};

static void compare(size_t i, const struct mg_limiter_result *r, const struct expected *e)
{
    if (r->ok != e->ok || r->remaining != e->remaining || fabs(r->reset_s - e->reset_s) > 1e-5 ||
        fabs(r->retry_after_s - e->retry_after_s) > 1e-5)
        fail_msg("step %zu: ok %d, remaining %g, reset %g, retry after %g", i, r->ok, r->remaining,
                 r->reset_s, r->retry_after_s);
}

static void bucket(void **state)
{
    static const struct expected STEPS[] = {
        {1000, 1, true, 1, 1, 0},      {1000, 1, true, 0, 2, 0},
        {1000, 1, false, 0, 2, 1},     {1400, 1, false, 0, 1.6, 0.6},
        {1400, 2, false, 0, 1.6, 1.6}, {1999, 1, false, 0, 1.001, 0.001},
        {2000, 1, true, 0, 2, 0},      {1990, 1, false, 0, 2, 1}, /* another thread's clock */
        {3500, 0, true, 1, 0.5, 0},    {3500, 1, true, 0, 1.5, 0},
        {3500, 3, false, 0, 1.5, 2}, /* never; a whole bucket's time */
        {90000, 3, false, 2, 0, 2},  /* nor when full */
        {90000, 2, true, 0, 2, 0},     {90001, 0.001, true, 0, 2, 0},
    };
    struct mg_dict *d = *state;
    for (size_t i = 0; i < COUNT(STEPS); i++) {
        struct mg_limiter_result r;
        assert_int_equal(mg_limiter_take(d, KEY, 1, 2, STEPS[i].cost, STEPS[i].now_ms, &r),
                         MG_DICT_OK);
        compare(i, &r, &STEPS[i]);
    }
}

/* Whoever comes back when told to is let in, however often others ask meanwhile. */
static void bucket_keeps_its_promise(void **state)
{
    static const double RATES[] = {0.001, 0.3, 1, 3, 7, 100.0 / 60, 999, 1e6};
    struct mg_dict *d = *state;
    for (size_t i = 0; i < COUNT(RATES); i++) {
        int64_t now_ms = 5;
        mg_dict_delete(d, KEY, 0);
        for (int j = 0; j < 2000; j++) {
            struct mg_limiter_result r;
            assert_int_equal(mg_limiter_take(d, KEY, RATES[i], 3, 1, now_ms, &r), MG_DICT_OK);
            if (r.ok)
                continue;
            int64_t until_ms = now_ms + (int64_t)ceil(r.retry_after_s * 1000 - 1e-6);
            for (int64_t t = now_ms; t < until_ms; t += 1 + (until_ms - now_ms) / 5)
                mg_limiter_take(d, KEY, RATES[i], 3, 3, t, &r);
            now_ms = until_ms;
            assert_int_equal(mg_limiter_take(d, KEY, RATES[i], 3, 1, now_ms, &r), MG_DICT_OK);
            if (!r.ok)
                fail_msg("rate %g, round %d: told to come back for nothing", RATES[i], j);
        }
    }
}

/* Over a long time a bucket gives burst + rate * time, and not one more. */
static void bucket_in_the_long_run(void **state)
{
    struct mg_dict *d = *state;
    int granted = 0;
    for (int64_t now_ms = 0; now_ms <= 1000 * 1000; now_ms += 7) {
        struct mg_limiter_result r;
        assert_int_equal(mg_limiter_take(d, KEY, 10, 5, 1, now_ms, &r), MG_DICT_OK);
        granted += r.ok;
    }
    assert_int_equal(granted, 5 + 10 * 1000 - 1); /* the last token falls into the last step */
}

static void bucket_forgets_when_full(void **state)
{
    struct mg_dict *d = *state;
    struct mg_limiter_result r;
    int64_t ttl;
    assert_int_equal(mg_limiter_take(d, KEY, 1, 10, 0, 0, &r), MG_DICT_OK);
    assert_int_equal(entries(d), 0);
    assert_int_equal(mg_limiter_take(d, KEY, 1, 10, 11, 0, &r), MG_DICT_OK);
    assert_int_equal(entries(d), 0); /* nothing was taken */
    assert_int_equal(mg_limiter_take(d, KEY, 1, 10, 4, 0, &r), MG_DICT_OK);
    assert_int_equal(mg_dict_ttl(d, KEY, 3999, &ttl), MG_DICT_OK);
    assert_int_equal(ttl, 1);
    assert_int_equal(mg_dict_ttl(d, KEY, 4000, &ttl), MG_DICT_ABSENT);
}

static void bucket_changes_size(void **state)
{
    struct mg_dict *d = *state;
    struct mg_limiter_result r;
    assert_int_equal(mg_limiter_take(d, KEY, 1, 10, 1, 0, &r), MG_DICT_OK);
    assert_int_equal(mg_limiter_take(d, KEY, 1, 2, 1, 0, &r), MG_DICT_OK);
    assert_int_equal(r.remaining, 1);
    assert_int_equal(mg_limiter_take(d, KEY, 1, 0, 1, 0, &r), MG_DICT_OK);
    assert_false(r.ok);
    assert_true(r.retry_after_s == 0 && r.remaining == 0);
}

static void window(void **state)
{
    static const struct expected STEPS[] = {
        {1000, 1, true, 2, 10, 0},          {4000, 1, true, 1, 7, 0},
        {4000, 2, false, 1, 7, 7}, /* does not fit, and does not count */
        {4500, 1, true, 0, 6.5, 0},         {4500, 0, true, 0, 6.5, 0},
        {10999, 1, false, 0, 0.001, 0.001}, {900, 1, false, 0, 10, 10}, /* another thread's clock */
        {11000, 2, true, 1, 10, 0},         {50000, 4, false, 3, 10, 10},
        {50500, 3, true, 0, 10, 0}, /* the refused one began no window */
    };
    struct mg_dict *d = *state;
    for (size_t i = 0; i < COUNT(STEPS); i++) {
        struct mg_limiter_result r;
        assert_int_equal(mg_limiter_window(d, KEY, 3, 10, STEPS[i].cost, STEPS[i].now_ms, &r),
                         MG_DICT_OK);
        compare(i, &r, &STEPS[i]);
    }
}

static void window_changes_size(void **state)
{
    static const struct {
        double limit, seconds;
        struct expected expected;
    } STEPS[] = {
        {5, 3600, {0, 1, true, 4, 3600, 0}},   {1, 3600, {0, 1, false, 0, 3600, 3600}},
        {9, 3600, {0, 1, true, 7, 3600, 0}},   {9, 60, {30000, 1, true, 6, 30, 0}},
        {9, 20, {30000, 1, true, 8, 20, 0}}, /* shorter by now than it has lasted */
        {0, 20, {30000, 1, false, 0, 20, 20}},
    };
    struct mg_dict *d = *state;
    for (size_t i = 0; i < COUNT(STEPS); i++) {
        struct mg_limiter_result r;
        const struct expected *e = &STEPS[i].expected;
        assert_int_equal(
            mg_limiter_window(d, KEY, STEPS[i].limit, STEPS[i].seconds, e->cost, e->now_ms, &r),
            MG_DICT_OK);
        compare(i, &r, e);
    }
}

static void concurrency(void **state)
{
    struct mg_dict *d = *state;
    struct mg_limiter_result r;
    assert_int_equal(mg_limiter_release(d, KEY, 0), MG_DICT_ABSENT);
    assert_int_equal(mg_limiter_acquire(d, KEY, 0, 0, &r), MG_DICT_OK);
    assert_false(r.ok);
    assert_int_equal(entries(d), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mg_limiter_acquire(d, KEY, 3, 0, &r), MG_DICT_OK);
        assert_true(r.ok);
        assert_true(r.remaining == 2 - i);
    }
    assert_int_equal(mg_limiter_acquire(d, KEY, 3, 0, &r), MG_DICT_OK);
    assert_false(r.ok);
    assert_true(r.remaining == 0 && r.reset_s == 0 && r.retry_after_s == 0);
    assert_int_equal(mg_limiter_release(d, KEY, 0), MG_DICT_OK);
    assert_int_equal(mg_limiter_acquire(d, KEY, 3, 0, &r), MG_DICT_OK);
    assert_true(r.ok);
    assert_int_equal(mg_limiter_acquire(d, KEY, 2, 0, &r), MG_DICT_OK); /* the limit was lowered */
    assert_false(r.ok);
    assert_true(r.remaining == 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mg_limiter_release(d, KEY, INT64_MAX - 1), MG_DICT_OK);
    assert_int_equal(entries(d), 0);
    assert_int_equal(mg_limiter_release(d, KEY, 0), MG_DICT_ABSENT);
}

/* Counters in use survive a flood of other keys, and only they can fill a dictionary. */
static void counters_are_not_evicted(void **state)
{
    struct mg_dict *d = *state;
    struct mg_limiter_result r;
    struct mg_dict_stats stats;
    enum mg_dict_rc rc = MG_DICT_OK;
    char name[16];
    int held = 0;
    assert_int_equal(mg_limiter_acquire(d, KEY, 1, 0, &r), MG_DICT_OK);
    for (int i = 0; i < 20000; i++) {
        struct mg_str key = mg_str(name, (size_t)snprintf(name, sizeof name, "w%d", i));
        assert_int_equal(mg_limiter_window(d, key, 10, 10, 1, 0, &r), MG_DICT_OK);
    }
    assert_int_equal(mg_limiter_acquire(d, KEY, 1, 0, &r), MG_DICT_OK);
    assert_false(r.ok);
    mg_dict_stats(d, &stats);
    assert_true(stats.evictions > 10000);

    for (; rc == MG_DICT_OK; held++)
        rc = mg_limiter_acquire(d, mg_str(name, (size_t)snprintf(name, sizeof name, "a%d", held)),
                                1, 0, &r);
    assert_int_equal(rc, MG_DICT_FULL);
    mg_dict_stats(d, &stats);
    assert_in_range(stats.bytes, 1, stats.limit_bytes);
    for (int i = 0; i < held - 1; i++)
        assert_int_equal(
            mg_limiter_release(d, mg_str(name, (size_t)snprintf(name, sizeof name, "a%d", i)), 0),
            MG_DICT_OK);
    assert_int_equal(mg_limiter_release(d, KEY, 0), MG_DICT_OK);
}

/* A limiter in use, also one that only refuses, outlives a flood of keys that are used once. */
static void hot_limiters_stay(void **state)
{
    struct mg_dict *d = *state;
    struct mg_limiter_result r;
    assert_int_equal(mg_limiter_window(d, KEY, 1, 1000, 1, 0, &r), MG_DICT_OK);
    for (int i = 0; i < 20000; i++) {
        char name[16];
        struct mg_str key = mg_str(name, (size_t)snprintf(name, sizeof name, "%d", i));
        assert_int_equal(mg_limiter_window(d, key, 1, 1000, 1, 0, &r), MG_DICT_OK);
        assert_true(r.ok);
        assert_int_equal(mg_limiter_window(d, KEY, 1, 1000, 1, 0, &r), MG_DICT_OK);
        assert_false(r.ok);
    }
}

static void sorts_do_not_mix(void **state)
{
    struct mg_dict *d = *state;
    struct mg_limiter_result r = {.remaining = 77};
    struct mg_str b = MG_STR("b"), w = MG_STR("w"), c = MG_STR("c");
    mg_limiter_take(d, b, 1, 1, 1, 0, &r);
    mg_limiter_window(d, w, 1, 1, 1, 0, &r);
    mg_limiter_acquire(d, c, 1, 0, &r);
    r.remaining = 77;
    assert_int_equal(mg_limiter_window(d, b, 1, 1, 1, 0, &r), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_limiter_acquire(d, b, 1, 0, &r), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_limiter_release(d, b, 0), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_limiter_take(d, w, 1, 1, 1, 0, &r), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_limiter_acquire(d, w, 1, 0, &r), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_limiter_take(d, c, 1, 1, 1, 0, &r), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_limiter_window(d, c, 1, 1, 1, 0, &r), MG_DICT_BAD_TYPE);
    assert_true(r.remaining == 77);
}

static void arguments(void **state)
{
    static const double BAD_TAKES[][3] = {
        {0, 1, 1},  {-1, 1, 1},  {NAN, 1, 1},      {INFINITY, 1, 1}, {1, -1, 1},    {1, NAN, 1},
        {1, 1, -1}, {1, 1, NAN}, {1, INFINITY, 1}, {1e-9, 2, 1},     {1, 1, 1e300},
    };
    static const double BAD_WINDOWS[][3] = {
        {-1, 1, 1},  {NAN, 1, 1},  {1e300, 1, 1}, {1, 0, 1},   {1, -1, 1},
        {1, NAN, 1}, {1, 1e10, 1}, {1, 1, -1},    {1, 1, NAN},
    };
    struct mg_dict *d = *state;
    struct mg_limiter_result r;
    for (size_t i = 0; i < COUNT(BAD_TAKES); i++) {
        const double *a = BAD_TAKES[i];
        assert_int_equal(mg_limiter_take(d, KEY, a[0], a[1], a[2], 0, &r), MG_DICT_BAD_ARGUMENT);
    }
    for (size_t i = 0; i < COUNT(BAD_WINDOWS); i++) {
        const double *a = BAD_WINDOWS[i];
        assert_int_equal(mg_limiter_window(d, KEY, a[0], a[1], a[2], 0, &r), MG_DICT_BAD_ARGUMENT);
    }
    assert_int_equal(mg_limiter_acquire(d, KEY, -1, 0, &r), MG_DICT_BAD_ARGUMENT);

    static char long_key[MG_DICT_KEY_MAX + 1];
    struct mg_str too_long = mg_str(long_key, sizeof long_key);
    assert_int_equal(mg_limiter_take(d, too_long, 1, 1, 1, 0, &r), MG_DICT_BAD_KEY);
    assert_int_equal(mg_limiter_window(d, too_long, 1, 1, 1, 0, &r), MG_DICT_BAD_KEY);
    assert_int_equal(mg_limiter_acquire(d, too_long, 1, 0, &r), MG_DICT_BAD_KEY);
    assert_int_equal(mg_limiter_release(d, too_long, 0), MG_DICT_BAD_KEY);
    assert_int_equal(mg_limiter_window(d, KEY, 1, 1e-9, 1, 5, &r), MG_DICT_OK); /* at least 1 ms */
    assert_true(r.ok && r.reset_s == 0.001);
}

/* ---- several at once ---- */

static const struct mg_limiter_rule FIVE = {MG_LIMITER_FIXED_WINDOW, 5, 60, 0, 0};
static const struct mg_limiter_rule THREE = {MG_LIMITER_SLIDING_WINDOW, 3, 60, 0, 0};
static const struct mg_limiter_rule TWO = {MG_LIMITER_TOKEN_BUCKET, 1, 60, 2, 0};

static void all_or_nothing(void **state)
{
    struct mg_dict *d = *state;
    struct mg_limiter_result r[3];
    struct mg_limiter_ask asks[] = {
        {&FIVE, MG_STR("a"), 1}, {&THREE, MG_STR("b"), 1}, {&TWO, MG_STR("c"), 1}};
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(mg_limiter_take_all(d, asks, 3, 0, r), MG_DICT_OK);
        assert_true(r[0].ok && r[1].ok && r[2].ok);
        assert_true(r[0].remaining == 5 - i && r[1].remaining == 3 - i && r[2].remaining == 2 - i);
    }
    assert_int_equal(mg_limiter_take_all(d, asks, 3, 0, r), MG_DICT_OK);
    assert_true(r[0].ok && r[1].ok && !r[2].ok);
    assert_true(r[0].remaining == 3 && r[1].remaining == 1 && r[2].remaining == 0);
    assert_true(r[0].retry_after_s == 0 && r[2].retry_after_s == 60);
    assert_int_equal(mg_limiter_take_all(d, asks, 2, 0, r), MG_DICT_OK); /* so it is */
    assert_true(r[0].remaining == 2 && r[1].remaining == 0);
    asks[1].cost = 0;
    assert_int_equal(mg_limiter_take_all(d, asks, 2, 0, r), MG_DICT_OK);
    assert_true(r[0].ok && r[0].remaining == 1 && r[1].ok && r[1].remaining == 0);
}

static void refused_makes_no_entries(void **state)
{
    struct mg_dict *d = *state;
    struct mg_limiter_result r[2];
    const struct mg_limiter_ask asks[] = {{&FIVE, MG_STR("a"), 1}, {&TWO, MG_STR("b"), 3}};
    assert_int_equal(mg_limiter_take_all(d, asks, 2, 0, r), MG_DICT_OK);
    assert_true(r[0].ok && !r[1].ok);
    assert_int_equal(entries(d), 0);
}

static void faulty_calls_take_nothing(void **state)
{
    struct mg_dict *d = *state;
    struct mg_limiter_result r[MG_LIMITER_ASKS_MAX + 1] = {{.remaining = 77}};
    struct mg_limiter_rule bad = {MG_LIMITER_TOKEN_BUCKET, 0, 1, 1, 0};
    struct mg_limiter_ask asks[MG_LIMITER_ASKS_MAX + 1] = {{&FIVE, MG_STR("a"), 1},
                                                           {&FIVE, MG_STR("a"), 1}};
    assert_int_equal(mg_limiter_take_all(d, asks, 2, 0, r), MG_DICT_BAD_ARGUMENT);
    asks[1] = (struct mg_limiter_ask){&bad, MG_STR("b"), 1};
    assert_int_equal(mg_limiter_take_all(d, asks, 2, 0, r), MG_DICT_BAD_ARGUMENT);
    asks[1] = (struct mg_limiter_ask){&FIVE, MG_STR("b"), -1};
    assert_int_equal(mg_limiter_take_all(d, asks, 2, 0, r), MG_DICT_BAD_ARGUMENT);
    assert_int_equal(mg_limiter_take_all(d, asks, 0, 0, r), MG_DICT_BAD_ARGUMENT);
    assert_int_equal(mg_limiter_take_all(d, asks, MG_LIMITER_ASKS_MAX + 1, 0, r),
                     MG_DICT_BAD_ARGUMENT);
    assert_int_equal(mg_limiter_take(d, MG_STR("b"), 1, 1, 1, 0, &r[1]), MG_DICT_OK);
    asks[1].cost = 1;
    assert_int_equal(mg_limiter_take_all(d, asks, 2, 0, r), MG_DICT_BAD_TYPE);
    assert_true(r[0].remaining == 77);
    assert_int_equal(entries(d), 1);
}

/* Keys of one call that together are more than their shard holds: refused as a fault, with nothing
 * taken of any, and none of them evicted for the sake of another. */
static void a_call_never_evicts_its_own(void **state)
{
    static char keys[MG_LIMITER_ASKS_MAX][MG_DICT_KEY_MAX];
    struct mg_dict *d = *state;
    int full = 0;
    for (int round = 0; round < 200; round++) {
        struct mg_limiter_result r[MG_LIMITER_ASKS_MAX];
        struct mg_limiter_ask asks[MG_LIMITER_ASKS_MAX];
        for (int i = 0; i < MG_LIMITER_ASKS_MAX; i++) {
            snprintf(keys[i], sizeof keys[i], "%d/%d", round, i);
            asks[i] = (struct mg_limiter_ask){&FIVE, mg_str(keys[i], sizeof keys[i]), 1};
        }
        enum mg_dict_rc rc = mg_limiter_take_all(d, asks, MG_LIMITER_ASKS_MAX, 0, r);
        full += rc == MG_DICT_FULL;
        for (int i = 0; i < MG_LIMITER_ASKS_MAX; i++) {
            assert_true(rc == MG_DICT_OK || rc == MG_DICT_FULL);
            struct mg_limiter_ask look = {&FIVE, asks[i].key, 0};
            assert_int_equal(mg_limiter_take_all(d, &look, 1, 0, r), MG_DICT_OK);
            assert_true(r[0].remaining == (rc == MG_DICT_OK ? 4 : 5));
        }
    }
    assert_in_range(full, 1, 200);
    struct mg_dict_stats stats;
    mg_dict_stats(d, &stats);
    assert_in_range(stats.bytes, 1, stats.limit_bytes);
}

/* ---- threads ---- */

enum { THREADS = 8, ROUNDS = 20000, LIMIT = 1000 };

struct worker {
    struct mg_dict *dict;
    pthread_t thread;
    int taken, counted, failures, most_held;
};

static int held; /* changed atomically */

/* All ask more often than the limits allow, at one moment in time. */
static void an_answer_is_about_the_tightest(void **state)
{
    static const struct mg_limiter_result results[] = {
        {.ok = true, .remaining = 5}, {.ok = true, .remaining = 2},
        {.ok = true, .remaining = 2}, {.retry_after_s = 1, .remaining = 9},
        {.retry_after_s = 3},         {.retry_after_s = 2},
    };
    static const size_t tightest[] = {0, 1, 1, 3, 4, 4};
    (void)state;
    for (size_t count = 1; count <= sizeof tightest / sizeof *tightest; count++)
        assert_int_equal(mg_limiter_tightest(results, count), tightest[count - 1]);
}

static void *ask(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct mg_limiter_result r;
        w->failures += mg_limiter_take(w->dict, MG_STR("take"), 1, LIMIT, 1, 50, &r) != MG_DICT_OK;
        w->taken += r.ok;
        w->failures +=
            mg_limiter_window(w->dict, MG_STR("window"), LIMIT, 60, 1, 50, &r) != MG_DICT_OK;
        w->counted += r.ok;
        w->failures += mg_limiter_acquire(w->dict, MG_STR("held"), 3, 50, &r) != MG_DICT_OK;
        if (r.ok) {
            int now_held = __atomic_add_fetch(&held, 1, __ATOMIC_SEQ_CST);
            if (now_held > w->most_held)
                w->most_held = now_held;
            __atomic_sub_fetch(&held, 1, __ATOMIC_SEQ_CST);
            w->failures += mg_limiter_release(w->dict, MG_STR("held"), 50) != MG_DICT_OK;
        }
    }
    return NULL;
}

static void threads_share_one_limit(void **state)
{
    struct mg_dict *d = *state;
    struct worker workers[THREADS] = {{0}};
    int taken = 0, counted = 0;
    for (int i = 0; i < THREADS; i++) {
        workers[i].dict = d;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, ask, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].failures, 0);
        assert_in_range(workers[i].most_held, 0, 3);
        taken += workers[i].taken;
        counted += workers[i].counted;
    }
    assert_int_equal(taken, LIMIT);
    assert_int_equal(counted, LIMIT);
    assert_int_equal(entries(d), 2); /* nothing is held any more */
}

enum { KEYS = 12, AT_ONCE = 4 };

/* Random keys in random order, each with a limit of its own: what would be a deadlock if locks were
 * taken in that order. */
static void *ask_for_many(void *arg)
{
    struct worker *w = arg;
    static const char NAMES[] = "abcdefghijkl";
    uint32_t x = (uint32_t)(uintptr_t)w | 1;
    for (int i = 0; i < ROUNDS; i++) {
        static const struct mg_limiter_rule RULE = {MG_LIMITER_FIXED_WINDOW, LIMIT, 60, 0, 0};
        struct mg_limiter_ask asks[AT_ONCE];
        struct mg_limiter_result r[AT_ONCE];
        x = x * 1664525 + 1013904223;
        for (uint32_t j = 0; j < AT_ONCE; j++)
            asks[j] = (struct mg_limiter_ask){
                &RULE, mg_str(&NAMES[((x >> 16) + j * (1 + (x >> 8) % 2 * 4)) % KEYS], 1), 1};
        w->failures += mg_limiter_take_all(w->dict, asks, AT_ONCE, 50, r) != MG_DICT_OK;
        bool ok = true;
        for (int j = 0; j < AT_ONCE; j++)
            ok = ok && r[j].ok;
        w->taken += ok;
    }
    return NULL;
}

/* Each grant takes AT_ONCE units, so the sum of what is gone tells whether any was taken in part.
 */
static void threads_take_all_or_nothing(void **state)
{
    struct mg_dict *d = *state;
    struct worker workers[THREADS] = {{0}};
    double taken = 0, gone = 0;
    for (int i = 0; i < THREADS; i++) {
        workers[i].dict = d;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, ask_for_many, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].failures, 0);
        taken += workers[i].taken;
    }
    for (int i = 0; i < KEYS; i++) {
        struct mg_limiter_result r;
        char name = (char)('a' + i);
        assert_int_equal(mg_limiter_window(d, mg_str(&name, 1), LIMIT, 60, 0, 50, &r), MG_DICT_OK);
        gone += LIMIT - r.remaining;
    }
    assert_true(gone == taken * AT_ONCE);
    assert_true(gone > LIMIT * KEYS / 2.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bucket, setup, teardown),
        cmocka_unit_test_setup_teardown(bucket_keeps_its_promise, setup, teardown),
        cmocka_unit_test_setup_teardown(bucket_in_the_long_run, setup, teardown),
        cmocka_unit_test_setup_teardown(bucket_forgets_when_full, setup, teardown),
        cmocka_unit_test_setup_teardown(bucket_changes_size, setup, teardown),
        cmocka_unit_test_setup_teardown(window, setup, teardown),
        cmocka_unit_test_setup_teardown(window_changes_size, setup, teardown),
        cmocka_unit_test_setup_teardown(concurrency, setup, teardown),
        cmocka_unit_test_setup_teardown(counters_are_not_evicted, setup, teardown),
        cmocka_unit_test_setup_teardown(hot_limiters_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(sorts_do_not_mix, setup, teardown),
        cmocka_unit_test_setup_teardown(arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(all_or_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_makes_no_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(faulty_calls_take_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_call_never_evicts_its_own, setup, teardown),
        cmocka_unit_test(an_answer_is_about_the_tightest),
        cmocka_unit_test_setup_teardown(threads_share_one_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_take_all_or_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
