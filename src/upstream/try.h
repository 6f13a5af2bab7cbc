/*
 * One try of a fetch: a backend, a connection to it, the request on it, and the response's head or
 * a failure. Which backend, and what comes after a failure, is the fetch's business (fetch.h).
 *
 * Embedded in the fetch, or in its arena. One thread.
 */
#ifndef MG_UPSTREAM_TRY_H
#define MG_UPSTREAM_TRY_H

#include "http/client.h"
#include "tls/stream.h"
#include "upstream/backend.h"
#include "upstream/fetch_error.h"

struct mg_fetch;

struct mg_try {
    struct mg_fetch *fetch;
    /* f->out.response is there. It may be ended from inside. */
    void (*on_response)(struct mg_try *t);
    /* t->error, t->detail. It may be started again from inside. */
    void (*on_failed)(struct mg_try *t);

    struct mg_backend *backend; /* a ref; NULL: not yet started */
    struct mg_outbound out;
    bool running;          /* neither callback has come, and it was not ended */
    uint64_t connected_ns; /* 0: not */
    enum mg_fetch_error error;
    const char *detail;

    /* Private. */
    struct mg_body *_body;
    void *_dial;
    struct mg_tls_stream *_handshake;
    struct mg_timer _connect_timer; /* with the handshake */
    struct mg_timer _whole_timer;   /* timeouts.per_try */
    struct mg_soon _refused;
    bool _reused;
    bool _counted; /* in backend->in_flight */
};

void mg_try_init(struct mg_try *t, struct mg_fetch *f);
/* Begins, or begins anew after a callback; ends what was before. Takes a ref to the backend;
 * borrows the body, which may be NULL. No callback comes before it returns. */
void mg_try_start(struct mg_try *t, struct mg_backend *b, struct mg_body *body);
/* No callback comes afterwards. The connection goes back to its pool when both messages were
 * complete. */
void mg_try_end(struct mg_try *t);
/* The same, and lets the backend go. Safe to call twice. */
void mg_try_release(struct mg_try *t);

#endif
