/* Bells. The owner's members are for the loop's thread; each ring on its way holds a reference. */
#include "net/bell.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"

struct mg_bell {
    /* Set once. */
    struct mg_loop *loop;
    /* The loop's thread. */
    void (*on_ring)(void *arg); /* NULL: nobody listens any more */
    void *arg;
    /* Atomic. */
    atomic_uint refs;
    atomic_bool ringing; /* a ring is on its way */
};

struct mg_bell *mg_bell_new(struct mg_loop *loop, void (*on_ring)(void *arg), void *arg)
{
    struct mg_bell *bell = mg_malloc(sizeof *bell);
    *bell = (struct mg_bell){.loop = loop, .on_ring = on_ring, .arg = arg, .refs = 1};
    return bell;
}

static void unref(struct mg_bell *bell)
{
    if (atomic_fetch_sub(&bell->refs, 1) == 1)
        free(bell);
}

void mg_bell_free(struct mg_bell *bell)
{
    if (!bell)
        return;
    bell->on_ring = NULL;
    unref(bell);
}

static void arrive(void *arg)
{
    struct mg_bell *bell = arg;
    atomic_store(&bell->ringing, false);
    if (bell->on_ring)
        bell->on_ring(bell->arg);
    unref(bell);
}

void mg_bell_ring(struct mg_bell *bell)
{
    if (atomic_exchange(&bell->ringing, true))
        return;
    atomic_fetch_add(&bell->refs, 1);
    mg_loop_post(bell->loop, arrive, bell);
}
