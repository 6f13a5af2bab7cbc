/*
 * Looks once a day for certificates that end soon, and says so in the log. Control thread.
 */
#ifndef MG_APP_EXPIRY_H
#define MG_APP_EXPIRY_H

#include "gateway/generation.h"
#include "net/loop.h"

struct mg_expiry {
    struct mg_loop *loop;
    const struct mg_generation *gen;
    struct mg_timer timer;
};

/* Borrows the generation. Looks for the first time a day from now: the config's warnings have been
 * shown. */
void mg_expiry_start(struct mg_expiry *e, struct mg_loop *loop, const struct mg_generation *gen);
void mg_expiry_stop(struct mg_expiry *e);

#endif
