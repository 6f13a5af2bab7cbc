/* Picking: turns, weights, what was tried, and lists that change underneath. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "upstream/picker.h"

#define MAX 8

/* One backend 10.0.0.N:80 for each weight. */
static struct mg_backend *next(struct mg_picker *p, struct mg_backend *const *tried, size_t count)
{
    const struct mg_pick pick = {.tried = tried, .tried_count = count};
    return mg_picker_next(p, &pick);
}

static struct mg_service *new_service(enum mg_balance balance, const uint32_t *weights,
                                      size_t count)
{
    struct mg_backend_config backends[MAX];
    char texts[MAX][32];
    struct mg_service_config config = {
        .name = MG_STR("s"), .backends = backends, .backend_count = count, .balance = balance};
    for (size_t i = 0; i < count; i++) {
        snprintf(texts[i], sizeof texts[i], "10.0.0.%zu:80", i);
        backends[i] =
            (struct mg_backend_config){.address = mg_str_c(texts[i]), .weight = weights[i]};
    }
    struct mg_service *s = mg_service_new(&config, NULL);
    assert_non_null(s);
    return s;
}

static struct mg_endpoint endpoint(unsigned last_byte)
{
    return (struct mg_endpoint){
        .addr = {.family = 4, .bytes = {10, 0, 0, (uint8_t)last_byte}, .port = 80},
        .authority = MG_STR("a"),
        .weight = 1,
    };
}

static char letter(const struct mg_backend *b)
{
    return b ? (char)('a' + b->addr.bytes[3]) : '-';
}

static void round_robin_begins_with_the_first(void **state)
{
    static const struct {
        uint32_t weights[4];
        size_t count;
        const char *picks;
    } cases[] = {
        {{1, 1, 1}, 3, "abcabca"},        {{4, 4}, 2, "ababa"},  {{1}, 1, "aaa"},
        {{5, 1, 1}, 3, "aabacaaaabacaa"}, {{2, 1}, 2, "abaaba"}, {{0}, 0, "--"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_service *s =
            new_service(MG_BALANCE_ROUND_ROBIN, cases[i].weights, cases[i].count);
        struct mg_picker p;
        mg_picker_init(&p, s, 1);
        for (const char *want = cases[i].picks; *want; want++)
            assert_int_equal(letter(next(&p, NULL, 0)), *want);
        mg_picker_release(&p);
        mg_service_unref(s);
    }
}

/* Whichever worker gets the first request. */
static void workers_take_turns_together(void **state)
{
    const uint32_t weights[] = {1, 1, 1};
    struct mg_service *s = new_service(MG_BALANCE_ROUND_ROBIN, weights, 3);
    struct mg_picker p[2];
    (void)state;
    mg_picker_init(&p[0], s, 1);
    mg_picker_init(&p[1], s, 2);
    mg_service_unref(s); /* pickers hold it */
    const char *want = "abcabc";
    for (size_t i = 0; want[i]; i++)
        assert_int_equal(letter(next(&p[i % 3 == 0], NULL, 0)), want[i]);
    mg_picker_release(&p[0]);
    mg_picker_release(&p[1]);
}

static void what_was_tried_is_left_out(void **state)
{
    const uint32_t weights[] = {1, 9, 1, 1};
    (void)state;
    for (int balance = MG_BALANCE_ROUND_ROBIN; balance <= MG_BALANCE_RANDOM; balance++) {
        struct mg_service *s = new_service((enum mg_balance)balance, weights, 4);
        struct mg_backend *tried[4];
        struct mg_picker p;
        mg_picker_init(&p, s, 1);
        for (unsigned round = 0; round < 50; round++) {
            unsigned seen = 0;
            for (size_t n = 0; n < 4; n++) {
                tried[n] = next(&p, tried, n);
                assert_non_null(tried[n]);
                unsigned bit = 1u << tried[n]->addr.bytes[3];
                assert_false(seen & bit);
                seen |= bit;
            }
            assert_null(next(&p, tried, 4));
        }
        mg_picker_release(&p);
        mg_service_unref(s);
    }
}

static void random_follows_the_weights(void **state)
{
    const uint32_t weights[] = {1, 2, 5};
    struct mg_service *s = new_service(MG_BALANCE_RANDOM, weights, 3);
    struct mg_picker p;
    unsigned seen[3] = {0}, after[3] = {0};
    (void)state;
    mg_picker_init(&p, s, 42);
    for (int i = 0; i < 8000; i++) {
        struct mg_backend *b = next(&p, NULL, 0);
        seen[b->addr.bytes[3]]++;
        if (b->addr.bytes[3] == 2)
            after[next(&p, &b, 1)->addr.bytes[3]]++;
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(seen[i], weights[i] * 1000 - 150, weights[i] * 1000 + 150);
    assert_int_equal(after[2], 0);
    assert_in_range(after[1], after[0] * 2 - 300, after[0] * 2 + 300);
    mg_picker_release(&p);
    mg_service_unref(s);
}

static void random_differs_by_seed_alone(void **state)
{
    const uint32_t weights[] = {1, 1, 1, 1};
    struct mg_service *s = new_service(MG_BALANCE_RANDOM, weights, 4);
    struct mg_picker p[3];
    int same = 0, other = 0;
    (void)state;
    mg_picker_init(&p[0], s, 1);
    mg_picker_init(&p[1], s, 1);
    mg_picker_init(&p[2], s, 2);
    for (int i = 0; i < 100; i++) {
        struct mg_backend *b = next(&p[0], NULL, 0);
        same += b == next(&p[1], NULL, 0);
        other += b == next(&p[2], NULL, 0);
    }
    assert_int_equal(same, 100);
    assert_in_range(other, 5, 60);
    for (int i = 0; i < 3; i++)
        mg_picker_release(&p[i]);
    mg_service_unref(s);
}

static void a_new_list_is_taken_over(void **state)
{
    const uint32_t weights[] = {1, 1};
    struct mg_service *s = new_service(MG_BALANCE_ROUND_ROBIN, weights, 2);
    struct mg_endpoint v[] = {endpoint(4), endpoint(5)};
    struct mg_picker p;
    (void)state;
    mg_picker_init(&p, s, 1);
    struct mg_backend *held = next(&p, NULL, 0);
    assert_int_equal(letter(held), 'a');
    mg_backend_ref(held);
    mg_service_publish(s, v, 2, 0);
    assert_int_equal(letter(next(&p, NULL, 0)), 'f');
    assert_int_equal(letter(next(&p, NULL, 0)), 'e');
    assert_int_equal(atomic_load(&held->refs), 1); /* the old list is gone */
    mg_backend_unref(held);
    mg_service_publish(s, NULL, 0, 0);
    assert_null(next(&p, NULL, 0));
    mg_service_publish(s, v, 1, 0);
    assert_int_equal(letter(next(&p, NULL, 0)), 'e');
    mg_picker_release(&p);
    mg_service_unref(s);
}

/* --- threads: to be run under ThreadSanitizer --- */

#define PICKERS 3
#define PUBLISHES 2000

struct shared {
    struct mg_service *service;
    atomic_bool stop;
};

struct worker {
    struct shared *shared;
    pthread_t thread;
    uint64_t picks, wrong;
};

static void *pick_until_stopped(void *arg)
{
    struct worker *w = arg;
    struct mg_picker p;
    struct mg_backend *held = NULL;
    mg_picker_init(&p, w->shared->service, 7);
    while (!atomic_load(&w->shared->stop) || w->picks == 0) {
        struct mg_backend *b = next(&p, NULL, 0);
        /* Every list has 10.0.0.0, and all are at port 80. */
        if (!b || b->addr.port != 80)
            w->wrong++;
        if (b)
            mg_backend_ref(b);
        if (held)
            mg_backend_unref(held);
        held = b;
        w->picks++;
    }
    if (held)
        mg_backend_unref(held);
    mg_picker_release(&p);
    return NULL;
}

static void publish_while_others_pick(void **state)
{
    const uint32_t weights[] = {1};
    struct shared shared = {.service = new_service(MG_BALANCE_ROUND_ROBIN, weights, 1)};
    struct worker workers[PICKERS] = {0};
    (void)state;
    for (int i = 0; i < PICKERS; i++) {
        workers[i].shared = &shared;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, pick_until_stopped, &workers[i]),
                         0);
    }
    for (unsigned i = 0; i < PUBLISHES; i++) {
        struct mg_endpoint v[MAX];
        for (unsigned k = 0; k < MAX; k++)
            v[k] = endpoint(k ? (i + k) % 20 : 0);
        mg_service_publish(shared.service, v, 1 + i % MAX, 0);
    }
    atomic_store(&shared.stop, true);
    for (int i = 0; i < PICKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].wrong, 0);
        assert_true(workers[i].picks > 0);
    }
    mg_service_unref(shared.service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_robin_begins_with_the_first),
        cmocka_unit_test(workers_take_turns_together),
        cmocka_unit_test(what_was_tried_is_left_out),
        cmocka_unit_test(random_follows_the_weights),
        cmocka_unit_test(random_differs_by_seed_alone),
        cmocka_unit_test(a_new_list_is_taken_over),
        cmocka_unit_test(publish_while_others_pick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
