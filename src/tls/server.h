/*
 * The server's side of TLS: a listener's certificates and rules. The settings are part of a
 * generation and shared; each worker makes its own server of them. One thread each.
 */
#ifndef MG_TLS_SERVER_H
#define MG_TLS_SERVER_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "tls/stream.h"
#include "tls/tickets.h"
#include "tls/trust.h"

enum mg_tls_client_auth {
    MG_TLS_CLIENT_AUTH_NONE,
    MG_TLS_CLIENT_AUTH_REQUEST, /* one that is shown must be good; none is fine */
    MG_TLS_CLIENT_AUTH_REQUIRE,
};

/* Seconds before its end from when on a certificate is warned of. */
#define MG_TLS_EXPIRY_WARNING (30 * 86400.0)

struct mg_tls_certificate {
    struct mg_str cert_file; /* for messages */
    struct mg_str cert_pem, key_pem, password;
    struct mg_str *names; /* count 0: those in the certificate */
    size_t name_count;
    double expires;      /* seconds since 1970; 0: not known */
    struct mg_str whose; /* of the certificate in the file that does */
};

/* Counted, for connections outlive the generation they came with. */
struct mg_tls_server_settings {
    atomic_uint refs;
    /* Set once, all in the arena. */
    struct mg_arena arena;
    struct mg_pool _chunks;
    struct mg_tls_certificate *certificates; /* the first is for clients that name no host */
    size_t certificate_count;
    int min_version; /* 12 or 13 */
    enum mg_tls_client_auth client_auth;
    struct mg_tls_trust *client_trust; /* with client_auth; a ref */
    uint32_t client_depth;             /* most intermediate CAs below a trusted one */
    const char **protocols;            /* of ALPN, by preference; NULL at the end; NULL: no ALPN */
    bool reject_unknown_names;         /* else they get the first certificate */
    struct mg_tls_tickets *tickets;    /* a ref; NULL: none */
};

/* Empty, with one reference. */
struct mg_tls_server_settings *mg_tls_server_settings_new(void);
void mg_tls_server_settings_unref(struct mg_tls_server_settings *s);
/* A reload: clients of `old`, the same listener before, can take their sessions up again, unless
 * either asks for certificates: what was proved to one proves nothing to the other. Before a server
 * is made of `s`. */
void mg_tls_server_settings_inherit(struct mg_tls_server_settings *s,
                                    struct mg_tls_server_settings *old);

struct mg_tls_server; /* counted, by its own thread */

/* Keeps a ref of the settings. NULL with `err` when a certificate or key is not good. */
struct mg_tls_server *mg_tls_server_new(struct mg_tls_desk *desk,
                                        struct mg_tls_server_settings *settings,
                                        struct mg_error *err);
/* When the certificate of that number, or one of its chain, is the first to expire: seconds since
 * 1970; and whose it is, in the arena. */
double mg_tls_server_expiry(const struct mg_tls_server *s, size_t i, struct mg_arena *a,
                            struct mg_str *which);
struct mg_tls_server *mg_tls_server_ref(struct mg_tls_server *s);
void mg_tls_server_unref(struct mg_tls_server *s);

/* Begins a handshake on an accepted stream, which it takes. `on_done` may get a NULL stream. */
void mg_tls_server_accept(struct mg_tls_server *s, struct mg_stream *lower, uint64_t deadline_ns,
                          mg_tls_done_fn on_done, void *arg);

#endif
