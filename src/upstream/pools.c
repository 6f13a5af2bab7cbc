/*
 * Pools of idle backend connections. Worker thread.
 *
 * The newest idle connection is used first, so that a falling load lets the oldest run out. They
 * are closed when their time is over: by a slow sweep, and looked at again when taken. Those to a
 * backend that was taken out of its service have no time left.
 */
#include "upstream/pools.h"

#include <stdlib.h>

#include "base/memory.h"

#define BUCKETS 256
#define SWEEP_NS (1 * MG_SECOND)

struct backend_pool {
    struct mg_link link; /* in its bucket */
    struct mg_pools *pools;
    struct mg_backend *backend; /* a ref */
    struct mg_link idle;        /* newest first */
    uint32_t idle_count, open_count;
    /* Of the service that used the backend last. */
    uint32_t keepalive_max;
    uint64_t keepalive_idle_ns;
};

static struct mg_client_conn *conn_of(struct mg_link *l)
{
    return MG_CONTAINER_OF(l, struct mg_client_conn, link);
}

static struct mg_link *bucket_of(struct mg_pools *p, const struct mg_backend *b)
{
    return &p->_buckets[b->id % BUCKETS];
}

static struct backend_pool *find(struct mg_pools *p, const struct mg_backend *b)
{
    struct mg_link *bucket = bucket_of(p, b);
    MG_LIST_FOREACH(it, bucket)
    {
        struct backend_pool *bp = MG_CONTAINER_OF(it, struct backend_pool, link);
        if (bp->backend == b)
            return bp;
    }
    return NULL;
}

static struct backend_pool *find_or_make(struct mg_pools *p, struct mg_backend *b)
{
    struct backend_pool *bp = find(p, b);
    if (bp)
        return bp;
    bp = mg_calloc(1, sizeof *bp);
    bp->pools = p;
    bp->backend = b;
    mg_backend_ref(b);
    mg_list_init(&bp->idle);
    mg_list_push_front(bucket_of(p, b), &bp->link);
    return bp;
}

static void forget_when_unused(struct backend_pool *bp)
{
    if (bp->open_count)
        return;
    mg_list_remove(&bp->link);
    mg_backend_unref(bp->backend);
    free(bp);
}

static void take_off(struct backend_pool *bp, struct mg_client_conn *c)
{
    mg_list_remove(&c->link);
    bp->idle_count--;
    bp->pools->idle_count--;
}

static void close_idle(struct backend_pool *bp, struct mg_client_conn *c)
{
    take_off(bp, c);
    bp->open_count--;
    mg_client_conn_close(c);
}

static bool is_old(const struct backend_pool *bp, const struct mg_client_conn *c)
{
    return !mg_backend_is_listed(bp->backend) ||
           c->idle_since_ns + bp->keepalive_idle_ns <= mg_loop_now(bp->pools->loop);
}

static void on_free(void *owner, struct mg_client_conn *c)
{
    struct backend_pool *bp = owner;
    struct mg_pools *p = bp->pools;
    mg_list_push_front(&bp->idle, &c->link);
    bp->idle_count++;
    p->idle_count++;
    if (bp->idle_count > bp->keepalive_max || !mg_backend_is_listed(bp->backend))
        close_idle(bp, conn_of(bp->idle.prev));
    /* A simulated clock would jump from sweep to sweep for nothing. */
    if (!mg_timer_is_set(&p->_sweep) && !mg_loop_is_simulated(p->loop))
        mg_timer_set(&p->_sweep, mg_loop_now(p->loop) + SWEEP_NS);
}

static void on_closed(void *owner, struct mg_client_conn *c)
{
    struct backend_pool *bp = owner;
    if (!mg_list_empty(&c->link))
        take_off(bp, c); /* it was idle */
    bp->open_count--;
    forget_when_unused(bp);
}

static const struct mg_client_conn_events conn_events = {.on_free = on_free,
                                                         .on_closed = on_closed};

static void sweep_backend(struct backend_pool *bp)
{
    while (!mg_list_empty(&bp->idle) && is_old(bp, conn_of(bp->idle.prev)))
        close_idle(bp, conn_of(bp->idle.prev));
    forget_when_unused(bp);
}

static void on_sweep(void *arg)
{
    struct mg_pools *p = arg;
    for (int i = 0; i < BUCKETS; i++)
        MG_LIST_FOREACH_SAFE(it, &p->_buckets[i])
    sweep_backend(MG_CONTAINER_OF(it, struct backend_pool, link));
    if (p->idle_count)
        mg_timer_set(&p->_sweep, mg_loop_now(p->loop) + SWEEP_NS);
}

void mg_pools_init(struct mg_pools *p, struct mg_loop *loop, struct mg_pool *blocks,
                   const struct mg_h1_limits *head)
{
    *p = (struct mg_pools){.loop = loop, .blocks = blocks, .head = *head};
    p->dialer = mg_dialer_sockets(loop);
    p->_buckets = mg_calloc(BUCKETS, sizeof *p->_buckets);
    for (int i = 0; i < BUCKETS; i++)
        mg_list_init(&p->_buckets[i]);
    mg_timer_init(&p->_sweep, loop, on_sweep, p);
    mg_gate_inbox_init(&p->turns, loop);
}

void mg_pools_release(struct mg_pools *p)
{
    mg_timer_release(&p->_sweep);
    for (int i = 0; i < BUCKETS; i++) {
        MG_LIST_FOREACH_SAFE(it, &p->_buckets[i])
        {
            struct backend_pool *bp = MG_CONTAINER_OF(it, struct backend_pool, link);
            while (!mg_list_empty(&bp->idle))
                close_idle(bp, conn_of(bp->idle.next));
            forget_when_unused(bp);
        }
    }
    mg_gate_inbox_release(&p->turns);
    free(p->_buckets);
}

struct mg_client_conn *mg_pools_take(struct mg_pools *p, struct mg_backend *b,
                                     const struct mg_service_config *config)
{
    struct backend_pool *bp = find(p, b);
    if (!bp)
        return NULL;
    bp->keepalive_max = config->keepalive_max;
    bp->keepalive_idle_ns = config->keepalive_idle_ns;
    while (!mg_list_empty(&bp->idle)) {
        struct mg_client_conn *c = conn_of(bp->idle.next);
        if (!is_old(bp, c)) {
            take_off(bp, c);
            return c;
        }
        close_idle(bp, c); /* the others are older still, and go the same way */
    }
    forget_when_unused(bp);
    return NULL;
}

struct mg_client_conn *mg_pools_adopt(struct mg_pools *p, struct mg_backend *b,
                                      const struct mg_service_config *config,
                                      struct mg_stream *stream)
{
    struct backend_pool *bp = find_or_make(p, b);
    bp->keepalive_max = config->keepalive_max;
    bp->keepalive_idle_ns = config->keepalive_idle_ns;
    bp->open_count++;
    return mg_client_conn_new(stream, p->blocks, &p->head, &conn_events, bp);
}
