/*
 * From names to addresses without waiting: /etc/hosts first, then DNS. One thread: the loop's.
 *
 * On a simulated loop nothing leaves the process: names are answered as mg_resolver_play said.
 */
#ifndef MG_NET_RESOLVER_H
#define MG_NET_RESOLVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/ip.h"
#include "base/str.h"
#include "net/loop.h"

/* More addresses than this in one answer are cut off. */
#define MG_RESOLVER_ADDRS_MAX 256

struct mg_resolver;
struct mg_lookup;

struct mg_resolved {
    /* Best first (RFC 6724), port 0. No IPv6 address that this host has no route to, unless the
     * name has no others. */
    const struct mg_addr *addrs;
    size_t count;      /* 0: failed */
    uint64_t ttl_ns;   /* how long the answer may be used: 1 s to 1 h */
    const char *error; /* why it failed, static; NULL when there are addresses */
};

/* `resolved` is borrowed for the call. */
typedef void (*mg_resolver_fn)(void *arg, const struct mg_resolved *resolved);

/* Uses the name servers of /etc/resolv.conf as it is now. NULL with `err` set when the system
 * refuses. */
struct mg_resolver *mg_resolver_new(struct mg_loop *loop, struct mg_error *err);
/* Lookups under way end without a call. */
void mg_resolver_free(struct mg_resolver *r); /* NULL is fine */

/* Other name servers: "10.0.0.53,127.0.0.1:5353,[::1]:53". Not on a simulated loop. */
enum mg_rc mg_resolver_set_servers(struct mg_resolver *r, const char *servers,
                                   struct mg_error *err) MG_MUST_CHECK;

/* Simulation: what `name` stands for from now on, in place of what was played before. No addresses:
 * it fails, as do all names that were never played. Copies. */
void mg_resolver_play(struct mg_resolver *r, struct mg_str name, const struct mg_addr *addrs,
                      size_t count, uint64_t ttl_ns);

/* Copies the name. `on_done` comes once, never before this returns, at the latest after 6 s. */
struct mg_lookup *mg_resolver_lookup(struct mg_resolver *r, struct mg_str name,
                                     mg_resolver_fn on_done, void *arg);
/* No call follows. Not after on_done. */
void mg_resolver_cancel(struct mg_lookup *lookup);

#endif
