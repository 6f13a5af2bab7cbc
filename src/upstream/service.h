/*
 * Services: named sets of backends, shared by all workers.
 *
 * A service's definition is set once. Its members (backends with their addresses) can change while
 * serving, by DNS or discovery: the control thread publishes a new immutable list, and each worker
 * takes it over when it next picks (upstream/picker.h); the common path costs two atomics. Backends
 * that stay in the list keep their identity (and so their connections and counters) over such
 * changes and over reloads.
 */
#ifndef MG_UPSTREAM_SERVICE_H
#define MG_UPSTREAM_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "tls/client.h"
#include "upstream/address.h"
#include "upstream/guards.h"
#include "upstream/members.h"

enum mg_balance {
    MG_BALANCE_ROUND_ROBIN,    /* weighted and smooth; begins with the first backend */
    MG_BALANCE_RANDOM,         /* weighted */
    MG_BALANCE_LEAST_REQUESTS, /* fewest under way for its weight */
    MG_BALANCE_TWO_CHOICES,    /* the same of two that were drawn by weight */
    MG_BALANCE_LATENCY,        /* the quicker one of these two, for what is under way there */
    MG_BALANCE_HASH,           /* consistent, by the key of the pick, with bounded load */
};

enum mg_service_host {
    MG_HOST_KEEP,    /* the client's Host */
    MG_HOST_BACKEND, /* the backend's address as configured */
    MG_HOST_NAME,    /* config.host_name */
};

struct mg_backend_config {
    struct mg_str
        address;     /* "10.0.0.1:80", "name:80", "[::1]:80", "unix:/path", "name" (port 80) */
    uint32_t weight; /* 1 or more */
    struct mg_str zone;
    uint8_t priority; /* 0 comes first */
};

struct mg_check;

/* All strings are borrowed for mg_service_new, which copies them. Times in nanoseconds. */
struct mg_service_config {
    struct mg_str name;
    struct mg_str
        label; /* what clients are told; no quotes, backslashes, controls. Empty: the name */
    const struct mg_backend_config *backends;
    size_t backend_count;
    struct mg_str dns_name; /* not empty: members are all addresses of this name, at dns_port */
    uint16_t dns_port;
    enum mg_balance balance;
    struct mg_str hash; /* MG_BALANCE_HASH: the expression whose value is the key */
    struct mg_sticky_config sticky;
    struct mg_str zone;     /* of this gateway; empty: none */
    bool require_zone;      /* backends of other zones are none of ours */
    uint8_t panic_percent;  /* a pool with fewer usable members is down; see upstream/picker.h */
    uint64_t slow_start_ns; /* 0: none */
    enum mg_service_host host;
    struct mg_str host_name;
    struct mg_str base_path; /* from `url`: put before every path; empty or "/base" */
    uint64_t connect_ns, first_byte_ns, idle_ns;
    uint64_t per_try_ns;           /* from the pick to the response's head; 0: no limit */
    struct mg_str deadline_header; /* tells backends how many milliseconds are left; empty: none */
    uint32_t keepalive_max;        /* idle connections kept by each worker for each backend */
    uint64_t keepalive_idle_ns;
    uint16_t status_when_down; /* 503 */
    struct mg_guards_config guards;
    const struct mg_check *check; /* of health (upstream/checker.h); NULL: none. Not copied: it must
                                     be there as long as the service is checked */
    struct mg_tls_client_settings *tls; /* NULL: plain; mg_service_new takes a ref of its own */
};

struct mg_service; /* counted; definition and the current members */

/* Backends given as addresses are members at once; those given as names when the discovery has
 * resolved them. Fails on an address that is not one. */
struct mg_service *mg_service_new(const struct mg_service_config *config, struct mg_error *err);
struct mg_service *mg_service_ref(struct mg_service *s);
void mg_service_unref(struct mg_service *s);
/* Valid as long as the service. */
const struct mg_service_config *mg_service_config(const struct mg_service *s);

/* What protects it; NULL: nothing does. Valid as long as the service. */
const struct mg_guards *mg_service_guards(const struct mg_service *s);

/* Replaces the members; control thread. Backends of equal address (and authority) are kept from the
 * old list; one that joins others is new from now_ns (loop time) on. A list like the one in force
 * changes nothing. */
void mg_service_publish(struct mg_service *s, const struct mg_endpoint *v, size_t count,
                        uint64_t now_ns);

/* What the members come from, in order: each backend of the configuration, or the dns_name alone.
 */
struct mg_service_entry {
    struct mg_address address;
    struct mg_str authority;
    struct mg_str zone;
    uint32_t weight;
    uint8_t priority;
};
/* Valid as long as the service. */
const struct mg_service_entry *mg_service_entries(const struct mg_service *s, size_t *count);
/* An entry as an endpoint; borrows from the entry. `at` is what its name stands for (the port is
 * the entry's), NULL for one that is no name. */
struct mg_endpoint mg_service_endpoint(const struct mg_service_entry *e, const struct mg_addr *at);

/* Are there names among the entries? Then the discovery publishes. */
bool mg_service_needs_names(const struct mg_service *s);

/* A reload: `s` takes over from `old`, the service of that name so far. Backends of equal address
 * are kept from there as well, now and at the next publish, and so are guards and whose turn it is;
 * the others are new from now_ns on. Control thread, before a worker picks from `s`. */
void mg_service_inherit(struct mg_service *s, struct mg_service *old, uint64_t now_ns);

/* For pickers, on any thread. The version changes with each list, and is never 0. */
uint64_t mg_service_version(const struct mg_service *s);
/* The list in force, with a ref for the caller; never NULL. */
struct mg_members *mg_service_members(struct mg_service *s, uint64_t *version);
/* Round robin is one for all workers, or else the first request, on whichever worker, might not go
 * to the first backend. Counts from 0. */
uint64_t mg_service_take_turn(struct mg_service *s);

#endif
