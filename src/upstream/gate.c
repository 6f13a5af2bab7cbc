/*
 * The limit of requests under way, and its queue. Any thread.
 *
 * Nobody is forgotten: who joins the queue counts itself as waiting and then looks for a place; who
 * leaves gives the place back and then looks for somebody waiting. So at least one of the two sees
 * the other. Locks are taken in one order: gate, inbox.
 */
#include "upstream/gate.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"

#define TELL_NS (10 * MG_SECOND)

struct mg_gate {
    /* Set once. */
    struct mg_gate_config config;
    /* Atomic. */
    atomic_uint refs;
    atomic_uint inside;
    atomic_uint waiting;
    atomic_uint refused; /* and not told of */
    atomic_uint_fast64_t told_ns;
    /* Under lock. */
    pthread_mutex_t lock;
    struct mg_link queue; /* the one who waits longest first */
};

static struct mg_gate_wait *wait_of(struct mg_link *l)
{
    return MG_CONTAINER_OF(l, struct mg_gate_wait, _link);
}

/* --- inboxes --- */

static struct mg_gate_wait *take_entered(struct mg_gate_inbox *inbox)
{
    struct mg_gate_wait *w = NULL;
    pthread_mutex_lock(&inbox->lock);
    if (!mg_list_empty(&inbox->entered)) {
        w = wait_of(inbox->entered.next);
        mg_list_remove(&w->_link);
    }
    pthread_mutex_unlock(&inbox->lock);
    return w;
}

/* On the inbox's thread. */
static void on_post(void *arg)
{
    struct mg_gate_inbox *inbox = arg;
    struct mg_gate_wait *w;
    while ((w = take_entered(inbox))) {
        w->_state = MG_GATE_IDLE;
        w->on_entered(w);
    }
}

static void put_entered(struct mg_gate_wait *w)
{
    struct mg_gate_inbox *inbox = w->_inbox;
    pthread_mutex_lock(&inbox->lock);
    bool first = mg_list_empty(&inbox->entered);
    mg_list_push_back(&inbox->entered, &w->_link);
    if (first)
        mg_loop_post(inbox->loop, on_post, inbox);
    pthread_mutex_unlock(&inbox->lock);
}

void mg_gate_inbox_init(struct mg_gate_inbox *inbox, struct mg_loop *loop)
{
    inbox->loop = loop;
    pthread_mutex_init(&inbox->lock, NULL);
    mg_list_init(&inbox->entered);
}

void mg_gate_inbox_release(struct mg_gate_inbox *inbox)
{
    pthread_mutex_destroy(&inbox->lock);
}

/* --- gates --- */

struct mg_gate *mg_gate_new(const struct mg_gate_config *config)
{
    struct mg_gate *g = mg_calloc(1, sizeof *g);
    g->config = *config;
    atomic_init(&g->refs, 1);
    pthread_mutex_init(&g->lock, NULL);
    mg_list_init(&g->queue);
    return g;
}

struct mg_gate *mg_gate_ref(struct mg_gate *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void mg_gate_unref(struct mg_gate *g)
{
    if (!g || atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&g->lock);
    free(g);
}

const struct mg_gate_config *mg_gate_config(const struct mg_gate *g)
{
    return &g->config;
}

static bool take_place(struct mg_gate *g)
{
    unsigned inside = atomic_load(&g->inside);
    while (inside < g->config.max_requests)
        if (atomic_compare_exchange_weak(&g->inside, &inside, inside + 1))
            return true;
    return false;
}

/* Under lock. */
static void let_in(struct mg_gate *g)
{
    while (!mg_list_empty(&g->queue) && take_place(g)) {
        struct mg_gate_wait *w = wait_of(g->queue.next);
        mg_list_remove(&w->_link);
        atomic_fetch_sub(&g->waiting, 1);
        w->_state = MG_GATE_ENTERED;
        put_entered(w);
    }
}

bool mg_gate_enter(struct mg_gate *g)
{
    return atomic_load(&g->waiting) == 0 && take_place(g);
}

void mg_gate_leave(struct mg_gate *g)
{
    atomic_fetch_sub(&g->inside, 1);
    if (atomic_load(&g->waiting) == 0)
        return;
    pthread_mutex_lock(&g->lock);
    let_in(g);
    pthread_mutex_unlock(&g->lock);
}

bool mg_gate_queue(struct mg_gate *g, struct mg_gate_wait *w, struct mg_gate_inbox *inbox)
{
    bool room;
    w->_gate = g;
    w->_inbox = inbox;
    w->_state = MG_GATE_IDLE;
    pthread_mutex_lock(&g->lock);
    room = atomic_load(&g->waiting) < g->config.queue_size;
    if (room) {
        w->_state = MG_GATE_QUEUED;
        mg_list_push_back(&g->queue, &w->_link);
        atomic_fetch_add(&g->waiting, 1);
        let_in(g);
    }
    pthread_mutex_unlock(&g->lock);
    return room;
}

void mg_gate_give_up(struct mg_gate_wait *w)
{
    struct mg_gate *g = w->_gate;
    pthread_mutex_lock(&g->lock);
    bool entered = w->_state == MG_GATE_ENTERED;
    if (entered) {
        pthread_mutex_lock(&w->_inbox->lock);
        mg_list_remove(&w->_link);
        pthread_mutex_unlock(&w->_inbox->lock);
    } else if (w->_state == MG_GATE_QUEUED) {
        mg_list_remove(&w->_link);
        atomic_fetch_sub(&g->waiting, 1);
    }
    w->_state = MG_GATE_IDLE;
    pthread_mutex_unlock(&g->lock);
    if (entered)
        mg_gate_leave(g);
}

uint32_t mg_gate_count_refusal(struct mg_gate *g, uint64_t now_ns)
{
    uint_fast64_t told = atomic_load_explicit(&g->told_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&g->refused, 1, memory_order_relaxed);
    if ((told && now_ns < told + TELL_NS) ||
        !atomic_compare_exchange_strong_explicit(&g->told_ns, &told, now_ns, memory_order_relaxed,
                                                 memory_order_relaxed))
        return 0;
    return atomic_exchange_explicit(&g->refused, 0, memory_order_relaxed);
}
