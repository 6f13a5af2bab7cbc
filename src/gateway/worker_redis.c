/* Which Redis a worker talks to, and what of it outlives a reload. Worker thread. */
#include "gateway/worker_redis.h"

#include <stdlib.h>

#include "base/memory.h"
#include "redis/sentinel.h"
#include "upstream/redis_dialer.h"

static const struct mg_service_config *service_of(const struct mg_generation *gen,
                                                  const struct mg_redis_definition *d)
{
    return mg_service_config(gen->services[d->service]);
}

static bool same_place(const struct mg_service_config *a, const struct mg_service_config *b)
{
    if (!mg_tls_client_settings_equal(a->tls, b->tls))
        return false;
    if (a->connect_ns != b->connect_ns || a->backend_count != b->backend_count)
        return false;
    for (size_t i = 0; i < a->backend_count; i++)
        if (!mg_str_eq(a->backends[i].address, b->backends[i].address))
            return false;
    return true;
}

static bool same_settings(const struct mg_redis_settings *a, const struct mg_redis_settings *b)
{
    return mg_str_eq(a->username, b->username) && mg_str_eq(a->password, b->password) &&
           a->database == b->database && a->timeout_ns == b->timeout_ns &&
           a->connect_timeout_ns == b->connect_timeout_ns && a->pool == b->pool &&
           a->cluster == b->cluster;
}

static bool same_redis(const struct mg_redis_definition *a, const struct mg_redis_definition *b)
{
    return same_settings(&a->settings, &b->settings) && same_settings(&a->sentinel, &b->sentinel) &&
           mg_str_eq(a->master, b->master);
}

/* The same Redis in the generation that is in force; NULL: it is new, or not what it was. */
static struct mg_worker_redis *unchanged(const struct mg_worker_generation *wg,
                                         const struct mg_redis_definition *d)
{
    const struct mg_worker_generation *now = wg->worker->current;
    for (uint32_t i = 0; now && i < now->gen->redis_count; i++) {
        const struct mg_redis_definition *old = &now->gen->redises[i];
        if (mg_str_eq(old->name, d->name))
            return same_redis(old, d) &&
                           same_place(service_of(now->gen, old), service_of(wg->gen, d))
                       ? &now->redises[i]
                       : NULL;
    }
    return NULL;
}

static void make(struct mg_worker_generation *wg, const struct mg_redis_definition *d,
                 struct mg_worker_redis *r)
{
    struct mg_worker *w = wg->worker;
    const struct mg_worker_redis *old = unchanged(wg, d);
    if (old) {
        *r = *old;
        mg_redis_client_ref(r->client);
        return;
    }
    const struct mg_redis_sentinel_options options = {
        .loop = w->loop, .chunks = &w->chunks, .settings = &d->sentinel, .master = d->master};
    r->lower = mg_redis_dialer_new(&w->pools, &wg->pickers[d->service]);
    r->dialer = d->master.n ? mg_redis_sentinel_new(&options, &r->lower) : r->lower;
    r->client = mg_redis_client_new(d->name, w->loop, &w->chunks, &d->settings, &r->dialer,
                                    mg_worker_random(w) | 1);
}

void mg_worker_redis_make(struct mg_worker_generation *wg)
{
    const struct mg_generation *gen = wg->gen;
    wg->redises = mg_calloc(gen->redis_count, sizeof *wg->redises);
    for (uint32_t i = 0; i < gen->redis_count; i++)
        make(wg, &gen->redises[i], &wg->redises[i]);
}

void mg_worker_redis_adopt(struct mg_worker_generation *wg)
{
    for (uint32_t i = 0; i < wg->gen->redis_count; i++)
        mg_redis_dialer_use(&wg->redises[i].lower, &wg->pickers[wg->gen->redises[i].service]);
}

void mg_worker_redis_release(struct mg_worker_generation *wg)
{
    for (uint32_t i = 0; i < wg->gen->redis_count; i++) {
        struct mg_worker_redis *r = &wg->redises[i];
        if (!mg_redis_client_unref(r->client))
            continue;
        if (r->dialer.ctx != r->lower.ctx)
            mg_redis_sentinel_free(r->dialer.ctx);
        mg_redis_dialer_free(r->lower.ctx);
    }
    free(wg->redises);
}

struct mg_redis_client *mg_worker_redis_find(const struct mg_worker_generation *wg,
                                             struct mg_str name)
{
    for (uint32_t i = 0; i < wg->gen->redis_count; i++)
        if (mg_str_eq(wg->gen->redises[i].name, name))
            return wg->redises[i].client;
    return NULL;
}
