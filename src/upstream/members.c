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

/* --- pools --- */

static void set_turns(struct mg_member_pool *pool, const struct mg_member *v)
{
    uint32_t *weights = mg_malloc(pool->count * sizeof *weights);
    for (uint32_t i = 0; i < pool->count; i++) {
        weights[i] = v[i].weight;
        pool->total_weight += weights[i];
    }
    pool->turns = mg_balance_turns(weights, pool->count, &pool->turn_count);
    free(weights);
}

/* Two backends may share an address, and differ in the Host that they are asked for. */
static uint64_t identity_of(const struct mg_backend *b)
{
    return mg_ring_hash(mg_str_c(b->label)) + 3 * mg_ring_hash(mg_str_c(b->authority));
}

static struct mg_ring *make_ring(const struct mg_member *v, uint32_t count)
{
    struct mg_ring_member *owners = mg_malloc(count * sizeof *owners);
    for (uint32_t i = 0; i < count; i++)
        owners[i] = (struct mg_ring_member){identity_of(v[i].backend), v[i].weight};
    struct mg_ring *ring = mg_ring_new(owners, count);
    free(owners);
    return ring;
}

static uint32_t count_pools(const struct mg_members *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->count; i++)
        n += i == 0 || m->v[i].pool != m->v[i - 1].pool;
    return n;
}

static void set_pools(struct mg_members *m, const struct mg_members_plan *plan)
{
    struct mg_member_pool *pool = NULL;
    m->pools = mg_calloc(count_pools(m), sizeof *m->pools);
    for (uint32_t i = 0; i < m->count; i++) {
        if (!pool || m->v[i].pool != m->v[pool->first].pool) {
            pool = &m->pools[m->pool_count++];
            pool->first = i;
        }
        pool->count++;
    }
    for (uint32_t i = 0; i < m->pool_count; i++) {
        pool = &m->pools[i];
        set_turns(pool, &m->v[pool->first]);
        if (plan->with_rings)
            pool->ring = make_ring(&m->v[pool->first], pool->count);
    }
}

static void set_tokens(struct mg_members *m, const struct mg_members_plan *plan)
{
    if (!plan->sticky->cookie.n)
        return;
    for (uint32_t i = 0; i < m->count; i++)
        mg_sticky_token(plan->sticky, plan->service, m->v[i].backend, m->v[i].token);
}

/* --- making --- */

struct place {
    const struct mg_endpoint *endpoint;
    uint32_t pool;
};

static bool is_in_zone(const struct mg_members_plan *plan, const struct mg_endpoint *e)
{
    return plan->zone.n == 0 || mg_str_eq(e->zone, plan->zone);
}

/* Members of one pool stay in the order that they came in. */
static int compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    if (a->pool != b->pool)
        return a->pool < b->pool ? -1 : 1;
    return a->endpoint < b->endpoint ? -1 : 1;
}

/* Returns how many there are; free() the places. */
static size_t sort_into_pools(const struct mg_members_plan *plan, const struct mg_endpoint *v,
                              size_t count, struct place **places)
{
    size_t n = 0;
    *places = mg_malloc(count * sizeof **places);
    for (size_t i = 0; i < count; i++) {
        bool near = is_in_zone(plan, &v[i]);
        if (near || !plan->require_zone)
            (*places)[n++] = (struct place){&v[i], 2u * v[i].priority + !near};
    }
    qsort(*places, n, sizeof **places, compare_places);
    return n;
}

struct mg_members *mg_members_new(const struct mg_members_plan *plan, const struct mg_endpoint *v,
                                  size_t count, const struct mg_members *const known[2])
{
    struct place *places;
    struct mg_members *m = allocate(sort_into_pools(plan, v, count, &places));
    void *tree = NULL;
    know(&tree, known[0]);
    know(&tree, known[1]);
    for (uint32_t i = 0; i < m->count; i++) {
        const struct mg_endpoint *e = places[i].endpoint;
        m->v[i] = (struct mg_member){.backend = backend_for(&tree, e),
                                     .weight = e->weight ? e->weight : 1,
                                     .pool = places[i].pool};
    }
    tdestroy(tree, forget_nothing);
    free(places);
    set_pools(m, plan);
    set_tokens(m, plan);
    return m;
}

struct mg_members *mg_members_inherit(const struct mg_members_plan *plan,
                                      const struct mg_members *m, const struct mg_members *known)
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
    set_pools(heir, plan);
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
    for (uint32_t i = 0; i < m->pool_count; i++) {
        free(m->pools[i].turns);
        free(m->pools[i].ring);
    }
    free(m->pools);
    free(m);
}

bool mg_members_are_same(const struct mg_members *a, const struct mg_members *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct mg_member *x = &a->v[i], *y = &b->v[i];
        if (x->backend != y->backend || x->weight != y->weight || x->pool != y->pool)
            return false;
    }
    return true;
}
