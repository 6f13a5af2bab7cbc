/*
 * The control thread's own HTTP client: keys of issuers, health checks, and whatever else a gateway
 * asks for outside of any exchange. One request, one connection, one whole answer; nothing is
 * pooled, and no redirect is followed, as whoever answers could else send us to places that only we
 * can reach.
 *
 * One thread: the loop's. On a simulated loop it is the dialer's owner who answers.
 */
#ifndef MG_UPSTREAM_AGENT_H
#define MG_UPSTREAM_AGENT_H

#include "http/message.h"
#include "net/resolver.h"
#include "tls/client.h"
#include "upstream/dialer.h"

struct mg_agent;
struct mg_agent_call;

struct mg_agent_field {
    struct mg_str name, value; /* a token and a field value (http/message.h) */
};

/* All is copied, but for `tls` and `backend`. */
struct mg_agent_request {
    /* "http://host:port/path?query", "https://...", or "unix:/socket:/path?query". */
    struct mg_str url;
    struct mg_str method; /* empty: GET */
    struct mg_str host;   /* for Host; empty: what the URL says */
    const struct mg_agent_field *fields;
    size_t field_count;
    struct mg_str body;
    /* It goes there, whoever the URL names; a ref is kept. NULL: the URL's host is looked up. */
    struct mg_backend *backend;
    bool connect_only;         /* done once connected, and the handshake of https is over */
    struct mg_tls_client *tls; /* for https; borrowed until it is done. NULL: by the authorities
                                  that the system trusts */
    uint64_t limit_ns;         /* for all of it */
    size_t body_max;           /* bytes of the answer's */
};

struct mg_agent_answer {
    const char *failure;           /* why there is none: lower case, no full stop; NULL: there is */
    const struct mg_message *head; /* status and fields; NULL after a failure or connect_only */
    struct mg_str body;            /* all of it */
};

/* `answer` is borrowed for the call, in which the agent must not be freed. */
typedef void (*mg_agent_done_fn)(void *arg, const struct mg_agent_answer *answer);

/* Borrows both. `resolver` NULL: names are not looked up, the dialer knows them by the backend's
 * authority ("host:port"). */
struct mg_agent *mg_agent_new(struct mg_loop *loop, struct mg_resolver *resolver);
/* Calls under way end without a call of on_done. NULL is fine. */
void mg_agent_free(struct mg_agent *a);
/* Another way to connect than by sockets; copied. */
void mg_agent_set_dialer(struct mg_agent *a, const struct mg_dialer *dialer);

/* For requests by https under these settings; to be given back with mg_tls_client_unref before the
 * agent goes. NULL with `err` when the client certificate or key is not good. */
struct mg_tls_client *mg_agent_tls(struct mg_agent *a, struct mg_tls_client_settings *settings,
                                   struct mg_error *err);

/* on_done comes once, never before this returns, at the latest after limit_ns. */
struct mg_agent_call *mg_agent_start(struct mg_agent *a, const struct mg_agent_request *request,
                                     mg_agent_done_fn on_done, void *arg);
/* No call follows. Not in on_done or after it. */
void mg_agent_cancel(struct mg_agent_call *c);

#endif
