/*
 * Where durations fall, in a log-linear histogram: each power of two is cut into equal buckets, so
 * the error is a share of the value, whatever its size. A bucket stands for its middle.
 *
 *     values below 16 us   0.5 us wide at most: exact to 0.25 us
 *     above                off by at most 1/64 of the value (1.6 %)
 *     above 2^43 ns        (2.4 hours) all in the last bucket
 *
 * Pure: who counts, and in what, is the caller's matter.
 */
#ifndef MG_BASE_HISTOGRAM_H
#define MG_BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define MG_HISTOGRAM_ROW 32u /* buckets of one power of two */
#define MG_HISTOGRAM_ROWS                                                                          \
    31u /* the first is of the smallest values, all as wide as in the second */
#define MG_HISTOGRAM_BUCKETS (MG_HISTOGRAM_ROW * MG_HISTOGRAM_ROWS)

/* The bucket of a duration. */
uint32_t mg_histogram_bucket(uint64_t ns);
/* What a bucket stands for. */
uint64_t mg_histogram_middle_ns(uint32_t bucket);

/* The duration that `percent` of all are not longer than, by the nearest rank; 0 when there are
 * none. */
uint64_t mg_histogram_percentile_ns(const uint64_t counts[MG_HISTOGRAM_BUCKETS], double percent);

#endif
