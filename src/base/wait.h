/*
 * The deadline tree: everything that waits on behalf of a request is a node with a parent, a
 * deadline and a cancel function. Cancelling a node cancels what it waits for first. Embedded; no
 * allocation. One thread.
 */
#ifndef MG_BASE_WAIT_H
#define MG_BASE_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct mg_wait {
    struct mg_wait *parent; /* NULL: a root */
    struct mg_link children;
    uint64_t deadline_ns; /* loop time; 0: none of its own */
    void (*cancel)(
        void *arg); /* gives up and frees what the wait holds; the node is off the tree by then */
    void *arg;
    struct mg_link _link;
};

/* Puts a node under `parent` (NULL for a root). */
void mg_wait_begin(struct mg_wait *w, struct mg_wait *parent, void (*cancel)(void *arg), void *arg);
/* It has what it waited for: takes it off the tree without calling cancel. Children are cancelled.
 * Safe to call twice, and on a zeroed node. */
void mg_wait_end(struct mg_wait *w);
/* Cancels all below `w`, youngest first. */
void mg_wait_cancel_children(struct mg_wait *w);
/* The nearest deadline of the node and its ancestors; 0: none. */
uint64_t mg_wait_deadline(const struct mg_wait *w);

#endif
