/* Plain values in a shared dictionary: every call, time, types, the budget, threads. */
#include "shared/dict.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shared/limiter.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define KEY MG_STR("key")

static const struct mg_dict_value NONE = {.kind = MG_DICT_NONE};

static struct mg_dict_value string(const char *text)
{
    return (struct mg_dict_value){.kind = MG_DICT_STRING, .string = mg_str_c(text)};
}

static struct mg_dict_value integer(int64_t v)
{
    return (struct mg_dict_value){.kind = MG_DICT_INTEGER, .integer = v};
}

static struct mg_dict_value number(double v)
{
    return (struct mg_dict_value){.kind = MG_DICT_NUMBER, .number = v};
}

static struct mg_dict_value boolean(bool v)
{
    return (struct mg_dict_value){.kind = MG_DICT_BOOLEAN, .boolean = v};
}

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

/* The value as text, or the code's text. The last two answers stay readable. */
static const char *get(struct mg_dict *d, struct mg_str key, int64_t now_ms)
{
    static char texts[2][64];
    static int next;
    char *out = texts[next ^= 1];
    struct mg_buf text;
    struct mg_dict_value v;
    mg_buf_init(&text, 1 << 20);
    enum mg_dict_rc rc = mg_dict_get(d, key, now_ms, &v, &text);
    if (rc != MG_DICT_OK)
        snprintf(out, sizeof texts[0], "%s", mg_dict_rc_text(rc));
    else if (v.kind == MG_DICT_STRING)
        snprintf(out, sizeof texts[0], "'%.*s'", MG_STR_ARGS(v.string));
    else if (v.kind == MG_DICT_INTEGER)
        snprintf(out, sizeof texts[0], "%lld", (long long)v.integer);
    else if (v.kind == MG_DICT_NUMBER)
        snprintf(out, sizeof texts[0], "%.3f", v.number);
    else
        snprintf(out, sizeof texts[0], "%s", v.boolean ? "true" : "false");
    mg_buf_release(&text);
    return out;
}

static void kinds_come_back(void **state)
{
    struct mg_dict *d = *state;
    const struct {
        struct mg_dict_value value;
        const char *shown;
    } CASES[] = {
        {string("text"), "'text'"},
        {string("a rather longer text than the one before"),
         "'a rather longer text than the one before'"},
        {string(""), "''"},
        {integer(INT64_MIN), "-9223372036854775808"},
        {number(0.25), "0.250"},
        {boolean(true), "true"},
        {boolean(false), "false"},
        {string("same"), "'same'"},
    };
    assert_string_equal(get(d, KEY, 0), "not found");
    for (size_t i = 0; i < COUNT(CASES); i++) {
        assert_int_equal(mg_dict_set(d, KEY, CASES[i].value, 0, 0), MG_DICT_OK);
        assert_string_equal(get(d, KEY, 0), CASES[i].shown);
    }
    struct mg_dict_stats stats;
    mg_dict_stats(d, &stats);
    assert_int_equal(stats.entries, 1);
}

static void keys_are_bytes(void **state)
{
    struct mg_dict *d = *state;
    assert_int_equal(mg_dict_set(d, MG_STR("a\0b"), integer(1), 0, 0), MG_DICT_OK);
    assert_int_equal(mg_dict_set(d, MG_STR("a\0c"), integer(2), 0, 0), MG_DICT_OK);
    assert_int_equal(mg_dict_set(d, MG_STR_NONE, integer(3), 0, 0), MG_DICT_OK);
    assert_string_equal(get(d, MG_STR("a\0b"), 0), "1");
    assert_string_equal(get(d, MG_STR("a\0c"), 0), "2");
    assert_string_equal(get(d, MG_STR(""), 0), "3");
    assert_string_equal(get(d, MG_STR("a"), 0), "not found");
}

static void key_length_is_limited(void **state)
{
    struct mg_dict *d = *state;
    static char long_key[MG_DICT_KEY_MAX + 1];
    int64_t ttl;
    struct mg_dict_value v;
    struct mg_str fits = mg_str(long_key, MG_DICT_KEY_MAX),
                  too_long = mg_str(long_key, sizeof long_key);
    assert_int_equal(mg_dict_set(d, fits, integer(1), 0, 0), MG_DICT_OK);
    assert_string_equal(get(d, fits, 0), "1");
    assert_int_equal(mg_dict_set(d, too_long, integer(1), 0, 0), MG_DICT_BAD_KEY);
    assert_int_equal(mg_dict_get(d, too_long, 0, &v, NULL), MG_DICT_BAD_KEY);
    assert_int_equal(mg_dict_delete(d, too_long, 0), MG_DICT_BAD_KEY);
    assert_int_equal(mg_dict_ttl(d, too_long, 0, &ttl), MG_DICT_BAD_KEY);
    assert_int_equal(mg_dict_expire(d, too_long, 1, 0), MG_DICT_BAD_KEY);
    assert_int_equal(mg_dict_incr(d, too_long, integer(1), NONE, 0, 0, &v), MG_DICT_BAD_KEY);
    assert_int_equal(mg_dict_cas(d, too_long, NONE, NONE, 0), MG_DICT_BAD_KEY);
}

static void conditions(void **state)
{
    struct mg_dict *d = *state;
    assert_int_equal(mg_dict_replace(d, KEY, integer(1), 0, 0), MG_DICT_ABSENT);
    assert_int_equal(mg_dict_add(d, KEY, integer(2), 100, 0), MG_DICT_OK);
    assert_int_equal(mg_dict_add(d, KEY, integer(3), 0, 99), MG_DICT_EXISTS);
    assert_string_equal(get(d, KEY, 99), "2");
    assert_int_equal(mg_dict_replace(d, KEY, integer(4), 100, 99), MG_DICT_OK);
    assert_string_equal(get(d, KEY, 198), "4");
    assert_int_equal(mg_dict_replace(d, KEY, integer(5), 0, 199), MG_DICT_ABSENT);
    assert_int_equal(mg_dict_add(d, KEY, integer(6), 0, 199), MG_DICT_OK);
    assert_int_equal(mg_dict_delete(d, KEY, 199), MG_DICT_OK);
    assert_int_equal(mg_dict_delete(d, KEY, 199), MG_DICT_ABSENT);
    assert_int_equal(mg_dict_set(d, KEY, NONE, 0, 0), MG_DICT_BAD_ARGUMENT);
    assert_int_equal(mg_dict_set(d, KEY, integer(1), -1, 0), MG_DICT_BAD_ARGUMENT);
}

static void time_to_live(void **state)
{
    struct mg_dict *d = *state;
    int64_t ttl = 0;
    assert_int_equal(mg_dict_ttl(d, KEY, 0, &ttl), MG_DICT_ABSENT);
    assert_int_equal(mg_dict_set(d, KEY, integer(1), 1500, 1000), MG_DICT_OK);
    assert_int_equal(mg_dict_ttl(d, KEY, 2499, &ttl), MG_DICT_OK);
    assert_int_equal(ttl, 1);
    assert_int_equal(mg_dict_expire(d, KEY, 10, 2499), MG_DICT_OK);
    assert_string_equal(get(d, KEY, 2508), "1");
    assert_int_equal(mg_dict_ttl(d, KEY, 2509, &ttl), MG_DICT_ABSENT);
    assert_int_equal(mg_dict_expire(d, KEY, 10, 2509), MG_DICT_ABSENT);

    assert_int_equal(mg_dict_set(d, KEY, integer(1), 5, 0), MG_DICT_OK);
    assert_int_equal(mg_dict_expire(d, KEY, 0, 0), MG_DICT_OK);
    assert_int_equal(mg_dict_ttl(d, KEY, INT64_MAX - 1, &ttl), MG_DICT_OK);
    assert_int_equal(ttl, -1);
    assert_int_equal(mg_dict_expire(d, KEY, INT64_MAX, 10), MG_DICT_OK); /* beyond all time */
    assert_int_equal(mg_dict_ttl(d, KEY, 10, &ttl), MG_DICT_OK);
    assert_int_equal(ttl, -1);
    assert_int_equal(mg_dict_expire(d, KEY, -1, 10), MG_DICT_BAD_ARGUMENT);

    /* A value set again without a time stays. */
    assert_int_equal(mg_dict_set(d, KEY, integer(1), 5, 0), MG_DICT_OK);
    assert_int_equal(mg_dict_set(d, KEY, integer(2), 0, 0), MG_DICT_OK);
    assert_string_equal(get(d, KEY, 1000), "2");
}

static void increments(void **state)
{
    struct mg_dict *d = *state;
    struct mg_dict_value sum = NONE;
    int64_t ttl;
    assert_int_equal(mg_dict_incr(d, KEY, integer(5), NONE, 0, 0, &sum), MG_DICT_ABSENT);
    assert_int_equal(mg_dict_incr(d, KEY, integer(5), integer(10), 100, 0, &sum), MG_DICT_OK);
    assert_int_equal(sum.kind, MG_DICT_INTEGER);
    assert_int_equal(sum.integer, 15);
    /* The first call's time holds. */
    assert_int_equal(mg_dict_incr(d, KEY, integer(-20), integer(0), 100, 60, &sum), MG_DICT_OK);
    assert_int_equal(sum.integer, -5);
    assert_int_equal(mg_dict_ttl(d, KEY, 60, &ttl), MG_DICT_OK);
    assert_int_equal(ttl, 40);
    assert_int_equal(mg_dict_incr(d, KEY, number(0.5), NONE, 0, 60, &sum), MG_DICT_OK);
    assert_int_equal(sum.kind, MG_DICT_NUMBER);
    assert_string_equal(get(d, KEY, 99), "-4.500");
    assert_int_equal(mg_dict_incr(d, KEY, integer(1), integer(0), 0, 100, &sum), MG_DICT_OK);
    assert_int_equal(sum.integer, 1);

    const struct {
        struct mg_dict_value value, by;
        enum mg_dict_rc rc;
    } BAD[] = {
        {integer(INT64_MAX), integer(1), MG_DICT_OVERFLOW},
        {integer(INT64_MIN), integer(-1), MG_DICT_OVERFLOW},
        {number(1.7e308), number(1.7e308), MG_DICT_OVERFLOW},
        {integer(1), number(NAN), MG_DICT_OVERFLOW},
        {string("1"), integer(1), MG_DICT_BAD_TYPE},
        {boolean(true), integer(1), MG_DICT_BAD_TYPE},
        {integer(1), string("1"), MG_DICT_BAD_ARGUMENT},
        {integer(1), NONE, MG_DICT_BAD_ARGUMENT},
    };
    for (size_t i = 0; i < COUNT(BAD); i++) {
        assert_int_equal(mg_dict_set(d, KEY, BAD[i].value, 0, 0), MG_DICT_OK);
        const char *before = get(d, KEY, 0);
        assert_int_equal(mg_dict_incr(d, KEY, BAD[i].by, NONE, 0, 0, &sum), BAD[i].rc);
        assert_string_equal(get(d, KEY, 0), before);
    }
    assert_int_equal(mg_dict_incr(d, KEY, integer(1), string(""), 0, 0, &sum),
                     MG_DICT_BAD_ARGUMENT);
    assert_int_equal(mg_dict_incr(d, KEY, integer(1), NONE, -1, 0, &sum), MG_DICT_BAD_ARGUMENT);
}

static void compare_and_set(void **state)
{
    struct mg_dict *d = *state;
    const struct {
        struct mg_dict_value now, old, new_value;
        enum mg_dict_rc rc;
        const char *after;
    } CASES[] = {
        {integer(1), integer(1), string("longer than it was"), MG_DICT_OK, "'longer than it was'"},
        {integer(1), integer(2), integer(3), MG_DICT_DIFFERS, "1"},
        {integer(1), number(1.0), integer(2), MG_DICT_OK, "2"},
        {number(2.0), integer(2), integer(3), MG_DICT_OK, "3"},
        {number(2.5), integer(2), integer(3), MG_DICT_DIFFERS, "2.500"},
        {integer(INT64_MAX), number(0x1p63), integer(3), MG_DICT_DIFFERS, "9223372036854775807"},
        {integer(INT64_MIN), number(0x1p63), integer(3), MG_DICT_DIFFERS, "-9223372036854775808"},
        {integer(INT64_MIN), number(-0x1p63), integer(3), MG_DICT_OK, "3"},
        {integer(0), number(NAN), integer(3), MG_DICT_DIFFERS, "0"},
        {string("a"), string("a"), boolean(true), MG_DICT_OK, "true"},
        {string("a"), string("b"), boolean(true), MG_DICT_DIFFERS, "'a'"},
        {boolean(true), integer(1), integer(2), MG_DICT_DIFFERS, "true"},
        {boolean(true), boolean(true), NONE, MG_DICT_OK, "not found"},
        {integer(1), NONE, integer(2), MG_DICT_DIFFERS, "1"},
        {NONE, NONE, integer(2), MG_DICT_OK, "2"},
        {NONE, NONE, NONE, MG_DICT_OK, "not found"},
        {NONE, integer(1), integer(2), MG_DICT_DIFFERS, "not found"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        mg_dict_delete(d, KEY, 0);
        if (CASES[i].now.kind != MG_DICT_NONE)
            assert_int_equal(mg_dict_set(d, KEY, CASES[i].now, 0, 0), MG_DICT_OK);
        enum mg_dict_rc rc = mg_dict_cas(d, KEY, CASES[i].old, CASES[i].new_value, 0);
        if (rc != CASES[i].rc)
            fail_msg("case %zu: %s", i, mg_dict_rc_text(rc));
        assert_string_equal(get(d, KEY, 0), CASES[i].after);
    }
    /* The time stays, also when the value moves to a larger entry. */
    assert_int_equal(mg_dict_set(d, KEY, integer(1), 100, 0), MG_DICT_OK);
    assert_int_equal(mg_dict_cas(d, KEY, integer(1), string("a text that needs more room"), 50),
                     MG_DICT_OK);
    assert_string_equal(get(d, KEY, 99), "'a text that needs more room'");
    assert_string_equal(get(d, KEY, 100), "not found");
}

static void limiters_are_no_values(void **state)
{
    struct mg_dict *d = *state;
    struct mg_limiter_result r;
    struct mg_dict_value v;
    int64_t ttl;
    assert_int_equal(mg_limiter_take(d, KEY, 1, 5, 1, 0, &r), MG_DICT_OK);
    assert_string_equal(get(d, KEY, 0), mg_dict_rc_text(MG_DICT_BAD_TYPE));
    assert_int_equal(mg_dict_set(d, KEY, integer(1), 0, 0), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_dict_add(d, KEY, integer(1), 0, 0), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_dict_replace(d, KEY, integer(1), 0, 0), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_dict_incr(d, KEY, integer(1), NONE, 0, 0, &v), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_dict_cas(d, KEY, NONE, integer(1), 0), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_dict_expire(d, KEY, 0, 0), MG_DICT_BAD_TYPE);
    assert_int_equal(mg_dict_ttl(d, KEY, 0, &ttl), MG_DICT_OK);
    assert_int_equal(ttl, 1000);
    assert_int_equal(mg_dict_delete(d, KEY, 0), MG_DICT_OK);
    assert_int_equal(mg_dict_set(d, KEY, integer(1), 0, 0), MG_DICT_OK);
    assert_int_equal(mg_limiter_take(d, KEY, 1, 5, 1, 0, &r), MG_DICT_BAD_TYPE);
}

/* ---- the budget ---- */

static struct mg_str numbered(int i)
{
    static char text[16];
    return mg_str(text, (size_t)snprintf(text, sizeof text, "k%d", i));
}

static struct mg_dict_stats stats_of(struct mg_dict *d)
{
    struct mg_dict_stats stats;
    mg_dict_stats(d, &stats);
    return stats;
}

static void budget_is_kept(void **state)
{
    struct mg_dict *d = *state;
    static char text[3000];
    unsigned seed = 1;
    memset(text, 'x', sizeof text);
    size_t empty = stats_of(d).bytes;
    for (int i = 0; i < 20000; i++) {
        struct mg_dict_value value = string("");
        value.string = mg_str(text, (size_t)rand_r(&seed) % (i % 100 ? 60 : sizeof text));
        assert_int_equal(mg_dict_set(d, numbered(i % 7000), value, i % 3 ? 0 : 50, i), MG_DICT_OK);
        struct mg_dict_stats stats = stats_of(d);
        assert_in_range(stats.bytes, empty, stats.limit_bytes);
    }
    struct mg_dict_stats full = stats_of(d);
    assert_int_equal(full.limit_bytes, MG_DICT_BYTES_MIN);
    assert_in_range(full.bytes, full.limit_bytes / 2, full.limit_bytes);
    assert_true(full.evictions > 1000);
    for (int i = 0; i < 7000; i++)
        mg_dict_delete(d, numbered(i), 0);
    assert_int_equal(stats_of(d).entries, 0);
    assert_in_range(stats_of(d).bytes, empty,
                    full.bytes / 2); /* tables stay as long as they were */
}

/* What goes gives back exactly what it took, whichever way it goes. */
static void bytes_come_back(void **state)
{
    struct mg_dict *d = *state;
    struct mg_limiter_result r;
    size_t empty = stats_of(d).bytes;
    assert_int_equal(mg_dict_set(d, KEY, string("some text"), 0, 0), MG_DICT_OK);
    assert_int_equal(mg_dict_set(d, KEY, string("some longer text, in an entry of its own"), 0, 0),
                     MG_DICT_OK);
    assert_int_equal(mg_dict_set(d, KEY, integer(1), 5, 0), MG_DICT_OK);
    assert_int_equal(mg_limiter_acquire(d, MG_STR("held"), 1, 0, &r), MG_DICT_OK);
    assert_int_equal(mg_limiter_take(d, MG_STR("taken"), 1, 1, 1, 0, &r), MG_DICT_OK);
    assert_in_range(stats_of(d).bytes, empty + 3 * 64, empty + 3 * 128);
    assert_string_equal(get(d, KEY, 5), "not found");
    assert_int_equal(mg_limiter_release(d, MG_STR("held"), 0), MG_DICT_OK);
    assert_int_equal(mg_dict_delete(d, MG_STR("taken"), 0), MG_DICT_OK);
    assert_int_equal(stats_of(d).bytes, empty);
}

static void what_is_used_stays(void **state)
{
    struct mg_dict *d = *state;
    assert_int_equal(mg_dict_set(d, KEY, string("used"), 0, 0), MG_DICT_OK);
    assert_int_equal(mg_dict_set(d, MG_STR("cold"), string("unused"), 0, 0), MG_DICT_OK);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(mg_dict_set(d, numbered(i), integer(i), 0, 0), MG_DICT_OK);
        assert_string_equal(get(d, KEY, 0), "'used'");
    }
    assert_string_equal(get(d, MG_STR("cold"), 0), "not found");
    assert_string_equal(get(d, numbered(19999), 0), "19999");
    assert_string_equal(get(d, numbered(0), 0), "not found");
}

static void expired_make_room_first(void **state)
{
    struct mg_dict *d = *state;
    for (int i = 0; i < 100000; i++) /* each lives for 100 of the 100000 steps */
        assert_int_equal(mg_dict_set(d, numbered(i), integer(i), 100, i), MG_DICT_OK);
    struct mg_dict_stats stats = stats_of(d);
    assert_int_equal(stats.evictions, 0);
    assert_true(stats.entries < 1000);
}

static void too_large_is_refused(void **state)
{
    struct mg_dict *d = *state;
    static char text[MG_DICT_BYTES_MIN / 16];
    struct mg_dict_value large = string("");
    large.string = mg_str(text, sizeof text);
    assert_int_equal(mg_dict_set(d, KEY, integer(7), 0, 0), MG_DICT_OK);
    assert_int_equal(mg_dict_set(d, KEY, large, 0, 0), MG_DICT_TOO_LARGE);
    assert_int_equal(mg_dict_cas(d, KEY, integer(7), large, 0), MG_DICT_TOO_LARGE);
    large.string.n = SIZE_MAX;
    assert_int_equal(mg_dict_set(d, KEY, large, 0, 0), MG_DICT_TOO_LARGE);
    assert_string_equal(get(d, KEY, 0), "7");
    large.string.n = sizeof text - 300;
    assert_int_equal(mg_dict_set(d, KEY, large, 0, 0), MG_DICT_OK);

    struct mg_buf small;
    struct mg_dict_value v;
    mg_buf_init(&small, 100);
    assert_int_equal(mg_dict_get(d, KEY, 0, &v, &small), MG_DICT_TOO_LARGE);
    mg_buf_release(&small);
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        size_t bytes, largest; /* a shard's part */
    } CASES[] = {
        {MG_DICT_BYTES_MIN, MG_DICT_BYTES_MIN / 16},
        {(size_t)16 << 20, 1 << 20},
        {(size_t)32 << 20, 1 << 20},
        {(size_t)64 << 20, 1 << 20},
        {(size_t)128 << 20, 2 << 20},
    };
    struct mg_error err;
    assert_null(mg_dict_new(MG_DICT_BYTES_MIN - 1, &err));
    assert_string_equal(err.text, "a dictionary needs at least 131072 bytes, not 131071");
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_dict *d = mg_dict_new(CASES[i].bytes, NULL);
        assert_non_null(d);
        assert_int_equal(stats_of(d).limit_bytes, CASES[i].bytes);
        char *text = calloc(1, CASES[i].largest);
        struct mg_dict_value value = string("");
        value.string = mg_str(text, CASES[i].largest);
        assert_int_equal(mg_dict_set(d, KEY, value, 0, 0), MG_DICT_TOO_LARGE);
        value.string.n -= 512;
        assert_int_equal(mg_dict_set(d, KEY, value, 0, 0), MG_DICT_OK);
        free(text);
        mg_dict_free(d);
    }
    mg_dict_free(NULL);
}

/* ---- threads ---- */

enum { THREADS = 8, ROUNDS = 20000 };

struct worker {
    struct mg_dict *dict;
    pthread_t thread;
    int number, failures, won;
};

/* Counts in one key, races for others, and keeps the dictionary full meanwhile. */
static void *work(void *arg)
{
    struct worker *w = arg;
    struct mg_buf text;
    mg_buf_init(&text, 4096);
    for (int i = 0; i < ROUNDS; i++) {
        char name[32];
        struct mg_dict_value v;
        struct mg_str key =
            mg_str(name, (size_t)snprintf(name, sizeof name, "%d.%d", w->number, i));
        w->failures += mg_dict_incr(w->dict, KEY, integer(1), integer(0), 0, i, &v) != MG_DICT_OK;
        w->failures += mg_dict_set(w->dict, key, string(name), i % 100, i) != MG_DICT_OK;
        mg_buf_reset(&text);
        if (mg_dict_get(w->dict, key, i, &v, &text) == MG_DICT_OK)
            w->failures += !mg_str_eq(v.string, key);
        if (i % 100 == 0) {
            key = mg_str(name, (size_t)snprintf(name, sizeof name, "race%d", i));
            w->won += mg_dict_add(w->dict, key, integer(w->number), 0, i) == MG_DICT_OK;
            mg_dict_get(w->dict, key, i, &v, &text); /* stays warm */
        }
    }
    mg_buf_release(&text);
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    (void)state;
    struct worker workers[THREADS] = {{0}};
    struct mg_dict *d = mg_dict_new((size_t)4 << 20, NULL);
    int won = 0;
    assert_non_null(d);
    for (int i = 0; i < THREADS; i++) {
        workers[i].dict = d;
        workers[i].number = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].failures, 0);
        won += workers[i].won;
    }
    char expected[16];
    snprintf(expected, sizeof expected, "%d", THREADS * ROUNDS);
    assert_string_equal(get(d, KEY, 0), expected);
    assert_in_range(won, ROUNDS / 100, ROUNDS / 100 * THREADS); /* evicted ones are won again */
    mg_dict_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kinds_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_are_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(key_length_is_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(time_to_live, setup, teardown),
        cmocka_unit_test_setup_teardown(increments, setup, teardown),
        cmocka_unit_test_setup_teardown(compare_and_set, setup, teardown),
        cmocka_unit_test_setup_teardown(limiters_are_no_values, setup, teardown),
        cmocka_unit_test_setup_teardown(budget_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_used_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(expired_make_room_first, setup, teardown),
        cmocka_unit_test_setup_teardown(too_large_is_refused, setup, teardown),
        cmocka_unit_test(sizes),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
