/* Picks backends for one worker. One thread; shares with others only what the service keeps. */
#include "upstream/picker.h"

static bool is_tried(const struct mg_backend *b, const struct mg_pick *pick)
{
    for (size_t i = 0; i < pick->tried_count; i++)
        if (pick->tried[i] == b)
            return true;
    return false;
}

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

static struct mg_backend *at_turn(const struct mg_members *m, uint64_t turn)
{
    uint32_t i = (uint32_t)(turn % m->turn_count);
    return m->v[m->turns ? m->turns[i] : i].backend;
}

static struct mg_backend *next_in_turn(struct mg_picker *p, const struct mg_pick *pick)
{
    const struct mg_members *m = p->_members;
    uint64_t turn = mg_service_take_turn(p->service);
    for (uint32_t i = 0; i < m->turn_count; i++) {
        struct mg_backend *b = at_turn(m, turn + i);
        if (!is_tried(b, pick))
            return b;
    }
    return NULL;
}

/* The shares of the others stay in proportion when some are left out. */
static struct mg_backend *random_untried(struct mg_picker *p, const struct mg_pick *pick)
{
    const struct mg_members *m = p->_members;
    uint64_t total = 0;
    for (uint32_t i = 0; i < m->count; i++)
        if (!is_tried(m->v[i].backend, pick))
            total += m->v[i].weight;
    uint64_t at = random_below(p, total);
    for (uint32_t i = 0; i < m->count; i++) {
        if (is_tried(m->v[i].backend, pick))
            continue;
        if (at < m->v[i].weight)
            return m->v[i].backend;
        at -= m->v[i].weight;
    }
    return NULL;
}

static void renew(struct mg_picker *p)
{
    if (p->_version == mg_service_version(p->service))
        return;
    mg_members_unref(p->_members);
    p->_members = mg_service_members(p->service, &p->_version);
}

void mg_picker_init(struct mg_picker *p, struct mg_service *service, uint64_t seed)
{
    *p = (struct mg_picker){.service = mg_service_ref(service), ._random = seed};
    p->_members = mg_service_members(service, &p->_version);
}

void mg_picker_release(struct mg_picker *p)
{
    mg_members_unref(p->_members);
    mg_service_unref(p->service);
    *p = (struct mg_picker){0};
}

struct mg_backend *mg_picker_next(struct mg_picker *p, const struct mg_pick *pick)
{
    renew(p);
    if (p->_members->count == 0)
        return NULL;
    if (mg_service_config(p->service)->balance == MG_BALANCE_ROUND_ROBIN)
        return next_in_turn(p, pick);
    if (pick->tried_count)
        return random_untried(p, pick);
    return at_turn(p->_members, random_below(p, p->_members->turn_count));
}
