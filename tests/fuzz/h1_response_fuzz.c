/*
 * HTTP/1 response heads: as h1_request_fuzz.c does it. The first byte of the input is the size of
 * the pieces, and its top bit says whether the request was a HEAD.
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

static int find_end(const char *p, size_t n, size_t step, struct mg_h1_fault *fault)
{
    struct mg_h1_scan scan = {0};
    uint32_t skip;
    for (size_t seen = step < n ? step : n;; seen = n - seen > step ? seen + step : n) {
        int size = mg_h1_head_end(&scan, p, seen, &limits, false, &skip, fault);
        if (size || seen == n)
            return size;
    }
}

static void check_message(const struct mg_message *m, const struct mg_h1_framing *framing)
{
    CHECK(m->status >= 100 && m->status <= 599);
    CHECK(m->phrase.n == 0 ||
          mg_chars_text_end(m->phrase.p, m->phrase.p + m->phrase.n) == m->phrase.p + m->phrase.n);
    CHECK((m->status == 101) == (m->upgrade.n > 0));
    CHECK(framing->kind != MG_H1_UNTIL_CLOSE || !framing->keep_alive);
    CHECK(framing->kind != MG_H1_LENGTH || m->content_length == (int64_t)framing->length);
    if (m->status < 200 || m->status == 204 || m->status == 304)
        CHECK(framing->kind == MG_H1_NO_BODY);
    for (unsigned i = 0; i < m->fields.n; i++) {
        const struct mg_field *f = &m->fields.v[i];
        CHECK(mg_is_token(mg_str(f->name, f->name_len)));
        CHECK(mg_is_field_value(mg_field_value(f)));
        CHECK(!mg_field_is_codec(f->id));
    }
}

static void write_and_read(const struct mg_message *m, const struct mg_h1_framing *framing,
                           enum mg_method asked)
{
    const struct mg_h1_limits wide = {.head_bytes = 8192, .field_count = 60, .target_bytes = 1024};
    const struct mg_h1_write w = {
        .framing = framing->kind,
        .length = framing->length,
        .keep_alive = framing->keep_alive,
        .upgrade = m->upgrade,
    };
    struct mg_str head = mg_h1_write_response(m, &w);
    struct mg_message back;
    struct mg_h1_framing again;
    struct mg_h1_fault fault;
    struct mg_h1_scan scan = {0};
    uint32_t skip;
    mg_message_init(&back, m->arena);
    CHECK(mg_h1_head_end(&scan, head.p, head.n, &wide, false, &skip, &fault) == (int)head.n);
    CHECK(mg_h1_parse_response(head.p, head.n, &wide, asked, &back, &again, &fault) == 0);
    CHECK(again.kind == framing->kind && again.length == framing->length);
    CHECK(again.keep_alive == framing->keep_alive || m->upgrade.n);
    CHECK(back.status == m->status && mg_str_eq(back.upgrade, m->upgrade));
    CHECK(back.content_length == m->content_length || m->status == 304);
    CHECK(m->phrase.n == 0 || mg_str_eq(back.phrase, m->phrase));
    CHECK(back.fields.n == m->fields.n);
    for (unsigned i = 0; i < m->fields.n; i++)
        CHECK(mg_str_eq(mg_field_value(&m->fields.v[i]), mg_field_value(&back.fields.v[i])));
}

static void parse(struct mg_arena *arena, const char *head, size_t n, enum mg_method asked)
{
    char *exact = malloc(n);
    memcpy(exact, head, n);
    struct mg_message m;
    struct mg_h1_framing framing;
    struct mg_h1_fault fault = {0};
    mg_message_init(&m, arena);
    if (mg_h1_parse_response(exact, n, &limits, asked, &m, &framing, &fault) == 0) {
        check_message(&m, &framing);
        write_and_read(&m, &framing, asked);
    } else {
        CHECK(fault.status == 502 && fault.reason);
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *p = (const char *)data + 1;
    size_t n = size - 1, step = (size_t)(data[0] & 127) + 1;
    enum mg_method asked = data[0] & 128 ? MG_METHOD_HEAD : MG_METHOD_GET;
    struct mg_pool pool;
    struct mg_arena arena;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);

    struct mg_h1_fault fault = {0}, piecewise_fault = {0};
    int end = find_end(p, n, n, &fault);
    CHECK(end == find_end(p, n, step, &piecewise_fault));
    if (end < 0)
        CHECK(fault.status == piecewise_fault.status && fault.reason == piecewise_fault.reason);
    if (end > 0)
        parse(&arena, p, (size_t)end, asked);
    parse(&arena, p, n, asked);

    mg_arena_release(&arena);
    CHECK(pool.live == 0);
    mg_pool_release(&pool);
    return 0;
}
