/*
 * An arena for the values of tests: each test finds it empty, and fails when what was taken from
 * the pool does not come back.
 *
 *     cmocka_unit_test_setup_teardown(a_test, setup, teardown)
 */
#ifndef MG_TESTS_BASE_TEST_ARENA_H
#define MG_TESTS_BASE_TEST_ARENA_H

#include "base/arena.h"

static struct mg_pool pool;
static struct mg_arena arena;

static int setup(void **state)
{
    (void)state;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mg_arena_release(&arena);
    int leaked = pool.live != 0;
    mg_pool_release(&pool);
    return leaked;
}

#endif
