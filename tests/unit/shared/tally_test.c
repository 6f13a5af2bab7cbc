/* Sums over workers, while they count, and over generations. */
#include "shared/tally.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#define WORKERS 4
#define REQUESTS 20000

static void status_classes(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        enum mg_tally_class class;
    } CASES[] = {{101, MG_TALLY_1XX}, {200, MG_TALLY_2XX}, {399, MG_TALLY_3XX},
                 {400, MG_TALLY_4XX}, {599, MG_TALLY_5XX}, {0, MG_TALLY_CUT}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_int_equal(mg_tally_class(CASES[i].status), CASES[i].class);
}

static void names_and_kinds(void **state)
{
    (void)state;
    struct mg_tallies *all = mg_tallies_new();
    struct mg_tally *route = mg_tallies_get(all, MG_TALLY_OF_ROUTE, MG_STR("users"));
    struct mg_tally *service = mg_tallies_get(all, MG_TALLY_OF_SERVICE, MG_STR("users"));
    struct mg_tally *other = mg_tallies_get(all, MG_TALLY_OF_ROUTE, MG_STR("user"));
    assert_ptr_not_equal(route, service);
    assert_ptr_not_equal(route, other);
    assert_ptr_equal(mg_tallies_get(all, MG_TALLY_OF_ROUTE, MG_STR("users")), route);
    mg_tallies_put(all, route);
    mg_tallies_put(all, route);
    mg_tallies_put(all, service);
    mg_tallies_put(all, other);
    mg_tallies_free(all);
}

/* A reload: the next generation gets it before this one puts it back. */
static void counts_outlive_a_generation(void **state)
{
    (void)state;
    struct mg_tally_sum sum;
    struct mg_tallies *all = mg_tallies_new();
    struct mg_tally *old = mg_tallies_get(all, MG_TALLY_OF_ROUTE, MG_STR("r"));
    struct mg_tally_cell *cell = mg_tally_cell(old, 0);
    mg_tally_count(cell, MG_TALLY_2XX);
    mg_tally_time(cell, 3000000);
    struct mg_tally *next = mg_tallies_get(all, MG_TALLY_OF_ROUTE, MG_STR("r"));
    mg_tallies_put(all, old);
    assert_ptr_equal(mg_tally_cell(next, 0), cell);
    mg_tally_read(next, &sum);
    assert_int_equal(sum.classes[MG_TALLY_2XX], 1);
    assert_int_equal(sum.sum_ns, 3000000);
    mg_tallies_put(all, next);
    next = mg_tallies_get(all, MG_TALLY_OF_ROUTE, MG_STR("r"));
    mg_tally_read(next, &sum);
    assert_int_equal(sum.classes[MG_TALLY_2XX], 0);
    mg_tallies_put(all, next);
    mg_tallies_free(all);
}

struct work {
    struct mg_tally *tally;
    uint32_t number;
};

static void *work(void *arg)
{
    const struct work *w = arg;
    struct mg_tally_cell *cell = mg_tally_cell(w->tally, w->number);
    for (uint64_t i = 0; i < REQUESTS; i++) {
        mg_tally_count(cell, i % 2 ? MG_TALLY_2XX : MG_TALLY_5XX);
        mg_tally_time(cell, i << (w->number * 4));
    }
    return NULL;
}

static void workers_count_while_others_read(void **state)
{
    (void)state;
    struct mg_tallies *all = mg_tallies_new();
    struct mg_tally *tally = mg_tallies_get(all, MG_TALLY_OF_ALL, MG_STR_NONE);
    struct mg_tally_sum sum;
    struct work work_of[WORKERS];
    pthread_t threads[WORKERS];
    uint64_t seen = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        work_of[i] = (struct work){tally, i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &work_of[i]), 0);
    }
    for (int i = 0; i < 100; i++) {
        mg_tally_read(tally, &sum);
        assert_true(sum.classes[MG_TALLY_2XX] >= seen);
        seen = sum.classes[MG_TALLY_2XX];
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    mg_tally_read(tally, &sum);
    assert_int_equal(sum.classes[MG_TALLY_2XX], WORKERS * REQUESTS / 2);
    assert_int_equal(sum.classes[MG_TALLY_5XX], WORKERS * REQUESTS / 2);
    assert_int_equal(sum.timed, WORKERS * REQUESTS);
    mg_tallies_put(all, tally);
    mg_tallies_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_classes),
        cmocka_unit_test(names_and_kinds),
        cmocka_unit_test(counts_outlive_a_generation),
        cmocka_unit_test(workers_count_while_others_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
