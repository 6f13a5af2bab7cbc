/*
 * HTTP/1 request heads. Fed as a whole and in pieces the answer must be the same; what is accepted
 * must hold no byte that could split a message, and must read back as the same message once
 * written. The first byte of the input is the size of the pieces.
 */
#include <stdlib.h>

#include "base/error.h"
#include "http/chars.h"
#include "http/h1_write.h"

#define CHECK(condition) MG_BUG_ON(!(condition))

static const struct mg_h1_limits limits = {
    .head_bytes = 2048,
    .field_count = 40,
    .target_bytes = 512,
};

static int find_end(const char *p, size_t n, size_t step, uint32_t *skip, struct mg_h1_fault *fault)
{
    struct mg_h1_scan scan = {0};
    for (size_t seen = step < n ? step : n;; seen = n - seen > step ? seen + step : n) {
        int size = mg_h1_head_end(&scan, p, seen, &limits, true, skip, fault);
        if (size || seen == n)
            return size;
    }
}

static bool is_clean(struct mg_str s)
{
    return s.n == 0 || mg_chars_text_end(s.p, s.p + s.n) == s.p + s.n;
}

static void check_fields(const struct mg_fields *fields)
{
    for (unsigned i = 0; i < fields->n; i++) {
        const struct mg_field *f = &fields->v[i];
        CHECK(mg_is_token(mg_str(f->name, f->name_len)));
        CHECK(mg_is_field_value(mg_field_value(f)));
        CHECK(!mg_field_is_codec(f->id));
        CHECK(f->id == mg_field_id(mg_str(f->name, f->name_len)));
    }
}

static void check_message(const struct mg_message *m, const struct mg_h1_framing *framing)
{
    CHECK(mg_is_token(m->method));
    CHECK(m->path.n > 0 && is_clean(m->path) && is_clean(m->query));
    CHECK(mg_str_find(m->path, ' ') < 0 && mg_str_find(m->query, ' ') < 0);
    CHECK(is_clean(m->authority) && mg_str_find(m->authority, ' ') < 0);
    CHECK(is_clean(m->upgrade));
    CHECK(m->version == 10 || m->version == 11);
    CHECK(framing->kind != MG_H1_UNTIL_CLOSE);
    CHECK((framing->kind == MG_H1_LENGTH) == (m->content_length >= 0));
    check_fields(&m->fields);
}

static void check_same(const struct mg_message *a, const struct mg_message *b)
{
    CHECK(mg_str_eq(a->method, b->method) && a->method_id == b->method_id);
    CHECK(mg_str_eq(a->path, b->path));
    CHECK(mg_str_eq(a->query, b->query) && !a->query.p == !b->query.p);
    CHECK(mg_str_eq(a->authority, b->authority));
    CHECK(mg_str_eq(a->upgrade, b->upgrade));
    CHECK(a->content_length == b->content_length);
    CHECK(a->expect_continue == b->expect_continue && a->te_trailers == b->te_trailers);
    CHECK(a->fields.n == b->fields.n);
    for (unsigned i = 0; i < a->fields.n; i++) {
        const struct mg_field *f = &a->fields.v[i], *g = &b->fields.v[i];
        CHECK(mg_str_eq(mg_str(f->name, f->name_len), mg_str(g->name, g->name_len)));
        CHECK(mg_str_eq(mg_field_value(f), mg_field_value(g)));
    }
}

static void write_and_read(const struct mg_message *m, const struct mg_h1_framing *framing)
{
    /* Written, a head may be longer than it was. */
    const struct mg_h1_limits wide = {.head_bytes = 8192, .field_count = 60, .target_bytes = 1024};
    const struct mg_h1_write w = {
        .framing = framing->kind,
        .length = framing->length,
        .keep_alive = framing->keep_alive,
        .say_keep_alive = framing->keep_alive,
        .upgrade = m->upgrade,
        .te_trailers = m->te_trailers,
        .expect_continue = m->expect_continue,
    };
    struct mg_str head = mg_h1_write_request(m, &w);
    struct mg_message back;
    struct mg_h1_framing again;
    struct mg_h1_fault fault;
    struct mg_h1_scan scan = {0};
    uint32_t skip;
    mg_message_init(&back, m->arena);
    CHECK(mg_h1_head_end(&scan, head.p, head.n, &wide, true, &skip, &fault) == (int)head.n);
    CHECK(mg_h1_parse_request(head.p, head.n, &wide, &back, &again, &fault) == 0);
    CHECK(again.kind == framing->kind && again.length == framing->length);
    CHECK(again.keep_alive == framing->keep_alive || m->upgrade.n);
    check_same(m, &back);
}

static void parse(struct mg_arena *arena, const char *head, size_t n)
{
    /* A block of its own size, so that reading beyond it is seen. */
    char *exact = malloc(n);
    memcpy(exact, head, n);
    struct mg_message m;
    struct mg_h1_framing framing;
    struct mg_h1_fault fault = {0};
    mg_message_init(&m, arena);
    if (mg_h1_parse_request(exact, n, &limits, &m, &framing, &fault) == 0) {
        check_message(&m, &framing);
        write_and_read(&m, &framing);
    } else {
        CHECK(fault.status >= 400 && fault.status <= 505 && fault.reason);
    }
    free(exact);
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

    struct mg_h1_fault fault = {0}, piecewise_fault = {0};
    uint32_t skip, piecewise_skip;
    int end = find_end(p, n, n, &skip, &fault);
    CHECK(end == find_end(p, n, step, &piecewise_skip, &piecewise_fault));
    if (end < 0)
        CHECK(fault.status == piecewise_fault.status && fault.reason == piecewise_fault.reason);
    if (end > 0) {
        CHECK(skip == piecewise_skip && (size_t)end <= n);
        parse(&arena, p + skip, (size_t)end - skip);
    }
    parse(&arena, p, n); /* the parser alone, whatever it is given */

    mg_arena_release(&arena);
    CHECK(pool.live == 0);
    mg_pool_release(&pool);
    return 0;
}
