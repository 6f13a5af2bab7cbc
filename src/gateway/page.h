/*
 * What the gateway tells of itself, as JSON: the pages of the admin listener, and those that the
 * config puts on the listeners for requests. Any thread: all that they read is immutable, atomic or
 * locked.
 */
#ifndef MG_GATEWAY_PAGE_H
#define MG_GATEWAY_PAGE_H

#include "base/buf.h"
#include "gateway/exchange.h"

enum mg_page_state { MG_PAGE_STARTING, MG_PAGE_READY, MG_PAGE_DRAINING };

/* Borrowed for the call. */
struct mg_page_view {
    const struct mg_generation *gen;
    uint64_t now_ns; /* loop time */
    enum mg_page_state state;
};

/* Set once. */
struct mg_page {
    struct mg_str name; /* "stats"; its path on the admin listener is "/stats" */
    /* Appends the body, and returns the status. */
    unsigned (*write)(struct mg_buf *out, const struct mg_page_view *view);
};

/* NULL: there is none of that name. */
const struct mg_page *mg_page_find(struct mg_str name);

/* Answers a request for a page; GET and HEAD only. The field X-Config-Hash shows whether several
 * gateways have one config. In the arena; borrows from the generation. */
struct mg_response *mg_page_response(const struct mg_page *page, const struct mg_message *request,
                                     struct mg_arena *arena, const struct mg_page_view *view);
/* A response with that JSON, which is copied. Caches keep none of these. In the arena. */
struct mg_response *mg_page_json(struct mg_arena *arena, unsigned status, struct mg_str json);
/* 405 (RFC 9110 15.5.6). */
struct mg_response *mg_page_wrong_method(struct mg_arena *arena, struct mg_str allow);

#endif
