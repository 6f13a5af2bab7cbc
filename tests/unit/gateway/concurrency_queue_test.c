/* Places and who waits for them: order, time, leaving, other workers, and that no place is lost. */
#include "gateway/concurrency_queue.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEY MG_STR("key")
#define WAITS_MAX 8
#define THREADS 4
#define EACH 500
#define MAX 3
#define LONG_NS (3600 * MG_SECOND)

struct waiter {
    struct mg_concurrency_wait wait;
    char name;
    char *order;
};

/* Two workers with one dictionary, and one clock for both. */
struct scene {
    struct mg_loop *loop;
    struct mg_dict *dict;
    struct mg_concurrency_queue queue, other;
    struct waiter waiters[WAITS_MAX];
    char order[2 * WAITS_MAX + 1];
};

/* "a": it has a place; "a!": its time is over. */
static void on_done(struct mg_concurrency_wait *wait, enum mg_dict_rc rc)
{
    struct waiter *w = MG_CONTAINER_OF(wait, struct waiter, wait);
    size_t n = strlen(w->order);
    w->order[n] = w->name;
    if (rc != MG_DICT_OK)
        w->order[n + 1] = '!';
}

static int setup(void **state)
{
    struct mg_error err;
    struct scene *s = test_calloc(1, sizeof *s);
    s->loop = mg_loop_new_simulated(1);
    s->dict = mg_dict_new(MG_DICT_BYTES_MIN, &err);
    mg_concurrency_queue_init(&s->queue, s->loop);
    mg_concurrency_queue_init(&s->other, s->loop);
    for (int i = 0; i < WAITS_MAX; i++)
        s->waiters[i] = (struct waiter){
            .wait = {.on_done = on_done}, .name = (char)('a' + i), .order = s->order};
    *state = s;
    return s->dict ? 0 : -1;
}

static size_t entries(struct mg_dict *dict)
{
    struct mg_dict_stats stats;
    mg_dict_stats(dict, &stats);
    return stats.entries;
}

/* Every place is back, and nobody is in a line: the sanitizer sees what is left. */
static int teardown(void **state)
{
    struct scene *s = *state;
    size_t left = entries(s->dict);
    mg_concurrency_queue_release(&s->queue);
    mg_concurrency_queue_release(&s->other);
    mg_dict_free(s->dict);
    mg_loop_free(s->loop);
    test_free(s);
    return left ? -1 : 0;
}

static void advance(struct scene *s, uint64_t ns)
{
    mg_loop_simulate(s->loop, mg_loop_now(s->loop) + ns, NULL);
}

static enum mg_dict_rc take(struct scene *s, int64_t max)
{
    struct mg_concurrency_ask ask = {s->dict, KEY, max};
    return mg_concurrency_take(&s->queue, &ask);
}

static void give_back(struct scene *s)
{
    mg_concurrency_give_back(&s->queue, s->dict, KEY);
}

static void wait_for(struct scene *s, int i, int64_t max, uint64_t ns)
{
    struct mg_concurrency_wait *w = &s->waiters[i].wait;
    w->ask = (struct mg_concurrency_ask){s->dict, KEY, max};
    w->until_ns = mg_loop_now(s->loop) + ns;
    mg_concurrency_queue_wait(&s->queue, w);
}

static void first_come_first_served(void **state)
{
    struct scene *s = *state;
    assert_int_equal(take(s, 1), MG_DICT_OK);
    for (int i = 0; i < 3; i++)
        wait_for(s, i, 1, LONG_NS);
    give_back(s);
    assert_string_equal(s->order, ""); /* not from within */
    advance(s, 0);
    assert_string_equal(s->order, "a");
    give_back(s);
    give_back(s);
    advance(s, 0);
    assert_string_equal(s->order, "abc");
    give_back(s);
}

static void nobody_gets_past_them(void **state)
{
    struct scene *s = *state;
    assert_int_equal(take(s, 1), MG_DICT_OK);
    wait_for(s, 0, 1, LONG_NS);
    mg_concurrency_give_back(&s->other, s->dict, KEY); /* of which this worker knows nothing yet */
    assert_int_equal(take(s, 1), MG_DICT_ABSENT);
    advance(s, 0);
    assert_string_equal(s->order, "a");
    give_back(s);
    assert_int_equal(take(s, 1), MG_DICT_OK);
    give_back(s);
}

static void places_of_other_workers_are_found(void **state)
{
    struct scene *s = *state;
    assert_int_equal(take(s, 1), MG_DICT_OK);
    wait_for(s, 0, 1, LONG_NS);
    advance(s, 5 * MG_SECOND);
    mg_concurrency_give_back(&s->other, s->dict, KEY);
    advance(s, MG_CONCURRENCY_LOOK_NS);
    assert_string_equal(s->order, "a");
    give_back(s);
}

static void time_goes_by(void **state)
{
    struct scene *s = *state;
    assert_int_equal(take(s, 1), MG_DICT_OK);
    wait_for(s, 0, 1, 50 * MG_MILLISECOND);
    wait_for(s, 1, 1, 5 * MG_MILLISECOND);
    advance(s, 4 * MG_MILLISECOND);
    assert_string_equal(s->order, "");
    advance(s, 1 * MG_MILLISECOND);
    assert_string_equal(s->order, "b!");
    advance(s, 45 * MG_MILLISECOND);
    assert_string_equal(s->order, "b!a!");
    give_back(s);
    assert_int_equal(take(s, 1), MG_DICT_OK); /* nobody stands in the way */
    give_back(s);
}

/* Between two looks, and none is left before its time is over. */
static void the_last_look_counts(void **state)
{
    struct scene *s = *state;
    assert_int_equal(take(s, 1), MG_DICT_OK);
    wait_for(s, 0, 1, 5 * MG_MILLISECOND);
    mg_concurrency_give_back(&s->other, s->dict, KEY);
    advance(s, 5 * MG_MILLISECOND);
    assert_string_equal(s->order, "a");
    give_back(s);
}

static void those_who_leave_get_none(void **state)
{
    struct scene *s = *state;
    assert_int_equal(take(s, 1), MG_DICT_OK);
    for (int i = 0; i < 3; i++)
        wait_for(s, i, 1, LONG_NS);
    mg_concurrency_queue_leave(&s->waiters[1].wait);
    give_back(s);
    mg_concurrency_queue_leave(&s->waiters[0].wait); /* called, and not told of it */
    advance(s, 0);
    assert_string_equal(s->order, "c");
    give_back(s);
}

static void one_who_may_is_not_held_up(void **state)
{
    struct scene *s = *state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(s, 3), MG_DICT_OK);
    wait_for(s, 0, 1, LONG_NS);
    wait_for(s, 1, 3, LONG_NS);
    give_back(s);
    advance(s, 0);
    assert_string_equal(s->order, "b");
    for (int i = 0; i < 3; i++)
        give_back(s);
    advance(s, 0);
    assert_string_equal(s->order, "ba");
    give_back(s);
}

/* Many keys at once: the table grows, and each finds its own. */
static void lines_are_found_again(void **state)
{
    enum { LINES = 100 };
    struct scene *s = *state;
    static struct waiter waiters[LINES];
    static char keys[LINES][8], order[2 * LINES + 1];
    struct mg_concurrency_ask ask = {s->dict, MG_STR_NONE, 1};
    memset(order, 0, sizeof order);
    for (int i = 0; i < LINES; i++) {
        ask.key = mg_str(keys[i], (size_t)snprintf(keys[i], sizeof keys[i], "k%d", i));
        assert_int_equal(mg_concurrency_take(&s->queue, &ask), MG_DICT_OK);
        waiters[i] = (struct waiter){.wait = {.ask = ask, .on_done = on_done, .until_ns = LONG_NS},
                                     .name = '0',
                                     .order = order};
        mg_concurrency_queue_wait(&s->queue, &waiters[i].wait);
    }
    for (int i = 0; i < LINES; i++) {
        mg_concurrency_give_back(&s->queue, s->dict, waiters[i].wait.ask.key);
        waiters[i].name = '1';
        advance(s, 0);
        assert_int_equal(strlen(order), i + 1);
        assert_int_equal(order[i], '1');
    }
    for (int i = 0; i < LINES; i++)
        mg_concurrency_give_back(&s->queue, s->dict, waiters[i].wait.ask.key);
}

/* --- threads --- */

struct worker {
    pthread_t thread;
    struct mg_dict *dict;
    atomic_int *inside;
    struct mg_concurrency_queue queue;
    struct mg_loop *loop;
    int held, got, over;
};

struct visitor {
    struct mg_concurrency_wait wait;
    struct worker *worker;
};

static void enter(struct worker *w)
{
    assert_true(atomic_fetch_add(w->inside, 1) < MAX);
    w->held++;
    w->got++;
}

static void leave_all(struct worker *w)
{
    for (; w->held; w->held--) {
        atomic_fetch_sub(w->inside, 1);
        mg_concurrency_give_back(&w->queue, w->dict, KEY);
    }
}

static void on_visit(struct mg_concurrency_wait *wait, enum mg_dict_rc rc)
{
    struct worker *w = MG_CONTAINER_OF(wait, struct visitor, wait)->worker;
    if (rc == MG_DICT_OK)
        enter(w);
    else
        w->over++;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct mg_concurrency_ask ask = {w->dict, KEY, MAX};
    struct visitor visitors[WAITS_MAX];
    w->loop = mg_loop_new_simulated(1);
    mg_concurrency_queue_init(&w->queue, w->loop);
    for (int i = 0; i < EACH; i++) {
        for (int n = 0; n < WAITS_MAX; n++) {
            if (mg_concurrency_take(&w->queue, &ask) == MG_DICT_OK) {
                enter(w);
                continue;
            }
            visitors[n] = (struct visitor){
                .wait = {.ask = ask, .on_done = on_visit, .until_ns = mg_loop_now(w->loop) + 2},
                .worker = w};
            mg_concurrency_queue_wait(&w->queue, &visitors[n].wait);
        }
        for (int n = 0; n < 3; n++) {
            leave_all(w);
            mg_loop_simulate(w->loop, mg_loop_now(w->loop) + 1, NULL);
        }
        leave_all(w);
    }
    mg_concurrency_queue_release(&w->queue);
    mg_loop_free(w->loop);
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    struct scene *s = *state;
    struct worker workers[THREADS] = {0};
    atomic_int inside = 0;
    for (int i = 0; i < THREADS; i++) {
        workers[i].dict = s->dict;
        workers[i].inside = &inside;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].got + workers[i].over, EACH * WAITS_MAX);
    }
    assert_int_equal(entries(s->dict), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_come_first_served, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_gets_past_them, setup, teardown),
        cmocka_unit_test_setup_teardown(places_of_other_workers_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(time_goes_by, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_look_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(those_who_leave_get_none, setup, teardown),
        cmocka_unit_test_setup_teardown(one_who_may_is_not_held_up, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_are_found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_lose_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
