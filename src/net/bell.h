/*
 * A bell: other threads ring it, and its owner's function is called on the owner's loop. The owner
 * may go before a ring arrives: rings after mg_bell_free are not heard.
 */
#ifndef MG_NET_BELL_H
#define MG_NET_BELL_H

#include "net/loop.h"

struct mg_bell;

/* For the loop's thread. `on_ring` is called from a later turn of the loop, at least once after the
 * last ring. */
struct mg_bell *mg_bell_new(struct mg_loop *loop, void (*on_ring)(void *arg), void *arg);
/* The loop's thread; NULL is fine. */
void mg_bell_free(struct mg_bell *bell);
/* Any thread that knows that it is not freed yet. Takes no lock but the loop's. */
void mg_bell_ring(struct mg_bell *bell);

#endif
