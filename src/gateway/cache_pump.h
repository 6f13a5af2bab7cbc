/*
 * Moves a body into the store as fast as it comes, however slow its readers are. Worker thread.
 *
 * Should the store have to give up, the follower, a body of the entry whose owner has the source
 * too, goes on with the source. When others read along, they and the follower go on through the
 * store, which keeps a window of the body then: so it comes as fast as the slowest of them reads.
 *
 *     FILLING ─▶ stored
 *        └─▶ (until the follower is known) ─▶ PASSING ─▶ passed
 *                                        └──▶ gave up: the follower has the source
 */
#ifndef MG_GATEWAY_CACHE_PUMP_H
#define MG_GATEWAY_CACHE_PUMP_H

#include "gateway/stored_body.h"

enum mg_cache_pump_end {
    MG_CACHE_PUMP_STORED,
    MG_CACHE_PUMP_PASSED,  /* it was too large, and all who read have the rest */
    MG_CACHE_PUMP_BROKEN,  /* the body was: `source->reason` */
    MG_CACHE_PUMP_GAVE_UP, /* too large; the follower has the source from here on */
};

struct mg_cache_pump {
    struct mg_cache_fill *fill; /* begun; NULL: it has ended */
    struct mg_body *source;     /* borrowed; NULL: there is no body */
    struct mg_loop *loop;
    /* Called once. `*p` may go then. */
    void (*on_end)(struct mg_cache_pump *p, enum mg_cache_pump_end how);
    struct mg_stored_body *_follower; /* NULL: none */
    struct mg_bell *_bell;            /* while it passes */
    struct mg_cache_waiter _room;
    bool _expecting; /* the follower is not known yet */
    bool _held_up;   /* ... and that matters now */
};

/* Takes the fill, borrows the source. `expecting`: mg_cache_pump_follow will come. May call on_end
 * before it returns. */
void mg_cache_pump_start(struct mg_cache_pump *p, struct mg_loop *loop, struct mg_cache_fill *fill,
                         struct mg_body *source, bool expecting,
                         void (*on_end)(struct mg_cache_pump *p, enum mg_cache_pump_end how));
/* `body` reads the entry on behalf of whoever owns the source. NULL: nobody does, or not any more.
 * After the end: no effect. May call on_end before it returns. */
void mg_cache_pump_follow(struct mg_cache_pump *p, struct mg_stored_body *body);
/* The source goes away: the follower has it no more, and when it was not read to its end, the entry
 * goes, too. on_end does not come. */
void mg_cache_pump_stop(struct mg_cache_pump *p);

#endif
