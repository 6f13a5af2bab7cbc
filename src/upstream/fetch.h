/*
 * A fetch: one request sent to a service. Picks a backend, takes a pooled connection or makes one,
 * sends, and tries again where that is safe. Forwarding and mg.fetch both go through here.
 *
 * Life: the caller owns the struct (in an arena), fills in the first part, starts it, and must end
 * it with mg_fetch_end before the arena goes; that also cancels it, and gives its connection back
 * when the response was complete. One thread.
 */
#ifndef MG_UPSTREAM_FETCH_H
#define MG_UPSTREAM_FETCH_H

#include "upstream/picker.h"
#include "upstream/pools.h"

/* As policies see them in res.error.code; mg_fetch_error_code gives the text. */
enum mg_fetch_error {
    MG_FETCH_OK,
    MG_FETCH_CONNECT_FAILED,
    MG_FETCH_CONNECT_TIMEOUT,
    MG_FETCH_FIRST_BYTE_TIMEOUT,
    MG_FETCH_IDLE_TIMEOUT,
    MG_FETCH_RESET,
    MG_FETCH_BAD_RESPONSE,
    MG_FETCH_NO_BACKEND,
    MG_FETCH_TLS,          /* the handshake failed; the detail says how */
    MG_FETCH_REQUEST_BODY, /* what the client sent broke: not the backend's fault */
    MG_FETCH_CIRCUIT_OPEN, /* no backend was asked */
};

/* A retry never goes to a backend that this fetch has tried before. */
#define MG_FETCH_TRIES 3

struct mg_fetch {
    /* Set by the caller. Borrowed until mg_fetch_end. */
    struct mg_pools *pools;
    struct mg_picker *picker;
    const struct mg_message *request;
    struct mg_body *body; /* NULL: none */
    struct mg_arena *arena;
    struct mg_str target; /* n 0: the request's own */
    struct mg_str extra;  /* whole field lines */
    uint64_t deadline_ns; /* loop time by which its owner ends it; 0: none */
    void (*on_inform)(struct mg_fetch *f, struct mg_message *res);
    /* f->out.response and f->out.response_body are there. */
    void (*on_response)(struct mg_fetch *f);
    /* f->error, f->detail. Neither comes before mg_fetch_start returns. */
    void (*on_failed)(struct mg_fetch *f);
    void *owner;

    /* Results. */
    enum mg_fetch_error error;
    const char *detail;         /* the cause for the log; static, or in the arena */
    struct mg_backend *backend; /* of the present or last try; NULL: none was found */
    uint32_t attempts;
    uint64_t started_ns, connected_ns, first_byte_ns; /* loop time; 0: not reached */
    uint64_t retry_after_ns; /* of a refusal: when it is worth coming back; 0: soon */
    struct mg_outbound out;

    /* Private. */
    const struct mg_service_config *_config;
    const struct mg_guards *_guards; /* NULL: none */
    uint64_t _ticket;                /* of the breaker, while _admitted */
    struct mg_backend *_tried[MG_FETCH_TRIES];
    void *_dial;
    struct mg_tls_stream *_handshake;
    struct mg_timer _timer; /* for connecting, with its handshake */
    struct mg_soon _soon;   /* for failing later */
    bool _reused, _sent, _ended, _admitted;
};

void mg_fetch_start(struct mg_fetch *f);
void mg_fetch_end(struct mg_fetch *f);

/* "connect_failed" and so on. */
const char *mg_fetch_error_code(enum mg_fetch_error e);
/* The status that the client gets for it, by the rule of the config: 503, 504, 502. */
int mg_fetch_error_status(const struct mg_fetch *f);

#endif
