/*
 * Algorithms against reference models, over hours of virtual time with random calls. The models
 * keep a log of all that was granted, which is what the promises in the header are about.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shared/limiter_rules.h"

#define HOUR_MS (60 * 60 * 1000LL)
#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static uint64_t seed;

/* xorshift64*: the same calls each time. */
static uint64_t random_below(uint64_t n)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (seed * 0x2545F4914F6CDD1DULL >> 11) % n;
}

struct grant {
    int64_t at_ms;
    double cost;
};

struct log {
    struct grant *grants;
    size_t count, room;
};

static void log_add(struct log *log, int64_t at_ms, double cost)
{
    if (log->count == log->room) {
        log->room = log->room ? log->room * 2 : 256;
        log->grants = realloc(log->grants, log->room * sizeof *log->grants);
        assert_non_null(log->grants);
    }
    log->grants[log->count++] = (struct grant){at_ms, cost};
}

/* What was granted after `from_ms`, which is not so long ago. */
static double granted_since(const struct log *log, int64_t from_ms)
{
    double sum = 0;
    for (size_t i = log->count; i > 0 && log->grants[i - 1].at_ms > from_ms; i--)
        sum += log->grants[i - 1].cost;
    return sum;
}

/* Pauses as clients make them: none, short ones, and now and then a long one. */
static int64_t pause_ms(int64_t window_ms)
{
    switch (random_below(8)) {
    case 0:
        return (int64_t)random_below((uint64_t)window_ms);
    case 1:
        return (int64_t)random_below((uint64_t)(2 * window_ms));
    case 2:
    case 3:
        return 0;
    default:
        return (int64_t)random_below((uint64_t)(window_ms / 20 + 2));
    }
}

struct limiter {
    struct mg_limiter_rule rule;
    union mg_limiter_state state;
    bool there;
    int64_t expires_ms;
};

static struct mg_limiter_result ask(struct limiter *l, double cost, int64_t now_ms)
{
    struct mg_limiter_decision d;
    if (l->there && l->expires_ms <= now_ms)
        l->there = false; /* what a dictionary would have done */
    mg_limiter_decide(&l->rule, l->there ? &l->state : NULL, cost, now_ms, &d);
    assert_true(d.result.remaining >= 0 && d.result.remaining == floor(d.result.remaining));
    assert_true(d.result.reset_s >= 0 && isfinite(d.result.reset_s));
    assert_true(d.result.retry_after_s >= 0 && (d.result.retry_after_s == 0) == d.result.ok);
    if (d.result.ok && cost > 0) {
        l->state = d.next;
        l->expires_ms = d.expires_ms;
        l->there = true;
    }
    return d.result;
}

/* When the same would be granted, if nobody else takes: a millisecond before it is not. */
static void check_retry(const struct limiter *l, double cost, int64_t now_ms,
                        const struct mg_limiter_result *r)
{
    struct limiter copy = *l;
    int64_t at_ms = now_ms + (int64_t)ceil(r->retry_after_s * 1000 - 1e-6);
    if (!ask(&copy, cost, at_ms).ok)
        fail_msg("told to come back after %g s for nothing", r->retry_after_s);
    copy = *l;
    if (at_ms > now_ms + 1 && ask(&copy, cost, at_ms - 2).ok)
        fail_msg("told to come back after %g s, too late", r->retry_after_s);
}

/* ---- sliding window ---- */

static void play_sliding(double limit, double seconds)
{
    struct limiter l = {.rule = {.algorithm = MG_LIMITER_SLIDING_WINDOW, limit, seconds, 0, 0}};
    struct log log = {0};
    int64_t window_ms = (int64_t)(seconds * 1000);
    int64_t cell_ms = (window_ms + MG_LIMITER_CELLS - 2) / (MG_LIMITER_CELLS - 1);
    int64_t end_ms = window_ms * 100 > 3 * HOUR_MS ? window_ms * 100 : 3 * HOUR_MS;
    for (int64_t now_ms = 977; now_ms < end_ms; now_ms += pause_ms(window_ms)) {
        double cost = random_below(4) ? 1 : (double)random_below((uint64_t)limit) + 1;
        struct mg_limiter_result r = ask(&l, cost, now_ms);
        if (r.ok)
            log_add(&log, now_ms, cost);
        else
            check_retry(&l, cost, now_ms, &r);
        /* Never more than the limit in any stretch: so none that ends here. */
        double used = granted_since(&log, now_ms - window_ms);
        if (used > limit + 1e-6)
            fail_msg("%g of %g in %g s", used, limit, seconds);
        assert_true(r.remaining <= limit - used + 1e-6);
        /* And what is refused had its reason at most one cell longer ago. */
        if (!r.ok)
            assert_true(granted_since(&log, now_ms - cell_ms * MG_LIMITER_CELLS) + cost >
                        limit - 1e-6);
    }
    assert_true(log.count > 20);
    free(log.grants);
}

static void sliding_windows(void **state)
{
    static const double RULES[][2] = {{1, 1},    {5, 10},   {100, 60},  {7, 0.5},
                                      {3, 3600}, {20, 900}, {10, 86400}};
    (void)state;
    for (size_t i = 0; i < COUNT(RULES); i++) {
        seed = 88172645463325252ULL + i;
        play_sliding(RULES[i][0], RULES[i][1]);
    }
}

/* A client that takes all at the end of one window and all at the beginning of the next. */
static void no_double_burst(void **state)
{
    (void)state;
    struct limiter sliding = {.rule = {.algorithm = MG_LIMITER_SLIDING_WINDOW, 100, 60, 0, 0}};
    struct limiter fixed = {.rule = {.algorithm = MG_LIMITER_FIXED_WINDOW, 100, 60, 0, 0}};
    int in_sliding = 0, in_fixed = 0;
    ask(&fixed, 1, 60000);
    for (int64_t now_ms = 119900; now_ms < 120100; now_ms++) {
        in_sliding += ask(&sliding, 1, now_ms).ok;
        in_fixed += ask(&fixed, 1, now_ms).ok;
    }
    assert_int_equal(in_sliding, 100);
    assert_int_equal(in_fixed, 199);
}

static void sliding_changes_size(void **state)
{
    (void)state;
    struct limiter l = {.rule = {.algorithm = MG_LIMITER_SLIDING_WINDOW, 10, 60, 0, 0}};
    for (int i = 0; i < 6; i++)
        assert_true(ask(&l, 1, 1000 * i).ok);
    l.rule.seconds = 10; /* all that counts is as of now */
    l.expires_ms = INT64_MAX;
    assert_true(ask(&l, 1, 6000).remaining == 3);
    assert_false(ask(&l, 4, 15900).ok);
    assert_true(ask(&l, 10, 17000).ok);
    l.rule.limit = 3;
    assert_true(ask(&l, 1, 17000).remaining == 0);
}

/* ---- fixed window ---- */

static void fixed_windows(void **state)
{
    static const double RULES[][2] = {{1, 1}, {5, 10}, {100, 60}, {20, 900}};
    (void)state;
    for (size_t i = 0; i < COUNT(RULES); i++) {
        double limit = RULES[i][0], used = 0;
        int64_t window_ms = (int64_t)(RULES[i][1] * 1000), start_ms = -window_ms;
        struct limiter l = {
            .rule = {.algorithm = MG_LIMITER_FIXED_WINDOW, limit, RULES[i][1], 0, 0}};
        seed = 1234567 + i;
        for (int64_t now_ms = 0; now_ms < 3 * HOUR_MS; now_ms += pause_ms(window_ms)) {
            double cost = random_below(4) ? 1 : (double)random_below((uint64_t)limit) + 1;
            if (now_ms >= start_ms + window_ms)
                used = 0;
            bool expected = used + cost <= limit;
            if (expected && used == 0)
                start_ms = now_ms;
            struct mg_limiter_result r = ask(&l, cost, now_ms);
            assert_int_equal(r.ok, expected);
            if (expected)
                used += cost;
            else
                check_retry(&l, cost, now_ms, &r);
            assert_true(r.remaining == limit - used);
        }
    }
}

/* ---- buckets ---- */

/* Whatever the client does, in any stretch of t no more than burst + rate * t, for both of them are
 * the same from outside. */
static void play_bucket(enum mg_limiter_algorithm algorithm, double limit, double seconds,
                        double burst)
{
    struct limiter l = {.rule = {algorithm, limit, seconds, burst, 0}};
    struct log log = {0};
    double rate = limit / seconds, level = 0; /* the model: what has been poured in and not left */
    int64_t window_ms = (int64_t)(burst / rate * 1000), before_ms = 0;
    for (int64_t now_ms = 0; now_ms < 3 * HOUR_MS; now_ms += pause_ms(window_ms)) {
        double cost = random_below(4) ? 1 : (double)random_below((uint64_t)burst) + 1;
        level = fmax(0, level - (double)(now_ms - before_ms) * rate / 1000);
        before_ms = now_ms;
        struct mg_limiter_result r = ask(&l, cost, now_ms);
        if (fabs(level + cost - burst) > 1e-3)
            assert_int_equal(r.ok, level + cost <= burst);
        if (r.ok) {
            level += cost;
            log_add(&log, now_ms, cost);
        } else {
            check_retry(&l, cost, now_ms, &r);
        }
        assert_true(fabs(r.reset_s - level / rate) < 1e-3);
        int64_t stretch_ms = (int64_t)random_below((uint64_t)(3 * window_ms)) + 1;
        double most = burst + rate * (double)stretch_ms / 1000;
        assert_true(granted_since(&log, now_ms - stretch_ms) <= most + 1e-3);
    }
    assert_true(log.count > 20);
    free(log.grants);
}

static void buckets(void **state)
{
    static const double RULES[][3] = {{10, 1, 20}, {1, 1, 1}, {100, 60, 30}, {1, 30, 5}};
    (void)state;
    for (size_t i = 0; i < COUNT(RULES); i++) {
        seed = 42 + i;
        play_bucket(MG_LIMITER_TOKEN_BUCKET, RULES[i][0], RULES[i][1], RULES[i][2]);
        play_bucket(MG_LIMITER_LEAKY_BUCKET, RULES[i][0], RULES[i][1], RULES[i][2]);
    }
}

/* With a queue, what leaves does so evenly, and never more than the queue waits. */
static void queue(void **state)
{
    enum { QUEUE = 5 };
    struct limiter l = {.rule = {MG_LIMITER_LEAKY_BUCKET, 10, 1, 1, QUEUE}};
    double last_ms = -1000;
    int refused = 0, granted = 0;
    (void)state;
    seed = 7;
    for (int64_t now_ms = 0; now_ms < HOUR_MS; now_ms += pause_ms(500)) {
        struct mg_limiter_result r = ask(&l, 1, now_ms);
        if (!r.ok) {
            refused++;
            check_retry(&l, 1, now_ms, &r);
            continue;
        }
        granted++;
        double leaves_ms = (double)now_ms + r.delay_s * 1000;
        if (leaves_ms < last_ms + 100 - 1e-3)
            fail_msg("leaves %g ms after the one before", leaves_ms - last_ms);
        assert_true(r.delay_s <= QUEUE * 0.1 + 1e-6);
        last_ms = leaves_ms;
    }
    assert_true(refused > 1000 && granted > 1000);
}

static void time_runs_back(void **state)
{
    (void)state;
    for (int i = MG_LIMITER_FIXED_WINDOW; i <= MG_LIMITER_LEAKY_BUCKET; i++) {
        struct limiter l = {.rule = {(enum mg_limiter_algorithm)i, 2, 10, 2, 0}};
        assert_true(ask(&l, 1, 50000).ok);
        assert_true(ask(&l, 1, 49000).ok);
        assert_false(ask(&l, 1, 48000).ok);
        assert_false(ask(&l, 1, 50000).ok);
    }
}

static void rules(void **state)
{
    static const struct mg_limiter_rule BAD[] = {
        {MG_LIMITER_FIXED_WINDOW, -1, 1, 0, 0},     {MG_LIMITER_FIXED_WINDOW, NAN, 1, 0, 0},
        {MG_LIMITER_SLIDING_WINDOW, 1, 0, 0, 0},    {MG_LIMITER_SLIDING_WINDOW, 1, 1e10, 0, 0},
        {MG_LIMITER_TOKEN_BUCKET, 0, 1, 1, 0},      {MG_LIMITER_TOKEN_BUCKET, 1, 1, -1, 0},
        {MG_LIMITER_TOKEN_BUCKET, 1, 1e-300, 1, 0}, {MG_LIMITER_TOKEN_BUCKET, 1, 1e9, 2, 0},
        {MG_LIMITER_LEAKY_BUCKET, 1, 1, 1, NAN},    {MG_LIMITER_LEAKY_BUCKET, 1, 1e8, 1, 100},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(BAD); i++)
        if (mg_limiter_rule_ok(&BAD[i]))
            fail_msg("rule %zu is taken", i);
}

static void algorithms_have_names(void **state)
{
    enum mg_limiter_algorithm found = MG_LIMITER_FIXED_WINDOW;
    (void)state;
    assert_true(mg_limiter_algorithm_find(MG_STR("leaky-bucket"), &found));
    assert_int_equal(found, MG_LIMITER_LEAKY_BUCKET);
    assert_false(mg_limiter_algorithm_find(MG_STR("leaky"), &found));
    assert_false(mg_limiter_algorithm_find(MG_STR_NONE, &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sliding_windows),
        cmocka_unit_test(no_double_burst),
        cmocka_unit_test(sliding_changes_size),
        cmocka_unit_test(fixed_windows),
        cmocka_unit_test(buckets),
        cmocka_unit_test(queue),
        cmocka_unit_test(time_runs_back),
        cmocka_unit_test(rules),
        cmocka_unit_test(algorithms_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
