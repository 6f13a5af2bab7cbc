/*
 * Moves a body into the store as fast as it comes, however slow its readers are. Worker thread.
 *
 * Should the store have to give up, whoever follows with a body of the entry goes on with the
 * source.
 */
#ifndef MG_GATEWAY_CACHE_PUMP_H
#define MG_GATEWAY_CACHE_PUMP_H

#include "gateway/stored_body.h"

enum mg_cache_pump_end {
    MG_CACHE_PUMP_STORED,
    MG_CACHE_PUMP_BROKEN,  /* the body was: `source->reason` */
    MG_CACHE_PUMP_GAVE_UP, /* no room, or too large: the follower has the source from here on */
};

struct mg_cache_pump {
    struct mg_cache_fill *fill; /* begun; NULL: it has ended */
    struct mg_body *source;     /* borrowed; NULL: there is no body */
    struct mg_loop *loop;
    /* Called once. `*p` may go then. */
    void (*on_end)(struct mg_cache_pump *p, enum mg_cache_pump_end how);
    struct mg_stored_body *_follower; /* NULL: none */
    bool _gave_up;
};

/* Takes the fill, borrows the source. May call on_end before it returns. */
void mg_cache_pump_start(struct mg_cache_pump *p, struct mg_loop *loop, struct mg_cache_fill *fill,
                         struct mg_body *source,
                         void (*on_end)(struct mg_cache_pump *p, enum mg_cache_pump_end how));
/* `body` reads the entry on behalf of whoever owns the source. NULL: nobody does any more. Also
 * after the end, where it went so. */
void mg_cache_pump_follow(struct mg_cache_pump *p, struct mg_stored_body *body);
/* The source goes away before its end: so does the entry. on_end does not come. After the end: no
 * effect. */
void mg_cache_pump_stop(struct mg_cache_pump *p);

#endif
