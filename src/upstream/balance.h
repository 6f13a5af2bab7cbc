/* The order of turns under weights. Pure. */
#ifndef MG_UPSTREAM_BALANCE_H
#define MG_UPSTREAM_BALANCE_H

#include <stdint.h>

/* Weights whose exact turns would be more than this are rounded to shares of this many. */
#define MG_BALANCE_TURNS_MAX 4096

/* Smooth weighted round robin, worked out beforehand: `*turn_count` places from 0 to count - 1, to
 * be gone through again and again; each place as often as its weight says and spread as evenly as
 * can be, at least once. free() it. NULL when all weights are equal: the turns are 0, 1, ... count
 * - 1. Weights are 1 or more. */
uint32_t *mg_balance_turns(const uint32_t *weights, uint32_t count, uint32_t *turn_count);

#endif
