/* From a body into the store. Worker thread; only the bell is rung by others. */
#include "gateway/cache_pump.h"

#include "net/bell.h"

static void run(void *arg);

static void detach(struct mg_cache_pump *p)
{
    mg_bell_free(p->_bell);
    p->_bell = NULL;
    if (!p->source)
        return;
    p->source->on_ready = NULL;
    p->source->reader = NULL;
}

static struct mg_cache_fill *take_fill(struct mg_cache_pump *p)
{
    struct mg_cache_fill *fill = p->fill;
    p->fill = NULL;
    return fill;
}

/* --- ends --- */

static void end(struct mg_cache_pump *p)
{
    bool passed = p->_bell != NULL;
    mg_cache_fill_end(take_fill(p));
    detach(p);
    p->on_end(p, passed ? MG_CACHE_PUMP_PASSED : MG_CACHE_PUMP_STORED);
}

static void break_off(struct mg_cache_pump *p)
{
    mg_cache_fill_fail(take_fill(p), MG_CACHE_FAILED);
    detach(p);
    p->on_end(p, MG_CACHE_PUMP_BROKEN);
}

/* The fill is gone. */
static void give_up(struct mg_cache_pump *p)
{
    detach(p);
    if (p->_follower)
        mg_stored_body_continue(p->_follower, p->source);
    p->on_end(p, MG_CACHE_PUMP_GAVE_UP);
}

/* --- too large --- */

static void ring(void *arg)
{
    mg_bell_ring(((struct mg_cache_pump *)arg)->_bell);
}

/* True: it goes on as a window. */
static bool let_go(struct mg_cache_pump *p)
{
    unsigned own = p->_follower && mg_stored_body_reads(p->_follower);
    if (p->_expecting) {
        p->_held_up = true;
        return false;
    }
    if (!mg_cache_fill_let_go(p->fill, own)) {
        p->fill = NULL;
        give_up(p);
        return false;
    }
    p->_bell = mg_bell_new(p->loop, run, p);
    mg_cache_waiter_init(&p->_room, ring, p);
    return true;
}

/* True: some of it was taken. */
static bool pass_on(struct mg_cache_pump *p, struct mg_str bytes)
{
    size_t n;
    switch (mg_cache_fill_push(p->fill, bytes, &n, &p->_room)) {
    case MG_CACHE_PUSH_TAKEN:
        mg_body_consume(p->source, n);
        return true;
    case MG_CACHE_PUSH_WAIT:
        break;
    case MG_CACHE_PUSH_UNWANTED:
        mg_cache_fill_fail(take_fill(p), MG_CACHE_PASS);
        give_up(p);
        break;
    }
    return false;
}

/* True: more can be taken. */
static bool store(struct mg_cache_pump *p, struct mg_str bytes)
{
    size_t n = mg_cache_fill_add(p->fill, bytes, mg_loop_now(p->loop));
    if (n)
        mg_body_consume(p->source, n);
    return n == bytes.n || let_go(p);
}

static void run(void *arg)
{
    struct mg_cache_pump *p = arg;
    struct mg_str bytes;
    for (;;) {
        switch (p->source ? mg_body_peek(p->source, &bytes) : MG_BODY_END) {
        case MG_BODY_BYTES:
            if (!(p->_bell ? pass_on(p, bytes) : store(p, bytes)))
                return;
            break;
        case MG_BODY_WAIT:
            return;
        case MG_BODY_END:
            end(p);
            return;
        case MG_BODY_BROKEN:
            break_off(p);
            return;
        }
    }
}

/* A source that is ready has nothing to say while it waits for the follower. */
static void on_source_ready(void *arg)
{
    struct mg_cache_pump *p = arg;
    if (!p->_held_up)
        run(p);
}

/* --- for its owner --- */

void mg_cache_pump_start(struct mg_cache_pump *p, struct mg_loop *loop, struct mg_cache_fill *fill,
                         struct mg_body *source, bool expecting,
                         void (*on_end)(struct mg_cache_pump *p, enum mg_cache_pump_end how))
{
    *p = (struct mg_cache_pump){
        .fill = fill, .source = source, .loop = loop, .on_end = on_end, ._expecting = expecting};
    if (source) {
        source->on_ready = on_source_ready;
        source->reader = p;
    }
    run(p);
}

void mg_cache_pump_follow(struct mg_cache_pump *p, struct mg_stored_body *body)
{
    bool held_up = p->_held_up;
    p->_follower = body;
    p->_expecting = p->_held_up = false;
    if (held_up && p->fill)
        run(p);
}

void mg_cache_pump_stop(struct mg_cache_pump *p)
{
    if (p->_follower)
        mg_stored_body_continue(p->_follower, NULL);
    p->_follower = NULL;
    if (!p->fill)
        return;
    mg_cache_fill_fail(take_fill(p), MG_CACHE_FAILED);
    detach(p);
}
