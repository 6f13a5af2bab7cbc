/*
 * What was read from an HTTP/1 connection and not yet used up: one block with two regions.
 *
 *     block: [ used up | payload, decoded | free gap | raw, not yet decoded | room to read into ]
 *                      ^pay_begin  ^pay_end          ^raw_begin    ^raw_end
 *
 * The block is taken from the worker's pool when there is something to read, and given back when
 * both regions are empty; so an idle connection has none. One thread.
 */
#ifndef MG_HTTP_H1_INPUT_H
#define MG_HTTP_H1_INPUT_H

#include "base/pool.h"
#include "http/h1_body.h"
#include "net/stream.h"

struct mg_h1_input {
    struct mg_pool *blocks;
    char *block; /* NULL: nothing held */
    uint32_t pay_begin, pay_end, raw_begin, raw_end;
};

/* Besides what mg_stream_read gives. */
#define MG_H1_INPUT_FULL (-3)

void mg_h1_input_init(struct mg_h1_input *in, struct mg_pool *blocks);
/* Drops all bytes. */
void mg_h1_input_release(struct mg_h1_input *in);

/* One read into the room that is left: > 0 bytes (with `*short_read` set when the socket had no
 * more), 0 at the end, MG_STREAM_AGAIN, MG_STREAM_ERROR, or MG_H1_INPUT_FULL without a read. */
ssize_t mg_h1_input_read(struct mg_h1_input *in, struct mg_stream *stream, bool *short_read);

/* Gives the block back when nothing is in it. */
void mg_h1_input_trim(struct mg_h1_input *in);

/* Without a block there is nothing, and C has no NULL + 0. */
static inline struct mg_str mg_h1_input_raw(const struct mg_h1_input *in)
{
    return in->block ? mg_str(in->block + in->raw_begin, in->raw_end - in->raw_begin) : MG_STR_NONE;
}

static inline struct mg_str mg_h1_input_payload(const struct mg_h1_input *in)
{
    return in->block ? mg_str(in->block + in->pay_begin, in->pay_end - in->pay_begin) : MG_STR_NONE;
}

/* Neither payload nor raw bytes are held. */
static inline bool mg_h1_input_is_empty(const struct mg_h1_input *in)
{
    return in->pay_begin == in->pay_end && in->raw_begin == in->raw_end;
}

static inline void mg_h1_input_skip_raw(struct mg_h1_input *in, size_t n)
{
    in->raw_begin += (uint32_t)n;
}

static inline void mg_h1_input_consume(struct mg_h1_input *in, size_t n)
{
    in->pay_begin += (uint32_t)n;
}

/* Turns raw bytes into payload. 0, or -1 with `fault`. */
int mg_h1_input_decode(struct mg_h1_input *in, struct mg_h1_body *body, struct mg_h1_fault *fault);

#endif
