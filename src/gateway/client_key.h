/*
 * Whose requests are counted together: the option `by` of the policies that limit, as a text for
 * each request.
 *
 * Keys are texts that people find again in Redis: the address, the subject, the header's value. Two
 * different clients never have the same: what a client chooses and could be taken for something
 * else (an address, a hash), or is long, is hashed. Whoever has none (nobody is logged in, the
 * header is missing) is known by the address. Worker thread.
 */
#ifndef MG_GATEWAY_CLIENT_KEY_H
#define MG_GATEWAY_CLIENT_KEY_H

#include "gateway/exchange.h"

enum mg_client_key_kind {
    MG_CLIENT_KEY_IP,      /* of IPv6 the network of 64 bits: a client has all of that */
    MG_CLIENT_KEY_SUBJECT, /* who has logged in */
    MG_CLIENT_KEY_ROUTE,
    MG_CLIENT_KEY_NAME, /* what a name of expressions stands for (gateway/expr.h) */
    MG_CLIENT_KEY_TEMPLATE,
};

struct mg_client_key_part {
    enum mg_client_key_kind kind;
    struct mg_str text; /* the name, or the template */
};

struct mg_client_key {
    const struct mg_client_key_part *parts; /* borrowed */
    uint32_t count;                         /* 1 or more */
};

/* "ip", "subject", "consumer" (the same), "route", or a template, which is borrowed. */
struct mg_client_key_part mg_client_key_part(struct mg_str by);

/* In the request's arena, or as old as the generation. May run Lua, for the names that need it, and
 * does not wait. */
struct mg_str mg_client_key_text(const struct mg_client_key *key, struct mg_request *req);

#endif
