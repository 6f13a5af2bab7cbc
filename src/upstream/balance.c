/*
 * Weighted turns, worked out when a list of members is made, so that a pick is one look-up. Pure.
 *
 * The rule is the one nginx made known: in each round every member gains its weight, the one that
 * has most (the first of them) is chosen and pays the sum of all weights. That spreads a heavy
 * member's turns evenly.
 */
#include "upstream/balance.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static bool all_equal(const uint32_t *weights, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (weights[i] != weights[0])
            return false;
    return true;
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static uint64_t sum(const uint32_t *weights, uint32_t count)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += weights[i];
    return total;
}

/* Makes the weights as small as they can be, and then small enough. */
static void reduce(uint32_t *weights, uint32_t count)
{
    uint32_t divisor = 0;
    for (uint32_t i = 0; i < count; i++)
        divisor = common_divisor(weights[i], divisor);
    for (uint32_t i = 0; i < count; i++)
        weights[i] /= divisor;
    uint64_t total = sum(weights, count);
    if (total <= MG_BALANCE_TURNS_MAX)
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t share = (weights[i] * (uint64_t)MG_BALANCE_TURNS_MAX + total / 2) / total;
        weights[i] = share ? (uint32_t)share : 1;
    }
}

static uint32_t most(const int64_t *credit, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        if (credit[i] > credit[best])
            best = i;
    return best;
}

uint32_t *mg_balance_turns(const uint32_t *weights, uint32_t count, uint32_t *turn_count)
{
    *turn_count = count;
    if (all_equal(weights, count))
        return NULL;
    uint32_t *gain = mg_malloc(count * sizeof *gain);
    int64_t *credit = mg_calloc(count, sizeof *credit);
    memcpy(gain, weights, count * sizeof *gain);
    reduce(gain, count);
    uint64_t total = sum(gain, count);
    uint32_t *turns = mg_malloc(total * sizeof *turns);
    for (uint64_t turn = 0; turn < total; turn++) {
        for (uint32_t i = 0; i < count; i++)
            credit[i] += gain[i];
        turns[turn] = most(credit, count);
        credit[turns[turn]] -= (int64_t)total;
    }
    free(gain);
    free(credit);
    *turn_count = (uint32_t)total;
    return turns;
}
