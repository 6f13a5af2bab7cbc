/* The loop: timers, work for later, messages, and the simulated clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net/loop.h"

/* What happened, a letter each. */
struct story {
    struct mg_loop *loop;
    char text[64];
    size_t n;
    bool stop;
};

static void tell(struct story *s, char letter)
{
    assert_true(s->n + 1 < sizeof s->text);
    s->text[s->n++] = letter;
    s->text[s->n] = 0;
}

struct actor {
    struct story *story;
    char letter;
    struct mg_timer timer;
    struct mg_soon soon;
    void (*then)(struct actor *self, struct actor *other);
    struct actor *other;
};

static void on_act(void *arg)
{
    struct actor *a = arg;
    tell(a->story, a->letter);
    if (a->then)
        a->then(a, a->other);
}

static void cast(struct actor *actors, size_t count, struct story *story)
{
    for (size_t i = 0; i < count; i++) {
        actors[i] = (struct actor){.story = story, .letter = (char)('a' + i)};
        mg_timer_init(&actors[i].timer, story->loop, on_act, &actors[i]);
        mg_soon_init(&actors[i].soon, on_act, &actors[i]);
    }
}

static struct story begin(void)
{
    return (struct story){.loop = mg_loop_new_simulated(1)};
}

static uint64_t in_ms(struct mg_loop *loop, uint64_t ms)
{
    return mg_loop_now(loop) + ms * MG_MILLISECOND;
}

static void run_ms(struct story *s, uint64_t ms)
{
    mg_loop_simulate(s->loop, in_ms(s->loop, ms), NULL);
}

/* --- timers --- */

static void timers_fire_in_order(void **state)
{
    struct story s = begin();
    struct actor a[5];
    (void)state;
    cast(a, 5, &s);
    mg_timer_set(&a[0].timer, in_ms(s.loop, 30));
    mg_timer_set(&a[1].timer, in_ms(s.loop, 10));
    mg_timer_set(&a[2].timer, in_ms(s.loop, 20));
    mg_timer_set(&a[3].timer, in_ms(s.loop, 10)); /* after b, which was set first */
    mg_timer_set(&a[4].timer, in_ms(s.loop, 31));
    run_ms(&s, 9);
    assert_string_equal(s.text, "");
    run_ms(&s, 1);
    assert_string_equal(s.text, "bd");
    assert_false(mg_timer_is_set(&a[1].timer));
    assert_true(mg_timer_is_set(&a[0].timer));
    run_ms(&s, 20);
    assert_string_equal(s.text, "bdca");
    mg_loop_free(s.loop);
    /* `e` was never taken off: the loop does not look at it any more. */
}

static void a_deadline_may_move(void **state)
{
    static const struct {
        uint64_t settings[4]; /* ms; 0: stop */
        size_t count;
        uint64_t fires_at; /* ms; 0: never */
    } cases[] = {
        {{10, 20}, 2, 20},         /* later */
        {{10, 20, 30, 40}, 4, 40}, /* and later */
        {{20, 10}, 2, 10},         /* earlier */
        {{10, 30, 20}, 3, 20},     /* later, then not so late */
        {{10, 30, 5}, 3, 5},       /* later, then earlier than ever */
        {{10, 0}, 2, 0},           /* stopped */
        {{10, 0, 20}, 3, 20},      /* stopped and set again */
        {{10, 0, 5}, 3, 5},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct story s = begin();
        struct actor a[1];
        cast(a, 1, &s);
        uint64_t start = mg_loop_now(s.loop);
        for (size_t k = 0; k < cases[i].count; k++) {
            if (cases[i].settings[k])
                mg_timer_set(&a->timer, start + cases[i].settings[k] * MG_MILLISECOND);
            else
                mg_timer_stop(&a->timer);
        }
        if (cases[i].fires_at) {
            mg_loop_simulate(s.loop, start + cases[i].fires_at * MG_MILLISECOND - 1, NULL);
            assert_string_equal(s.text, "");
            mg_loop_simulate(s.loop, start + cases[i].fires_at * MG_MILLISECOND, NULL);
            assert_string_equal(s.text, "a");
        }
        run_ms(&s, 100);
        assert_string_equal(s.text, cases[i].fires_at ? "a" : "");
        mg_timer_release(&a->timer);
        mg_timer_release(&a->timer); /* twice does no harm */
        mg_loop_free(s.loop);
    }
}

static void release_other(struct actor *self, struct actor *other)
{
    (void)self;
    mg_timer_release(&other->timer);
    memset(&other->timer, 0xdb, sizeof other->timer);
}

static void set_again(struct actor *self, struct actor *other)
{
    (void)other;
    if (self->story->n < 4)
        mg_timer_set(&self->timer, in_ms(self->story->loop, 10));
}

static void timers_may_change_in_callbacks(void **state)
{
    struct story s = begin();
    struct actor a[4];
    (void)state;
    cast(a, 4, &s);
    for (size_t i = 0; i < 4; i++)
        mg_timer_set(&a[i].timer, in_ms(s.loop, 10));
    a[0].then = release_other; /* one that is due as well */
    a[0].other = &a[2];
    a[1].then = release_other; /* itself */
    a[1].other = &a[1];
    a[3].then = set_again;
    run_ms(&s, 10);
    assert_string_equal(s.text, "abd");
    run_ms(&s, 9);
    assert_string_equal(s.text, "abd");
    run_ms(&s, 100);
    assert_string_equal(s.text, "abdd");
    mg_loop_free(s.loop);
}

#define MANY 500

struct many {
    struct mg_timer timer;
    struct mg_loop *loop;
    uint64_t deadline;
    unsigned *fired;
    uint64_t *latest;
};

static void on_one_of_many(void *arg)
{
    struct many *m = arg;
    assert_int_equal(mg_loop_now(m->loop), m->deadline);
    assert_true(m->deadline >= *m->latest);
    *m->latest = m->deadline;
    ++*m->fired;
}

/* Against a plain idea of what is right: each fires once, when it should, in order. */
static void many_timers_keep_their_order(void **state)
{
    struct mg_loop *loop = mg_loop_new_simulated(1);
    struct many *v = calloc(MANY, sizeof *v);
    unsigned fired = 0, expected = 0;
    uint64_t latest = 0, random = 12345, start = mg_loop_now(loop);
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        v[i] = (struct many){.loop = loop, .fired = &fired, .latest = &latest};
        mg_timer_init(&v[i].timer, loop, on_one_of_many, &v[i]);
    }
    for (size_t step = 0; step < MANY * 6; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        struct many *m = &v[(random >> 33) % MANY];
        unsigned what = (random >> 20) % 8;
        if (what == 0) {
            mg_timer_stop(&m->timer);
        } else if (what == 1) {
            mg_timer_release(&m->timer);
        } else {
            m->deadline = start + 1 + (random >> 40) % 1000;
            mg_timer_set(&m->timer, m->deadline);
        }
    }
    for (size_t i = 0; i < MANY; i++)
        expected += mg_timer_is_set(&v[i].timer);
    assert_in_range(expected, MANY / 2, MANY);
    mg_loop_simulate(loop, UINT64_MAX, NULL);
    assert_int_equal(fired, expected);
    for (size_t i = 0; i < MANY; i++)
        mg_timer_release(&v[i].timer);
    free(v);
    mg_loop_free(loop);
}

/* --- later in this turn --- */

static void run_other_soon(struct actor *self, struct actor *other)
{
    mg_soon_run(self->story->loop, &other->soon);
    mg_soon_run(self->story->loop, &other->soon); /* twice is once */
    assert_true(mg_soon_is_waiting(&other->soon));
    tell(self->story, '.');
}

static void cancel_other_soon(struct actor *self, struct actor *other)
{
    (void)self;
    mg_soon_cancel(&other->soon);
}

static void soon_runs_after_the_callback(void **state)
{
    struct story s = begin();
    struct actor a[3];
    (void)state;
    cast(a, 3, &s);
    a[0].then = run_other_soon;
    a[0].other = &a[1];
    a[1].then = run_other_soon;
    a[1].other = &a[2];
    mg_timer_set(&a[0].timer, in_ms(s.loop, 1));
    run_ms(&s, 1);
    assert_string_equal(s.text, "a.b.c");
    assert_false(mg_soon_is_waiting(&a[1].soon));
    mg_loop_free(s.loop);
}

static void soon_may_be_cancelled(void **state)
{
    struct story s = begin();
    struct actor a[2];
    (void)state;
    cast(a, 2, &s);
    mg_soon_run(s.loop, &a[0].soon);
    mg_soon_cancel(&a[0].soon);
    mg_soon_cancel(&a[0].soon);
    assert_false(mg_soon_is_waiting(&a[0].soon));
    run_ms(&s, 1);
    assert_string_equal(s.text, "");
    /* By each other: whichever comes first cancels the other one. */
    a[0].then = a[1].then = cancel_other_soon;
    a[0].other = &a[1];
    a[1].other = &a[0];
    mg_soon_run(s.loop, &a[0].soon);
    mg_soon_run(s.loop, &a[1].soon);
    run_ms(&s, 1);
    assert_int_equal(s.n, 1);
    mg_loop_free(s.loop);
}

static void order_of(uint64_t seed, char text[64])
{
    struct story s = {.loop = mg_loop_new_simulated(seed)};
    struct actor a[8];
    cast(a, 8, &s);
    for (size_t i = 0; i < 8; i++)
        mg_soon_run(s.loop, &a[i].soon);
    run_ms(&s, 0);
    assert_int_equal(s.n, 8);
    memcpy(text, s.text, sizeof s.text);
    mg_loop_free(s.loop);
}

static void the_seed_gives_the_order(void **state)
{
    char first[64], again[64];
    int different = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        char other[64];
        order_of(seed, first);
        order_of(seed, again);
        assert_string_equal(first, again);
        order_of(seed + 1, other);
        different += strcmp(first, other) != 0;
    }
    assert_true(different >= 18);
}

static struct story *releasing;

static void release_and_tell(void *memory)
{
    tell(releasing, *(char *)memory);
    if (*(char *)memory == 'y') {
        /* A release may put more there. */
        char *more = malloc(1);
        *more = 'z';
        mg_loop_free_later(releasing->loop, more, release_and_tell);
    }
    free(memory);
}

static void free_in_callback(struct actor *self, struct actor *other)
{
    char *memory = malloc(1);
    (void)other;
    *memory = 'y';
    mg_loop_free_later(self->story->loop, memory, release_and_tell);
    mg_loop_free_later(self->story->loop, malloc(1), NULL);
    tell(self->story, '.');
}

static void memory_goes_at_the_end_of_the_turn(void **state)
{
    struct story s = begin();
    struct actor a[2];
    (void)state;
    releasing = &s;
    cast(a, 2, &s);
    /* Whether it is the last thing to happen or not. */
    a[0].then = free_in_callback;
    mg_timer_set(&a[0].timer, in_ms(s.loop, 1));
    run_ms(&s, 1);
    assert_string_equal(s.text, "a.yz");
    mg_timer_set(&a[0].timer, in_ms(s.loop, 1));
    mg_timer_set(&a[1].timer, in_ms(s.loop, 2));
    run_ms(&s, 5);
    assert_string_equal(s.text, "a.yza.yzb");
    /* Also when the loop goes. */
    a[0].then(&a[0], NULL);
    mg_loop_free(s.loop);
    assert_string_equal(s.text, "a.yza.yzb.yz");
}

/* --- the simulated clock --- */

static void the_clock_jumps(void **state)
{
    struct story s = begin();
    struct actor a[2];
    (void)state;
    cast(a, 2, &s);
    assert_true(mg_loop_is_simulated(s.loop));
    assert_true(mg_loop_now(s.loop) != 0);
    assert_true(mg_loop_wall(s.loop) == 1767225600.0); /* 2026-01-01T00:00:00Z */
    uint64_t start = mg_loop_now(s.loop);
    mg_timer_set(&a[0].timer, start + 600 * MG_SECOND);
    mg_timer_set(&a[1].timer, start + 900 * MG_SECOND);
    /* Up to a time: it then stands there. */
    mg_loop_simulate(s.loop, start + 700 * MG_SECOND, NULL);
    assert_string_equal(s.text, "a");
    assert_int_equal(mg_loop_now(s.loop), start + 700 * MG_SECOND);
    assert_true(mg_loop_wall(s.loop) == 1767225600.0 + 700);
    /* Without end: it stands at the last timer. */
    mg_loop_simulate(s.loop, UINT64_MAX, NULL);
    assert_string_equal(s.text, "ab");
    assert_int_equal(mg_loop_now(s.loop), start + 900 * MG_SECOND);
    /* Never back. */
    mg_loop_simulate(s.loop, start, NULL);
    assert_int_equal(mg_loop_now(s.loop), start + 900 * MG_SECOND);
    mg_loop_free(s.loop);
}

static void set_stop(struct actor *self, struct actor *other)
{
    (void)other;
    self->story->stop = true;
}

/* The clock stands where it was stopped, not at what would have come next. */
static void set_own_timer_for_now(struct actor *self, struct actor *other)
{
    if (self->story->n < 4)
        mg_timer_set(&self->timer, mg_loop_now(self->story->loop));
    mg_soon_run(self->story->loop, &other->soon);
}

/* What a timer does is all done before one that it sets for the same time. */
static void a_simulated_timer_for_now_waits_a_turn(void **state)
{
    struct story s = begin();
    struct actor a[2];
    (void)state;
    cast(a, 2, &s);
    a[0].then = set_own_timer_for_now;
    a[0].other = &a[1];
    assert_int_equal(mg_loop_next_timer(s.loop), 0);
    mg_timer_set(&a[0].timer, in_ms(s.loop, 5));
    assert_int_equal(mg_loop_next_timer(s.loop), in_ms(s.loop, 5));
    run_ms(&s, 5);
    assert_string_equal(s.text, "ababab");
    assert_int_equal(mg_loop_next_timer(s.loop), 0);
    mg_loop_free(s.loop);
}

static void simulation_stops_at_once(void **state)
{
    struct story s = begin();
    struct actor a[2];
    (void)state;
    cast(a, 2, &s);
    a[0].then = set_stop;
    uint64_t start = mg_loop_now(s.loop);
    for (int with_next = 0; with_next < 2; with_next++) {
        start = mg_loop_now(s.loop);
        s.stop = false;
        mg_timer_set(&a[0].timer, start + MG_SECOND);
        if (with_next)
            mg_timer_set(&a[1].timer, start + 60 * MG_SECOND);
        mg_loop_simulate(s.loop, start + 100 * MG_SECOND, &s.stop);
        assert_int_equal(mg_loop_now(s.loop), start + MG_SECOND);
    }
    assert_string_equal(s.text, "aa");
    mg_loop_simulate(s.loop, start + 60 * MG_SECOND, NULL);
    assert_string_equal(s.text, "aab");
    mg_loop_free(s.loop);
}

static void post_other(struct actor *self, struct actor *other)
{
    mg_loop_post(self->story->loop, on_act, other);
    tell(self->story, '.');
}

static void messages_to_oneself_are_not_forgotten(void **state)
{
    struct story s = begin();
    struct actor a[4];
    (void)state;
    cast(a, 4, &s);
    a[0].then = a[1].then = post_other;
    a[0].other = &a[1];
    a[1].other = &a[2];
    mg_timer_set(&a[0].timer, in_ms(s.loop, 1));
    run_ms(&s, 1);
    assert_string_equal(s.text, "a.b.c");
    /* From work of the same turn as well; and before the clock moves on. */
    s.n = 0;
    a[2].then = post_other;
    a[2].other = &a[3];
    mg_soon_run(s.loop, &a[2].soon);
    run_ms(&s, 0);
    assert_string_equal(s.text, "c.d");
    mg_loop_free(s.loop);
}

/* --- a real loop --- */

static void stop_loop(struct actor *self, struct actor *other)
{
    (void)other;
    mg_loop_stop(self->story->loop);
}

static void a_real_loop_keeps_time(void **state)
{
    struct story s = {.loop = mg_loop_new(NULL)};
    struct actor a[3];
    (void)state;
    assert_non_null(s.loop);
    assert_false(mg_loop_is_simulated(s.loop));
    assert_true(mg_loop_wall(s.loop) > 1700000000.0);
    cast(a, 3, &s);
    uint64_t start = mg_loop_now(s.loop);
    a[0].then = stop_loop;
    mg_timer_set(&a[0].timer, in_ms(s.loop, 30));
    mg_timer_set(&a[1].timer, in_ms(s.loop, 1));
    mg_timer_set(&a[1].timer, in_ms(s.loop, 20)); /* put off */
    mg_timer_set(&a[2].timer, in_ms(s.loop, 10));
    mg_loop_run(s.loop);
    /* Nothing here depends on how late a busy machine lets us be. */
    assert_string_equal(s.text, "cba");
    assert_true(mg_loop_now(s.loop) - start >= 30 * MG_MILLISECOND);
    /* It can be run again. */
    mg_timer_set(&a[0].timer, in_ms(s.loop, 1));
    mg_loop_run(s.loop);
    assert_string_equal(s.text, "cbaa");
    mg_loop_free(s.loop);
}

static void set_now(struct actor *self, struct actor *other)
{
    (void)other;
    if (self->story->n < 5)
        mg_timer_set(&self->timer, mg_loop_now(self->story->loop));
    else
        mg_loop_stop(self->story->loop);
}

static void a_timer_for_now_waits_a_turn(void **state)
{
    struct story s = {.loop = mg_loop_new(NULL)};
    struct actor a[2];
    (void)state;
    cast(a, 2, &s);
    a[0].then = set_now;
    mg_timer_set(&a[0].timer, mg_loop_now(s.loop));
    mg_timer_set(&a[1].timer, mg_loop_now(s.loop));
    mg_loop_run(s.loop);
    assert_string_equal(s.text, "abaaa");
    mg_loop_free(s.loop);
}

#define SENDERS 3
#define MESSAGES 2000

struct sender {
    pthread_t thread;
    struct mg_loop *loop;
    unsigned next; /* on the loop's thread: number of the message that should come */
    unsigned *total;
    struct {
        struct sender *sender;
        unsigned number;
    } messages[MESSAGES];
};

static void on_message(void *arg)
{
    struct {
        struct sender *sender;
        unsigned number;
    } *m = arg;
    assert_int_equal(m->number, m->sender->next);
    m->sender->next++;
    if (++*m->sender->total == SENDERS * MESSAGES)
        mg_loop_stop(m->sender->loop);
}

static void *send_all(void *arg)
{
    struct sender *s = arg;
    for (unsigned i = 0; i < MESSAGES; i++)
        mg_loop_post(s->loop, on_message, &s->messages[i]);
    return NULL;
}

static void messages_come_from_other_threads(void **state)
{
    struct mg_loop *loop = mg_loop_new(NULL);
    struct sender *senders = calloc(SENDERS, sizeof *senders);
    unsigned total = 0;
    (void)state;
    for (int i = 0; i < SENDERS; i++) {
        senders[i].loop = loop;
        senders[i].total = &total;
        for (unsigned k = 0; k < MESSAGES; k++) {
            senders[i].messages[k].sender = &senders[i];
            senders[i].messages[k].number = k;
        }
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    mg_loop_run(loop);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i].thread, NULL);
    assert_int_equal(total, SENDERS * MESSAGES);
    free(senders);
    mg_loop_free(loop);
}

static void messages_left_over_are_dropped(void **state)
{
    struct story s = {.loop = mg_loop_new(NULL)};
    struct actor a[1];
    (void)state;
    cast(a, 1, &s);
    mg_loop_post(s.loop, on_act, &a[0]);
    mg_loop_free(s.loop);
    assert_string_equal(s.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order),
        cmocka_unit_test(a_deadline_may_move),
        cmocka_unit_test(timers_may_change_in_callbacks),
        cmocka_unit_test(many_timers_keep_their_order),
        cmocka_unit_test(soon_runs_after_the_callback),
        cmocka_unit_test(soon_may_be_cancelled),
        cmocka_unit_test(the_seed_gives_the_order),
        cmocka_unit_test(memory_goes_at_the_end_of_the_turn),
        cmocka_unit_test(the_clock_jumps),
        cmocka_unit_test(simulation_stops_at_once),
        cmocka_unit_test(a_simulated_timer_for_now_waits_a_turn),
        cmocka_unit_test(messages_to_oneself_are_not_forgotten),
        cmocka_unit_test(a_real_loop_keeps_time),
        cmocka_unit_test(a_timer_for_now_waits_a_turn),
        cmocka_unit_test(messages_come_from_other_threads),
        cmocka_unit_test(messages_left_over_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
