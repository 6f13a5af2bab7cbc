/* Registry of shared dictionaries. Any thread; configs have a handful, so a list will do. */
#include "shared/dicts.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/memory.h"

struct item {
    struct mg_link link; /* under lock */
    size_t refs;         /* under lock */
    /* set once */
    char *name;
    size_t name_bytes, bytes;
    struct mg_dict *dict;
};

struct mg_dicts {
    pthread_mutex_t lock;
    struct mg_link items; /* under lock */
};

#define ITEM_OF(it) MG_CONTAINER_OF(it, struct item, link)

struct mg_dicts *mg_dicts_new(void)
{
    struct mg_dicts *dicts = mg_calloc(1, sizeof *dicts);
    MG_BUG_ON(pthread_mutex_init(&dicts->lock, NULL) != 0);
    mg_list_init(&dicts->items);
    return dicts;
}

void mg_dicts_free(struct mg_dicts *dicts)
{
    if (!dicts)
        return;
    MG_BUG_ON(!mg_list_empty(&dicts->items));
    pthread_mutex_destroy(&dicts->lock);
    free(dicts);
}

static struct item *find(const struct mg_dicts *dicts, struct mg_str name, size_t bytes)
{
    MG_LIST_FOREACH(it, &dicts->items)
    {
        struct item *item = ITEM_OF(it);
        if (item->bytes == bytes && mg_str_eq(mg_str(item->name, item->name_bytes), name))
            return item;
    }
    return NULL;
}

static struct item *add(struct mg_dicts *dicts, struct mg_str name, size_t bytes,
                        struct mg_error *err)
{
    struct mg_dict *dict = mg_dict_new(bytes, err);
    if (!dict)
        return NULL;
    struct item *item = mg_malloc(sizeof *item);
    *item =
        (struct item){.name = mg_strdup(name), .name_bytes = name.n, .bytes = bytes, .dict = dict};
    mg_list_push_back(&dicts->items, &item->link);
    return item;
}

struct mg_dict *mg_dicts_get(struct mg_dicts *dicts, struct mg_str name, size_t bytes,
                             struct mg_error *err)
{
    struct mg_dict *dict = NULL;
    pthread_mutex_lock(&dicts->lock);
    struct item *item = find(dicts, name, bytes);
    if (!item)
        item = add(dicts, name, bytes, err);
    if (item) {
        item->refs++;
        dict = item->dict;
    }
    pthread_mutex_unlock(&dicts->lock);
    return dict;
}

static void free_item(struct item *item)
{
    mg_dict_free(item->dict);
    free(item->name);
    free(item);
}

void mg_dicts_put(struct mg_dicts *dicts, struct mg_dict *dict)
{
    struct item *last = NULL;
    bool found = false;
    pthread_mutex_lock(&dicts->lock);
    MG_LIST_FOREACH_SAFE(it, &dicts->items)
    {
        struct item *item = ITEM_OF(it);
        if (item->dict != dict)
            continue;
        found = true;
        if (--item->refs == 0) {
            mg_list_remove(&item->link);
            last = item;
        }
    }
    pthread_mutex_unlock(&dicts->lock);
    MG_BUG_ON(!found);
    if (last)
        free_item(last); /* outside the lock: a large one takes a while */
}

void mg_dicts_each(struct mg_dicts *dicts, mg_dicts_each_fn each, void *arg)
{
    pthread_mutex_lock(&dicts->lock);
    MG_LIST_FOREACH(it, &dicts->items)
    {
        struct item *item = ITEM_OF(it);
        struct mg_dict_stats stats;
        mg_dict_stats(item->dict, &stats);
        each(arg, mg_str(item->name, item->name_bytes), &stats);
    }
    pthread_mutex_unlock(&dicts->lock);
}
