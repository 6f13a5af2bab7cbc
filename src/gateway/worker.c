/* One thread's part of the gateway. */
#include "gateway/worker.h"

#include <stdlib.h>

#include "base/memory.h"
#include "crypto/random.h"
#include "gateway/cache_tier.h"
#include "gateway/worker_redis.h"
#include "net/pipe.h"

/* An arena chunk holds an ordinary exchange; a read buffer the largest head, and the pieces that
 * bodies are streamed in. */
#define CHUNK_BYTES 8192
#define BLOCK_BYTES 32768
/* Uploads come in larger pieces: a chunked one is passed on in fewer, larger chunks. Not for
 * downloads, where each client that stops reading holds a block. */
#define REQUEST_BLOCK_BYTES 131072
#define HOUSEKEEPING_NS MG_SECOND

static void sweep_retired(void *arg);

/* --- housekeeping --- */

static void tell(struct mg_worker_generation *wg, uint32_t exchanges, size_t lua_bytes)
{
    atomic_fetch_add_explicit(&wg->gen->exchanges, exchanges - wg->told_exchanges,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&wg->gen->lua_bytes, lua_bytes - wg->told_lua_bytes,
                              memory_order_relaxed);
    wg->told_exchanges = exchanges;
    wg->told_lua_bytes = lua_bytes;
}

static void tell_present(struct mg_worker_generation *wg)
{
    tell(wg, wg->exchange_count, wg->script ? wg->worker->hooks->memory(wg) : 0);
}

static void on_housekeeping(void *arg)
{
    struct mg_worker *w = arg;
    sweep_retired(w); /* background tasks may have ended */
    tell_present(w->current);
    mg_pool_trim(&w->chunks);
    mg_pool_trim(&w->blocks);
    mg_pool_trim(&w->request_blocks);
    mg_coding_memory_trim(&w->coding);
    mg_tls_desk_trim(&w->tls);
    mg_doors_trim(w);
    mg_timer_set(&w->housekeeping, mg_loop_now(w->loop) + HOUSEKEEPING_NS);
}

static void free_generation(struct mg_worker_generation *wg)
{
    mg_list_remove(&wg->link);
    /* What is left waits in a finish step of its own; nobody waits for it. */
    while (!mg_list_empty(&wg->exchanges))
        mg_exchange_abandon(MG_CONTAINER_OF(wg->exchanges.next, struct mg_exchange, link));
    if (wg->script)
        wg->worker->hooks->drop(wg);
    mg_cache_tiers_release(wg);
    mg_worker_redis_release(wg);
    for (uint32_t i = 0; i < wg->gen->service_count; i++) {
        mg_tls_client_unref(wg->pickers[i].tls);
        mg_picker_release(&wg->pickers[i]);
    }
    free(wg->pickers);
    free(wg->tallies);
    free(wg->step_flags);
    free(wg->route_finish);
    tell(wg, 0, 0);
    mg_generation_unref(wg->gen);
    free(wg);
}

static bool finishes(const struct mg_worker_generation *wg, const struct mg_pipeline *p)
{
    for (uint32_t s = 0; s < p->all_count; s++)
        if (wg->step_flags[p->all[s]->index] & MG_STEP_HAS_FINISH)
            return true;
    return false;
}

static void note_finish_steps(struct mg_worker_generation *wg)
{
    for (uint32_t r = 0; r < wg->gen->route_count; r++)
        wg->route_finish[r] = finishes(wg, &wg->gen->routes[r].pipeline);
    wg->fallback_finish = finishes(wg, &wg->gen->fallback);
}

/* TLS to the services that want it. */
static enum mg_rc make_clients(struct mg_worker_generation *wg, struct mg_error *err)
{
    for (uint32_t i = 0; i < wg->gen->service_count; i++) {
        const struct mg_service_config *c = mg_service_config(wg->gen->services[i]);
        if (c->tls && !(wg->pickers[i].tls = mg_tls_client_new(&wg->worker->tls, c->tls, err)))
            return mg_error_prefix(err, "services.%.*s", MG_STR_ARGS(c->name));
    }
    return MG_OK;
}

static void take_cells(struct mg_worker_generation *wg)
{
    const struct mg_generation *gen = wg->gen;
    uint32_t number = wg->worker->number;
    if (!gen->tally_registry)
        return;
    wg->tally = mg_tally_cell(gen->tally, number);
    wg->tallies = mg_calloc(gen->route_count, sizeof(struct mg_tally_cell *));
    for (uint32_t i = 0; i < gen->route_count; i++)
        wg->tallies[i] = mg_tally_cell(gen->route_tallies[i], number);
    for (uint32_t i = 0; i < mg_generation_request_services(gen); i++)
        wg->pickers[i].tally = mg_tally_cell(gen->service_tallies[i], number);
}

static struct mg_worker_generation *new_generation(struct mg_worker *w, struct mg_generation *gen,
                                                   struct mg_error *err)
{
    struct mg_worker_generation *wg = mg_calloc(1, sizeof *wg);
    wg->worker = w;
    wg->gen = gen;
    mg_generation_ref(gen);
    mg_list_init(&wg->link);
    mg_list_init(&wg->exchanges);
    wg->pickers = mg_calloc(gen->service_count, sizeof *wg->pickers);
    wg->step_flags = mg_calloc(gen->step_count, 1);
    wg->route_finish = mg_calloc(gen->route_count, 1);
    for (uint32_t i = 0; i < gen->service_count; i++)
        mg_picker_init(&wg->pickers[i], gen->services[i], mg_worker_random(w) | 1);
    take_cells(wg);
    mg_worker_redis_make(wg);
    mg_cache_tiers_make(wg);
    if (make_clients(wg, err) != MG_OK || (w->hooks && w->hooks->build(wg, err) != MG_OK)) {
        free_generation(wg);
        return NULL;
    }
    return wg;
}

uint64_t mg_worker_random(struct mg_worker *w)
{
    /* xorshift64*, seeded from the system; a simulation seeds it from its own seed. */
    uint64_t x = w->random;
    while (x == 0)
        mg_random_bytes(&x, sizeof x);
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    w->random = x;
    return x * UINT64_C(2685821657736338717);
}

static size_t block_bytes(const struct mg_generation *gen, size_t least)
{
    size_t head = gen->limits.head.head_bytes;
    return head > least ? head : least;
}

size_t mg_worker_head_max(const struct mg_generation *first)
{
    return block_bytes(first, BLOCK_BYTES);
}

enum mg_rc mg_worker_init(struct mg_worker *w, uint32_t number, struct mg_loop *loop,
                          struct mg_generation *gen, const struct mg_script_hooks *hooks,
                          struct mg_error *err)
{
    uint64_t random = w->random;
    *w = (struct mg_worker){.number = number, .loop = loop, .hooks = hooks, .random = random};
    mg_pool_init(&w->chunks, CHUNK_BYTES);
    mg_pool_init(&w->blocks, mg_worker_head_max(gen));
    mg_coding_memory_init(&w->coding);
    mg_pool_init(&w->request_blocks, block_bytes(gen, REQUEST_BLOCK_BYTES));
    mg_pools_init(&w->pools, loop, &w->blocks, &gen->limits.head);
    mg_concurrency_queue_init(&w->concurrency, loop);
    mg_tls_desk_init(&w->tls, loop);
    mg_proxy_accept_init(&w->proxy_gate, loop);
    w->proxy_gate.others = &w->server.connection_count;
    mg_server_init(&w->server, loop, &w->chunks, &w->request_blocks, &mg_exchange_handler, w);
    w->server.limits = gen->limits;
    mg_list_init(&w->closed_doors);
    mg_list_init(&w->retired);
    mg_soon_init(&w->sweep, sweep_retired, w);
    mg_timer_init(&w->housekeeping, loop, on_housekeeping, w);
    /* A simulated clock would jump from tick to tick for nothing. */
    if (!mg_loop_is_simulated(loop))
        mg_timer_set(&w->housekeeping, mg_loop_now(loop) + HOUSEKEEPING_NS);
    if (mg_worker_prepare(w, gen, err) == MG_OK &&
        mg_worker_prepare_more(w, UINT64_MAX, err) == MG_OK) {
        w->current = w->candidate;
        w->doors = w->candidate_doors;
        w->candidate = NULL;
        tell_present(w->current);
    } else {
        mg_worker_release(w);
        return MG_FAIL;
    }
    return MG_OK;
}

void mg_worker_release(struct mg_worker *w)
{
    mg_timer_release(&w->housekeeping);
    mg_doors_cut(w);
    mg_server_release(&w->server);
    while (!mg_list_empty(&w->retired))
        free_generation(MG_CONTAINER_OF(w->retired.next, struct mg_worker_generation, link));
    mg_soon_cancel(&w->sweep);
    if (w->candidate)
        mg_worker_discard(w);
    if (w->current)
        free_generation(w->current);
    w->current = NULL;
    mg_concurrency_queue_release(&w->concurrency);
    mg_pools_release(&w->pools);
    mg_tls_desk_release(&w->tls);
    mg_doors_release(w);
    mg_loop_settle(w->loop); /* connections give their blocks back at the end of a turn */
    mg_pool_release(&w->chunks);
    mg_pool_release(&w->blocks);
    mg_pool_release(&w->request_blocks);
    mg_coding_memory_release(&w->coding);
    mg_buf_release(&w->line);
    mg_pipe_close_all();
}

/* --- reload --- */

enum mg_rc mg_worker_prepare(struct mg_worker *w, struct mg_generation *gen, struct mg_error *err)
{
    if (mg_doors_make(&w->candidate_doors, w, gen, err) != MG_OK)
        return MG_FAIL;
    w->candidate = new_generation(w, gen, err);
    if (w->candidate)
        return MG_OK;
    mg_doors_free(&w->candidate_doors);
    return MG_FAIL;
}

enum mg_rc mg_worker_prepare_more(struct mg_worker *w, uint64_t slice_ns, struct mg_error *err)
{
    enum mg_rc rc = w->hooks ? w->hooks->build_more(w->candidate, slice_ns, err) : MG_OK;
    if (rc == MG_OK)
        note_finish_steps(w->candidate);
    else if (rc == MG_FAIL)
        mg_worker_discard(w);
    return rc;
}

void mg_worker_discard(struct mg_worker *w)
{
    mg_doors_free(&w->candidate_doors);
    free_generation(w->candidate);
    w->candidate = NULL;
}

static size_t at_most(size_t n, size_t most)
{
    return n < most ? n : most;
}

/* Buffers keep the size that they were made with, and a head must fit into one. */
static void set_limits(struct mg_worker *w, const struct mg_generation *gen)
{
    struct mg_h1_limits head = gen->limits.head;
    w->server.limits = gen->limits;
    head.head_bytes = (uint32_t)at_most(gen->limits.head.head_bytes, w->request_blocks.block_bytes);
    w->server.limits.head.head_bytes = head.head_bytes;
    head.head_bytes = (uint32_t)at_most(gen->limits.head.head_bytes, w->blocks.block_bytes);
    w->pools.head = head;
}

void mg_worker_adopt(struct mg_worker *w)
{
    struct mg_worker_generation *old = w->current;
    w->current = w->candidate;
    w->candidate = NULL;
    mg_worker_redis_adopt(w->current);
    set_limits(w, w->current->gen);
    mg_doors_replace(w, &w->candidate_doors);
    mg_list_push_back(&w->retired, &old->link);
    if (old->script)
        w->hooks->retire(old);
    mg_soon_run(w->loop, &w->sweep);
    tell_present(w->current);
}

static bool is_drained(const struct mg_worker *w)
{
    return w->exchange_count == 0;
}

static bool has_background(const struct mg_worker_generation *wg)
{
    return mg_cache_tiers_busy(wg) || (wg->script && wg->worker->hooks->background_count(wg) > 0);
}

static bool needs_script(const struct mg_worker_generation *wg)
{
    if (has_background(wg))
        return true;
    MG_LIST_FOREACH(it, &wg->exchanges)
    if (mg_exchange_needs_script(MG_CONTAINER_OF(it, struct mg_exchange, link)))
        return true;
    return false;
}

/* Generations that nothing needs any more go. Before that, where a tunnel or a stream that lasts
 * for days is all that is left, goes what is large in them. */
static void sweep_retired(void *arg)
{
    struct mg_worker *w = arg;
    MG_LIST_FOREACH_SAFE(it, &w->retired)
    {
        struct mg_worker_generation *wg = MG_CONTAINER_OF(it, struct mg_worker_generation, link);
        if (wg->exchange_count == 0 && !has_background(wg)) {
            free_generation(wg);
            continue;
        }
        if (wg->script && !needs_script(wg))
            w->hooks->drop(wg);
        tell_present(wg);
    }
}

bool mg_worker_is_idle(const struct mg_worker *w)
{
    if (w->server.connection_count || w->exchange_count || mg_doors_busy(w))
        return false;
    return mg_list_empty(&w->retired) && !has_background(w->current);
}

void mg_worker_drain(struct mg_worker *w, void (*on_drained)(void *arg), void *arg)
{
    w->draining = true;
    w->on_drained = on_drained;
    w->drained_arg = arg;
    mg_doors_cut(w);
    mg_server_drain(&w->server);
    if (is_drained(w))
        on_drained(arg);
}

void mg_worker_retire(struct mg_worker *w)
{
    mg_server_retire(&w->server);
}

void mg_worker_exchange_began(struct mg_worker_generation *wg)
{
    wg->exchange_count++;
    wg->worker->exchange_count++;
    wg->worker->exchanges_total++;
}

void mg_worker_exchange_ended(struct mg_worker_generation *wg)
{
    struct mg_worker *w = wg->worker;
    w->exchange_count--;
    if (--wg->exchange_count == 0 && wg != w->current)
        mg_soon_run(w->loop, &w->sweep);
    if (w->draining && is_drained(w))
        w->on_drained(w->drained_arg);
}
