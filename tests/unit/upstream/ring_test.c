/* Consistent hashing: shares, weights, and which keys move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "upstream/ring.h"

#define KEYS 20000
#define MAX 20

static struct mg_ring *ring_of(uint32_t first, uint32_t count, uint32_t weight_of_last)
{
    struct mg_ring_member v[MAX];
    char text[16];
    for (uint32_t i = 0; i < count; i++) {
        int n = snprintf(text, sizeof text, "10.0.0.%u:80", first + i);
        v[i] = (struct mg_ring_member){mg_ring_hash(mg_str(text, (size_t)n)), 1};
    }
    v[count - 1].weight = weight_of_last;
    return mg_ring_new(v, count);
}

static uint32_t owner(const struct mg_ring *r, unsigned key)
{
    char text[24];
    int n = snprintf(text, sizeof text, "user-%u", key);
    return mg_ring_owner(r, mg_ring_find(r, mg_ring_hash(mg_str(text, (size_t)n))));
}

static void keys_are_spread(void **state)
{
    unsigned seen[10] = {0};
    struct mg_ring *r = ring_of(0, 10, 1);
    (void)state;
    for (unsigned key = 0; key < KEYS; key++)
        seen[owner(r, key)]++;
    for (int i = 0; i < 10; i++)
        assert_in_range(seen[i], KEYS / 10 * 7 / 10, KEYS / 10 * 13 / 10);
    free(r);
}

static void weights_count(void **state)
{
    unsigned seen[4] = {0};
    struct mg_ring *r = ring_of(0, 4, 3);
    (void)state;
    for (unsigned key = 0; key < KEYS; key++)
        seen[owner(r, key)]++;
    assert_in_range(seen[3], KEYS * 4 / 10, KEYS * 6 / 10); /* three of six */
    free(r);
}

/* Who joins takes its share from the others; between those that were there nothing moves. */
static void a_join_moves_its_share_alone(void **state)
{
    struct mg_ring *before = ring_of(0, 9, 1), *after = ring_of(0, 10, 1);
    unsigned moved = 0;
    (void)state;
    for (unsigned key = 0; key < KEYS; key++) {
        uint32_t was = owner(before, key), is = owner(after, key);
        if (was == is)
            continue;
        assert_int_equal(is, 9);
        moved++;
    }
    assert_in_range(moved, KEYS / 10 * 7 / 10, KEYS / 10 * 13 / 10);
    free(before);
    free(after);
}

static void a_leave_moves_what_it_had_alone(void **state)
{
    struct mg_ring *before = ring_of(0, 10, 1), *after = ring_of(1, 9, 1);
    (void)state;
    for (unsigned key = 0; key < KEYS; key++) {
        uint32_t was = owner(before, key);
        if (was != 0)
            assert_int_equal(owner(after, key), was - 1);
    }
    free(before);
    free(after);
}

static void points_go_round(void **state)
{
    struct mg_ring *r = ring_of(0, 3, 1);
    uint32_t points = mg_ring_points(r);
    (void)state;
    assert_int_equal(mg_ring_find(r, 0), 0);
    assert_int_equal(mg_ring_find(r, UINT64_MAX), points);
    assert_int_equal(mg_ring_owner(r, points), mg_ring_owner(r, 0));
    assert_int_equal(mg_ring_owner(r, 2 * points + 5), mg_ring_owner(r, 5));
    free(r);
    assert_null(mg_ring_new(NULL, 0));
}

static void many_members_stay_small(void **state)
{
    const uint32_t count = 10000;
    struct mg_ring_member *v = calloc(count, sizeof *v);
    (void)state;
    for (uint32_t i = 0; i < count; i++)
        v[i] = (struct mg_ring_member){i * UINT64_C(7919), 1};
    struct mg_ring *r = mg_ring_new(v, count);
    assert_in_range(mg_ring_points(r), count, 1 << 18);
    free(r);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_spread),
        cmocka_unit_test(weights_count),
        cmocka_unit_test(a_join_moves_its_share_alone),
        cmocka_unit_test(a_leave_moves_what_it_had_alone),
        cmocka_unit_test(points_go_round),
        cmocka_unit_test(many_members_stay_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
