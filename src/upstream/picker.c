/* Picks backends for one worker. One thread; shares with others only what the service keeps. */
#include "upstream/picker.h"

/* How often something is drawn anew that may not be used, before all are looked at. */
#define DRAWS 8
/* A member that just came gets this share of its weight at least, or else it would get nothing. */
#define WARMTH_FULL 1024
#define WARMTH_MIN (WARMTH_FULL / 10)

/* One pick under way, in one pool. */
struct draw {
    struct mg_picker *picker;
    const struct mg_pick *pick;
    const struct mg_service_config *config;
    const struct mg_member_pool *pool;
    const struct mg_member *v; /* of the pool */
    bool panic;                /* health does not count */
    bool surprised;            /* somebody was not usable */
};

/* splitmix64: good for any seed, and enough to spread requests. */
static uint64_t next_random(struct mg_picker *p)
{
    uint64_t x = p->_random += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static uint64_t random_below(struct mg_picker *p, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)next_random(p) * limit) >> 64);
}

/* --- who may be picked --- */

static bool is_tried(const struct mg_backend *b, const struct mg_pick *pick)
{
    for (size_t i = 0; i < pick->tried_count; i++)
        if (pick->tried[i] == b)
            return true;
    return false;
}

static bool may_use(struct draw *d, const struct mg_member *m)
{
    if (!d->panic && !mg_health_is_usable(&m->backend->health, d->pick->now_ns)) {
        d->surprised = true;
        return false;
    }
    return !is_tried(m->backend, d->pick);
}

/* Of WARMTH_FULL: how much of its weight a member gets. It grows evenly over the slow start. */
static uint64_t warmth(const struct draw *d, const struct mg_member *m)
{
    uint64_t whole_ns = d->config->slow_start_ns, now_ns = d->pick->now_ns;
    if (whole_ns == 0)
        return WARMTH_FULL;
    uint64_t since_ns =
        atomic_load_explicit(&m->backend->health.recovered_since_ns, memory_order_relaxed);
    if (since_ns == 0 || now_ns >= since_ns + whole_ns)
        return WARMTH_FULL;
    uint64_t age_ns = now_ns > since_ns ? now_ns - since_ns : 0;
    uint64_t w = (uint64_t)((unsigned __int128)age_ns * WARMTH_FULL / whole_ns);
    return w > WARMTH_MIN ? w : WARMTH_MIN;
}

static bool is_warm_enough(const struct draw *d, const struct mg_member *m)
{
    uint64_t w = warmth(d, m);
    return w == WARMTH_FULL || random_below(d->picker, WARMTH_FULL) < w;
}

static uint64_t weight_now(const struct draw *d, const struct mg_member *m)
{
    return m->weight * warmth(d, m);
}

static uint64_t load_of(const struct mg_member *m)
{
    return atomic_load_explicit(&m->backend->in_flight, memory_order_relaxed);
}

/* --- in turn, by lot --- */

static const struct mg_member *at_turn(const struct draw *d, uint64_t turn)
{
    uint32_t i = (uint32_t)(turn % d->pool->turn_count);
    return &d->v[d->pool->turns ? d->pool->turns[i] : i];
}

/* Looks at all; the shares stay in proportion when some are left out. */
static const struct mg_member *lot_of_all(struct draw *d, const struct mg_member *except)
{
    const struct mg_member *chosen = NULL;
    uint64_t total = 0;
    for (uint32_t i = 0; i < d->pool->count; i++) {
        const struct mg_member *m = &d->v[i];
        if (m == except || !may_use(d, m))
            continue;
        uint64_t weight = weight_now(d, m);
        total += weight;
        if (random_below(d->picker, total) < weight)
            chosen = m;
    }
    return chosen;
}

/* Who may not be used gives his turn back, so that it goes to each of the others alike and not to
 * his neighbour alone. */
static const struct mg_member *in_turn(struct draw *d)
{
    for (int i = 0; i < DRAWS; i++) {
        const struct mg_member *m = at_turn(d, mg_service_take_turn(d->picker->service));
        if (may_use(d, m) && is_warm_enough(d, m))
            return m;
    }
    return lot_of_all(d, NULL);
}

static const struct mg_member *lot(struct draw *d, const struct mg_member *except)
{
    for (int i = 0; i < DRAWS; i++) {
        const struct mg_member *m = at_turn(d, random_below(d->picker, d->pool->turn_count));
        if (m != except && may_use(d, m) && is_warm_enough(d, m))
            return m;
    }
    return lot_of_all(d, except);
}

/* --- by load --- */

/* Those that have equally little to do are drawn by weight: an idle service is used evenly. */
static const struct mg_member *least_loaded(struct draw *d)
{
    const struct mg_member *best = NULL;
    uint64_t best_load = 0, best_weight = 1, tied = 0;
    for (uint32_t i = 0; i < d->pool->count; i++) {
        const struct mg_member *m = &d->v[i];
        if (!may_use(d, m))
            continue;
        uint64_t load = load_of(m), weight = weight_now(d, m);
        /* load / weight, compared without dividing */
        uint64_t ours = load * best_weight, theirs = best_load * weight;
        bool better = !best || ours < theirs;
        if (!better && ours > theirs)
            continue;
        tied = better ? weight : tied + weight;
        if (better || random_below(d->picker, tied) < weight) {
            best = m;
            best_load = load;
            best_weight = weight;
        }
    }
    return best;
}

static bool is_busier(const struct draw *d, const struct mg_member *a, const struct mg_member *b)
{
    return load_of(a) * weight_now(d, b) > load_of(b) * weight_now(d, a);
}

/* How long a request would take there, by what is known. Nothing is known: worth one request. */
static double cost(const struct draw *d, const struct mg_member *m)
{
    double latency = (double)mg_backend_latency(m->backend, d->pick->now_ns);
    double load = (double)load_of(m);
    return latency == 0 && load > 0 ? 1e18 * load : latency * (load + 1);
}

static bool is_slower(const struct draw *d, const struct mg_member *a, const struct mg_member *b)
{
    return cost(d, a) > cost(d, b);
}

/* Two that were drawn spread load nearly as well as the best of all, and do not make all workers
 * run to one and the same. */
static const struct mg_member *
better_of_two(struct draw *d, bool (*is_worse)(const struct draw *d, const struct mg_member *a,
                                               const struct mg_member *b))
{
    const struct mg_member *a = lot(d, NULL);
    const struct mg_member *b = a && d->pool->count > 1 ? lot(d, a) : NULL;
    return b && is_worse(d, a, b) ? b : a;
}

/* --- by key --- */

/* What all usable members have to do, and their weight. */
static void sum_up(struct draw *d, uint64_t *load, uint64_t *weight)
{
    *load = *weight = 0;
    for (uint32_t i = 0; i < d->pool->count; i++) {
        if (!may_use(d, &d->v[i]))
            continue;
        *load += load_of(&d->v[i]);
        *weight += d->v[i].weight;
    }
}

/* So few say nothing of how busy it is: they may just be ending, and the client who sent the last
 * one shall find its backend again. */
#define FEW 4

/* With this request, has it more than 5/4 of its share of all that is under way? */
static bool is_overloaded(const struct mg_member *m, uint64_t all_load, uint64_t all_weight)
{
    return (unsigned __int128)load_of(m) * 4 * all_weight >=
           (unsigned __int128)(all_load + 1) * 5 * m->weight;
}

/* Whoever comes next on the ring takes what an owner cannot, which is the same one each time. */
static const struct mg_member *by_key(struct draw *d)
{
    const struct mg_ring *ring = d->pool->ring;
    const struct mg_member *first = NULL;
    uint64_t all_load = 0, all_weight = 0;
    uint32_t at = mg_ring_find(ring, mg_ring_hash(d->pick->key)), points = mg_ring_points(ring);
    for (uint32_t i = 0; i < points; i++) {
        const struct mg_member *m = &d->v[mg_ring_owner(ring, at + i)];
        if (!may_use(d, m))
            continue;
        if (load_of(m) < FEW)
            return m;
        if (!first) {
            first = m;
            sum_up(d, &all_load, &all_weight);
        }
        if (!is_overloaded(m, all_load, all_weight))
            return m;
    }
    return first;
}

/* --- pools --- */

static const struct mg_member *draw_member(struct draw *d)
{
    switch (d->config->balance) {
    case MG_BALANCE_ROUND_ROBIN:
        return in_turn(d);
    case MG_BALANCE_RANDOM:
        return lot(d, NULL);
    case MG_BALANCE_LEAST_REQUESTS:
        return least_loaded(d);
    case MG_BALANCE_TWO_CHOICES:
        return better_of_two(d, is_busier);
    case MG_BALANCE_LATENCY:
        return better_of_two(d, is_slower);
    case MG_BALANCE_HASH:
        return d->pick->key.n ? by_key(d) : in_turn(d);
    }
    return NULL;
}

static struct mg_backend *pick_from(struct mg_picker *p, const struct mg_pick *pick, uint32_t pool,
                                    bool panic, bool *surprised)
{
    const struct mg_members *m = p->_members;
    struct draw d = {
        .picker = p,
        .pick = pick,
        .config = mg_service_config(p->service),
        .pool = &m->pools[pool],
        .v = &m->v[m->pools[pool].first],
        .panic = panic,
    };
    const struct mg_member *chosen = draw_member(&d);
    *surprised = d.surprised;
    return chosen ? chosen->backend : NULL;
}

static uint32_t count_usable(const struct mg_members *m, const struct mg_member_pool *pool,
                             uint64_t now_ns)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pool->count; i++)
        n += mg_health_is_usable(&m->v[pool->first + i].backend->health, now_ns);
    return n;
}

/* Finds the pool to use. */
static void look(struct mg_picker *p, uint64_t now_ns)
{
    const struct mg_members *m = p->_members;
    uint32_t percent = mg_service_config(p->service)->panic_percent;
    uint64_t most = 0, most_of = 1; /* the greatest share of usable members */
    p->_looked_ns = now_ns;
    p->_pool = 0;
    for (uint32_t i = 0; i < m->pool_count; i++) {
        uint64_t count = m->pools[i].count, usable = count_usable(m, &m->pools[i], now_ns);
        if (usable && usable * 100 >= count * percent) {
            p->_pool = i;
            p->_whole = i == 0 && usable == count;
            p->_panic = false;
            return;
        }
        if (usable * most_of > most * count) {
            most = usable;
            most_of = count;
            p->_pool = i;
        }
    }
    p->_whole = false;
    p->_panic = percent > 0;
}

static void renew(struct mg_picker *p)
{
    if (p->_version == mg_service_version(p->service))
        return;
    mg_members_unref(p->_members);
    p->_members = mg_service_members(p->service, &p->_version);
    p->_pool = 0;
    p->_whole = true; /* until somebody is found who is not usable */
    p->_panic = false;
}

static struct mg_backend *pick_in_use(struct mg_picker *p, const struct mg_pick *pick,
                                      bool *surprised)
{
    return pick_from(p, pick, p->_pool, p->_panic, surprised);
}

/* In the first of the other pools that has somebody left. */
static struct mg_backend *pick_elsewhere(struct mg_picker *p, const struct mg_pick *pick,
                                         bool panic)
{
    struct mg_backend *b = NULL;
    bool surprised;
    for (uint32_t i = 0; !b && i < p->_members->pool_count; i++)
        if (i != p->_pool)
            b = pick_from(p, pick, i, panic, &surprised);
    return b;
}

static struct mg_backend *follow(const struct mg_picker *p, const struct mg_pick *pick)
{
    const struct mg_members *m = p->_members;
    if (pick->token.n != MG_STICKY_TOKEN_CHARS)
        return NULL;
    for (uint32_t i = 0; i < m->count; i++) {
        struct mg_backend *b = m->v[i].backend;
        if (memcmp(m->v[i].token, pick->token.p, MG_STICKY_TOKEN_CHARS) == 0)
            return (p->_panic || mg_health_is_usable(&b->health, pick->now_ns)) &&
                           !is_tried(b, pick)
                       ? b
                       : NULL;
    }
    return NULL;
}

/* --- the picker --- */

void mg_picker_init(struct mg_picker *p, struct mg_service *service, uint64_t seed)
{
    *p = (struct mg_picker){.service = mg_service_ref(service), ._random = seed};
    renew(p); /* versions begin above 0 */
}

void mg_picker_release(struct mg_picker *p)
{
    mg_members_unref(p->_members);
    mg_service_unref(p->service);
    *p = (struct mg_picker){0};
}

struct mg_backend *mg_picker_next(struct mg_picker *p, const struct mg_pick *pick)
{
    struct mg_backend *b;
    bool surprised;
    renew(p);
    if (p->_members->count == 0)
        return NULL;
    if (pick->token.n && (b = follow(p, pick)))
        return b;
    if (!p->_whole && p->_looked_ns != pick->now_ns)
        look(p, pick->now_ns);
    b = pick_in_use(p, pick, &surprised);
    if (!b || (surprised && p->_whole)) {
        look(p, pick->now_ns);
        b = pick_in_use(p, pick, &surprised);
    }
    if (!b)
        b = pick_elsewhere(p, pick, false);
    if (!b && p->_panic)
        b = pick_elsewhere(p, pick, true); /* the checks may be wrong there as well */
    return b;
}

struct mg_str mg_picker_token(struct mg_picker *p, const struct mg_backend *b)
{
    renew(p);
    if (!mg_service_config(p->service)->sticky.cookie.n)
        return MG_STR_NONE;
    for (uint32_t i = 0; i < p->_members->count; i++)
        if (p->_members->v[i].backend == b)
            return mg_str(p->_members->v[i].token, MG_STICKY_TOKEN_CHARS);
    return MG_STR_NONE;
}

uint64_t mg_picker_random(struct mg_picker *p)
{
    return next_random(p);
}
