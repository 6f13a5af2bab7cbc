/* Lists of members. Control thread; a list never changes once it is made. */
#include "upstream/members.h"

#include <search.h>
#include <stdlib.h>

#include "base/memory.h"
#include "upstream/balance.h"

static struct mg_members *allocate(size_t count)
{
    struct mg_members *m = mg_calloc(1, sizeof *m + count * sizeof m->v[0]);
    atomic_init(&m->refs, 1);
    m->count = (uint32_t)count;
    return m;
}

/* The backends known so far are a search tree (tsearch(3)), which borrows them. */
static struct mg_backend *known_or_new(void **tree, struct mg_backend *b)
{
    struct mg_backend **node = tsearch(b, tree, mg_backend_compare);
    MG_BUG_ON(!node);
    return *node;
}

static void know(void **tree, const struct mg_members *m)
{
    for (uint32_t i = 0; m && i < m->count; i++)
        known_or_new(tree, m->v[i].backend);
}

static void forget_nothing(void *borrowed)
{
    (void)borrowed;
}

static struct mg_backend *backend_for(void **tree, const struct mg_endpoint *e)
{
    struct mg_backend *fresh = mg_backend_new(e);
    struct mg_backend *b = known_or_new(tree, fresh);
    if (b != fresh) {
        mg_backend_ref(b);
        mg_backend_unref(fresh);
    }
    return b;
}

static void set_turns(struct mg_members *m)
{
    uint32_t *weights = mg_malloc(m->count * sizeof *weights);
    for (uint32_t i = 0; i < m->count; i++) {
        weights[i] = m->v[i].weight;
        m->total_weight += weights[i];
    }
    m->turns = mg_balance_turns(weights, m->count, &m->turn_count);
    free(weights);
}

struct mg_members *mg_members_new(const struct mg_endpoint *v, size_t count,
                                  const struct mg_members *const known[2])
{
    struct mg_members *m = allocate(count);
    void *tree = NULL;
    know(&tree, known[0]);
    know(&tree, known[1]);
    for (uint32_t i = 0; i < m->count; i++)
        m->v[i] = (struct mg_member){backend_for(&tree, &v[i]), v[i].weight ? v[i].weight : 1};
    tdestroy(tree, forget_nothing);
    set_turns(m);
    return m;
}

struct mg_members *mg_members_inherit(const struct mg_members *m, const struct mg_members *known)
{
    struct mg_members *heir = allocate(m->count);
    void *tree = NULL;
    know(&tree, known);
    for (uint32_t i = 0; i < m->count; i++) {
        heir->v[i] = m->v[i];
        heir->v[i].backend = known_or_new(&tree, m->v[i].backend);
        mg_backend_ref(heir->v[i].backend);
    }
    tdestroy(tree, forget_nothing);
    set_turns(heir);
    return heir;
}

struct mg_members *mg_members_ref(struct mg_members *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void mg_members_unref(struct mg_members *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < m->count; i++)
        mg_backend_unref(m->v[i].backend);
    free(m->turns);
    free(m);
}

bool mg_members_are_same(const struct mg_members *a, const struct mg_members *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->v[i].backend != b->v[i].backend || a->v[i].weight != b->v[i].weight)
            return false;
    return true;
}
