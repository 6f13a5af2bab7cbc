/* How many CPUs this process may use. */
#ifndef MG_APP_CPUS_H
#define MG_APP_CPUS_H

#include <stdbool.h>

#include "base/str.h"

/* By its affinity mask and the quotas of its cgroup (v2) and those above, rounded up; at least 1.
 */
unsigned mg_cpus_count(void);

/* The text of a cpu.max file: "50000 100000" is half a CPU, which counts as 1. False when it sets
 * no bound
 * ("max 100000") or is none. Pure. */
bool mg_cpus_parse_quota(struct mg_str cpu_max, unsigned *count);

#endif
