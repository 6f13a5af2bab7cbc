/*
 * Listening sockets. Each worker has its own for every address (SO_REUSEPORT), so that the kernel
 * spreads connections and no lock is shared; a unix socket, which cannot be opened twice, is one
 * descriptor that all workers accept from.
 */
#ifndef MG_NET_LISTENER_H
#define MG_NET_LISTENER_H

#include "net/stream.h"

struct mg_listener;

/* Opens a listening socket for "127.0.0.1:8080", "[::1]:8080", ":8080", "*:8080" or "unix:/path".
 * Port 0 takes a free one. Returns the descriptor, or -1 with `err` set. A stale unix socket file
 * is replaced. `bound` (may be NULL) gets the address that was bound. */
int mg_listener_open(const char *address, struct mg_addr *bound, struct mg_error *err);

/* Where a listening socket of unknown origin is bound: "127.0.0.1:8080" or "unix:/path", as
 * mg_listener_open reads it. False: it is no listening stream socket, or has no such address. */
#define MG_LISTENER_NAME_MAX 120
bool mg_listener_bound(int fd, char name[MG_LISTENER_NAME_MAX]);
/* Can no second socket be opened for its address? Workers share it then. */
bool mg_listener_is_single(int fd);

/* A new stream that was accepted. The callee takes it. */
typedef void (*mg_accept_fn)(void *arg, struct mg_stream *stream);

/* Accepts from `fd` on this loop until closed. Borrows the descriptor. */
struct mg_listener *mg_listener_new(struct mg_loop *loop, int fd, mg_accept_fn on_accept,
                                    void *arg);
/* Accepted streams go there from now on. */
void mg_listener_set_arg(struct mg_listener *l, void *arg);
void mg_listener_free(struct mg_listener *l);

/* Starts to connect to an address, or to a unix socket path when `path` is not NULL. Calls
 * `on_done` later, never before it returns, with a stream that the callee takes, or NULL and an
 * errno value. Returns NULL when the system refuses at once, with `*error` set; no call follows
 * then. */
typedef void (*mg_connect_fn)(void *arg, struct mg_stream *stream, int error);
struct mg_connect;
struct mg_connect *mg_connect_start(struct mg_loop *loop, const struct mg_addr *addr,
                                    const char *path, mg_connect_fn on_done, void *arg, int *error);
/* No call follows. Not after on_done. */
void mg_connect_cancel(struct mg_connect *c);

#endif
