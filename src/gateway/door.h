/*
 * How a connection comes in: what its listener asks for (PROXY protocol, TLS) before HTTP begins.
 * One worker's view of a listener. One thread.
 */
#ifndef MG_GATEWAY_DOOR_H
#define MG_GATEWAY_DOOR_H

#include "gateway/generation.h"
#include "tls/server.h"

struct mg_worker;

/* Stays where it is while its listener does: connections on their way in know it. */
struct mg_door {
    struct mg_link link; /* of closed ones */
    struct mg_worker *worker;
    char *address;
    uint32_t listener; /* index in the config in force; MG_NO_LISTENER: it has gone */
    bool proxy_protocol;
    struct mg_tls_server *tls; /* a ref; NULL: plain */
};

/* One for each listener of a generation, in its order. */
struct mg_doors {
    struct mg_door **v;
    uint32_t count;
};

/* MG_FAIL with `err`: a certificate is not good; nothing is left behind. */
enum mg_rc mg_doors_make(struct mg_doors *doors, struct mg_worker *w,
                         const struct mg_generation *gen, struct mg_error *err) MG_MUST_CHECK;
void mg_doors_free(struct mg_doors *doors);
/* Puts `fresh` in force, and empties it. Doors with an address that is still there get what is new
 * of it; connections that came in by the others are of no listener any more. */
void mg_doors_replace(struct mg_worker *w, struct mg_doors *fresh);
/* Frees those of listeners that have gone, unless somebody is on the way in. */
void mg_doors_trim(struct mg_worker *w);
/* Frees all. Nothing is on its way in. */
void mg_doors_release(struct mg_worker *w);
/* Cuts what is on its way in. */
void mg_doors_cut(struct mg_worker *w);
/* Connections on their way in, or on their way out after HTTP is done with them. */
uint32_t mg_doors_busy(const struct mg_worker *w);

/* A connection that was accepted; takes it. */
void mg_door_enter(struct mg_worker *w, uint32_t listener, struct mg_stream *stream);

#endif
