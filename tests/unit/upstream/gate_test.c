/* The limit of requests under way: order, leaving, and that no place is lost between threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "upstream/gate.h"

#define THREADS 4
#define EACH 3000
#define MAX 8

static const struct mg_gate_config TWO = {.max_requests = 2, .queue_size = 3};

struct waiter {
    struct mg_gate_wait wait;
    char name;
    char *order;
};

struct scene {
    struct mg_loop *loop;
    struct mg_gate_inbox inbox;
    struct mg_gate *gate;
    struct waiter waiters[MAX];
    char order[MAX + 1];
};

static void on_entered(struct mg_gate_wait *wait)
{
    struct waiter *w = MG_CONTAINER_OF(wait, struct waiter, wait);
    w->order[strlen(w->order)] = w->name;
}

static void set_up(struct scene *s, const struct mg_gate_config *config)
{
    *s = (struct scene){.loop = mg_loop_new_simulated(1), .gate = mg_gate_new(config)};
    mg_gate_inbox_init(&s->inbox, s->loop);
    for (int i = 0; i < MAX; i++)
        s->waiters[i] = (struct waiter){
            .wait = {.on_entered = on_entered}, .name = (char)('a' + i), .order = s->order};
}

static void tear_down(struct scene *s)
{
    mg_gate_inbox_release(&s->inbox);
    mg_gate_unref(s->gate);
    mg_loop_free(s->loop);
}

static bool queue(struct scene *s, int i)
{
    return mg_gate_queue(s->gate, &s->waiters[i].wait, &s->inbox);
}

static void run(struct scene *s)
{
    mg_loop_simulate(s->loop, mg_loop_now(s->loop), NULL);
}

static void first_come_first_served(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s, &TWO);
    assert_true(mg_gate_enter(s.gate));
    assert_true(mg_gate_enter(s.gate));
    assert_false(mg_gate_enter(s.gate));
    for (int i = 0; i < 3; i++)
        assert_true(queue(&s, i));
    assert_false(queue(&s, 3));
    mg_gate_leave(s.gate);
    assert_false(mg_gate_enter(s.gate)); /* nobody passes those who wait */
    assert_string_equal(s.order, "");    /* it is told later */
    run(&s);
    assert_string_equal(s.order, "a");
    mg_gate_leave(s.gate);
    mg_gate_leave(s.gate);
    run(&s);
    assert_string_equal(s.order, "abc");
    mg_gate_leave(s.gate);
    assert_true(mg_gate_enter(s.gate));
    mg_gate_leave(s.gate);
    mg_gate_leave(s.gate);
    tear_down(&s);
}

static void who_gives_up_is_passed_over(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s, &TWO);
    assert_true(mg_gate_enter(s.gate));
    assert_true(mg_gate_enter(s.gate));
    for (int i = 0; i < 3; i++)
        assert_true(queue(&s, i));
    mg_gate_give_up(&s.waiters[0].wait);
    mg_gate_give_up(&s.waiters[0].wait);
    mg_gate_leave(s.gate);
    mg_gate_give_up(&s.waiters[1].wait); /* it has its place, and was not told yet */
    run(&s);
    assert_string_equal(s.order, "c");
    mg_gate_leave(s.gate);
    assert_true(mg_gate_enter(s.gate));
    assert_false(mg_gate_enter(s.gate));
    tear_down(&s);
}

static void a_place_that_came_free_meanwhile_is_taken(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s, &TWO);
    assert_true(queue(&s, 0)); /* both are free */
    run(&s);
    assert_string_equal(s.order, "a");
    tear_down(&s);
}

static void refusals_are_told_now_and_then(void **state)
{
    struct mg_gate *g = mg_gate_new(&TWO);
    (void)state;
    assert_int_equal(mg_gate_count_refusal(g, MG_SECOND), 1);
    assert_int_equal(mg_gate_count_refusal(g, 2 * MG_SECOND), 0);
    assert_int_equal(mg_gate_count_refusal(g, 10 * MG_SECOND), 0);
    assert_int_equal(mg_gate_count_refusal(g, 11 * MG_SECOND), 3);
    mg_gate_unref(g);
}

struct crowd {
    struct mg_gate *gate;
    atomic_int inside, most;
};

struct worker {
    struct crowd *crowd;
    struct mg_loop *loop;
    struct mg_gate_inbox inbox;
    struct mg_gate_wait wait;
    struct mg_soon soon;
    unsigned done;
};

static void next_request(void *arg);

static void use_place(struct worker *w)
{
    struct crowd *c = w->crowd;
    int inside = atomic_fetch_add(&c->inside, 1) + 1, most = atomic_load(&c->most);
    while (inside > most && !atomic_compare_exchange_weak(&c->most, &most, inside))
        ;
    atomic_fetch_sub(&c->inside, 1);
    mg_gate_leave(c->gate);
    w->done++;
    mg_soon_run(w->loop, &w->soon);
}

static void on_turn(struct mg_gate_wait *wait)
{
    use_place(MG_CONTAINER_OF(wait, struct worker, wait));
}

static void next_request(void *arg)
{
    struct worker *w = arg;
    if (w->done == EACH) {
        mg_loop_stop(w->loop);
        return;
    }
    if (mg_gate_enter(w->crowd->gate)) {
        use_place(w);
        return;
    }
    assert_true(mg_gate_queue(w->crowd->gate, &w->wait, &w->inbox));
    if (w->done % 7 == 0) { /* some change their mind */
        mg_gate_give_up(&w->wait);
        w->done++;
        mg_soon_run(w->loop, &w->soon);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    mg_soon_run(w->loop, &w->soon);
    mg_loop_run(w->loop);
    return NULL;
}

static void threads_lose_no_place(void **state)
{
    static const struct mg_gate_config one = {.max_requests = 1, .queue_size = THREADS};
    struct crowd c = {.gate = mg_gate_new(&one)};
    struct worker workers[THREADS] = {0};
    pthread_t threads[THREADS];
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        struct worker *w = &workers[i];
        w->crowd = &c;
        w->loop = mg_loop_new(NULL);
        w->wait.on_entered = on_turn;
        mg_gate_inbox_init(&w->inbox, w->loop);
        mg_soon_init(&w->soon, next_request, w);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, &workers[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(c.most, 1);
    assert_true(mg_gate_enter(c.gate)); /* all places are free again */
    for (int i = 0; i < THREADS; i++) {
        mg_gate_inbox_release(&workers[i].inbox);
        mg_loop_free(workers[i].loop);
    }
    mg_gate_unref(c.gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(who_gives_up_is_passed_over),
        cmocka_unit_test(a_place_that_came_free_meanwhile_is_taken),
        cmocka_unit_test(refusals_are_told_now_and_then),
        cmocka_unit_test(threads_lose_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
