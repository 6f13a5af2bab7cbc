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
    uint32_t weight;
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
    atomic_uint in_flight; /* requests being sent or answered, over all workers */
    struct mg_health health;
};

/* With one ref, the caller's. Copies what it needs of `e`. */
struct mg_backend *mg_backend_new(const struct mg_endpoint *e);
void mg_backend_ref(struct mg_backend *b);
void mg_backend_unref(struct mg_backend *b);

/* Orders backends by all that makes them different ones: address and authority. For tsearch(3). */
int mg_backend_compare(const void *a, const void *b);

#endif
