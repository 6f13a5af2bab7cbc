/*
 * How a connection comes in: what its listener asks for (PROXY protocol, TLS) before HTTP begins.
 * One worker's view of a listener. One thread.
 */
#ifndef MG_GATEWAY_DOOR_H
#define MG_GATEWAY_DOOR_H

#include "gateway/generation.h"
#include "tls/server.h"

struct mg_worker;

struct mg_door {
    struct mg_worker *worker;
    uint32_t listener; /* index in the config */
    bool proxy_protocol;
    struct mg_tls_server *tls; /* a ref; NULL: plain */
};

/* One for each listener of the generation. MG_FAIL with `err`: a certificate is not good. */
enum mg_rc mg_doors_init(struct mg_worker *w, const struct mg_generation *gen,
                         struct mg_error *err) MG_MUST_CHECK;
void mg_doors_release(struct mg_worker *w);
/* Cuts what is on its way in. */
void mg_doors_cut(struct mg_worker *w);
/* Connections on their way in, or on their way out after HTTP is done with them. */
uint32_t mg_doors_busy(const struct mg_worker *w);

/* A connection that was accepted; takes it. */
void mg_door_enter(struct mg_worker *w, uint32_t listener, struct mg_stream *stream);

#endif
