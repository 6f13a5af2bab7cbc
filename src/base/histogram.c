/*
 * Durations are looked at in units of 2^UNIT_BITS ns. Up to 32 units each has a bucket of its own;
 * then the highest bit of the number of units says the row, and the five bits behind it the place.
 */
#include "base/histogram.h"

#include <math.h>

#define UNIT_BITS 8
#define ROW_BITS 5

uint32_t mg_histogram_bucket(uint64_t ns)
{
    uint64_t units = ns >> UNIT_BITS;
    if (units < MG_HISTOGRAM_ROW)
        return (uint32_t)units;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(units) - ROW_BITS;
    uint32_t bucket =
        (shift + 1) * MG_HISTOGRAM_ROW + ((uint32_t)(units >> shift) & (MG_HISTOGRAM_ROW - 1));
    return bucket < MG_HISTOGRAM_BUCKETS ? bucket : MG_HISTOGRAM_BUCKETS - 1;
}

uint64_t mg_histogram_middle_ns(uint32_t bucket)
{
    uint32_t row = bucket / MG_HISTOGRAM_ROW, place = bucket % MG_HISTOGRAM_ROW;
    uint32_t shift = row ? row - 1 : 0;
    uint64_t units = (uint64_t)(place + (row ? MG_HISTOGRAM_ROW : 0)) << shift;
    return (units << UNIT_BITS) + ((UINT64_C(1) << (shift + UNIT_BITS)) >> 1);
}

uint64_t mg_histogram_percentile_ns(const uint64_t counts[MG_HISTOGRAM_BUCKETS], double percent)
{
    uint64_t total = 0, seen = 0;
    for (uint32_t i = 0; i < MG_HISTOGRAM_BUCKETS; i++)
        total += counts[i];
    uint64_t rank = (uint64_t)ceil((double)total * percent / 100);
    for (uint32_t i = 0; i < MG_HISTOGRAM_BUCKETS; i++) {
        seen += counts[i];
        if (seen && seen >= rank)
            return mg_histogram_middle_ns(i);
    }
    return 0;
}
