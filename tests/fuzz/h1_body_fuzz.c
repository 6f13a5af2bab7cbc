/*
 * Chunked bodies. Fed as a whole and in pieces the outcome must be the same; what was decoded is
 * encoded anew and must decode to the same payload and trailers. The first byte of the input is the
 * size of the pieces.
 */
#include <stdlib.h>

#include "base/error.h"
#include "http/h1_body.h"
#include "http/h1_write.h"

#define CHECK(condition) MG_BUG_ON(!(condition))

static const struct mg_h1_framing chunked = {.kind = MG_H1_CHUNKED};

struct decoded {
    int rc;
    struct mg_h1_fault fault;
    struct mg_h1_body body;
    struct mg_fields trailers;
    char *buf;
    size_t payload, used;
};

static void decode(struct decoded *d, struct mg_arena *arena, const char *p, size_t n, size_t step,
                   uint32_t head_bytes)
{
    const struct mg_h1_limits limits = {.head_bytes = head_bytes, .field_count = 20};
    memset(d, 0, sizeof *d);
    d->buf = malloc(n + 1);
    mg_h1_body_init(&d->body, &chunked, &limits, &d->trailers, arena);
    for (size_t got = 0; got < n && d->rc == 0 && !d->body.done;) {
        size_t more = n - got < step ? n - got : step;
        memcpy(d->buf + got, p + got, more); /* only now: nothing may look ahead */
        got += more;
        size_t used, payload;
        d->rc = mg_h1_body_decode(&d->body, d->buf + d->payload, d->buf + d->used, got - d->used,
                                  &used, &payload, &d->fault);
        d->used += used;
        d->payload += payload;
        CHECK(d->used <= got && d->payload <= d->used);
    }
    CHECK(d->rc || d->body.total == d->payload);
    CHECK(d->rc || (mg_h1_body_eof(&d->body) == 0) == d->body.done);
}

static void check_same_trailers(const struct mg_fields *a, const struct mg_fields *b)
{
    CHECK(a->n == b->n);
    for (unsigned i = 0; i < a->n; i++) {
        const struct mg_field *f = &a->v[i], *g = &b->v[i];
        CHECK(mg_is_token(mg_str(f->name, f->name_len)) && mg_is_field_value(mg_field_value(f)));
        CHECK(mg_str_eq(mg_str(f->name, f->name_len), mg_str(g->name, g->name_len)));
        CHECK(mg_str_eq(mg_field_value(f), mg_field_value(g)));
    }
}

/* Chunks of `step` bytes, then the trailers. */
static size_t encode(char *out, const struct decoded *d, struct mg_arena *arena, size_t step)
{
    char *at = out;
    for (size_t i = 0; i < d->payload; i += step) {
        size_t n = d->payload - i < step ? d->payload - i : step;
        at += mg_h1_write_chunk_size(at, n);
        memcpy(at, d->buf + i, n);
        memcpy(at + n, "\r\n", 2);
        at += n + 2;
    }
    struct mg_message m;
    mg_message_init(&m, arena);
    struct mg_str last = mg_h1_write_last_chunk(arena, &m, &d->trailers);
    memcpy(at, last.p, last.n);
    return (size_t)(at - out) + last.n;
}

static void encode_and_decode(const struct decoded *d, struct mg_arena *arena, size_t step)
{
    char *wire = malloc(d->payload * 8 + 8192);
    size_t n = encode(wire, d, arena, step);
    struct decoded again;
    decode(&again, arena, wire, n, n, 4096);
    CHECK(again.rc == 0 && again.body.done && again.used == n);
    CHECK(again.payload == d->payload && memcmp(again.buf, d->buf, d->payload) == 0);
    check_same_trailers(&d->trailers, &again.trailers);
    free(again.buf);
    free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *p = (const char *)data + 1;
    size_t n = size - 1, step = (size_t)data[0] + 1;
    struct mg_pool pool;
    struct mg_arena arena;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);

    struct decoded whole, pieces;
    decode(&whole, &arena, p, n, n, 512);
    decode(&pieces, &arena, p, n, step, 512);
    CHECK(whole.rc == pieces.rc);
    CHECK(whole.used == pieces.used && whole.payload == pieces.payload);
    CHECK(memcmp(whole.buf, pieces.buf, whole.payload) == 0);
    if (whole.rc) {
        CHECK(whole.fault.status == pieces.fault.status &&
              whole.fault.reason == pieces.fault.reason);
    } else {
        CHECK(whole.body.done == pieces.body.done);
        check_same_trailers(&whole.trailers, &pieces.trailers);
        if (whole.body.done)
            encode_and_decode(&whole, &arena, step);
    }
    free(whole.buf);
    free(pieces.buf);

    mg_arena_release(&arena);
    CHECK(pool.live == 0);
    mg_pool_release(&pool);
    return 0;
}
