/*
 * The shared dictionaries of one process, by name and size.
 *
 * Each config generation gets the dictionaries that it defines and puts them back when it goes.
 * Since the next generation gets its own before the old one leaves, a dictionary whose definition
 * did not change lives on with all it holds; one whose size changed starts empty beside the old.
 * Any thread.
 */
#ifndef MG_SHARED_DICTS_H
#define MG_SHARED_DICTS_H

#include <stddef.h>

#include "base/error.h"
#include "base/str.h"
#include "shared/dict.h"

struct mg_dicts;

/* The size of one that the config does not give a size. */
#define MG_DICTS_BYTES ((size_t)1 << 20)

struct mg_dicts *mg_dicts_new(void);
/* Every dictionary has been put back before. NULL is fine. */
void mg_dicts_free(struct mg_dicts *dicts);

/* Finds the dictionary or makes it; the caller gets a ref and gives it to mg_dicts_put. NULL with
 * an error when the size is too small. */
struct mg_dict *mg_dicts_get(struct mg_dicts *dicts, struct mg_str name, size_t bytes,
                             struct mg_error *err) MG_MUST_CHECK;
/* Takes the ref. With the last one the dictionary is freed. */
void mg_dicts_put(struct mg_dicts *dicts, struct mg_dict *dict);

/* Calls back for each dictionary before it returns; `name` is borrowed. The callback must not get
 * or put. For metrics and the admin listener. */
typedef void (*mg_dicts_each_fn)(void *arg, struct mg_str name, const struct mg_dict_stats *stats);
void mg_dicts_each(struct mg_dicts *dicts, mg_dicts_each_fn each, void *arg);

#endif
