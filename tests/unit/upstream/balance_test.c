/* The order of turns under weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "upstream/balance.h"

static void turns_are_smooth(void **state)
{
    static const struct {
        uint32_t weights[4], count;
        const char *turns; /* NULL: one after the other */
    } cases[] = {
        {{1}, 1, NULL},
        {{0}, 0, NULL},
        {{7}, 1, NULL},
        {{3, 3, 3}, 3, NULL},
        {{5, 1, 1}, 3, "0010200"}, /* the order that nginx is known for */
        {{2, 1}, 2, "010"},
        {{1, 3}, 2, "1011"},
        {{20, 10}, 2, "010"}, /* as 2 to 1 */
        {{4, 2, 2, 0x80000000}, 3, "0120"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t n;
        uint32_t *turns = mg_balance_turns(cases[i].weights, cases[i].count, &n);
        if (!cases[i].turns) {
            assert_null(turns);
            assert_int_equal(n, cases[i].count);
            continue;
        }
        assert_non_null(turns);
        assert_int_equal(n, strlen(cases[i].turns));
        for (uint32_t k = 0; k < n; k++)
            if (turns[k] != (uint32_t)(cases[i].turns[k] - '0'))
                fail_msg("case %zu: turn %u is %u", i, k, turns[k]);
        free(turns);
    }
}

static void big_weights_are_rounded(void **state)
{
    const uint32_t weights[] = {UINT32_MAX, UINT32_MAX - 1, 1, 1u << 31};
    uint32_t n, seen[4] = {0};
    uint32_t *turns = mg_balance_turns(weights, 4, &n);
    (void)state;
    assert_in_range(n, MG_BALANCE_TURNS_MAX - 4, MG_BALANCE_TURNS_MAX + 4);
    for (uint32_t i = 0; i < n; i++)
        seen[turns[i]]++;
    free(turns);
    assert_in_range(seen[0], 1637, 1640); /* two fifths */
    assert_in_range(seen[1], 1637, 1640);
    assert_int_equal(seen[2], 1); /* not left out */
    assert_in_range(seen[3], 818, 821);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_are_smooth),
        cmocka_unit_test(big_weights_are_rounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
