/*
 * Counts of what was answered and how long it took: of all requests, of a route, of a service.
 *
 * Each worker has a cell of its own in every tally, which it alone writes; a sum is made when
 * somebody asks. So counting costs a few plain stores: no lock, no locked instruction, no cache
 * line that two processors write. A sum may miss what is counted at that moment, and nothing else.
 *
 * Tallies are shared by name: generations get them and put them back, the next one before the old
 * one leaves, so a reload keeps what was counted of routes and services that are still there.
 */
#ifndef MG_SHARED_TALLY_H
#define MG_SHARED_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/str.h"

/* What became of a request. */
enum mg_tally_class {
    MG_TALLY_CUT, /* no whole answer: the client left, the connection or its body broke */
    MG_TALLY_1XX, /* a tunnel */
    MG_TALLY_2XX,
    MG_TALLY_3XX,
    MG_TALLY_4XX,
    MG_TALLY_5XX,
    MG_TALLY_CLASSES
};

/* One worker's part. All is atomic, written by that worker alone. */
struct mg_tally_cell {
    _Alignas(64) atomic_uint_fast64_t classes[MG_TALLY_CLASSES];
    atomic_uint_fast64_t sum_ns;
    _Atomic(atomic_uint_fast64_t *) rows[MG_HISTOGRAM_ROWS]; /* NULL: nothing fell there */
    struct mg_tally_cell *_next;
    uint32_t _worker;
};

enum mg_tally_of { MG_TALLY_OF_ALL, MG_TALLY_OF_ROUTE, MG_TALLY_OF_SERVICE };

struct mg_tally;
struct mg_tallies;

struct mg_tallies *mg_tallies_new(void);
/* Every tally has been put back before. NULL is fine. */
void mg_tallies_free(struct mg_tallies *t);
/* Finds it or makes it, empty; the caller gets a ref, for mg_tallies_put. Any thread. */
struct mg_tally *mg_tallies_get(struct mg_tallies *t, enum mg_tally_of of, struct mg_str name);
void mg_tallies_put(struct mg_tallies *t, struct mg_tally *tally);

/* The cell of the worker of that number, made when it is not there; valid as long as the tally. At
 * most one thread is that worker at a time. */
struct mg_tally_cell *mg_tally_cell(struct mg_tally *tally, uint32_t worker);

static inline void mg_tally_bump(atomic_uint_fast64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

/* By the cell's worker. */
static inline void mg_tally_count(struct mg_tally_cell *c, enum mg_tally_class class)
{
    mg_tally_bump(&c->classes[class], 1);
}

void mg_tally_time(struct mg_tally_cell *c, uint64_t ns);
/* 0: there was none. */
enum mg_tally_class mg_tally_class(unsigned status);

/* Of all workers. 8 KB. */
struct mg_tally_sum {
    uint64_t classes[MG_TALLY_CLASSES];
    uint64_t timed; /* how many durations; they are counted when they are known */
    uint64_t sum_ns;
    uint64_t counts[MG_HISTOGRAM_BUCKETS]; /* base/histogram.h */
};

/* Any thread. */
void mg_tally_read(struct mg_tally *tally, struct mg_tally_sum *out);

#endif
