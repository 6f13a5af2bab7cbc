/*
 * The policies compress and decompress: what is decided about a message before its body goes
 * through a coder (content.h). Worker thread; the options are read when a config is built.
 */
#ifndef MG_GATEWAY_COMPRESS_H
#define MG_GATEWAY_COMPRESS_H

#include "gateway/exchange.h"
#include "http/coding.h"

#define MG_COMPRESS_CODINGS_MAX 3

struct mg_compress {
    struct mg_str *types; /* "application/json", "text/...", "...+xml" with '*' for the dots */
    size_t type_count;
    uint64_t min_bytes;
    int level;
    enum mg_coding codings[MG_COMPRESS_CODINGS_MAX]; /* as the gateway likes them best */
    size_t coding_count;
};

struct mg_decompress {
    bool request, response;
    bool always; /* responses also for clients that would take them as they are */
    struct mg_decoder_limits limits; /* bytes: of requests, 0 for limits.body_bytes */
    uint64_t response_bytes;         /* 0: no limit */
};

/* For mg_step_ops, with a struct mg_compress as the step's options. On the way in, what the client
 * would take is noted, since steps further in may change the field; that is no request phase, which
 * in an alternative of a group would count as a look at who asks. */
enum mg_step_entry mg_compress_enter(const struct mg_step *step, struct mg_walk *w);
enum mg_step_result mg_compress_response(const struct mg_step *step, struct mg_walk *w);

/* With a struct mg_decompress. */
enum mg_step_result mg_decompress_request(const struct mg_step *step, struct mg_walk *w);
enum mg_step_result mg_decompress_response(const struct mg_step *step, struct mg_walk *w);

#endif
