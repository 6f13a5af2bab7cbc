/*
 * The client's side of TLS: how a service's backends are reached. The settings are part of a
 * service and shared; each worker makes its own client of them. One thread each.
 */
#ifndef MG_TLS_CLIENT_H
#define MG_TLS_CLIENT_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/ip.h"
#include "base/str.h"
#include "tls/stream.h"
#include "tls/trust.h"

/* Counted. */
struct mg_tls_client_settings {
    atomic_uint refs;
    /* Set once, all in the arena. */
    struct mg_arena arena;
    struct mg_pool _chunks;
    struct mg_tls_trust *trust; /* a ref; NULL: the backend's certificate is not looked at */
    struct mg_str name;         /* instead of the backend's own; empty: its own */
    struct mg_str cert_file;    /* for messages */
    struct mg_str cert_pem, key_pem, password; /* empty: no client certificate */
    const char **protocols;                    /* of ALPN; NULL: none */
};

/* Empty, with one reference. */
struct mg_tls_client_settings *mg_tls_client_settings_new(void);
struct mg_tls_client_settings *mg_tls_client_settings_ref(struct mg_tls_client_settings *s);
void mg_tls_client_settings_unref(struct mg_tls_client_settings *s);
/* Do they say the same? Either may be NULL. */
bool mg_tls_client_settings_equal(const struct mg_tls_client_settings *a,
                                  const struct mg_tls_client_settings *b);

struct mg_tls_client; /* counted, by its own thread */

/* Keeps a ref of the settings. NULL with `err` when the client certificate or key is not good. */
struct mg_tls_client *mg_tls_client_new(struct mg_tls_desk *desk,
                                        struct mg_tls_client_settings *settings,
                                        struct mg_error *err);
struct mg_tls_client *mg_tls_client_ref(struct mg_tls_client *c);
void mg_tls_client_unref(struct mg_tls_client *c);

/* Begins a handshake on a connected stream, which it takes. `host` is what the backend is called in
 * the config, a name or an IP address without port; `backend` tells backends apart, so that a
 * session is taken up again with the one that gave it. on_done does not come before it returns;
 * mg_tls_stream_cancel gives it up. */
struct mg_tls_stream *mg_tls_client_connect(struct mg_tls_client *c, struct mg_stream *lower,
                                            struct mg_str host, uint64_t backend,
                                            uint64_t deadline_ns, mg_tls_done_fn on_done,
                                            void *arg);

#endif
