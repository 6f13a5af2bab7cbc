/* Any bytes, in pieces whose sizes they tell themselves: events are those of the whole, and what is
 * written of one is read back as it was. */
#include "http/sse.h"

#include <stdlib.h>

#include "base/error.h"

#define LIMIT 4096

static void add_event(struct mg_buf *out, const struct mg_sse_event *event)
{
    mg_sse_write(out, event);
    if (!event->has_data)
        return;
    struct mg_buf text;
    struct mg_sse_reader again;
    mg_buf_init(&text, 1 << 20);
    mg_sse_reader_init(&again, 1 << 20);
    mg_sse_write(&text, event);
    struct mg_str in = mg_buf_str(&text);
    MG_BUG_ON(mg_sse_read(&again, &in) != MG_SSE_EVENT || in.n > 0);
    MG_BUG_ON(!mg_str_eq(again.event.data, event->data) || !mg_str_eq(again.event.id, event->id) ||
              again.event.retry_ms != event->retry_ms);
    mg_sse_reader_release(&again);
    mg_buf_release(&text);
}

/* `piece`: 0 for all at once. */
static void read_all(struct mg_str in, size_t piece, struct mg_buf *out)
{
    struct mg_sse_reader r;
    mg_sse_reader_init(&r, LIMIT);
    bool fits = true;
    while (in.n && fits) {
        struct mg_str part = mg_str(in.p, piece && piece < in.n ? piece : in.n);
        in = mg_str(in.p + part.n, in.n - part.n);
        while (part.n && fits) {
            enum mg_sse_state state = mg_sse_read(&r, &part);
            if (state == MG_SSE_EVENT || state == MG_SSE_BARE)
                add_event(out, &r.event);
            else if (state == MG_SSE_COMMENT)
                mg_sse_write_comment(out, r.comment);
            fits = state != MG_SSE_TOO_LARGE;
        }
    }
    mg_sse_reader_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_buf whole, pieces;
    if (size == 0)
        return 0;
    struct mg_str in = mg_str((const char *)data + 1, size - 1);
    mg_buf_init(&whole, 1 << 24);
    mg_buf_init(&pieces, 1 << 24);
    read_all(in, 0, &whole);
    read_all(in, 1 + data[0] % 16, &pieces);
    MG_BUG_ON(!mg_str_eq(mg_buf_str(&whole), mg_buf_str(&pieces)));
    mg_buf_release(&whole);
    mg_buf_release(&pieces);
    return 0;
}
