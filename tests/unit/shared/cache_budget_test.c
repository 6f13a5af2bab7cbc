/*
 * The budget under random use: objects of all sizes up to the largest, with tags and variants,
 * hits, renewals, fills that break off, readers that hold on, purges of every kind. However it is
 * used, the cache takes the memory it was given and no more, as it counts itself and as the system
 * does.
 *
 * CACHE_OBJECTS=1000000 makes it longer; CACHE_SEED=7 another one.
 */
#include "shared/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"

#define KIB ((size_t)1024)
#define MIB (KIB * 1024)
#define SIZE (32 * MIB)
#define OBJECT_MAX (1 * MIB)
#define KEYS 20000
#define VARIANTS 5
#define HELD 8
#define NOW 1000

static uint64_t seed = 1;

static uint64_t below(uint64_t limit)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % limit;
}

static bool one_in(uint64_t n)
{
    return below(n) == 0;
}

/* As many small ones as large ones on a logarithmic scale, and all sizes that are special. */
static size_t random_size(void)
{
    static const size_t special[] = {0, 1, 255, 256, 1024, 64 * KIB, OBJECT_MAX - 1, OBJECT_MAX};
    if (one_in(20))
        return special[below(sizeof special / sizeof *special)];
    return (size_t)below((uint64_t)1 << (1 + below(20))) + below(2);
}

/* --- what the system says --- */

static size_t resident(void)
{
    char text[128];
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    (void)fclose(f);
    const char *second = strchr(text, ' ');
    assert_non_null(second);
    return (size_t)strtoull(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* Sanitizers keep books of their own. */
static bool resident_counts(void)
{
#if defined(MG_ASAN) || defined(__SANITIZE_THREAD__)
    return false;
#else
    return true;
#endif
}

/* --- objects --- */

struct name {
    char primary[32], variant[16];
    struct mg_cache_key key;
};

/* Some are asked for much more often than others. */
static void random_name(struct name *n)
{
    uint64_t number = below(1 + below(1 + below(1 + below(KEYS))));
    snprintf(n->primary, sizeof n->primary, "/%c/%u", (char)('a' + number % 26), (unsigned)number);
    snprintf(n->variant, sizeof n->variant, "v%u", (unsigned)below(VARIANTS));
    n->key = (struct mg_cache_key){mg_str_c(n->primary),
                                   number % 3 ? MG_STR_NONE : mg_str_c(n->variant)};
}

static char mark_of(const struct mg_cache_key *key)
{
    return key->primary.p[key->primary.n - 1];
}

static void read_all(struct mg_cache *c, struct mg_cache_entry *e)
{
    struct mg_cache_reader r;
    struct mg_str bytes;
    uint64_t length, n = 0;
    if (!mg_cache_is_complete(e, &length))
        return;
    assert_true(mg_cache_reader_init(&r, c, e));
    for (; mg_cache_read(&r, &bytes, NULL) == MG_CACHE_READ_BYTES; n += bytes.n) {
        assert_int_equal(bytes.p[0], mark_of(&e->key));
        assert_int_equal(bytes.p[bytes.n - 1], mark_of(&e->key));
        mg_cache_consume(&r, bytes.n);
    }
    assert_int_equal(n, length);
}

/* Readers that are slow: the memory of what they read counts on. */
static struct mg_cache_entry *held[HELD];

static void hold(struct mg_cache *c, struct mg_cache_entry *e)
{
    size_t i = below(HELD);
    if (held[i])
        read_all(c, held[i]);
    mg_cache_unref(c, held[i]);
    held[i] = e;
}

static char body[OBJECT_MAX];

static bool add_body(struct mg_cache_fill *fill, char mark, size_t size)
{
    memset(body, mark, size);
    for (size_t at = 0, n; at < size; at += n) {
        n = one_in(3) ? size - at : 1 + below(size - at);
        if (mg_cache_fill_add(fill, mg_str(body + at, n), NOW) < n)
            return false;
    }
    return true;
}

static void fill_it(struct mg_cache *c, struct mg_cache_fill *fill, const struct mg_cache_key *key)
{
    static const char *const tags[] = {"", "red", "red blue", "green"};
    size_t size = random_size();
    const struct mg_cache_new what = {.variant = key->variant,
                                      .head = MG_STR("HTTP/1.1 200 OK, and some fields"),
                                      .tags = mg_str_c(tags[below(4)]),
                                      .length = one_in(2) ? (int64_t)size : -1,
                                      .expires_ns = one_in(9) ? NOW + below(9) : UINT64_MAX};
    struct mg_cache_entry *e = mg_cache_fill_begin(fill, &what, NOW);
    if (!e) {
        mg_cache_fill_fail(fill, MG_CACHE_PASS);
        return;
    }
    if (add_body(fill, mark_of(key), size) && !one_in(30))
        mg_cache_fill_end(fill);
    else
        mg_cache_fill_fail(fill, MG_CACHE_FAILED);
    mg_cache_unref(c, e);
}

static void renew(struct mg_cache_fill *fill, struct mg_cache *c, struct mg_cache_entry *old)
{
    const struct mg_cache_new what = {.variant = old->key.variant,
                                      .head = MG_STR("HTTP/1.1 200 OK, renewed by a 304"),
                                      .length = -1,
                                      .expires_ns = UINT64_MAX};
    mg_cache_unref(c, mg_cache_fill_renew(fill, old, &what, NOW));
}

static void use_one(struct mg_cache *c)
{
    struct name n;
    struct mg_cache_fill *fill;
    struct mg_cache_entry *e, *found;
    random_name(&n);
    e = mg_cache_find(c, &n.key, NOW);
    bool again = !e || one_in(4);
    if (again && mg_cache_lead(c, &n.key, e, NOW, NULL, &fill, &found) == MG_CACHE_LEAD) {
        if (e && one_in(3))
            renew(fill, c, e);
        else
            fill_it(c, fill, &n.key);
    } else if (e) {
        read_all(c, e);
    }
    if (e && one_in(50))
        hold(c, e);
    else
        mg_cache_unref(c, e);
}

static void purge_some(struct mg_cache *c)
{
    struct name n;
    bool soft = one_in(2);
    random_name(&n);
    if (one_in(4000))
        mg_cache_purge(c, MG_CACHE_ALL, MG_STR_NONE, soft);
    else if (one_in(400))
        mg_cache_purge(c, MG_CACHE_BY_TAG, MG_STR("blue"), soft);
    else if (one_in(400))
        mg_cache_purge(c, MG_CACHE_BY_PREFIX, mg_str(n.primary, 3), soft);
    else if (one_in(20))
        mg_cache_purge(c, MG_CACHE_BY_KEY, n.key.primary, soft);
}

static void let_go(struct mg_cache *c)
{
    for (size_t i = 0; i < HELD; i++) {
        mg_cache_unref(c, held[i]);
        held[i] = NULL;
    }
}

static uint64_t number_of(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : usual;
}

static void stays_within_its_budget(void **state)
{
    (void)state;
    uint64_t objects = number_of("CACHE_OBJECTS", 50000), uses = 0;
    memset(body, 1, sizeof body); /* its pages are none of the cache's */
    size_t most = 0, before = resident(), most_resident = before;
    struct mg_cache_stats stats;
    struct mg_cache *c = mg_cache_new(SIZE, OBJECT_MAX);
    seed = number_of("CACHE_SEED", 1);
    do {
        for (int i = 0; i < 100; i++) {
            use_one(c);
            purge_some(c);
        }
        uses += 100;
        stats = mg_cache_stats(c);
        most = stats.bytes > most ? stats.bytes : most;
        size_t now = uses % 1000 ? 0 : resident();
        most_resident = now > most_resident ? now : most_resident;
        assert_true(stats.bytes <= stats.limit_bytes);
    } while (stats.fills < objects);
    print_message("# seed %llu: %llu fills of %llu uses, %llu evictions; of %zu bytes at most %zu "
                  "in use, %zu resident\n",
                  (unsigned long long)number_of("CACHE_SEED", 1), (unsigned long long)stats.fills,
                  (unsigned long long)uses, (unsigned long long)stats.evictions, SIZE, most,
                  most_resident - before);
    assert_int_equal(stats.limit_bytes, SIZE);
    assert_true(most > SIZE / 100 * 95);
    assert_true(!resident_counts() || most_resident - before < SIZE / 100 * 105);
    let_go(c);
    mg_cache_purge(c, MG_CACHE_ALL, MG_STR_NONE, false);
    assert_int_equal(mg_cache_stats(c).entries, 0);
    mg_cache_free(c); /* all memory of the regions came back, or it says so */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stays_within_its_budget)};
    return cmocka_run_group_tests_name("cache budget", tests, NULL, NULL);
}
