/*
 * The body of a stored response, as a client reads it: chunks of the store, without a copy. One
 * that still grows is read as it comes. Worker thread.
 */
#ifndef MG_GATEWAY_STORED_BODY_H
#define MG_GATEWAY_STORED_BODY_H

#include "http/body.h"
#include "net/loop.h"
#include "shared/cache.h"

/* A body in the arena; keeps a reference to the entry, until the arena goes. NULL: its beginning
 * has gone, see mg_cache_reader_init. `*self` is what mg_stored_body_continue wants; may be NULL.
 */
struct mg_stored_body;
struct mg_body *mg_stored_body_new(struct mg_arena *arena, struct mg_loop *loop,
                                   struct mg_cache *cache, struct mg_cache_entry *entry,
                                   struct mg_stored_body **self);

/* Only bytes from `first` on, `n` of them; before anything was read. Of a body that is complete. */
void mg_stored_body_range(struct mg_stored_body *b, uint64_t first, uint64_t n);

/* Does it still read from the store? */
bool mg_stored_body_reads(const struct mg_stored_body *b);

/* Should the store give up before the end, its reader goes on with `source`, which has the rest.
 * NULL: no more. The source is borrowed. */
void mg_stored_body_continue(struct mg_stored_body *b, struct mg_body *source);

#endif
