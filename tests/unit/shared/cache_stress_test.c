/*
 * The cache under threads: they lead, wait for each other, read bodies while these grow, break off,
 * evict, purge by everything there is, and reload, all at once. For ThreadSanitizer, and for what
 * it does not see: a waiter that nobody wakes, two leaders for one key, bytes of another body.
 *
 * CACHE_ROUNDS=1000000 makes it longer.
 */
#include "shared/cache.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/memory.h"
#include "shared/caches.h"

#define KIB ((size_t)1024)
#define MIB (KIB * 1024)
#define SIZE (2 * MIB)
#define OBJECT_MAX (128 * KIB)
#define USERS 6
#define KEYS 64
#define NOW 1000
#define PATIENCE_S 60

static struct mg_caches *caches;
static struct mg_cache *cache;
static uint64_t rounds;
/* How many lead for a key, and have not begun yet. */
static atomic_int leaders[KEYS];
static atomic_ullong whole, cut, waited;

static uint64_t below(uint64_t *dice, uint64_t limit)
{
    *dice = *dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*dice >> 33) % limit;
}

/* assert_* of cmocka is for one thread. */
static void want(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "cache stress: %s\n", what);
    abort();
}

/* Others come in between. */
static void pause_somewhere(uint64_t *dice)
{
    for (uint64_t i = below(dice, 4); i > 0; i--)
        sched_yield();
}

/* --- waiting --- */

struct sleeper {
    struct mg_cache_waiter waiter;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool woken;
};

static void wake(void *arg)
{
    struct sleeper *s = arg;
    pthread_mutex_lock(&s->lock);
    s->woken = true;
    pthread_cond_signal(&s->cond);
    pthread_mutex_unlock(&s->lock);
}

static void sleeper_init(struct sleeper *s)
{
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->cond, NULL);
    s->woken = false;
    mg_cache_waiter_init(&s->waiter, wake, s);
}

static void sleep_until_woken(struct sleeper *s)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&s->lock);
    while (!s->woken && rc == 0)
        rc = pthread_cond_timedwait(&s->cond, &s->lock, &until);
    want(s->woken, "nobody woke who waits");
    s->woken = false;
    pthread_mutex_unlock(&s->lock);
}

static void sleeper_release(struct sleeper *s, const struct mg_cache_key *key)
{
    mg_cache_waiter_cancel(cache, key, &s->waiter);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->cond);
}

/* --- reading --- */

/* Every byte of a body is its key's number; a whole one is as long as its first bytes say. */
static void check_bytes(struct mg_str bytes, char mark)
{
    want(bytes.p[0] == mark && bytes.p[bytes.n / 2] == mark && bytes.p[bytes.n - 1] == mark,
         "the bytes of another body");
}

static void read_it(struct mg_cache_entry *e, char mark, uint64_t *dice)
{
    struct sleeper s;
    struct mg_cache_reader r;
    struct mg_str bytes;
    uint64_t n = 0, length;
    sleeper_init(&s);
    want(mg_cache_reader_init(&r, cache, e), "the beginning of a body");
    for (bool more = true; more;) {
        switch (mg_cache_read(&r, &bytes, &s.waiter)) {
        case MG_CACHE_READ_BYTES:
            check_bytes(bytes, mark);
            n += bytes.n;
            mg_cache_consume(&r, bytes.n);
            more = below(dice, 50) > 0; /* some leave */
            break;
        case MG_CACHE_READ_WAIT:
            sleep_until_woken(&s);
            break;
        case MG_CACHE_READ_END:
            want(mg_cache_is_complete(e, &length) && length == n, "the end of a part");
            atomic_fetch_add(&whole, 1);
            more = false;
            break;
        case MG_CACHE_READ_BROKEN:
            atomic_fetch_add(&cut, 1);
            more = false;
            break;
        }
    }
    sleeper_release(&s, &e->key);
    mg_cache_reader_release(&r);
}

/* --- filling --- */

static void fill_it(struct mg_cache_fill *fill, unsigned number, uint64_t *dice)
{
    static _Thread_local char bytes[OBJECT_MAX / 4];
    const struct mg_cache_new what = {.variant = number % 2 ? MG_STR("v") : MG_STR_NONE,
                                      .head = MG_STR("200"),
                                      .tags = MG_STR("red blue"),
                                      .length = -1,
                                      .expires_ns = UINT64_MAX};
    bool begins = below(dice, 12) > 0;
    pause_somewhere(dice);
    atomic_fetch_sub(&leaders[number], 1);
    struct mg_cache_entry *e = begins ? mg_cache_fill_begin(fill, &what, NOW) : NULL;
    if (!e) {
        mg_cache_fill_fail(fill, below(dice, 2) ? MG_CACHE_PASS : MG_CACHE_FAILED);
        return;
    }
    memset(bytes, (char)number, sizeof bytes);
    bool ok = true;
    for (uint64_t i = below(dice, 5); i > 0 && ok; i--) {
        size_t n = 1 + below(dice, sizeof bytes);
        ok = mg_cache_fill_add(fill, mg_str(bytes, n), NOW) == n;
        pause_somewhere(dice);
    }
    if (ok && below(dice, 9))
        mg_cache_fill_end(fill);
    else
        mg_cache_fill_fail(fill, MG_CACHE_FAILED);
    mg_cache_unref(cache, e);
}

static void renew_it(struct mg_cache_fill *fill, struct mg_cache_entry *old, unsigned number)
{
    const struct mg_cache_new what = {.variant = old->key.variant,
                                      .head = MG_STR("200 again"),
                                      .tags = MG_STR("red"),
                                      .length = -1,
                                      .expires_ns = UINT64_MAX};
    atomic_fetch_sub(&leaders[number], 1);
    mg_cache_unref(cache, mg_cache_fill_renew(fill, old, &what, NOW));
}

/* --- users --- */

static void miss(const struct mg_cache_key *key, struct mg_cache_entry *over, unsigned number,
                 uint64_t *dice)
{
    struct sleeper s;
    struct mg_cache_fill *fill;
    struct mg_cache_entry *found;
    sleeper_init(&s);
    switch (mg_cache_lead(cache, key, over, NOW, &s.waiter, &fill, &found)) {
    case MG_CACHE_LEAD:
        want(atomic_fetch_add(&leaders[number], 1) == 0, "two lead for one key");
        if (over && below(dice, 2))
            renew_it(fill, over, number);
        else
            fill_it(fill, number, dice);
        break;
    case MG_CACHE_WAIT:
        atomic_fetch_add(&waited, 1);
        if (below(dice, 8)) /* else it gives up */
            sleep_until_woken(&s);
        break;
    case MG_CACHE_FOUND:
        read_it(found, (char)number, dice);
        mg_cache_unref(cache, found);
        break;
    }
    sleeper_release(&s, key);
}

static void use_one(uint64_t *dice)
{
    char text[16];
    unsigned number = (unsigned)below(dice, 1 + below(dice, KEYS));
    snprintf(text, sizeof text, "/%u/%u", number % 4, number);
    const struct mg_cache_key key = {mg_str_c(text), number % 2 ? MG_STR("v") : MG_STR_NONE};
    struct mg_cache_entry *e = mg_cache_find(cache, &key, NOW);
    if (e && below(dice, 3))
        read_it(e, (char)number, dice);
    else
        miss(&key, e, number, dice);
    mg_cache_unref(cache, e);
}

static void purge(uint64_t *dice)
{
    static const enum mg_cache_purge_by ways[] = {MG_CACHE_BY_KEY,    MG_CACHE_BY_KEY,
                                                  MG_CACHE_BY_KEY,    MG_CACHE_BY_TAG,
                                                  MG_CACHE_BY_PREFIX, MG_CACHE_ALL};
    static const char *const what[] = {"/1/1", "/2/2", "/3/7", "blue", "/1/", ""};
    uint64_t i = below(dice, sizeof ways / sizeof *ways);
    mg_cache_purge(cache, ways[i], mg_str_c(what[i]), below(dice, 2));
    struct mg_cache_stats stats = mg_cache_stats(cache);
    want(stats.bytes <= stats.limit_bytes, "more than its budget");
}

/* The same cache for the next generation, and another one under its name, as a reload has them. */
static void reload(void)
{
    struct mg_cache *same = mg_caches_get(caches, MG_STR("c"), SIZE, OBJECT_MAX, MG_STR_NONE);
    struct mg_cache *other = mg_caches_get(caches, MG_STR("c"), MIB, KIB, MG_STR_NONE);
    const struct mg_cache_key key = {MG_STR("/"), MG_STR_NONE};
    want(same == cache, "a reload that changes nothing makes another cache");
    mg_cache_mark(other, &key, MG_STR("x"), NOW + 1, NOW);
    mg_caches_put(caches, other);
    mg_caches_put(caches, same);
}

static void *use(void *arg)
{
    uint64_t dice = (uint64_t)(uintptr_t)arg;
    for (uint64_t i = 0; i < rounds; i++) {
        use_one(&dice);
        if (!below(&dice, 40))
            purge(&dice);
        if (!below(&dice, 40))
            reload();
    }
    return NULL;
}

static void all_at_once(void **state)
{
    (void)state;
    const char *text = getenv("CACHE_ROUNDS");
    pthread_t threads[USERS];
    rounds = text ? strtoull(text, NULL, 10) : 3000;
    caches = mg_caches_new();
    cache = mg_caches_get(caches, MG_STR("c"), SIZE, OBJECT_MAX, MG_STR_NONE);
    for (uintptr_t i = 0; i < USERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, (void *)(i + 1)), 0);
    for (int i = 0; i < USERS; i++)
        pthread_join(threads[i], NULL);
    struct mg_cache_stats stats = mg_cache_stats(cache);
    print_message("# %llu hits, %llu misses, %llu fills, %llu evicted, %llu purged; %llu bodies "
                  "whole, %llu cut; %llu waited\n",
                  (unsigned long long)stats.hits, (unsigned long long)stats.misses,
                  (unsigned long long)stats.fills, (unsigned long long)stats.evictions,
                  (unsigned long long)stats.purges, whole, cut, waited);
    assert_true(stats.hits > 0 && stats.evictions > 0 && stats.purges > 0 && whole > 0 && cut > 0);
    mg_caches_put(caches, cache); /* frees it, and looks whether all memory came back */
    mg_caches_free(caches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_at_once)};
    return cmocka_run_group_tests_name("cache stress", tests, NULL, NULL);
}
