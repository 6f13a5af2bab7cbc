/* The region: pieces never overlap, all comes back, and what is free can be had. */
#include "shared/region.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIB ((size_t)1024)
#define HELD_MAX 512

static uint64_t seed;

static uint64_t below(uint64_t limit)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % limit;
}

struct piece {
    unsigned char *p;
    size_t n;
};

static void fill(struct piece *piece)
{
    memset(piece->p, (int)(piece->n & 0xFF), piece->n);
}

/* Would fail if another piece had been laid over it. */
static void check(const struct piece *piece)
{
    for (size_t i = 0; i < piece->n; i++)
        assert_int_equal(piece->p[i], piece->n & 0xFF);
}

static void starts_empty(void **state)
{
    (void)state;
    static const size_t sizes[] = {256, 257, 511, 4096, 100 * KIB, 3000 * KIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct mg_region *r = mg_region_new(sizes[i]);
        assert_int_equal(mg_region_bytes(r), sizes[i] / 256 * 256);
        assert_int_equal(mg_region_used(r), 0);
        mg_region_free(r);
    }
}

static void counts_granules(void **state)
{
    (void)state;
    struct mg_region *r = mg_region_new(64 * KIB);
    char *p = mg_region_take(r, 5000);
    assert_int_equal((uintptr_t)p % MG_REGION_GRANULE, 0);
    assert_int_equal(mg_region_used(r), 5120);
    assert_int_equal(mg_region_cost(5000), 5120);
    mg_region_shrink(r, p, 5000, 300);
    assert_int_equal(mg_region_used(r), 512);
    mg_region_shrink(r, p, 300, 257);
    assert_int_equal(mg_region_used(r), 512);
    mg_region_give(r, p, 300);
    assert_int_equal(mg_region_used(r), 0);
    mg_region_free(r);
}

static void gives_all_that_is_there(void **state)
{
    (void)state;
    struct mg_region *r = mg_region_new(1000 * KIB);
    size_t sum = 0, got;
    while (mg_region_take_some(r, 300 * KIB, 1, &got))
        sum += got;
    assert_int_equal(sum, 1000 * KIB);
    assert_null(mg_region_take(r, 1));
    mg_region_free(r);
}

static void some_means_the_largest_of_at_least(void **state)
{
    (void)state;
    struct mg_region *r = mg_region_new(16 * KIB);
    size_t got;
    char *a = mg_region_take(r, 8 * KIB);
    char *b = mg_region_take(r, 4 * KIB);
    assert_null(mg_region_take(r, 8 * KIB));
    assert_null(mg_region_take_some(r, 8 * KIB, 5 * KIB, &got));
    char *c = mg_region_take_some(r, 8 * KIB, 4 * KIB, &got);
    assert_non_null(c);
    assert_int_equal(got, 4 * KIB);
    mg_region_give(r, b, 4 * KIB);
    mg_region_give(r, a, 8 * KIB);
    mg_region_give(r, c, 4 * KIB);
    assert_non_null(mg_region_take(r, 16 * KIB)); /* neighbours have merged again */
    mg_region_free(r);
}

static void take_one(struct mg_region *r, struct piece *piece)
{
    size_t n = 1 + below(below(8) ? 3000 : 40000);
    piece->p = mg_region_take_some(r, n, 1, &piece->n);
    if (piece->p)
        fill(piece);
}

static void drop_one(struct mg_region *r, struct piece *piece)
{
    check(piece);
    if (piece->n > 1 && below(3) == 0) {
        size_t keep = 1 + below(piece->n - 1);
        mg_region_shrink(r, piece->p, piece->n, keep);
        piece->n = keep;
        fill(piece);
        return;
    }
    mg_region_give(r, piece->p, piece->n);
    piece->p = NULL;
}

static void random_pieces_keep_their_bytes(void **state)
{
    (void)state;
    struct mg_region *r = mg_region_new(1200 * KIB);
    struct piece held[HELD_MAX] = {{0}};
    seed = 1;
    for (int i = 0; i < 40000; i++) {
        struct piece *piece = &held[below(HELD_MAX)];
        if (piece->p)
            drop_one(r, piece);
        else
            take_one(r, piece);
    }
    size_t used = 0;
    for (size_t i = 0; i < HELD_MAX; i++)
        used += held[i].p ? mg_region_cost(held[i].n) : 0;
    assert_int_equal(mg_region_used(r), used);
    for (size_t i = 0; i < HELD_MAX; i++)
        if (held[i].p)
            mg_region_give(r, held[i].p, held[i].n);
    assert_int_equal(mg_region_used(r), 0);
    assert_non_null(mg_region_take(r, MG_REGION_PIECE_MAX));
    mg_region_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_empty),
        cmocka_unit_test(counts_granules),
        cmocka_unit_test(gives_all_that_is_there),
        cmocka_unit_test(some_means_the_largest_of_at_least),
        cmocka_unit_test(random_pieces_keep_their_bytes),
    };
    return cmocka_run_group_tests_name("region", tests, NULL, NULL);
}
