/*
 * A request that nobody has sent, to see which way it would go. Its route is found as any other's
 * is, on a worker that has just been made for it; no step runs, and nothing leaves.
 *
 *     look = mg_look_new(worker, &asked, &err) ─▶ read look->ex->req ─▶ mg_look_free
 *
 * The worker's thread.
 */
#ifndef MG_GATEWAY_LOOK_H
#define MG_GATEWAY_LOOK_H

#include "gateway/exchange.h"

struct mg_look_field {
    struct mg_str name, value;
};

/* Borrowed for the call. */
struct mg_look_request {
    struct mg_str method;
    struct mg_str url;                  /* "https://api.example.com/a?b=1", or from the path on */
    const struct mg_look_field *fields; /* a Host among them counts instead of that of the URL */
    size_t field_count;
    struct mg_str listener; /* name; empty: the first that speaks the scheme of the URL */
    struct mg_str client;   /* IP address; empty: this machine's */
};

/* What has become of one route. */
struct mg_look_try {
    const struct mg_route *route;
    /* Of its host and pattern that came closest; NULL: the path matches none of them, and what
     * follows is not set. */
    const struct mg_route_entry *entry;
    enum mg_route_verdict verdict;
    struct mg_route_fault fault;
};

struct mg_look {
    struct mg_inbound in;
    struct mg_client client;
    struct mg_exchange *ex;
    struct mg_str scheme;            /* of the connection: "http" or "https" */
    struct mg_response *refusal;     /* no route takes it: the gateway's own answer; else NULL */
    const struct mg_page *page;      /* it asks for this page (admin.public); else NULL */
    const struct mg_look_try *tries; /* all routes: in the order of the search those whose path
                                        matches, in that of the file the others */
    size_t try_count;
    const struct mg_look_try *taken; /* of these; NULL: none */
};

/* On NULL `err` says why that is no request. Some of it lies in the worker's memory. */
struct mg_look *mg_look_new(struct mg_worker *worker, const struct mg_look_request *asked,
                            struct mg_error *err);
void mg_look_free(struct mg_look *look);

#endif
