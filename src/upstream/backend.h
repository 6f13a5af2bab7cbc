/*
 * One address of a service, which all workers share. Counted: a worker's pool may hold it longer
 * than any list of members does.
 */
#ifndef MG_UPSTREAM_BACKEND_H
#define MG_UPSTREAM_BACKEND_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/str.h"
#include "upstream/health.h"

/* Where a backend is, and how it takes part in its service. */
struct mg_endpoint {
    struct mg_addr addr;
    const char *unix_path; /* borrowed; NULL: TCP */
    struct mg_str authority;
    struct mg_str zone; /* borrowed; empty: none was given */
    uint32_t weight;
    uint8_t priority; /* 0 comes first */
};

struct mg_backend {
    /* Set once. */
    struct mg_addr addr; /* family 0: unix */
    char *unix_path;     /* NULL: TCP */
    char *authority;     /* for Host: as configured, such as "users-1:8080" */
    char *label;         /* for logs and res.upstream.address: "10.0.0.1:8080" */
    uint64_t id;         /* unique in the process; never used again */
    /* Atomic. */
    atomic_uint refs;
    atomic_uint in_flight; /* requests that chose it and are not over, over all workers */
    atomic_uint listed;    /* lists in force that have it; 0: it was taken out of its service */
    struct mg_health health;
    atomic_uint_fast64_t latency_ns;    /* see mg_backend_latency; 0: none is known */
    atomic_uint_fast64_t latency_at_ns; /* when that was so */
};

/* With one ref, the caller's. Copies what it needs of `e`. */
struct mg_backend *mg_backend_new(const struct mg_endpoint *e);
void mg_backend_ref(struct mg_backend *b);
void mg_backend_unref(struct mg_backend *b);

/* Orders backends by all that makes them different ones: address and authority. For tsearch(3). */
int mg_backend_compare(const void *a, const void *b);

/* A response has begun `latency_ns` after its request was sent. A peak counts at once and in full,
 * and is forgotten slowly (a moving average that weighs less the older it is). Two threads that
 * write at a time may lose one of the two. */
void mg_backend_saw_latency(struct mg_backend *b, uint64_t latency_ns, uint64_t now_ns);
/* The average as it stands now: without news it fades, so that a backend once slow is tried again.
 * 0: none is known. */
uint64_t mg_backend_latency(const struct mg_backend *b, uint64_t now_ns);

/* False: it was removed from its service. What is under way goes on; connections are not kept. */
static inline bool mg_backend_is_listed(const struct mg_backend *b)
{
    return atomic_load_explicit(&b->listed, memory_order_relaxed) > 0;
}

#endif
