/* The registry of caches. Any thread. */
#include "shared/caches.h"

#include "base/hash.h"
#include "shared/registry.h"

struct definition {
    uint64_t bytes, object_bytes;
    uint64_t tier; /* 0: none */
};

static void *make(const void *definition, struct mg_error *err)
{
    const struct definition *d = definition;
    (void)err;
    struct mg_cache *cache = mg_cache_new(d->bytes, d->object_bytes);
    if (d->tier)
        mg_cache_share(cache);
    return cache;
}

static void release(void *thing)
{
    mg_cache_free(thing);
}

static const struct mg_registry_kind kind = {
    .make = make, .free = release, .definition_bytes = sizeof(struct definition)};

struct mg_caches *mg_caches_new(void)
{
    return (struct mg_caches *)mg_registry_new(&kind);
}

static struct mg_registry *registry(struct mg_caches *caches)
{
    return (struct mg_registry *)caches;
}

void mg_caches_free(struct mg_caches *caches)
{
    mg_registry_free(registry(caches));
}

struct mg_cache *mg_caches_get(struct mg_caches *caches, struct mg_str name, size_t bytes,
                               size_t object_bytes, struct mg_str tier)
{
    static const uint8_t key[MG_HASH_KEY_BYTES] = {0}; /* only ever compared with its like */
    const struct definition d = {bytes, object_bytes, tier.n ? mg_hash(key, tier) | 1 : 0};
    struct mg_error err;
    return mg_registry_get(registry(caches), name, &d, &err);
}

void mg_caches_put(struct mg_caches *caches, struct mg_cache *cache)
{
    mg_registry_put(registry(caches), cache);
}

struct visit {
    mg_caches_each_fn each;
    void *arg;
};

static void tell(void *arg, struct mg_str name, void *thing)
{
    const struct visit *v = arg;
    v->each(v->arg, name, thing);
}

void mg_caches_each(struct mg_caches *caches, mg_caches_each_fn each, void *arg)
{
    struct visit v = {each, arg};
    mg_registry_each(registry(caches), tell, &v);
}
