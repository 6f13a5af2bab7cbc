/* The edited body. Each call of peek edits one piece of the inner body, until something comes out.
 * One thread. */
#include "http/body_edit.h"

#include "base/list.h"

#define SOFT_LIMIT ((size_t)64 << 10) /* of what waits for the reader */
#define OUT_MAX ((size_t)64 << 20)    /* never reached: the soft limit and one object more */

struct edited {
    struct mg_body base;
    struct mg_body *inner;
    struct mg_json_edit edit;
    struct mg_buf out;
    size_t taken; /* of it, by the reader */
    bool ended;
};

static struct edited *edited_of(struct mg_body *b)
{
    return MG_CONTAINER_OF(b, struct edited, base);
}

static enum mg_body_state broken(struct edited *e, const char *reason, int status)
{
    e->base.reason = reason;
    e->base.status = status;
    return MG_BODY_BROKEN;
}

/* Edits what the inner body has. MG_BODY_BYTES: it has been read on. */
static enum mg_body_state read_on(struct edited *e)
{
    struct mg_str bytes;
    enum mg_body_state state = mg_body_peek(e->inner, &bytes);
    switch (state) {
    case MG_BODY_BYTES:
        mg_body_consume(e->inner, mg_json_edit_feed(&e->edit, bytes, SOFT_LIMIT, &e->out));
        break;
    case MG_BODY_END:
        mg_json_edit_end(&e->edit, &e->out);
        e->base.trailers = e->inner->trailers;
        e->ended = true;
        return MG_BODY_BYTES;
    case MG_BODY_BROKEN:
        return broken(e, e->inner->reason, e->inner->status);
    case MG_BODY_WAIT:
        break;
    }
    return state;
}

static enum mg_body_state edited_peek(struct mg_body *b, struct mg_str *bytes)
{
    struct edited *e = edited_of(b);
    for (;;) {
        *bytes = e->out.n ? mg_str(e->out.p + e->taken, e->out.n - e->taken) : MG_STR_NONE;
        if (e->out.failed)
            return broken(e, "too-large", 500);
        if (bytes->n)
            return MG_BODY_BYTES;
        if (e->ended)
            return MG_BODY_END;
        enum mg_body_state state = read_on(e);
        if (state != MG_BODY_BYTES)
            return state;
    }
}

static void edited_consume(struct mg_body *b, size_t n)
{
    struct edited *e = edited_of(b);
    e->taken += n;
    if (e->taken < e->out.n)
        return;
    mg_buf_reset(&e->out);
    e->taken = 0;
}

static void edited_cancel(struct mg_body *b)
{
    mg_body_cancel(edited_of(b)->inner);
}

static const struct mg_body_ops edited_ops = {
    .peek = edited_peek, .consume = edited_consume, .cancel = edited_cancel};

static void on_inner_ready(void *reader)
{
    struct edited *e = reader;
    mg_body_ready(&e->base);
}

static void release(void *arg)
{
    struct edited *e = arg;
    mg_json_edit_release(&e->edit);
    mg_buf_release(&e->out);
}

struct mg_body *mg_body_edit(struct mg_arena *arena, struct mg_body *inner,
                             const struct mg_json_rules *rules, struct mg_str *values)
{
    struct edited *e = mg_arena_calloc(arena, sizeof *e);
    e->base.ops = &edited_ops;
    e->base.length = -1;
    e->inner = inner;
    mg_json_edit_init(&e->edit, rules, values);
    mg_buf_init(&e->out, OUT_MAX);
    mg_arena_on_release(arena, release, e);
    inner->on_ready = on_inner_ready;
    inner->reader = e;
    return &e->base;
}
