/*
 * A generation: one config in use. Immutable once built, counted, shared by all workers. Exchanges
 * finish on the generation they began with.
 */
#ifndef MG_GATEWAY_GENERATION_H
#define MG_GATEWAY_GENERATION_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/ip.h"
#include "base/list.h"
#include "base/log.h"
#include "gateway/router.h"
#include "http/message.h"
#include "http/server.h"
#include "redis/conn.h"
#include "shared/caches.h"
#include "shared/dicts.h"
#include "shared/line_log.h"
#include "shared/tally.h"
#include "tls/server.h"
#include "upstream/service.h"

struct mg_step_ops;

struct mg_step;

struct mg_pipeline {
    struct mg_step *steps;
    uint32_t count;
    /* Of the pipelines of routes and of the file only: their steps and those inside of these, in
     * the order of the config. A step stands at its `place`. */
    struct mg_step **all;
    uint32_t all_count;
};

/* One policy in one pipeline, with its config. */
struct mg_step {
    uint32_t index;       /* in the generation; each worker's instances are looked up by it */
    struct mg_str policy; /* "rate-limit" */
    struct mg_str id;     /* its name in logs; the policy's when none was given */
    struct mg_str path;   /* "routes[2].policies[1]" */
    const struct mg_step_ops *ops;
    const void *options; /* of a step that C runs: its ops know what this is */
    bool on_error_continue;
    bool buffer_request, buffer_response; /* whole bodies are there when the step runs */
    bool declares_bodies;                 /* a module, which must say what it reads: */
    bool reads_request, reads_response;
    struct mg_pipeline *inner; /* pipelines that its config holds */
    uint32_t inner_count;
    uint32_t place; /* in mg_pipeline.all of the outermost one */
};

struct mg_split {
    uint32_t service;
    uint32_t weight;
};

enum mg_strip { MG_STRIP_NONE, MG_STRIP_LITERAL, MG_STRIP_PREFIX };

#define MG_NO_SERVICE (-1)

struct mg_route {
    uint32_t index;
    struct mg_str name, version;
    int32_t service;        /* index, or MG_NO_SERVICE */
    struct mg_split *split; /* instead of `service` */
    uint32_t split_count, split_weight;
    enum mg_strip strip;
    struct mg_str strip_prefix;
    struct mg_str rewrite; /* template; n 0: none */
    uint64_t timeout_ns;   /* 0: limits.request_time */
    struct mg_pipeline pipeline;
    struct mg_pipeline on_error;
};

struct mg_listen {
    struct mg_str name;    /* may be empty */
    struct mg_str address; /* NUL-terminated */
    bool proxy_protocol;
    struct mg_tls_server_settings *tls; /* a ref; NULL: plain */
};

/* A Redis of the config. */
struct mg_redis_definition {
    struct mg_str name;
    uint32_t service; /* where it is: index of a service that is not for requests */
    struct mg_redis_settings settings;
    struct mg_str master; /* what sentinels, who are there, are asked for; empty: none */
    struct mg_redis_settings sentinel; /* how they are spoken to */
};

enum mg_errors_format { MG_ERRORS_PROBLEM, MG_ERRORS_SIMPLE };

struct mg_default_response {
    uint16_t status; /* 0: none was configured */
    struct mg_str body;
    struct mg_fields headers;
};

struct mg_page;

/* A page (gateway/page.h) that the listeners for requests have. */
struct mg_public_page {
    struct mg_str path;
    const struct mg_page *page;
};

/* How the running gateway is talked to. */
struct mg_admin_settings {
    struct mg_str address; /* NUL-terminated; empty: it is not */
    bool by_default;       /* the config does not name it */
    struct mg_str token;   /* what clients must show; empty: nothing */
};

struct mg_access_format;

/* The access log. */
struct mg_access_settings {
    const struct mg_access_format *format; /* gateway/access_log.h; NULL: there is none */
    struct mg_line_target target;
    struct mg_line_log *log; /* of the process; borrowed; NULL: nobody writes it */
};

/* A cache of the config. */
struct mg_generation_cache {
    struct mg_str name;
    size_t bytes, object_bytes;
    struct mg_str redis;      /* where its second tier lies; empty: it has none */
    size_t tier_object_bytes; /* the largest body there */
    struct mg_cache *cache;   /* a ref of the registry; NULL: no step uses it */
};

/* A dictionary that a step of C counts in. */
struct mg_generation_dict {
    struct mg_generation_dict *next;
    struct mg_dict *dict; /* a ref of the registry */
};

struct mg_generation {
    atomic_uint refs;
    /* Atomic. What it holds in all workers; each tells it now and then. */
    atomic_uint exchanges;
    atomic_size_t lua_bytes;
    /* Under a lock of generation.c. */
    struct mg_link alive;
    /* Set once. */
    uint64_t number;
    struct mg_pool _chunks;
    struct mg_arena arena; /* of all strings and arrays here */
    struct mg_listen *listens;
    uint32_t listen_count;
    struct mg_service **services; /* refs; those for requests first, then those of `redises` */
    uint32_t service_count;
    struct mg_redis_definition *redises;
    uint32_t redis_count;
    struct mg_caches *cache_registry; /* of the process; borrowed; NULL: there are no caches */
    struct mg_generation_cache *caches;
    uint32_t cache_count;
    struct mg_dicts *dict_registry; /* of the process; borrowed; NULL: nothing is going to run */
    struct mg_generation_dict *dicts;
    struct mg_admin_settings admin;
    struct mg_access_settings access;
    struct mg_public_page *publics;
    uint32_t public_count;
    /* Set by mg_generation_show, or before, and read by the thread that calls it; by others where
     * there are `publics`: then they are set once. */
    struct mg_str shown; /* the config as JSON, without what is secret; n 0: it is not kept */
    char hash[65];       /* SHA-256 of `shown`, in hex; "" then */
    void (*show)(struct mg_generation *g); /* sets these two; NULL: nothing was put off */
    void *show_arg;                        /* its own, in the arena */
    struct mg_tallies *tally_registry;     /* of the process; borrowed; NULL: nobody counts */
    /* Refs of the registry; all are there when it is. */
    struct mg_tally *tally;            /* of all requests */
    struct mg_tally **route_tallies;   /* by route index */
    struct mg_tally **service_tallies; /* by service index, of those for requests */
    struct mg_route *routes;
    uint32_t route_count;
    struct mg_pipeline fallback; /* the policies of the file, for requests that no route takes */
    uint32_t step_count;
    struct mg_router *router;
    struct mg_cidr_set *trusted; /* NULL: nobody */
    struct mg_server_limits limits;
    uint64_t request_time_ns;
    uint64_t buffered_body_bytes;
    uint64_t lua_run_ns;
    uint64_t lua_memory_bytes;
    struct mg_default_response default_response;
    enum mg_errors_format errors_format;
    struct mg_str problem_base; /* empty: about:blank */
    enum mg_log_level log_level;
    enum mg_log_format log_format;
    bool dev;
    struct mg_str user, group; /* of the process; empty: those of whoever starts it */
    uint32_t workers;          /* 0: as many as the CPUs that we may use */
    void *script; /* what each worker needs to build its Lua state; freed with script_free */
    void (*script_free)(void *script);
};

/* Empty, with one reference. */
struct mg_generation *mg_generation_new(void);
void mg_generation_ref(struct mg_generation *g);
void mg_generation_unref(struct mg_generation *g);
/* Sets `shown` and `hash` if that was put off, for it takes a while and nobody needs them to serve.
 * For the thread that has loaded it, when there is time, and before it looks at them. Until then no
 * other thread may have the last reference. */
void mg_generation_show(struct mg_generation *g);
/* Calls back for each generation of the process that has not been freed, oldest first, before it
 * returns. The callback makes and frees none. Any thread. */
void mg_generations_each(void (*fn)(void *arg, const struct mg_generation *g), void *arg);
/* Fills in `all` and the places of an outermost pipeline, once its steps are there. */
void mg_generation_number(struct mg_generation *g, struct mg_pipeline *p);
/* Opens the tallies of a generation that has all its routes and services. */
void mg_generation_open_tallies(struct mg_generation *g, struct mg_tallies *registry);
/* The definition of the cache of that name, or NULL. */
const struct mg_generation_cache *mg_generation_find_cache(const struct mg_generation *g,
                                                           struct mg_str name);
/* That cache itself, opened for the life of the generation, which is still being built. NULL: there
 * is none of that name, or nothing is going to run. */
struct mg_cache *mg_generation_open_cache(struct mg_generation *g, struct mg_str name);
/* The dictionary of that name and size (at least MG_DICT_BYTES_MIN), for the life of the
 * generation, which is still being built. NULL: nothing is going to run. */
struct mg_dict *mg_generation_open_dict(struct mg_generation *g, struct mg_str name, size_t bytes);
/* Index of the service of that name that requests may be sent to, or MG_NO_SERVICE. */
int32_t mg_generation_service(const struct mg_generation *g, struct mg_str name);
/* Services from this index on are where a Redis is. */
static inline uint32_t mg_generation_request_services(const struct mg_generation *g)
{
    return g->service_count - g->redis_count;
}

#endif
