/*
 * Memory of coders: a few large blocks each, some hundred kilobytes together, for as long as one
 * body streams. A worker keeps those of coders that ended for the next ones. One thread.
 */
#ifndef MG_HTTP_CODING_MEMORY_H
#define MG_HTTP_CODING_MEMORY_H

#include <stddef.h>

#define MG_CODING_KEPT_MAX 32
#define MG_CODING_KEPT_BYTES (16 << 20)

struct mg_coding_memory {
    size_t live;  /* blocks handed out; tests look that it comes back to 0 */
    size_t count; /* of kept blocks */
    size_t bytes; /* of these, at most MG_CODING_KEPT_BYTES */
    size_t low;   /* fewest kept since the last trim: so many were not needed */
    struct mg_coding_block *_kept[MG_CODING_KEPT_MAX];
};

void mg_coding_memory_init(struct mg_coding_memory *m);
/* Frees what is kept. Nothing may be handed out any more. */
void mg_coding_memory_release(struct mg_coding_memory *m);
/* Gives back what was not needed since the last call. To be called now and then. */
void mg_coding_memory_trim(struct mg_coding_memory *m);
/* Never NULL: dies when memory is out. Contents are undefined. */
void *mg_coding_memory_get(struct mg_coding_memory *m, size_t n);
void mg_coding_memory_put(struct mg_coding_memory *m, void *p); /* of the same; NULL: nothing */

#endif
