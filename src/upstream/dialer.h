/* How a backend's address is reached: by a socket, or in simulation by whoever plays it. */
#ifndef MG_UPSTREAM_DIALER_H
#define MG_UPSTREAM_DIALER_H

#include "net/listener.h"
#include "upstream/service.h"

/* The rules of `start` and `cancel` are those of mg_connect_start and mg_connect_cancel. `backend`
 * is borrowed for the call. */
struct mg_dialer {
    void *(*start)(void *ctx, struct mg_backend *backend, mg_connect_fn on_done, void *arg,
                   int *error);
    void (*cancel)(void *ctx, void *dial);
    void *ctx;
    bool secure; /* simulation: streams need no TLS, whatever the service says */
};

/* By sockets on that loop, which is borrowed. */
struct mg_dialer mg_dialer_sockets(struct mg_loop *loop);

/* Why it failed, from an errno value, as a word for the log: "connection-refused". Static. */
const char *mg_dialer_error(int error);

#endif
