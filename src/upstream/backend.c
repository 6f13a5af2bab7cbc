/* Backends. Made by the control thread, used by all. */
#include "upstream/backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* How long a latency counts: after this time it weighs 1/e. */
#define LATENCY_MEMORY_NS 10e9

struct mg_backend *mg_backend_new(const struct mg_endpoint *e)
{
    static atomic_uint_fast64_t last_id;
    char text[MG_IP_TEXT_MAX];
    struct mg_backend *b = mg_calloc(1, sizeof *b);
    b->id = atomic_fetch_add(&last_id, 1) + 1;
    b->authority = mg_strdup(e->authority);
    atomic_init(&b->refs, 1);
    if (e->unix_path) {
        size_t n = strlen(e->unix_path);
        b->unix_path = mg_strdup(mg_str(e->unix_path, n));
        b->label = mg_malloc(n + sizeof "unix:");
        memcpy(b->label, "unix:", 5);
        memcpy(b->label + 5, e->unix_path, n + 1);
    } else {
        b->addr = e->addr;
        b->label = mg_strdup(mg_str(text, mg_ip_format_port(&e->addr, text)));
    }
    return b;
}

void mg_backend_ref(struct mg_backend *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

void mg_backend_unref(struct mg_backend *b)
{
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(b->unix_path);
    free(b->authority);
    free(b->label);
    free(b);
}

int mg_backend_compare(const void *left, const void *right)
{
    const struct mg_backend *a = left, *b = right;
    if (!a->unix_path != !b->unix_path)
        return a->unix_path ? 1 : -1;
    int order;
    if (a->unix_path) {
        order = strcmp(a->unix_path, b->unix_path);
    } else {
        order = (int)a->addr.family - (int)b->addr.family;
        if (order == 0)
            order = memcmp(a->addr.bytes, b->addr.bytes, sizeof a->addr.bytes);
        if (order == 0)
            order = (int)a->addr.port - (int)b->addr.port;
    }
    return order ? order : strcmp(a->authority, b->authority);
}

/* What is left of a weight of 1 after that time. */
static double fading(uint64_t since_ns, uint64_t now_ns)
{
    return now_ns > since_ns ? exp(-(double)(now_ns - since_ns) / LATENCY_MEMORY_NS) : 1;
}

void mg_backend_saw_latency(struct mg_backend *b, uint64_t latency_ns, uint64_t now_ns)
{
    double seen = (double)latency_ns;
    double average = (double)atomic_load_explicit(&b->latency_ns, memory_order_relaxed);
    uint64_t at_ns = atomic_load_explicit(&b->latency_at_ns, memory_order_relaxed);
    double old = fading(at_ns, now_ns);
    average = seen > average ? seen : average * old + seen * (1 - old);
    atomic_store_explicit(&b->latency_ns, (uint64_t)average + 1, memory_order_relaxed);
    atomic_store_explicit(&b->latency_at_ns, now_ns, memory_order_relaxed);
}

uint64_t mg_backend_latency(const struct mg_backend *b, uint64_t now_ns)
{
    double average = (double)atomic_load_explicit(&b->latency_ns, memory_order_relaxed);
    uint64_t at_ns = atomic_load_explicit(&b->latency_at_ns, memory_order_relaxed);
    return (uint64_t)(average * fading(at_ns, now_ns));
}
