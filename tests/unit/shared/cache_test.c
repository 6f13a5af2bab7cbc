/* The cache: keys and variants, who leads and who waits, bodies that grow while they are read,
 * purges, the budget, what a scan pushes out. */
#include "shared/cache.h"
#include "shared/purge_log.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)
#define NOW 1000
#define NEVER UINT64_MAX

static int setup(void **state)
{
    *state = mg_cache_new(4 * MIB, 256 * KIB);
    return 0;
}

static int teardown(void **state)
{
    mg_cache_free(*state);
    return 0;
}

static struct mg_cache_key key_of(const char *primary)
{
    return (struct mg_cache_key){mg_str_c(primary), MG_STR_NONE};
}

static void count_wake(void *arg)
{
    ++*(int *)arg;
}

/* Leads or fails the test. */
static struct mg_cache_fill *lead(struct mg_cache *c, const struct mg_cache_key *key,
                                  const struct mg_cache_entry *over)
{
    struct mg_cache_fill *fill = NULL;
    struct mg_cache_entry *entry;
    assert_int_equal(mg_cache_lead(c, key, over, NOW, NULL, &fill, &entry), MG_CACHE_LEAD);
    return fill;
}

static struct mg_cache_new new_of(const char *head)
{
    return (struct mg_cache_new){.head = mg_str_c(head), .length = -1, .expires_ns = NEVER};
}

/* Stores; gives no reference back. */
static void store_bytes(struct mg_cache *c, const char *primary, const struct mg_cache_new *what,
                        struct mg_str body)
{
    const struct mg_cache_key key = key_of(primary);
    struct mg_cache_entry *e = mg_cache_find(c, &key, NOW);
    struct mg_cache_fill *fill = lead(c, &key, e);
    mg_cache_unref(c, e);
    e = mg_cache_fill_begin(fill, what, NOW);
    assert_non_null(e);
    assert_true(mg_cache_fill_add(fill, body, NOW));
    mg_cache_fill_end(fill);
    mg_cache_unref(c, e);
}

static void store(struct mg_cache *c, const char *primary, const char *head, const char *body)
{
    const struct mg_cache_new what = new_of(head);
    store_bytes(c, primary, &what, mg_str_c(body));
}

/* "head|body" of what is found and complete; "-": nothing. */
static const char *look(struct mg_cache *c, const struct mg_cache_key *key, uint64_t now_ns)
{
    static char text[512];
    struct mg_cache_entry *e = mg_cache_find(c, key, now_ns);
    if (!e)
        return "-";
    int n = snprintf(text, sizeof text, "%.*s|", (int)e->head.n, e->head.p);
    struct mg_cache_reader r;
    struct mg_str bytes;
    assert_true(mg_cache_reader_init(&r, c, e));
    while (mg_cache_read(&r, &bytes, NULL) == MG_CACHE_READ_BYTES) {
        n += snprintf(text + n, sizeof text - (size_t)n, "%.*s", (int)bytes.n, bytes.p);
        mg_cache_consume(&r, bytes.n);
    }
    mg_cache_unref(c, e);
    return text;
}

static const char *look_at(struct mg_cache *c, const char *primary)
{
    const struct mg_cache_key key = key_of(primary);
    return look(c, &key, NOW);
}

static void finds_what_was_stored(void **state)
{
    struct mg_cache *c = *state;
    assert_string_equal(look_at(c, "/a"), "-");
    store(c, "/a", "200", "hello");
    assert_string_equal(look_at(c, "/a"), "200|hello");
    store(c, "/a", "200b", "other");
    assert_string_equal(look_at(c, "/a"), "200b|other");
    assert_string_equal(look_at(c, "/"), "-");
    struct mg_cache_stats stats = mg_cache_stats(c);
    assert_int_equal(stats.entries, 1);
    assert_int_equal(stats.fills, 2);
}

static void heads_are_aligned(void **state)
{
    struct mg_cache *c = *state;
    store(c, "/abc", "12345678", "x");
    const struct mg_cache_key key = key_of("/abc");
    struct mg_cache_entry *e = mg_cache_find(c, &key, NOW);
    assert_int_equal((uintptr_t)e->head.p % 8, 0);
    mg_cache_unref(c, e);
}

static void entries_expire(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key key = key_of("/a");
    struct mg_cache_new what = new_of("200");
    what.expires_ns = 2000;
    store_bytes(c, "/a", &what, MG_STR("x"));
    assert_string_equal(look(c, &key, 1999), "200|x");
    assert_string_equal(look(c, &key, 2000), "-");
    assert_int_equal(mg_cache_stats(c).entries, 0);
}

static void variants_are_apart(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key plain = key_of("/v");
    struct mg_cache_key de = {MG_STR("/v"), MG_STR("de")}, fr = {MG_STR("/v"), MG_STR("fr")};
    mg_cache_mark(c, &plain, MG_STR("vary: accept-language"), NEVER, NOW);
    struct mg_cache_fill *fill = lead(c, &de, NULL);
    struct mg_cache_new what = new_of("200");
    what.variant = MG_STR("de");
    mg_cache_unref(c, mg_cache_fill_begin(fill, &what, NOW));
    mg_cache_fill_add(fill, MG_STR("hallo"), NOW);
    mg_cache_fill_end(fill);
    assert_string_equal(look(c, &plain, NOW), "vary: accept-language|");
    assert_string_equal(look(c, &de, NOW), "200|hallo");
    assert_string_equal(look(c, &fr, NOW), "-");
    assert_int_equal(mg_cache_purge(c, MG_CACHE_BY_KEY, MG_STR("/v"), false), 2);
    assert_string_equal(look(c, &de, NOW), "-");
}

/* --- leading and waiting --- */

struct follower {
    struct mg_cache_waiter waiter;
    int woken;
};

static void follow(struct mg_cache *c, const struct mg_cache_key *key, struct follower *f)
{
    struct mg_cache_fill *fill;
    struct mg_cache_entry *entry;
    f->woken = 0;
    mg_cache_waiter_init(&f->waiter, count_wake, &f->woken);
    assert_int_equal(mg_cache_lead(c, key, NULL, NOW, &f->waiter, &fill, &entry), MG_CACHE_WAIT);
}

static void one_leads_others_wait(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key key = key_of("/a");
    struct follower f[3];
    struct mg_cache_fill *fill = lead(c, &key, NULL);
    for (int i = 0; i < 3; i++)
        follow(c, &key, &f[i]);
    mg_cache_waiter_cancel(c, &key, &f[1].waiter);
    const struct mg_cache_new what = new_of("200");
    struct mg_cache_entry *e = mg_cache_fill_begin(fill, &what, NOW);
    for (int i = 0; i < 3; i++)
        assert_int_equal(f[i].woken, i != 1);
    assert_int_equal(f[0].waiter.word, MG_CACHE_BEGUN);
    mg_cache_fill_end(fill);
    mg_cache_unref(c, e);
    assert_int_equal(mg_cache_stats(c).waits, 3);
}

static void the_word_of_a_fill_that_failed(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key key = key_of("/a");
    static const enum mg_cache_word words[] = {MG_CACHE_PASS, MG_CACHE_FAILED};
    for (int i = 0; i < 2; i++) {
        struct follower f;
        struct mg_cache_fill *fill = lead(c, &key, NULL);
        follow(c, &key, &f);
        mg_cache_fill_fail(fill, words[i]);
        assert_int_equal(f.woken, 1);
        assert_int_equal(f.waiter.word, words[i]);
        mg_cache_fill_fail(lead(c, &key, NULL), MG_CACHE_PASS); /* the next one leads */
    }
}

static void found_instead_of_leading(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key key = key_of("/a");
    struct mg_cache_fill *fill = NULL;
    struct mg_cache_entry *entry, *over;
    store(c, "/a", "200", "x");
    assert_int_equal(mg_cache_lead(c, &key, NULL, NOW, NULL, &fill, &entry), MG_CACHE_FOUND);
    over = entry;
    mg_cache_fill_fail(lead(c, &key, over), MG_CACHE_FAILED);
    assert_string_equal(look_at(c, "/a"), "200|x"); /* what was there stays */
    mg_cache_unref(c, over);
}

static void a_renewed_entry_keeps_its_body(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key key = key_of("/a");
    store(c, "/a", "old", "body");
    struct mg_cache_entry *old = mg_cache_find(c, &key, NOW);
    struct mg_cache_fill *fill = lead(c, &key, old);
    struct follower f;
    struct mg_cache_fill *none;
    struct mg_cache_entry *entry;
    f.woken = 0;
    mg_cache_waiter_init(&f.waiter, count_wake, &f.woken);
    assert_int_equal(mg_cache_lead(c, &key, old, NOW, &f.waiter, &none, &entry), MG_CACHE_WAIT);
    const struct mg_cache_new what = new_of("new");
    entry = mg_cache_fill_renew(fill, old, &what, NOW);
    assert_non_null(entry);
    assert_int_equal(f.waiter.word, MG_CACHE_BEGUN);
    mg_cache_unref(c, old);
    mg_cache_unref(c, entry);
    assert_string_equal(look_at(c, "/a"), "new|body");
    assert_int_equal(mg_cache_stats(c).entries, 1);
}

/* --- bodies --- */

static void bodies_are_read_while_they_grow(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key key = key_of("/a");
    struct mg_cache_fill *fill = lead(c, &key, NULL);
    const struct mg_cache_new what = new_of("200");
    struct mg_cache_entry *own = mg_cache_fill_begin(fill, &what, NOW);
    struct mg_cache_entry *e = mg_cache_find(c, &key, NOW);
    struct mg_cache_reader r;
    struct mg_cache_waiter w;
    struct mg_str bytes;
    int woken = 0;
    assert_true(mg_cache_reader_init(&r, c, e));
    mg_cache_waiter_init(&w, count_wake, &woken);
    assert_int_equal(mg_cache_read(&r, &bytes, &w), MG_CACHE_READ_WAIT);
    mg_cache_fill_add(fill, MG_STR("one"), NOW);
    assert_int_equal(woken, 1);
    assert_int_equal(w.word, MG_CACHE_MORE);
    assert_int_equal(mg_cache_read(&r, &bytes, &w), MG_CACHE_READ_BYTES);
    assert_true(mg_str_eq(bytes, MG_STR("one")));
    mg_cache_consume(&r, 2);
    mg_cache_fill_add(fill, MG_STR("two"), NOW);
    assert_int_equal(mg_cache_read(&r, &bytes, &w), MG_CACHE_READ_BYTES);
    assert_true(mg_str_eq(bytes, MG_STR("etwo")));
    mg_cache_consume(&r, 4);
    uint64_t length;
    assert_false(mg_cache_is_complete(e, &length));
    assert_int_equal(mg_cache_read(&r, &bytes, &w), MG_CACHE_READ_WAIT);
    mg_cache_fill_end(fill);
    assert_int_equal(woken, 2);
    assert_int_equal(mg_cache_read(&r, &bytes, &w), MG_CACHE_READ_END);
    assert_true(mg_cache_is_complete(e, &length));
    assert_int_equal(length, 6);
    mg_cache_unref(c, own);
    mg_cache_unref(c, e);
}

static void a_body_that_breaks_is_broken_for_all(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key key = key_of("/a");
    struct mg_cache_fill *fill = lead(c, &key, NULL);
    const struct mg_cache_new what = new_of("200");
    struct mg_cache_entry *own = mg_cache_fill_begin(fill, &what, NOW);
    struct mg_cache_reader r;
    struct mg_str bytes;
    assert_true(mg_cache_reader_init(&r, c, own));
    mg_cache_fill_add(fill, MG_STR("one"), NOW);
    mg_cache_fill_fail(fill, MG_CACHE_FAILED);
    assert_string_equal(look_at(c, "/a"), "-");
    assert_int_equal(mg_cache_read(&r, &bytes, NULL), MG_CACHE_READ_BYTES);
    mg_cache_consume(&r, bytes.n);
    assert_int_equal(mg_cache_read(&r, &bytes, NULL), MG_CACHE_READ_BROKEN);
    mg_cache_unref(c, own);
}

static char letter_at(size_t i)
{
    return (char)('a' + i % 23);
}

static void long_bodies_come_back_whole(void **state)
{
    struct mg_cache *c = *state;
    static char all[256 * 1024];
    static const size_t sizes[] = {1, 200, 4096, 16384, 100000, sizeof all};
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = letter_at(i);
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i / 2];
        struct mg_cache_new what = new_of("200");
        if (i % 2)
            what.length = (int64_t)size;
        store_bytes(c, "/a", &what, mg_str(all, size));
        const struct mg_cache_key key = key_of("/a");
        struct mg_cache_entry *e = mg_cache_find(c, &key, NOW);
        struct mg_cache_reader r;
        struct mg_str bytes;
        size_t skipped = size / 3, at = skipped;
        assert_true(mg_cache_reader_init(&r, c, e));
        mg_cache_skip(&r, skipped);
        for (; mg_cache_read(&r, &bytes, NULL) == MG_CACHE_READ_BYTES; at += bytes.n) {
            assert_memory_equal(bytes.p, all + at, bytes.n);
            mg_cache_consume(&r, bytes.n);
        }
        assert_int_equal(at, size);
        mg_cache_unref(c, e);
    }
}

static void a_whole_one_is_there_at_once(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key key = key_of("/a");
    struct follower f;
    struct mg_cache_fill *fill = lead(c, &key, NULL);
    follow(c, &key, &f);
    struct mg_cache_new what = new_of("200");
    what.stale = true;
    what.tags = MG_STR("home");
    struct mg_cache_entry *e = mg_cache_fill_whole(fill, &what, MG_STR("hello"), NOW);
    assert_non_null(e);
    assert_int_equal(f.waiter.word, MG_CACHE_BEGUN);
    assert_true(atomic_load(&e->stale));
    assert_true(mg_str_eq(mg_cache_tags(e), MG_STR("home")));
    mg_cache_unref(c, e);
    assert_string_equal(look_at(c, "/a"), "200|hello");
}

/* The fill can still be used, and nobody has seen anything. */
static void a_whole_one_that_does_not_go_in(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key key = key_of("/a");
    static char large[256 * KIB + 1];
    struct mg_cache_new what = new_of("200");
    struct mg_cache_fill *fill = lead(c, &key, NULL);
    assert_null(mg_cache_fill_whole(fill, &what, mg_str(large, sizeof large), NOW));
    assert_string_equal(look_at(c, "/a"), "-");
    mg_cache_purge(c, MG_CACHE_BY_TAG, MG_STR("any"), false);
    assert_null(mg_cache_fill_whole(fill, &what, MG_STR("from before"), NOW));
    mg_cache_fill_fail(fill, MG_CACHE_FAILED);
    store(c, "/a", "200", "new");
    assert_string_equal(look_at(c, "/a"), "200|new");
}

static void purges_are_told_to_others(void **state)
{
    struct mg_cache *c = *state;
    struct mg_purge_telling tellings[MG_PURGE_BATCH];
    assert_null(mg_cache_purge_log(c));
    mg_cache_share(c);
    struct mg_purge_log *log = mg_cache_purge_log(c);
    store(c, "/a", "200", "x");
    assert_int_equal(mg_cache_purge_here(c, MG_CACHE_BY_KEY, MG_STR("/a"), false), 1);
    assert_int_equal(mg_purge_log_tell(log, tellings), 0);
    mg_cache_purge(c, MG_CACHE_BY_KEY, MG_STR("/a"), false);
    assert_int_equal(mg_purge_log_tell(log, tellings), 1);
    mg_purge_log_told(log, NULL, 0);
}

static void too_large_is_not_stored(void **state)
{
    struct mg_cache *c = *state;
    static char all[256 * 1024];
    const struct mg_cache_key key = key_of("/a");
    struct mg_cache_new what = new_of("200");
    what.length = sizeof all + 1;
    struct mg_cache_fill *fill = lead(c, &key, NULL);
    assert_null(mg_cache_fill_begin(fill, &what, NOW));
    what.length = -1;
    struct mg_cache_entry *e = mg_cache_fill_begin(fill, &what, NOW);
    assert_true(mg_cache_fill_add(fill, mg_str(all, sizeof all), NOW));
    assert_false(mg_cache_fill_add(fill, MG_STR("x"), NOW));
    mg_cache_fill_fail(fill, MG_CACHE_FAILED);
    mg_cache_unref(c, e);
    assert_int_equal(mg_cache_stats(c).entries, 0);
}

/* --- purging --- */

static void purges_by_prefix_and_tag(void **state)
{
    struct mg_cache *c = *state;
    struct mg_cache_new what = new_of("200");
    what.tags = MG_STR("red blue");
    store_bytes(c, "/a/1", &what, MG_STR("x"));
    what.tags = MG_STR("blueish red2");
    store_bytes(c, "/a/2", &what, MG_STR("x"));
    store_bytes(c, "/b", &what, MG_STR("x"));
    assert_int_equal(mg_cache_purge(c, MG_CACHE_BY_TAG, MG_STR("green"), false), 0);
    assert_int_equal(mg_cache_purge(c, MG_CACHE_BY_TAG, MG_STR("red"), false), 1);
    assert_string_equal(look_at(c, "/a/1"), "-");
    assert_string_equal(look_at(c, "/a/2"), "200|x");
    assert_int_equal(mg_cache_purge(c, MG_CACHE_BY_PREFIX, MG_STR("/a/"), false), 1);
    assert_string_equal(look_at(c, "/b"), "200|x");
    assert_int_equal(mg_cache_purge(c, MG_CACHE_ALL, MG_STR_NONE, false), 1);
    assert_int_equal(mg_cache_stats(c).purges, 3);
}

static void a_soft_purge_makes_stale(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key key = key_of("/a");
    store(c, "/a", "200", "x");
    assert_int_equal(mg_cache_purge(c, MG_CACHE_BY_KEY, MG_STR("/a"), true), 1);
    struct mg_cache_entry *e = mg_cache_find(c, &key, NOW);
    assert_true(e->stale);
    mg_cache_unref(c, e);
}

static void what_was_on_its_way_is_not_kept(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key key = key_of("/a");
    static const enum mg_cache_purge_by ways[] = {MG_CACHE_BY_KEY, MG_CACHE_BY_TAG};
    const struct mg_cache_new what = new_of("200");
    for (int i = 0; i < 2; i++) {
        struct mg_cache_fill *fill = lead(c, &key, NULL);
        mg_cache_purge(c, ways[i], MG_STR("/a"), false);
        assert_null(mg_cache_fill_begin(fill, &what, NOW));
        mg_cache_fill_fail(fill, MG_CACHE_PASS);
        assert_string_equal(look_at(c, "/a"), "-");
    }
    struct mg_cache_fill *fill = lead(c, &key, NULL);
    struct mg_cache_entry *e = mg_cache_fill_begin(fill, &what, NOW);
    mg_cache_purge(c, MG_CACHE_BY_KEY, MG_STR("/a"), false);
    mg_cache_fill_add(fill, MG_STR("x"), NOW);
    mg_cache_fill_end(fill);
    assert_string_equal(look_at(c, "/a"), "-");
    mg_cache_unref(c, e);
}

/* --- bodies that are let go --- */

#define SMALL_OBJECT ((size_t)4 * KIB)

/* A body that is too large for its cache, while it comes; its bytes follow from their place. */
struct passing {
    struct mg_cache *c;
    struct mg_cache_fill *fill;
    struct mg_cache_entry *entry;
    struct mg_cache_waiter room;
    int rooms; /* how often there was some again */
    size_t pushed;
};

struct passing_reader {
    struct mg_cache_reader at;
    struct mg_cache_waiter waiter;
    int wakes;
    size_t has;
};

static char byte_at(size_t place)
{
    return (char)(place * 31 >> 3);
}

static struct mg_str bytes_from(size_t place, size_t n)
{
    static char text[32 * 1024];
    for (size_t i = 0; i < n; i++)
        text[i] = byte_at(place + i);
    return mg_str(text, n);
}

/* With as many bytes as it may have. */
static void begin_passing(struct passing *p)
{
    const struct mg_cache_key key = key_of("/large");
    const struct mg_cache_new what = new_of("200");
    memset(p, 0, sizeof *p);
    p->c = mg_cache_new(MIB, SMALL_OBJECT);
    p->fill = lead(p->c, &key, NULL);
    p->entry = mg_cache_fill_begin(p->fill, &what, NOW);
    assert_non_null(p->entry);
    mg_cache_waiter_init(&p->room, count_wake, &p->rooms);
    p->pushed = mg_cache_fill_add(p->fill, bytes_from(0, SMALL_OBJECT), NOW);
    assert_int_equal(p->pushed, SMALL_OBJECT);
    assert_int_equal(mg_cache_fill_add(p->fill, MG_STR("x"), NOW), 0);
}

static void end_passing(struct passing *p)
{
    mg_cache_unref(p->c, p->entry);
    assert_int_equal(mg_cache_stats(p->c).entries, 0);
    mg_cache_free(p->c);
}

static void join(struct passing *p, struct passing_reader *r)
{
    memset(r, 0, sizeof *r);
    mg_cache_waiter_init(&r->waiter, count_wake, &r->wakes);
    assert_true(mg_cache_reader_init(&r->at, p->c, p->entry));
}

/* Reads up to `n` bytes; what came after the last of them. */
static enum mg_cache_read read_on(struct passing_reader *r, size_t n)
{
    enum mg_cache_read state;
    struct mg_str bytes;
    while ((state = mg_cache_read(&r->at, &bytes, &r->waiter)) == MG_CACHE_READ_BYTES && n) {
        size_t step = bytes.n < n ? bytes.n : n;
        for (size_t i = 0; i < step; i++)
            assert_int_equal(bytes.p[i], byte_at(r->has + i));
        mg_cache_consume(&r->at, step);
        r->has += step;
        n -= step;
    }
    return state;
}

/* Pushes as much as there is room for. */
static enum mg_cache_push push_on(struct passing *p)
{
    enum mg_cache_push state;
    size_t n;
    while ((state = mg_cache_fill_push(p->fill, bytes_from(p->pushed, 20 * KIB), &n, &p->room)) ==
           MG_CACHE_PUSH_TAKEN)
        p->pushed += n;
    return state;
}

static void a_body_that_is_too_large_passes_all_who_read(void **state)
{
    struct passing p;
    struct passing_reader fast, slow, late;
    (void)state;
    begin_passing(&p);
    join(&p, &fast);
    join(&p, &slow);
    assert_true(mg_cache_fill_let_go(p.fill, 0));
    assert_string_equal(look_at(p.c, "/large"), "-");
    size_t most = 0;
    for (int round = 0; round < 2000; round++) {
        assert_int_equal(push_on(&p), MG_CACHE_PUSH_WAIT);
        if (p.pushed - slow.has > most)
            most = p.pushed - slow.has;
        assert_int_equal(read_on(&fast, SIZE_MAX), MG_CACHE_READ_WAIT);
        read_on(&slow, (size_t)(round % 5) * 700);
    }
    assert_true(p.pushed > 200 * SMALL_OBJECT);
    assert_true(most <= 2 * SMALL_OBJECT);
    assert_true(fast.wakes > 100 && p.rooms > 100);
    assert_false(mg_cache_reader_init(&late.at, p.c, p.entry));
    mg_cache_fill_end(p.fill);
    assert_int_equal(read_on(&fast, SIZE_MAX), MG_CACHE_READ_END);
    assert_int_equal(read_on(&slow, SIZE_MAX), MG_CACHE_READ_END);
    assert_int_equal(slow.has, p.pushed);
    assert_int_equal(fast.has, p.pushed);
    mg_cache_reader_release(&fast.at);
    mg_cache_reader_release(&slow.at);
    end_passing(&p);
}

static void who_leaves_holds_nobody_up(void **state)
{
    struct passing p;
    struct passing_reader stays, stuck;
    (void)state;
    begin_passing(&p);
    join(&p, &stays);
    join(&p, &stuck);
    assert_true(mg_cache_fill_let_go(p.fill, 1));
    for (int i = 0; i < 10; i++) {
        read_on(&stays, SIZE_MAX);
        push_on(&p);
    }
    size_t before = p.pushed;
    p.rooms = 0;
    mg_cache_reader_release(&stuck.at);
    assert_int_equal(p.rooms, 1);
    read_on(&stays, SIZE_MAX);
    assert_int_equal(push_on(&p), MG_CACHE_PUSH_WAIT);
    assert_true(p.pushed > before);
    mg_cache_reader_release(&stays.at);
    assert_int_equal(push_on(&p), MG_CACHE_PUSH_UNWANTED);
    mg_cache_fill_fail(p.fill, MG_CACHE_PASS);
    end_passing(&p);
}

static void who_reads_alone_has_the_rest_from_elsewhere(void **state)
{
    struct passing p;
    struct passing_reader own, late;
    (void)state;
    begin_passing(&p);
    join(&p, &own);
    assert_false(mg_cache_fill_let_go(p.fill, 1));
    assert_int_equal(read_on(&own, SIZE_MAX), MG_CACHE_READ_BROKEN);
    assert_int_equal(own.has, p.pushed);
    assert_false(mg_cache_reader_init(&late.at, p.c, p.entry));
    mg_cache_reader_release(&own.at);
    end_passing(&p);
}

/* There is one chunk, and no memory for more. */
static void a_window_of_one_piece_moves_as_well(void **state)
{
    struct passing p;
    struct passing_reader a, b;
    (void)state;
    memset(&p, 0, sizeof p);
    const struct mg_cache_key key = key_of("/large");
    const struct mg_cache_new what = new_of("200");
    p.c = mg_cache_new(MIB, 64);
    p.fill = lead(p.c, &key, NULL);
    p.entry = mg_cache_fill_begin(p.fill, &what, NOW);
    mg_cache_waiter_init(&p.room, count_wake, &p.rooms);
    p.pushed = mg_cache_fill_add(p.fill, bytes_from(0, 64), NOW);
    join(&p, &a);
    join(&p, &b);
    assert_true(mg_cache_fill_let_go(p.fill, 0));
    for (int round = 0; round < 100; round++) {
        assert_int_equal(push_on(&p), MG_CACHE_PUSH_WAIT);
        assert_int_equal(read_on(&a, SIZE_MAX), MG_CACHE_READ_WAIT);
        assert_int_equal(push_on(&p), MG_CACHE_PUSH_WAIT);
        read_on(&b, 1000);
        read_on(&b, round % 2 ? SIZE_MAX : 0);
    }
    assert_true(p.pushed > 100 * KIB);
    mg_cache_fill_end(p.fill);
    assert_int_equal(read_on(&a, SIZE_MAX), MG_CACHE_READ_END);
    assert_int_equal(read_on(&b, SIZE_MAX), MG_CACHE_READ_END);
    assert_int_equal(b.has, p.pushed);
    mg_cache_reader_release(&a.at);
    mg_cache_reader_release(&b.at);
    end_passing(&p);
}

static void *read_all_that_passes(void *arg)
{
    struct mg_cache_reader *r = arg;
    struct mg_cache_waiter w;
    enum mg_cache_read state;
    struct mg_str bytes;
    size_t has = 0;
    mg_cache_waiter_init(&w, count_wake, &(int){0});
    while ((state = mg_cache_read(r, &bytes, &w)) <= MG_CACHE_READ_WAIT) {
        if (state == MG_CACHE_READ_WAIT) {
            sched_yield();
            continue;
        }
        size_t n = bytes.n > 300 && has % 3 ? 300 : bytes.n;
        for (size_t i = 0; i < n; i++)
            if (bytes.p[i] != byte_at(has + i))
                abort();
        mg_cache_consume(r, n);
        has += n;
    }
    mg_cache_waiter_cancel(r->cache, &r->entry->key, &w);
    mg_cache_reader_release(r);
    return (void *)has;
}

static void threads_read_what_passes(void **state)
{
    struct passing p;
    struct mg_cache_reader readers[3];
    pthread_t threads[3];
    void *has;
    (void)state;
    begin_passing(&p);
    for (int i = 0; i < 3; i++) {
        assert_true(mg_cache_reader_init(&readers[i], p.c, p.entry));
        pthread_create(&threads[i], NULL, read_all_that_passes, &readers[i]);
    }
    assert_true(mg_cache_fill_let_go(p.fill, 0));
    while (p.pushed < 2 * MIB)
        if (push_on(&p) == MG_CACHE_PUSH_WAIT)
            sched_yield();
    mg_cache_fill_end(p.fill);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &has);
        assert_int_equal((size_t)has, p.pushed);
    }
    end_passing(&p);
}

/* --- the budget --- */

static uint64_t seed = 1;

static uint64_t below(uint64_t limit)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % limit;
}

static void store_number(struct mg_cache *c, unsigned number, size_t bytes)
{
    static char body[64 * 1024];
    char key[32];
    snprintf(key, sizeof key, "/object/%u", number);
    const struct mg_cache_new what = new_of("HTTP/1.1 200 OK");
    store_bytes(c, key, &what, mg_str(body, bytes));
}

static bool has_number(struct mg_cache *c, unsigned number)
{
    char text[32];
    snprintf(text, sizeof text, "/object/%u", number);
    const struct mg_cache_key key = key_of(text);
    struct mg_cache_entry *e = mg_cache_find(c, &key, NOW);
    mg_cache_unref(c, e);
    return e != NULL;
}

/* A quiet entry of "/q", begun, with "one" in it. `*waiter` waits for its word. */
static struct mg_cache_fill *begin_quietly(struct mg_cache *c, struct mg_cache_waiter *waiter,
                                           int *wakes, struct mg_cache_entry **entry)
{
    const struct mg_cache_key key = key_of("/q");
    struct mg_cache_fill *fill = lead(c, &key, NULL), *none;
    struct mg_cache_new what = new_of("200");
    what.quiet = true;
    mg_cache_waiter_init(waiter, count_wake, wakes);
    assert_int_equal(mg_cache_lead(c, &key, NULL, NOW, waiter, &none, entry), MG_CACHE_WAIT);
    *entry = mg_cache_fill_begin(fill, &what, NOW);
    assert_non_null(*entry);
    assert_true(mg_cache_fill_add(fill, MG_STR("one"), NOW));
    assert_int_equal(*wakes, 0);
    assert_string_equal(look_at(c, "/q"), "-");
    return fill;
}

static void a_quiet_entry_is_found_when_it_is_complete(void **state)
{
    struct mg_cache *c = *state;
    struct mg_cache_waiter waiter;
    struct mg_cache_entry *e;
    int wakes = 0;
    struct mg_cache_fill *fill = begin_quietly(c, &waiter, &wakes, &e);
    mg_cache_fill_end(fill);
    assert_int_equal(waiter.word, MG_CACHE_BEGUN);
    assert_string_equal(look_at(c, "/q"), "200|one");
    mg_cache_unref(c, e);
}

static void a_quiet_entry_that_failed_was_never_there(void **state)
{
    struct mg_cache *c = *state;
    struct mg_cache_waiter waiter;
    struct mg_cache_entry *e;
    int wakes = 0;
    struct mg_cache_fill *fill = begin_quietly(c, &waiter, &wakes, &e);
    mg_cache_fill_fail(fill, MG_CACHE_FAILED);
    assert_int_equal(waiter.word, MG_CACHE_FAILED);
    assert_int_equal(wakes, 1);
    assert_string_equal(look_at(c, "/q"), "-");
    mg_cache_unref(c, e);
}

static void a_quiet_entry_that_was_purged_meanwhile_is_not_kept(void **state)
{
    struct mg_cache *c = *state;
    struct mg_cache_waiter waiter;
    struct mg_cache_entry *e;
    int wakes = 0;
    struct mg_cache_fill *fill = begin_quietly(c, &waiter, &wakes, &e);
    mg_cache_purge(c, MG_CACHE_BY_KEY, MG_STR("/q"), false);
    mg_cache_fill_end(fill);
    assert_int_equal(waiter.word, MG_CACHE_PASS);
    assert_string_equal(look_at(c, "/q"), "-");
    mg_cache_unref(c, e);
}

static void purges_are_counted_for_those_without_a_fill(void **state)
{
    struct mg_cache *c = *state;
    uint64_t a = mg_cache_purge_count(c, MG_STR("/a")), b = mg_cache_purge_count(c, MG_STR("/b"));
    mg_cache_purge(c, MG_CACHE_BY_KEY, MG_STR("/a"), false);
    assert_true(mg_cache_purge_count(c, MG_STR("/a")) > a);
    mg_cache_purge(c, MG_CACHE_BY_TAG, MG_STR("t"), true);
    assert_true(mg_cache_purge_count(c, MG_STR("/b")) > b);
}

static void never_more_than_its_budget_and_nearly_all_of_it(void **state)
{
    struct mg_cache *c = *state;
    for (unsigned i = 0; i < 30000; i++)
        store_number(c, i, below(4) ? 1 + below(2000) : below(60000));
    struct mg_cache_stats stats = mg_cache_stats(c);
    assert_int_equal(stats.limit_bytes, 4 * MIB);
    assert_true(stats.bytes <= stats.limit_bytes);
    assert_true(stats.bytes > stats.limit_bytes / 100 * 90);
    assert_true(stats.evictions > 20000);
}

static void a_scan_does_not_push_out_what_is_used(void **state)
{
    struct mg_cache *c = *state;
    for (int round = 0; round < 3; round++)
        for (unsigned i = 0; i < 500; i++)
            if (!has_number(c, i))
                store_number(c, i, 1000);
    for (unsigned i = 1000; i < 21000; i++)
        store_number(c, i, 1000);
    unsigned left = 0;
    for (unsigned i = 0; i < 500; i++)
        left += has_number(c, i);
    assert_true(left > 480);
}

static void an_entry_in_use_outlives_its_eviction(void **state)
{
    struct mg_cache *c = *state;
    const struct mg_cache_key key = key_of("/held");
    store(c, "/held", "200", "still here");
    struct mg_cache_entry *e = mg_cache_find(c, &key, NOW);
    struct mg_cache_reader r;
    struct mg_str bytes;
    mg_cache_purge(c, MG_CACHE_ALL, MG_STR_NONE, false);
    for (unsigned i = 0; i < 10000; i++)
        store_number(c, i, 2000);
    assert_true(mg_cache_reader_init(&r, c, e));
    assert_int_equal(mg_cache_read(&r, &bytes, NULL), MG_CACHE_READ_BYTES);
    assert_true(mg_str_eq(bytes, MG_STR("still here")));
    mg_cache_unref(c, e);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_whole_one_is_there_at_once),
        TEST(a_whole_one_that_does_not_go_in),
        TEST(purges_are_told_to_others),
        TEST(finds_what_was_stored),
        TEST(heads_are_aligned),
        TEST(entries_expire),
        TEST(variants_are_apart),
        TEST(one_leads_others_wait),
        TEST(the_word_of_a_fill_that_failed),
        TEST(found_instead_of_leading),
        TEST(a_renewed_entry_keeps_its_body),
        TEST(bodies_are_read_while_they_grow),
        TEST(a_body_that_breaks_is_broken_for_all),
        TEST(long_bodies_come_back_whole),
        TEST(too_large_is_not_stored),
        TEST(purges_by_prefix_and_tag),
        TEST(a_soft_purge_makes_stale),
        TEST(what_was_on_its_way_is_not_kept),
        TEST(a_quiet_entry_is_found_when_it_is_complete),
        TEST(a_quiet_entry_that_failed_was_never_there),
        TEST(a_quiet_entry_that_was_purged_meanwhile_is_not_kept),
        TEST(purges_are_counted_for_those_without_a_fill),
        TEST(a_body_that_is_too_large_passes_all_who_read),
        TEST(who_leaves_holds_nobody_up),
        TEST(who_reads_alone_has_the_rest_from_elsewhere),
        TEST(a_window_of_one_piece_moves_as_well),
        TEST(threads_read_what_passes),
        TEST(never_more_than_its_budget_and_nearly_all_of_it),
        TEST(a_scan_does_not_push_out_what_is_used),
        TEST(an_entry_in_use_outlives_its_eviction),
    };
    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
