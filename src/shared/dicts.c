/* The registry of shared dictionaries. Any thread. */
#include "shared/dicts.h"

#include "shared/registry.h"

static void *make(const void *definition, struct mg_error *err)
{
    const size_t *bytes = definition;
    return mg_dict_new(*bytes, err);
}

static void release(void *thing)
{
    mg_dict_free(thing);
}

static const struct mg_registry_kind kind = {
    .make = make, .free = release, .definition_bytes = sizeof(size_t)};

struct mg_dicts *mg_dicts_new(void)
{
    return (struct mg_dicts *)mg_registry_new(&kind);
}

static struct mg_registry *registry(struct mg_dicts *dicts)
{
    return (struct mg_registry *)dicts;
}

void mg_dicts_free(struct mg_dicts *dicts)
{
    mg_registry_free(registry(dicts));
}

struct mg_dict *mg_dicts_get(struct mg_dicts *dicts, struct mg_str name, size_t bytes,
                             struct mg_error *err)
{
    return mg_registry_get(registry(dicts), name, &bytes, err);
}

void mg_dicts_put(struct mg_dicts *dicts, struct mg_dict *dict)
{
    mg_registry_put(registry(dicts), dict);
}

struct visit {
    mg_dicts_each_fn each;
    void *arg;
};

static void tell(void *arg, struct mg_str name, void *thing)
{
    const struct visit *v = arg;
    struct mg_dict_stats stats;
    mg_dict_stats(thing, &stats);
    v->each(v->arg, name, &stats);
}

void mg_dicts_each(struct mg_dicts *dicts, mg_dicts_each_fn each, void *arg)
{
    struct visit v = {each, arg};
    mg_registry_each(registry(dicts), tell, &v);
}
