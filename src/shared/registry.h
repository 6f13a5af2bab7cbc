/*
 * What is shared by name and outlives the config that defined it.
 *
 * Each config generation gets the things that it defines and puts them back when it goes. Since the
 * next generation gets its own before the old one leaves, a thing whose definition did not change
 * lives on with all it holds; one that is defined anew begins empty beside the old. Any thread.
 */
#ifndef MG_SHARED_REGISTRY_H
#define MG_SHARED_REGISTRY_H

#include "base/error.h"
#include "base/str.h"

struct mg_registry;

/* How things of one kind are made and freed. */
struct mg_registry_kind {
    /* NULL with an error when the definition is not one. */
    void *(*make)(const void *definition, struct mg_error *err);
    void (*free)(void *thing);
    size_t definition_bytes; /* compared byte by byte */
};

/* Borrows the kind, which is static. */
struct mg_registry *mg_registry_new(const struct mg_registry_kind *kind);
/* Everything has been put back before. NULL is fine. */
void mg_registry_free(struct mg_registry *r);

/* The thing of that name and definition, made if it is not there; the caller gets a ref. */
void *mg_registry_get(struct mg_registry *r, struct mg_str name, const void *definition,
                      struct mg_error *err) MG_MUST_CHECK;
/* Takes the ref. With the last one the thing is freed. */
void mg_registry_put(struct mg_registry *r, void *thing);

/* Calls back for each thing before it returns; `name` is borrowed. The callback must not get or
 * put. */
void mg_registry_each(struct mg_registry *r,
                      void (*each)(void *arg, struct mg_str name, void *thing), void *arg);

#endif
