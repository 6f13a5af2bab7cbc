/*
 * Bodies through a coder. One thread.
 *
 * `op` is what the coder was last asked for. As long as it answers MG_CODER_FULL the same is asked
 * again with the input it has seen; the bytes of the source stay unconsumed until they were taken.
 */
#include "http/coded_body.h"

#include "base/list.h"

/* What one call takes of a source that never has to wait. An encoder that has given nothing for it
 * is made to. */
#define TURN_BYTES (256 << 10)
/* Of the source's bytes in one run of the coder. */
#define PIECE_BYTES (32 << 10)

struct coded {
    struct mg_body base;
    struct mg_body *source;
    struct mg_coder *coder; /* NULL: ended */
    struct mg_pool *blocks;
    int broken_status, large_status;
    enum mg_coder_op op;
    bool busy;     /* the op is not done */
    bool dirty;    /* bytes went in since the last flush */
    bool ended;    /* nothing comes behind the output */
    bool failed;   /* ... nor a clean end */
    size_t silent; /* bytes that went in since any came out */
    char *block;   /* NULL: there is no output */
    size_t at, n;  /* of the output in it */
    bool cancelled;
};

static struct coded *coded_of(struct mg_body *b)
{
    return MG_CONTAINER_OF(b, struct coded, base);
}

static void drop_block(struct coded *c)
{
    if (c->block)
        mg_pool_put(c->blocks, c->block);
    c->block = NULL;
    c->at = c->n = 0;
}

static void drop_coder(struct coded *c)
{
    mg_coder_free(c->coder);
    c->coder = NULL;
}

static void cancel_source(struct coded *c)
{
    if (!c->cancelled)
        mg_body_cancel(c->source);
    c->cancelled = true;
}

static void end(struct coded *c)
{
    c->ended = true;
    c->base.trailers = c->source->trailers;
    drop_coder(c);
}

static void fail(struct coded *c, const char *reason, int status)
{
    c->ended = c->failed = true;
    c->base.reason = reason;
    c->base.status = status;
    drop_coder(c);
}

static void run_coder(struct coded *c, struct mg_str *in)
{
    size_t before = in->n, made;
    if (!c->block)
        c->block = mg_pool_get(c->blocks);
    enum mg_coder_state state =
        mg_coder_run(c->coder, in, c->op, c->block + c->n, c->blocks->block_bytes - c->n, &made);
    c->n += made;
    c->silent = made ? 0 : c->silent + (before - in->n);
    c->busy = state == MG_CODER_FULL;
    if (state == MG_CODER_END) {
        end(c);
    } else if (state == MG_CODER_BROKEN || state == MG_CODER_TOO_LARGE) {
        bool large = state == MG_CODER_TOO_LARGE;
        cancel_source(c);
        fail(c, large ? MG_CODED_TOO_LARGE : MG_CODED_BROKEN,
             large ? c->large_status : c->broken_status);
    }
}

/* Gives the coder some of what the source has; returns how much it took. */
static size_t take_piece(struct coded *c, struct mg_str bytes)
{
    struct mg_str in = mg_str(bytes.p, bytes.n < PIECE_BYTES ? bytes.n : PIECE_BYTES);
    size_t before = in.n;
    c->op = c->silent < TURN_BYTES ? MG_CODER_GO : MG_CODER_FLUSH;
    c->dirty = c->op == MG_CODER_GO;
    run_coder(c, &in);
    if (!c->cancelled)
        mg_body_consume(c->source, before - in.n);
    return before - in.n;
}

static void run_op(struct coded *c, enum mg_coder_op op)
{
    struct mg_str none = MG_STR_NONE;
    c->op = op;
    if (op == MG_CODER_FLUSH)
        c->dirty = false;
    run_coder(c, &none);
}

static bool has_room(const struct coded *c)
{
    return c->blocks->block_bytes - c->n >= MG_CODER_ROOM_MIN;
}

/* As much output as there is room for, or can be had now: a reader pays for each piece. */
static enum mg_body_state fill(struct coded *c)
{
    size_t taken = 0;
    while (!c->ended && has_room(c) && (c->n == 0 || taken < TURN_BYTES)) {
        struct mg_str bytes;
        if (c->busy) {
            run_op(c, c->op);
            continue;
        }
        switch (mg_body_peek(c->source, &bytes)) {
        case MG_BODY_BYTES:
            taken += take_piece(c, bytes);
            break;
        case MG_BODY_WAIT:
            if (!c->dirty)
                return c->n ? MG_BODY_BYTES : MG_BODY_WAIT;
            run_op(c, MG_CODER_FLUSH);
            break;
        case MG_BODY_END:
            run_op(c, MG_CODER_FINISH);
            break;
        case MG_BODY_BROKEN:
            fail(c, c->source->reason, c->source->status);
            break;
        }
    }
    if (c->n)
        return MG_BODY_BYTES;
    return c->failed ? MG_BODY_BROKEN : MG_BODY_END;
}

static enum mg_body_state coded_peek(struct mg_body *b, struct mg_str *bytes)
{
    struct coded *c = coded_of(b);
    enum mg_body_state state = c->n ? MG_BODY_BYTES : fill(c);
    if (state != MG_BODY_BYTES) {
        drop_block(c);
        *bytes = MG_STR_NONE;
        return state;
    }
    *bytes = mg_str(c->block + c->at, c->n - c->at);
    b->at_end = c->ended && !c->failed;
    return state;
}

static void coded_consume(struct mg_body *b, size_t n)
{
    struct coded *c = coded_of(b);
    c->at += n;
    if (c->at == c->n)
        drop_block(c);
}

static void release(void *arg)
{
    struct coded *c = arg;
    drop_block(c);
    drop_coder(c);
}

static void coded_cancel(struct mg_body *b)
{
    struct coded *c = coded_of(b);
    cancel_source(c);
    if (!c->ended)
        fail(c, "cancelled", 0);
    drop_block(c);
}

static const struct mg_body_ops coded_ops = {
    .peek = coded_peek, .consume = coded_consume, .cancel = coded_cancel};

static void on_source_ready(void *arg)
{
    struct coded *c = arg;
    mg_body_ready(&c->base);
}

struct mg_body *mg_coded_body(struct mg_arena *arena, struct mg_body *source,
                              const struct mg_coded_options *options)
{
    struct coded *c = mg_arena_calloc(arena, sizeof *c);
    c->base.ops = &coded_ops;
    c->base.length = -1;
    c->source = source;
    c->coder = options->coder;
    c->blocks = options->blocks;
    c->broken_status = options->broken_status;
    c->large_status = options->large_status;
    source->on_ready = on_source_ready;
    source->reader = c;
    mg_arena_on_release(arena, release, c);
    return &c->base;
}
