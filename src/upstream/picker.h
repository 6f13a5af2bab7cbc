/*
 * Which backend is next: one worker's view of a service's members. One thread.
 *
 * The worker holds a list of its own (a ref) and renews it when the service has a newer one.
 */
#ifndef MG_UPSTREAM_PICKER_H
#define MG_UPSTREAM_PICKER_H

#include "tls/client.h"
#include "upstream/service.h"

/* Embedded in the worker's tables. */
struct mg_picker {
    struct mg_service *service; /* a ref */
    struct mg_tls_client
        *tls; /* how its backends are reached; NULL: plain. Set and freed by the owner */
    struct mg_members *_members;
    uint64_t _version;
    uint64_t _random;
};

/* `seed` is for services that choose at random; another one for each worker. */
void mg_picker_init(struct mg_picker *p, struct mg_service *service, uint64_t seed);
void mg_picker_release(struct mg_picker *p);

/* What a pick is made for. */
struct mg_pick {
    struct mg_backend *const *tried; /* left out: this request has been there */
    size_t tried_count;
    uint64_t now_ns;
};

/* The next backend for a request, borrowed until the next call (take a ref to keep it), or NULL
 * when there is none, or all were tried. */
struct mg_backend *mg_picker_next(struct mg_picker *p, const struct mg_pick *pick);

#endif
