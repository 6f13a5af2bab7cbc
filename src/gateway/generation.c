/* Configs in use. The control thread fills one in; from then on it is read only. */
#include "gateway/generation.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"

#define CHUNK_BYTES 65536

static pthread_mutex_t alive_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mg_link alive = {&alive, &alive};

struct mg_generation *mg_generation_new(void)
{
    static atomic_ullong last;
    struct mg_generation *g = mg_calloc(1, sizeof *g);
    atomic_init(&g->refs, 1);
    g->number = atomic_fetch_add(&last, 1) + 1;
    mg_pool_init(&g->_chunks, CHUNK_BYTES);
    mg_arena_init(&g->arena, &g->_chunks);
    pthread_mutex_lock(&alive_lock);
    mg_list_push_back(&alive, &g->alive);
    pthread_mutex_unlock(&alive_lock);
    return g;
}

void mg_generations_each(void (*fn)(void *arg, const struct mg_generation *g), void *arg)
{
    pthread_mutex_lock(&alive_lock);
    MG_LIST_FOREACH(it, &alive)
    fn(arg, MG_CONTAINER_OF(it, struct mg_generation, alive));
    pthread_mutex_unlock(&alive_lock);
}

void mg_generation_ref(struct mg_generation *g)
{
    atomic_fetch_add(&g->refs, 1);
}

void mg_generation_show(struct mg_generation *g)
{
    void (*show)(struct mg_generation * g) = g->show;
    g->show = NULL;
    if (show)
        show(g);
}

void mg_generation_open_tallies(struct mg_generation *g, struct mg_tallies *registry)
{
    uint32_t services = mg_generation_request_services(g);
    g->tally_registry = registry;
    g->tally = mg_tallies_get(registry, MG_TALLY_OF_ALL, MG_STR_NONE);
    g->route_tallies = mg_arena_alloc(&g->arena, g->route_count * sizeof(struct mg_tally *));
    for (uint32_t i = 0; i < g->route_count; i++)
        g->route_tallies[i] = mg_tallies_get(registry, MG_TALLY_OF_ROUTE, g->routes[i].name);
    g->service_tallies = mg_arena_alloc(&g->arena, services * sizeof(struct mg_tally *));
    for (uint32_t i = 0; i < services; i++)
        g->service_tallies[i] =
            mg_tallies_get(registry, MG_TALLY_OF_SERVICE, mg_service_config(g->services[i])->name);
}

static void close_tallies(struct mg_generation *g)
{
    if (!g->tally_registry)
        return;
    mg_tallies_put(g->tally_registry, g->tally);
    for (uint32_t i = 0; i < g->route_count; i++)
        mg_tallies_put(g->tally_registry, g->route_tallies[i]);
    for (uint32_t i = 0; i < mg_generation_request_services(g); i++)
        mg_tallies_put(g->tally_registry, g->service_tallies[i]);
}

void mg_generation_unref(struct mg_generation *g)
{
    if (!g || atomic_fetch_sub(&g->refs, 1) != 1)
        return;
    pthread_mutex_lock(&alive_lock);
    mg_list_remove(&g->alive);
    pthread_mutex_unlock(&alive_lock);
    if (g->script)
        g->script_free(g->script);
    close_tallies(g);
    for (uint32_t i = 0; i < g->service_count; i++)
        if (g->services[i])
            mg_service_unref(g->services[i]);
    for (uint32_t i = 0; i < g->listen_count; i++)
        mg_tls_server_settings_unref(g->listens[i].tls);
    for (uint32_t i = 0; i < g->cache_count; i++)
        if (g->caches[i].cache)
            mg_caches_put(g->cache_registry, g->caches[i].cache);
    for (const struct mg_generation_dict *d = g->dicts; d; d = d->next)
        mg_dicts_put(g->dict_registry, d->dict);
    mg_router_free(g->router);
    mg_cidr_set_free(g->trusted);
    mg_arena_release(&g->arena);
    mg_pool_release(&g->_chunks);
    free(g);
}

static uint32_t count_all(const struct mg_pipeline *p)
{
    uint32_t count = p->count;
    for (uint32_t i = 0; i < p->count; i++)
        for (uint32_t n = 0; n < p->steps[i].inner_count; n++)
            count += count_all(&p->steps[i].inner[n]);
    return count;
}

static void list_all(struct mg_pipeline *root, const struct mg_pipeline *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        struct mg_step *step = &p->steps[i];
        step->place = root->all_count;
        root->all[root->all_count++] = step;
        for (uint32_t n = 0; n < step->inner_count; n++)
            list_all(root, &step->inner[n]);
    }
}

void mg_generation_number(struct mg_generation *g, struct mg_pipeline *p)
{
    p->all = mg_arena_alloc(&g->arena, count_all(p) * sizeof(struct mg_step *));
    p->all_count = 0;
    list_all(p, p);
}

int32_t mg_generation_service(const struct mg_generation *g, struct mg_str name)
{
    for (uint32_t i = 0; i < mg_generation_request_services(g); i++)
        if (mg_str_eq(mg_service_config(g->services[i])->name, name))
            return (int32_t)i;
    return MG_NO_SERVICE;
}

static struct mg_generation_cache *find_cache(const struct mg_generation *g, struct mg_str name)
{
    for (uint32_t i = 0; i < g->cache_count; i++)
        if (mg_str_eq(g->caches[i].name, name))
            return &g->caches[i];
    return NULL;
}

const struct mg_generation_cache *mg_generation_find_cache(const struct mg_generation *g,
                                                           struct mg_str name)
{
    return find_cache(g, name);
}

struct mg_cache *mg_generation_open_cache(struct mg_generation *g, struct mg_str name)
{
    struct mg_generation_cache *c = find_cache(g, name);
    if (!c || !g->cache_registry)
        return NULL;
    if (!c->cache)
        c->cache = mg_caches_get(g->cache_registry, c->name, c->bytes, c->object_bytes, c->redis);
    return c->cache;
}

struct mg_dict *mg_generation_open_dict(struct mg_generation *g, struct mg_str name, size_t bytes)
{
    struct mg_error err;
    if (!g->dict_registry)
        return NULL;
    struct mg_generation_dict *d = mg_arena_alloc(&g->arena, sizeof *d);
    *d = (struct mg_generation_dict){g->dicts, mg_dicts_get(g->dict_registry, name, bytes, &err)};
    MG_BUG_ON(!d->dict);
    g->dicts = d;
    return d->dict;
}
