/* Things by name and definition. Any thread; configs have a handful of each, so a list will do. */
#include "shared/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/memory.h"

struct item {
    struct mg_link link; /* under lock */
    size_t refs;         /* under lock */
    /* set once */
    struct mg_str name;
    void *definition, *thing;
};

struct mg_registry {
    const struct mg_registry_kind *kind;
    pthread_mutex_t lock;
    struct mg_link items; /* under lock */
};

#define ITEM_OF(it) MG_CONTAINER_OF(it, struct item, link)

struct mg_registry *mg_registry_new(const struct mg_registry_kind *kind)
{
    struct mg_registry *r = mg_calloc(1, sizeof *r);
    r->kind = kind;
    MG_BUG_ON(pthread_mutex_init(&r->lock, NULL) != 0);
    mg_list_init(&r->items);
    return r;
}

void mg_registry_free(struct mg_registry *r)
{
    if (!r)
        return;
    MG_BUG_ON(!mg_list_empty(&r->items));
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static struct item *find(const struct mg_registry *r, struct mg_str name, const void *definition)
{
    MG_LIST_FOREACH(it, &r->items)
    {
        struct item *item = ITEM_OF(it);
        if (mg_str_eq(item->name, name) &&
            memcmp(item->definition, definition, r->kind->definition_bytes) == 0)
            return item;
    }
    return NULL;
}

static struct item *add(struct mg_registry *r, struct mg_str name, const void *definition,
                        struct mg_error *err)
{
    void *thing = r->kind->make(definition, err);
    if (!thing)
        return NULL;
    struct item *item = mg_malloc(sizeof *item);
    *item = (struct item){.name = mg_str(mg_strdup(name), name.n),
                          .definition = mg_malloc(r->kind->definition_bytes),
                          .thing = thing};
    memcpy(item->definition, definition, r->kind->definition_bytes);
    mg_list_push_back(&r->items, &item->link);
    return item;
}

void *mg_registry_get(struct mg_registry *r, struct mg_str name, const void *definition,
                      struct mg_error *err)
{
    void *thing = NULL;
    pthread_mutex_lock(&r->lock);
    struct item *item = find(r, name, definition);
    if (!item)
        item = add(r, name, definition, err);
    if (item) {
        item->refs++;
        thing = item->thing;
    }
    pthread_mutex_unlock(&r->lock);
    return thing;
}

static void free_item(const struct mg_registry *r, struct item *item)
{
    r->kind->free(item->thing);
    free((char *)item->name.p);
    free(item->definition);
    free(item);
}

void mg_registry_put(struct mg_registry *r, void *thing)
{
    struct item *last = NULL;
    bool found = false;
    pthread_mutex_lock(&r->lock);
    MG_LIST_FOREACH_SAFE(it, &r->items)
    {
        struct item *item = ITEM_OF(it);
        if (item->thing != thing)
            continue;
        found = true;
        if (--item->refs == 0) {
            mg_list_remove(&item->link);
            last = item;
        }
    }
    pthread_mutex_unlock(&r->lock);
    MG_BUG_ON(!found);
    if (last)
        free_item(r, last); /* outside the lock: a large one takes a while */
}

void mg_registry_each(struct mg_registry *r,
                      void (*each)(void *arg, struct mg_str name, void *thing), void *arg)
{
    pthread_mutex_lock(&r->lock);
    MG_LIST_FOREACH(it, &r->items)
    each(arg, ITEM_OF(it)->name, ITEM_OF(it)->thing);
    pthread_mutex_unlock(&r->lock);
}
