/* Ejecting backends. Any thread. */
#include "upstream/outlier.h"

static bool is_out(const struct mg_backend *b, uint64_t now_ns)
{
    return atomic_load_explicit(&b->health.ejected_until_ns, memory_order_relaxed) > now_ns;
}

static bool may_eject_one_more(const struct mg_outlier_config *c, const struct mg_members *m,
                               uint64_t now_ns)
{
    uint64_t out = 1;
    for (uint32_t i = 0; i < m->count; i++)
        out += is_out(m->v[i].backend, now_ns);
    return out * 100 <= (uint64_t)m->count * c->max_ejected;
}

/* How often in succession: one that was well for as long as it had been out begins anew. */
static uint32_t count_ejection(const struct mg_outlier_config *c, struct mg_health *h,
                               uint64_t now_ns)
{
    uint32_t before = atomic_load_explicit(&h->ejections, memory_order_relaxed);
    uint64_t back = atomic_load_explicit(&h->ejected_until_ns, memory_order_relaxed);
    uint32_t times = now_ns > back + before * c->eject_ns ? 1 : before + 1;
    if (times > MG_OUTLIER_TIMES_MAX)
        times = MG_OUTLIER_TIMES_MAX;
    atomic_store_explicit(&h->ejections, times, memory_order_relaxed);
    return times;
}

static uint64_t eject(const struct mg_outlier_config *c, struct mg_backend *b,
                      const struct mg_members *members, uint64_t now_ns)
{
    struct mg_health *h = &b->health;
    if (is_out(b, now_ns) || !may_eject_one_more(c, members, now_ns))
        return 0;
    uint64_t out_ns = count_ejection(c, h, now_ns) * c->eject_ns;
    atomic_store_explicit(&h->errors, 0, memory_order_relaxed);
    atomic_store_explicit(&h->recovered_since_ns, now_ns + out_ns, memory_order_relaxed);
    atomic_store_explicit(&h->ejected_until_ns, now_ns + out_ns, memory_order_relaxed);
    return out_ns;
}

void mg_outlier_succeeded(struct mg_backend *b)
{
    if (atomic_load_explicit(&b->health.errors, memory_order_relaxed))
        atomic_store_explicit(&b->health.errors, 0, memory_order_relaxed);
}

uint64_t mg_outlier_failed(const struct mg_outlier_config *c, struct mg_backend *b,
                           const struct mg_members *members, uint64_t now_ns)
{
    /* One at a time, or two at once could be one too many. Who comes second leaves it to the next
     * error: nobody waits. */
    static atomic_flag ejecting = ATOMIC_FLAG_INIT;
    uint64_t out_ns = 0;
    uint32_t errors = atomic_fetch_add_explicit(&b->health.errors, 1, memory_order_relaxed) + 1;
    if (errors < c->errors || atomic_flag_test_and_set_explicit(&ejecting, memory_order_acquire))
        return 0;
    out_ns = eject(c, b, members, now_ns);
    atomic_flag_clear_explicit(&ejecting, memory_order_release);
    return out_ns;
}
