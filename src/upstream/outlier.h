/*
 * Backends that are put aside for their own errors. Judged by what requests see, once for all
 * workers. Pure; the time is an argument. Any thread.
 */
#ifndef MG_UPSTREAM_OUTLIER_H
#define MG_UPSTREAM_OUTLIER_H

#include "upstream/members.h"

/* A backend that is ejected again soon stays out for longer, up to so many times eject_ns. */
#define MG_OUTLIER_TIMES_MAX 10

/* `errors` 0: nobody is put aside. */
struct mg_outlier_config {
    uint32_t errors; /* in a row */
    uint64_t eject_ns;
    uint32_t max_ejected; /* percent of the members that may be out at a time */
};

/* A backend answered well, which ends a row of errors. */
void mg_outlier_succeeded(struct mg_backend *b);
/* It did not. Returns for how long it was ejected; 0: it was not, because there are not enough
 * errors in a row yet, or too many members are out already. */
uint64_t mg_outlier_failed(const struct mg_outlier_config *c, struct mg_backend *b,
                           const struct mg_members *members, uint64_t now_ns);

#endif
