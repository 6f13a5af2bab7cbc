/* Bodies out of the store. Worker thread; only the bell is rung by others. */
#include "gateway/stored_body.h"

#include "net/bell.h"

struct mg_stored_body {
    struct mg_body body;
    struct mg_cache *cache;
    struct mg_cache_entry *entry; /* a reference */
    struct mg_cache_reader reader;
    struct mg_cache_waiter waiter;
    struct mg_bell *bell; /* made when it has to wait */
    struct mg_loop *loop;
    struct mg_body *source; /* has the rest; NULL: nobody has */
    uint64_t left;          /* of a range; UINT64_MAX: all */
    bool switched;          /* to the source */
};

static struct mg_stored_body *of(struct mg_body *b)
{
    return MG_CONTAINER_OF(b, struct mg_stored_body, body);
}

static void on_ring(void *arg)
{
    struct mg_stored_body *b = arg;
    mg_body_ready(&b->body);
}

static void ring(void *arg)
{
    mg_bell_ring(((struct mg_stored_body *)arg)->bell);
}

static void on_source_ready(void *arg)
{
    struct mg_stored_body *b = arg;
    mg_body_ready(&b->body);
}

static enum mg_body_state broken(struct mg_stored_body *b, const char *reason, int status)
{
    b->body.reason = reason;
    b->body.status = status;
    return MG_BODY_BROKEN;
}

static enum mg_body_state peek_source(struct mg_stored_body *b, struct mg_str *bytes)
{
    enum mg_body_state state = mg_body_peek(b->source, bytes);
    b->body.at_end = b->source->at_end;
    if (state == MG_BODY_BROKEN)
        return broken(b, b->source->reason, b->source->status);
    if (state == MG_BODY_END)
        b->body.trailers = b->source->trailers;
    return state;
}

static enum mg_body_state switch_to_source(struct mg_stored_body *b, struct mg_str *bytes)
{
    if (!b->source)
        return broken(b, "cache-fill-failed", 502);
    b->switched = true;
    b->source->on_ready = on_source_ready;
    b->source->reader = b;
    return peek_source(b, bytes);
}

static void limit(struct mg_stored_body *b, struct mg_str *bytes)
{
    uint64_t length;
    if (bytes->n >= b->left) {
        bytes->n = (size_t)b->left;
        b->body.at_end = true;
    } else {
        b->body.at_end = mg_cache_is_complete(b->entry, &length) && bytes->n == length;
    }
}

static enum mg_body_state peek(struct mg_body *body, struct mg_str *bytes)
{
    struct mg_stored_body *b = of(body);
    uint64_t length;
    if (b->switched)
        return peek_source(b, bytes);
    if (b->left == 0)
        return MG_BODY_END;
    if (!b->bell && !mg_cache_is_complete(b->entry, &length))
        b->bell = mg_bell_new(b->loop, on_ring, b);
    switch (mg_cache_read(&b->reader, bytes, &b->waiter)) {
    case MG_CACHE_READ_BYTES:
        limit(b, bytes);
        return MG_BODY_BYTES;
    case MG_CACHE_READ_WAIT:
        return MG_BODY_WAIT;
    case MG_CACHE_READ_END:
        return MG_BODY_END;
    case MG_CACHE_READ_BROKEN:
        break;
    }
    return switch_to_source(b, bytes);
}

static void consume(struct mg_body *body, size_t n)
{
    struct mg_stored_body *b = of(body);
    if (b->switched) {
        mg_body_consume(b->source, n);
        return;
    }
    mg_cache_consume(&b->reader, n);
    if (b->left != UINT64_MAX)
        b->left -= n;
}

/* Without a bell it never waited. */
static void stop_waiting(struct mg_stored_body *b)
{
    if (b->bell)
        mg_cache_waiter_cancel(b->cache, &b->entry->key, &b->waiter);
}

static void cancel(struct mg_body *body)
{
    struct mg_stored_body *b = of(body);
    if (b->switched && b->source)
        b->source->on_ready = NULL;
    stop_waiting(b);
    mg_cache_reader_release(&b->reader);
}

static const struct mg_body_ops ops = {.peek = peek, .consume = consume, .cancel = cancel};

static void release(void *arg)
{
    struct mg_stored_body *b = arg;
    stop_waiting(b);
    mg_bell_free(b->bell);
    mg_cache_reader_release(&b->reader);
    mg_cache_unref(b->cache, b->entry);
}

struct mg_body *mg_stored_body_new(struct mg_arena *arena, struct mg_loop *loop,
                                   struct mg_cache *cache, struct mg_cache_entry *entry,
                                   struct mg_stored_body **self)
{
    struct mg_stored_body *b = mg_arena_calloc(arena, sizeof *b);
    uint64_t length;
    if (!mg_cache_reader_init(&b->reader, cache, entry))
        return NULL;
    b->body.ops = &ops;
    b->body.length = mg_cache_is_complete(entry, &length) ? (int64_t)length : entry->length;
    b->cache = cache;
    b->entry = mg_cache_ref(entry);
    b->loop = loop;
    b->left = UINT64_MAX;
    mg_cache_waiter_init(&b->waiter, ring, b);
    mg_arena_on_release(arena, release, b);
    if (self)
        *self = b;
    return &b->body;
}

void mg_stored_body_range(struct mg_stored_body *b, uint64_t first, uint64_t n)
{
    mg_cache_skip(&b->reader, first);
    b->left = n;
    b->body.length = (int64_t)n;
}

bool mg_stored_body_reads(const struct mg_stored_body *b)
{
    return b->reader._counted;
}

void mg_stored_body_continue(struct mg_stored_body *b, struct mg_body *source)
{
    if (b->switched && !source)
        b->source->on_ready = NULL;
    b->source = source;
}
