/* Cells are only ever added, in front of a list, so that readers need no lock. */
#include "shared/tally.h"

#include <pthread.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

struct mg_tally {
    /* Set once. */
    enum mg_tally_of of;
    struct mg_str name;
    /* Atomic. */
    _Atomic(struct mg_tally_cell *) cells;
    /* Under lock. */
    uint32_t refs;
};

struct mg_tallies {
    pthread_mutex_t lock;
    void *root; /* tsearch(3): there may be thousands of routes */
};

/* --- by name --- */

/* Routes and services may have one name. */
static int compare(const void *a, const void *b)
{
    const struct mg_tally *x = a, *y = b;
    if (x->of != y->of)
        return x->of < y->of ? -1 : 1;
    if (x->name.n != y->name.n)
        return x->name.n < y->name.n ? -1 : 1;
    return x->name.n ? memcmp(x->name.p, y->name.p, x->name.n) : 0;
}

struct mg_tallies *mg_tallies_new(void)
{
    struct mg_tallies *t = mg_calloc(1, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void mg_tallies_free(struct mg_tallies *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static struct mg_tally *add(struct mg_tallies *t, const struct mg_tally *wanted)
{
    struct mg_tally *tally = mg_calloc(1, sizeof *tally);
    tally->of = wanted->of;
    tally->name = mg_str(mg_strdup(wanted->name), wanted->name.n);
    if (!tsearch(tally, &t->root, compare))
        abort();
    return tally;
}

struct mg_tally *mg_tallies_get(struct mg_tallies *t, enum mg_tally_of of, struct mg_str name)
{
    const struct mg_tally wanted = {.of = of, .name = name};
    pthread_mutex_lock(&t->lock);
    struct mg_tally **found = tfind(&wanted, &t->root, compare);
    struct mg_tally *tally = found ? *found : add(t, &wanted);
    tally->refs++;
    pthread_mutex_unlock(&t->lock);
    return tally;
}

static void free_tally(struct mg_tally *t)
{
    for (struct mg_tally_cell *c = atomic_load(&t->cells), *next; c; c = next) {
        next = c->_next;
        for (uint32_t i = 0; i < MG_HISTOGRAM_ROWS; i++)
            free(atomic_load(&c->rows[i]));
        free(c);
    }
    free((char *)t->name.p);
    free(t);
}

void mg_tallies_put(struct mg_tallies *t, struct mg_tally *tally)
{
    pthread_mutex_lock(&t->lock);
    bool last = --tally->refs == 0;
    if (last)
        tdelete(tally, &t->root, compare);
    pthread_mutex_unlock(&t->lock);
    if (last)
        free_tally(tally);
}

/* --- counting --- */

static struct mg_tally_cell *new_cell(uint32_t worker)
{
    struct mg_tally_cell *c = aligned_alloc(_Alignof(struct mg_tally_cell), sizeof *c);
    if (!c)
        abort();
    memset(c, 0, sizeof *c);
    c->_worker = worker;
    return c;
}

struct mg_tally_cell *mg_tally_cell(struct mg_tally *tally, uint32_t worker)
{
    struct mg_tally_cell *c = atomic_load_explicit(&tally->cells, memory_order_acquire);
    for (; c; c = c->_next)
        if (c->_worker == worker)
            return c;
    struct mg_tally_cell *fresh = new_cell(worker);
    fresh->_next = atomic_load_explicit(&tally->cells, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&tally->cells, &fresh->_next, fresh,
                                                  memory_order_acq_rel, memory_order_relaxed))
        ;
    return fresh;
}

/* Most cells see a few powers of two only, and many routes see nobody. */
static atomic_uint_fast64_t *row(struct mg_tally_cell *c, uint32_t i)
{
    atomic_uint_fast64_t *r = atomic_load_explicit(&c->rows[i], memory_order_relaxed);
    if (r)
        return r;
    r = mg_calloc(MG_HISTOGRAM_ROW, sizeof *r);
    atomic_store_explicit(&c->rows[i], r, memory_order_release);
    return r;
}

void mg_tally_time(struct mg_tally_cell *c, uint64_t ns)
{
    uint32_t bucket = mg_histogram_bucket(ns);
    mg_tally_bump(&row(c, bucket / MG_HISTOGRAM_ROW)[bucket % MG_HISTOGRAM_ROW], 1);
    mg_tally_bump(&c->sum_ns, ns);
}

enum mg_tally_class mg_tally_class(unsigned status)
{
    unsigned hundreds = status / 100;
    return hundreds <= 5 ? (enum mg_tally_class)hundreds : MG_TALLY_5XX;
}

/* --- reading --- */

static void add_row(struct mg_tally_sum *out, const struct mg_tally_cell *c, uint32_t i)
{
    const atomic_uint_fast64_t *r = atomic_load_explicit(&c->rows[i], memory_order_acquire);
    for (uint32_t k = 0; r && k < MG_HISTOGRAM_ROW; k++) {
        uint64_t n = atomic_load_explicit(&r[k], memory_order_relaxed);
        out->counts[i * MG_HISTOGRAM_ROW + k] += n;
        out->timed += n;
    }
}

void mg_tally_read(struct mg_tally *tally, struct mg_tally_sum *out)
{
    *out = (struct mg_tally_sum){0};
    const struct mg_tally_cell *c = atomic_load_explicit(&tally->cells, memory_order_acquire);
    for (; c; c = c->_next) {
        for (uint32_t i = 0; i < MG_TALLY_CLASSES; i++)
            out->classes[i] += atomic_load_explicit(&c->classes[i], memory_order_relaxed);
        out->sum_ns += atomic_load_explicit(&c->sum_ns, memory_order_relaxed);
        for (uint32_t i = 0; i < MG_HISTOGRAM_ROWS; i++)
            add_row(out, c, i);
    }
}
