/* Bodies that need no connection: fixed bytes, a front before a rest, and the collector. One
 * thread. */
#include "http/body.h"

#include "base/list.h"

/* --- fixed --- */

struct fixed {
    struct mg_body base;
    struct mg_str rest;
};

static struct fixed *fixed_of(const struct mg_body *b)
{
    return MG_CONTAINER_OF(b, struct fixed, base);
}

static enum mg_body_state fixed_peek(struct mg_body *b, struct mg_str *bytes)
{
    *bytes = fixed_of(b)->rest;
    b->at_end = true;
    return bytes->n ? MG_BODY_BYTES : MG_BODY_END;
}

static void fixed_consume(struct mg_body *b, size_t n)
{
    struct fixed *f = fixed_of(b);
    f->rest = mg_str(f->rest.p + n, f->rest.n - n);
}

static const struct mg_body_ops fixed_ops = {.peek = fixed_peek, .consume = fixed_consume};

struct mg_body *mg_body_fixed(struct mg_arena *arena, struct mg_str bytes)
{
    struct fixed *f = mg_arena_alloc(arena, sizeof *f);
    *f = (struct fixed){.base = {.ops = &fixed_ops, .length = (int64_t)bytes.n}, .rest = bytes};
    return &f->base;
}

struct mg_body *mg_body_empty(struct mg_arena *arena)
{
    return mg_body_fixed(arena, MG_STR_NONE);
}

bool mg_body_is_fixed(const struct mg_body *b, struct mg_str *rest)
{
    if (b->ops != &fixed_ops)
        return false;
    *rest = fixed_of(b)->rest;
    return true;
}

/* --- a front, then the rest --- */

struct chain {
    struct mg_body base;
    struct mg_str front;
    struct mg_body *rest;
};

static struct chain *chain_of(struct mg_body *b)
{
    return MG_CONTAINER_OF(b, struct chain, base);
}

static void chain_on_ready(void *arg)
{
    struct chain *c = arg;
    mg_body_ready(&c->base);
}

static enum mg_body_state chain_peek(struct mg_body *b, struct mg_str *bytes)
{
    struct chain *c = chain_of(b);
    if (c->front.n) {
        *bytes = c->front;
        return MG_BODY_BYTES;
    }
    enum mg_body_state state = mg_body_peek(c->rest, bytes);
    b->at_end = c->rest->at_end;
    b->trailers = c->rest->trailers;
    b->reason = c->rest->reason;
    b->status = c->rest->status;
    return state;
}

static void chain_consume(struct mg_body *b, size_t n)
{
    struct chain *c = chain_of(b);
    if (c->front.n)
        c->front = mg_str(c->front.p + n, c->front.n - n);
    else
        mg_body_consume(c->rest, n);
}

static void chain_cancel(struct mg_body *b)
{
    mg_body_cancel(chain_of(b)->rest);
}

static const struct mg_body_ops chain_ops = {
    .peek = chain_peek, .consume = chain_consume, .cancel = chain_cancel};

struct mg_body *mg_body_chain(struct mg_arena *arena, struct mg_str front, struct mg_body *rest)
{
    struct chain *c = mg_arena_alloc(arena, sizeof *c);
    *c = (struct chain){
        .base = {.ops = &chain_ops, .length = rest->length}, .front = front, .rest = rest};
    rest->on_ready = chain_on_ready;
    rest->reader = c;
    return &c->base;
}

/* --- the collector --- */

static void append(struct mg_body_collector *c, struct mg_str bytes)
{
    if (c->n + bytes.n > c->room) {
        size_t room = c->room ? c->room * 2 : 4096;
        while (room < c->n + bytes.n)
            room *= 2;
        c->bytes = mg_arena_grow(c->arena, c->bytes, c->n, room);
        c->room = room;
    }
    memcpy(c->bytes + c->n, bytes.p, bytes.n);
    c->n += bytes.n;
}

static bool step(struct mg_body_collector *c, enum mg_collect_result *result)
{
    for (;;) {
        struct mg_str bytes;
        switch (mg_body_peek(c->body, &bytes)) {
        case MG_BODY_BYTES:
            if (bytes.n > c->limit - c->n) {
                *result = MG_COLLECT_TOO_LARGE;
                return true;
            }
            append(c, bytes);
            mg_body_consume(c->body, bytes.n);
            break;
        case MG_BODY_WAIT:
            return false;
        case MG_BODY_END:
            *result = MG_COLLECT_DONE;
            return true;
        case MG_BODY_BROKEN:
            *result = MG_COLLECT_BROKEN;
            return true;
        }
    }
}

static void collector_on_ready(void *arg)
{
    struct mg_body_collector *c = arg;
    enum mg_collect_result result;
    if (!step(c, &result))
        return;
    c->body->on_ready = NULL;
    c->on_done(c->arg, result);
}

bool mg_body_collect(struct mg_body_collector *c, struct mg_body *body, struct mg_arena *arena,
                     size_t limit, mg_collect_fn on_done, void *arg, enum mg_collect_result *result)
{
    *c = (struct mg_body_collector){
        .body = body, .arena = arena, .limit = limit, .on_done = on_done, .arg = arg};
    if (body->length > 0 && (uint64_t)body->length <= limit) {
        c->room = (size_t)body->length;
        c->bytes = mg_arena_alloc(arena, c->room);
    }
    if (step(c, result))
        return true;
    body->on_ready = collector_on_ready;
    body->reader = c;
    return false;
}
