/* The cache of verified tokens: realms, ends, the budget, what a scan pushes out, threads.
 */
#include "shared/token_cache.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KIB ((size_t)1024)
#define FOREVER INT64_MAX

struct fixture {
    struct mg_pool pool;
    struct mg_arena arena;
    struct mg_token_cache *cache;
};

static void start(struct fixture *f, size_t bytes)
{
    mg_pool_init(&f->pool, 4096);
    mg_arena_init(&f->arena, &f->pool);
    f->cache = mg_token_cache_new(bytes);
}

static void stop(struct fixture *f)
{
    mg_token_cache_free(f->cache);
    mg_arena_release(&f->arena);
    mg_pool_release(&f->pool);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    start(f, MG_TOKEN_CACHE_BYTES_MIN);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    stop(*state);
    free(*state);
    return 0;
}

/* The payload, or "-" for a miss. */
static const char *find_at(struct fixture *f, uint64_t realm, const char *token, int64_t now_s)
{
    struct mg_token_hit hit;
    if (!mg_token_cache_find(f->cache, realm, mg_str_c(token), now_s, &f->arena, &hit))
        return "-";
    assert_int_equal(hit.payload.p[hit.payload.n], '\0');
    assert_int_equal(strlen(hit.payload.p), hit.payload.n);
    return hit.payload.p;
}

static const char *find(struct fixture *f, uint64_t realm, const char *token)
{
    return find_at(f, realm, token, 0);
}

static void miss(struct fixture *f, uint64_t realm, struct mg_str token)
{
    struct mg_token_hit hit;
    assert_false(mg_token_cache_find(f->cache, realm, token, 0, &f->arena, &hit));
}

static void put_until(struct fixture *f, uint64_t realm, const char *token, const char *payload,
                      int64_t exp_s)
{
    miss(f, realm, mg_str_c(token));
    mg_token_cache_put(f->cache, realm, mg_str_c(token), mg_str_c(payload), exp_s, 0);
}

static void put(struct fixture *f, uint64_t realm, const char *token, const char *payload)
{
    put_until(f, realm, token, payload, FOREVER);
}

static void tokens_come_back(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(find(f, 1, "a"), "-");
    put(f, 1, "a", "{\"sub\":\"ann\"}");
    put(f, 1, "b", "");
    put(f, 1, "", "none");
    assert_string_equal(find(f, 1, "a"), "{\"sub\":\"ann\"}");
    assert_string_equal(find(f, 1, "b"), "");
    assert_string_equal(find(f, 1, ""), "none");
    assert_string_equal(find(f, 1, "c"), "-");
}

static void the_end_is_told(void **state)
{
    struct fixture *f = *state;
    struct mg_token_hit hit;
    put_until(f, 1, "a", "x", 77);
    assert_true(mg_token_cache_find(f->cache, 1, MG_STR("a"), 76, &f->arena, &hit));
    assert_int_equal(hit.exp_s, 77);
}

static void each_byte_counts(void **state)
{
    struct fixture *f = *state;
    char token[300];
    memset(token, 'a', sizeof token - 1);
    token[sizeof token - 1] = '\0';
    put(f, 1, token, "x");
    for (size_t i = 0; i < sizeof token - 1; i++) {
        token[i] = 'b';
        assert_string_equal(find(f, 1, token), "-");
        token[i] = 'a';
    }
    assert_string_equal(find(f, 1, token + 1), "-");
    assert_string_equal(find(f, 1, token), "x");
}

static void another_realm_never_hits(void **state)
{
    struct fixture *f = *state;
    put(f, 1, "a", "one");
    for (uint64_t realm = 2; realm < 5000; realm++)
        assert_string_equal(find(f, realm, "a"), "-");
    put(f, 2, "a", "two");
    assert_string_equal(find(f, 1, "a"), "one");
    assert_string_equal(find(f, 2, "a"), "two");
}

static void entries_end(void **state)
{
    struct fixture *f = *state;
    put_until(f, 1, "a", "x", 100);
    assert_string_equal(find_at(f, 1, "a", 99), "x");
    assert_string_equal(find_at(f, 1, "a", 100), "-");
    assert_int_equal(mg_token_cache_stats(f->cache).entries, 0);
    /* The clock was set back: what has ended is gone. */
    assert_string_equal(find_at(f, 1, "a", 99), "-");
    put_until(f, 1, "b", "x", 0);
    put_until(f, 1, "c", "x", -1);
    assert_int_equal(mg_token_cache_stats(f->cache).entries, 0);
}

static void the_later_put_counts(void **state)
{
    struct fixture *f = *state;
    mg_token_cache_put(f->cache, 1, MG_STR("a"), MG_STR("old"), 10, 0);
    mg_token_cache_put(f->cache, 1, MG_STR("a"), MG_STR("new"), 20, 0);
    assert_string_equal(find_at(f, 1, "a", 15), "new");
    assert_int_equal(mg_token_cache_stats(f->cache).entries, 1);
}

/* The budget
 * ---------------------------------------------------------------------------------------------- */

static uint32_t roll(uint32_t *dice)
{
    *dice = *dice * 1664525 + 1013904223;
    return *dice >> 16;
}

static void the_budget_holds(void **state)
{
    (void)state;
    static const size_t budgets[] = {0, 100 * KIB, 1 << 20, MG_TOKEN_CACHE_BYTES_DEFAULT};
    static char token[6000], payload[6000];
    for (size_t b = 0; b < sizeof budgets / sizeof *budgets; b++) {
        struct fixture f;
        start(&f, budgets[b]);
        size_t empty = mg_token_cache_stats(f.cache).bytes;
        assert_true(empty > 0 && empty < MG_TOKEN_CACHE_BYTES_MIN / 10 + budgets[b] / 50);
        uint32_t dice = 1;
        for (int i = 0; i < 3000; i++) {
            int length = snprintf(token, sizeof token, "%0*d", (int)(10 + roll(&dice) % 3000), i);
            struct mg_str key = mg_str(token, (size_t)length);
            mg_token_cache_put(f.cache, 1, key, mg_str(payload, roll(&dice) % 3000), FOREVER, 0);
            struct mg_token_cache_stats stats = mg_token_cache_stats(f.cache);
            assert_true(stats.bytes <= stats.limit_bytes);
        }
        struct mg_token_cache_stats full = mg_token_cache_stats(f.cache);
        assert_int_equal(full.limit_bytes,
                         budgets[b] ? budgets[b] : (size_t)MG_TOKEN_CACHE_BYTES_MIN);
        assert_true(full.entries > 0 && full.bytes > empty);
        stop(&f);
    }
}

static void what_is_too_large_is_not_kept(void **state)
{
    struct fixture *f = *state;
    static char token[8 << 10];
    struct mg_str large = mg_str(token, sizeof token);
    mg_token_cache_put(f->cache, 1, large, MG_STR(""), FOREVER, 0);
    mg_token_cache_put(f->cache, 1, MG_STR("a"), large, FOREVER, 0);
    assert_int_equal(mg_token_cache_stats(f->cache).entries, 0);
    assert_int_equal(mg_token_cache_stats(f->cache).evictions, 0);
}

/* What stays
 * ---------------------------------------------------------------------------------------------- */

#define REGULARS 20
#define VISITORS 2000

static char *name(const char *kind, int i)
{
    static char token[600];
    snprintf(token, sizeof token, "%0500d%s", i, kind);
    return token;
}

static int regulars_here(struct fixture *f)
{
    int here = 0;
    for (int i = 0; i < REGULARS; i++)
        here += strcmp(find(f, 1, name("regular", i)), "x") == 0;
    return here;
}

static void a_scan_pushes_out_no_regulars(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < REGULARS; i++)
        put(f, 1, name("regular", i), "x");
    assert_int_equal(regulars_here(f), REGULARS);
    for (int i = 0; i < VISITORS; i++)
        put(f, 1, name("visitor", i), "y");
    assert_true(mg_token_cache_stats(f->cache).evictions > VISITORS / 2);
    assert_int_equal(regulars_here(f), REGULARS);
}

static void put_visitors(struct fixture *f, const char *kind, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put(f, 1, name(kind, (int)i), "y");
}

/* Who comes back soon after it was pushed out goes where visitors do not reach. */
static void who_comes_back_stays(void **state)
{
    struct fixture *f = *state;
    put_visitors(f, "first", VISITORS);
    put(f, 1, name("regular", 0), "x");
    size_t all = mg_token_cache_stats(f->cache).entries;
    put_visitors(f, "second", all); /* all are in the small queue: this one has just left it */
    assert_string_equal(find(f, 1, name("regular", 0)), "-");
    put(f, 1, name("regular", 0), "x");
    put_visitors(f, "third", all * 3);
    assert_string_equal(find(f, 1, name("regular", 0)), "x");
}

static void regulars_that_stay_away_go(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < REGULARS; i++)
        put(f, 1, name("regular", i), "x");
    assert_int_equal(regulars_here(f), REGULARS);
    put_visitors(f, "first", VISITORS);
    assert_int_equal(regulars_here(f), REGULARS); /* each has earned another round */
    for (int i = 0; i < VISITORS; i++) {
        put(f, 1, name("new", i), "y");
        (void)find(f, 1, name("new", i));
    }
    assert_int_equal(regulars_here(f), 0);
}

static void what_ended_goes_first(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < REGULARS; i++) {
        put_until(f, 1, name("regular", i), "x", 10);
        for (int k = 0; k < 3; k++)
            assert_string_equal(find(f, 1, name("regular", i)), "x");
    }
    for (int i = 0; i < 200; i++) {
        char *token = name("new", i);
        mg_token_cache_put(f->cache, 1, mg_str_c(token), MG_STR("y"), FOREVER, 10);
    }
    assert_int_equal(regulars_here(f), 0); /* at 0 they would be found, were they there */
}

static void hits_and_misses_are_counted(void **state)
{
    struct fixture *f = *state;
    put(f, 1, "a", "x");
    for (int i = 0; i < 3; i++)
        (void)find(f, 1, "a");
    (void)find(f, 1, "b");
    struct mg_token_cache_stats stats = mg_token_cache_stats(f->cache);
    assert_int_equal(stats.hits, 3);
    assert_int_equal(stats.misses, 2);
}

/* Threads
 * ---------------------------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS 5000

struct worker {
    pthread_t thread;
    struct fixture fixture; /* the cache is everybody's */
    int number, failures;
};

/* A payload says whose it is: the realm's and the token's. */
static void visit(struct worker *w, uint64_t realm, int i)
{
    struct mg_arena arena;
    struct mg_token_hit hit;
    char token[16], payload[40];
    mg_arena_init(&arena, &w->fixture.pool);
    snprintf(token, sizeof token, "%d", i % 97);
    snprintf(payload, sizeof payload, "%s of %llu", token, (unsigned long long)realm);
    if (mg_token_cache_find(w->fixture.cache, realm, mg_str_c(token), 0, &arena, &hit))
        w->failures += strcmp(hit.payload.p, payload) != 0;
    else
        mg_token_cache_put(w->fixture.cache, realm, mg_str_c(token), mg_str_c(payload), FOREVER, 0);
    mg_arena_release(&arena);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    mg_pool_init(&w->fixture.pool, 4096);
    for (int i = 0; i < ROUNDS; i++)
        visit(w, 1 + (uint64_t)i / 500, i * (w->number + 1)); /* keys are replaced at times */
    mg_pool_release(&w->fixture.pool);
    return NULL;
}

static void threads_find_what_is_theirs(void **state)
{
    (void)state;
    struct worker workers[THREADS] = {{0}};
    struct mg_token_cache *cache = mg_token_cache_new(MG_TOKEN_CACHE_BYTES_MIN);
    for (int i = 0; i < THREADS; i++) {
        workers[i].fixture.cache = cache;
        workers[i].number = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_true(mg_token_cache_stats(cache).hits > 0);
    mg_token_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tokens_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(each_byte_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(another_realm_never_hits, setup, teardown),
        cmocka_unit_test_setup_teardown(entries_end, setup, teardown),
        cmocka_unit_test_setup_teardown(the_later_put_counts, setup, teardown),
        cmocka_unit_test(the_budget_holds),
        cmocka_unit_test_setup_teardown(what_is_too_large_is_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scan_pushes_out_no_regulars, setup, teardown),
        cmocka_unit_test_setup_teardown(who_comes_back_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(regulars_that_stay_away_go, setup, teardown),
        cmocka_unit_test_setup_teardown(what_ended_goes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(hits_and_misses_are_counted, setup, teardown),
        cmocka_unit_test(threads_find_what_is_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
