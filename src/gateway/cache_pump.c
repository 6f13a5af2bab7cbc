/* From a body into the store. Worker thread. */
#include "gateway/cache_pump.h"

static void detach(struct mg_cache_pump *p)
{
    if (!p->source)
        return;
    p->source->on_ready = NULL;
    p->source->reader = NULL;
}

static void fail(struct mg_cache_pump *p, enum mg_cache_word word)
{
    struct mg_cache_fill *fill = p->fill;
    p->fill = NULL;
    mg_cache_fill_fail(fill, word);
}

/* The follower gets the rest from the source; others have lost theirs. */
static void give_up(struct mg_cache_pump *p)
{
    detach(p);
    p->_gave_up = true;
    if (p->_follower)
        mg_stored_body_continue(p->_follower, p->source);
    fail(p, MG_CACHE_PASS);
    p->on_end(p, MG_CACHE_PUMP_GAVE_UP);
}

static void end(struct mg_cache_pump *p)
{
    struct mg_cache_fill *fill = p->fill;
    p->fill = NULL;
    detach(p);
    mg_cache_fill_end(fill);
    p->on_end(p, MG_CACHE_PUMP_STORED);
}

static void run(void *arg)
{
    struct mg_cache_pump *p = arg;
    struct mg_str bytes;
    for (;;) {
        switch (p->source ? mg_body_peek(p->source, &bytes) : MG_BODY_END) {
        case MG_BODY_BYTES:
            if (!mg_cache_fill_add(p->fill, bytes, mg_loop_now(p->loop))) {
                give_up(p);
                return;
            }
            mg_body_consume(p->source, bytes.n);
            break;
        case MG_BODY_WAIT:
            return;
        case MG_BODY_END:
            end(p);
            return;
        case MG_BODY_BROKEN:
            fail(p, MG_CACHE_FAILED);
            p->on_end(p, MG_CACHE_PUMP_BROKEN);
            return;
        }
    }
}

void mg_cache_pump_start(struct mg_cache_pump *p, struct mg_loop *loop, struct mg_cache_fill *fill,
                         struct mg_body *source,
                         void (*on_end)(struct mg_cache_pump *p, enum mg_cache_pump_end how))
{
    *p = (struct mg_cache_pump){.fill = fill, .source = source, .loop = loop, .on_end = on_end};
    if (source) {
        source->on_ready = run;
        source->reader = p;
    }
    run(p);
}

void mg_cache_pump_follow(struct mg_cache_pump *p, struct mg_stored_body *body)
{
    struct mg_stored_body *before = p->_follower;
    p->_follower = body;
    if (before && !body)
        mg_stored_body_continue(before, NULL);
    if (body && p->_gave_up)
        mg_stored_body_continue(body, p->source);
}

void mg_cache_pump_stop(struct mg_cache_pump *p)
{
    if (!p->fill)
        return;
    detach(p);
    fail(p, MG_CACHE_FAILED);
}
