/* The read side of an HTTP/1 connection. One thread. */
#include "http/h1_input.h"

#include "base/error.h"

void mg_h1_input_init(struct mg_h1_input *in, struct mg_pool *blocks)
{
    *in = (struct mg_h1_input){.blocks = blocks};
}

void mg_h1_input_release(struct mg_h1_input *in)
{
    if (in->block)
        mg_pool_put(in->blocks, in->block);
    mg_h1_input_init(in, in->blocks);
}

void mg_h1_input_trim(struct mg_h1_input *in)
{
    if (in->block && mg_h1_input_is_empty(in))
        mg_h1_input_release(in);
}

/* Moves what is left to the front of the block. */
static void compact(struct mg_h1_input *in)
{
    uint32_t payload = in->pay_end - in->pay_begin, raw = in->raw_end - in->raw_begin;
    memmove(in->block, in->block + in->pay_begin, payload);
    memmove(in->block + payload, in->block + in->raw_begin, raw);
    in->pay_begin = 0;
    in->pay_end = in->raw_begin = payload;
    in->raw_end = payload + raw;
}

static size_t make_room(struct mg_h1_input *in)
{
    if (!in->block)
        in->block = mg_pool_get(in->blocks);
    if (mg_h1_input_is_empty(in))
        in->pay_begin = in->pay_end = in->raw_begin = in->raw_end = 0;
    if (in->raw_end == in->blocks->block_bytes)
        compact(in);
    return in->blocks->block_bytes - in->raw_end;
}

ssize_t mg_h1_input_read(struct mg_h1_input *in, struct mg_stream *stream, bool *short_read)
{
    size_t room = make_room(in);
    if (room == 0)
        return MG_H1_INPUT_FULL;
    ssize_t n = mg_stream_read(stream, in->block + in->raw_end, room);
    if (n > 0) {
        in->raw_end += (uint32_t)n;
        *short_read = (size_t)n < room;
    }
    return n;
}

int mg_h1_input_decode(struct mg_h1_input *in, struct mg_h1_body *body, struct mg_h1_fault *fault)
{
    size_t used = 0, payload = 0;
    struct mg_str raw = mg_h1_input_raw(in);
    if (raw.n == 0)
        return 0;
    /* With no payload waiting, the raw bytes need not move to join it. */
    if (in->pay_begin == in->pay_end)
        in->pay_begin = in->pay_end = in->raw_begin;
    int rc = mg_h1_body_decode(body, in->block + in->pay_end, raw.p, raw.n, &used, &payload, fault);
    in->pay_end += (uint32_t)payload;
    in->raw_begin += (uint32_t)used;
    return rc;
}
