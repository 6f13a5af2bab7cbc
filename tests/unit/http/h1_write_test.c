/* HTTP/1 heads and chunk framing as bytes; and what is written reads back as the same message. */
#include "http/h1_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/test_arena.h"

static void assert_str(struct mg_str got, const char *want)
{
    if (!mg_str_eq(got, mg_str_c(want)))
        fail_msg("got:\n%.*s\nwant:\n%s", MG_STR_ARGS(got), want);
}

static struct mg_message request(const char *path)
{
    struct mg_message m;
    mg_message_init(&m, &arena);
    m.method = MG_STR("PUT");
    m.authority = MG_STR("a.example");
    m.path = mg_str_c(path);
    return m;
}

static struct mg_message response(uint16_t status)
{
    struct mg_message m;
    mg_message_init(&m, &arena);
    m.status = status;
    return m;
}

static void requests(void **state)
{
    (void)state;
    static const struct {
        struct mg_h1_write w;
        const char *want;
    } cases[] = {
        {{.keep_alive = true}, "PUT /p HTTP/1.1\r\nHost: a.example\r\nVia: v\r\n\r\n"},
        {{0}, "PUT /p HTTP/1.1\r\nHost: a.example\r\nVia: v\r\nConnection: close\r\n\r\n"},
        {{.keep_alive = true, .say_keep_alive = true},
         "PUT /p HTTP/1.1\r\nHost: a.example\r\nVia: v\r\nConnection: keep-alive\r\n\r\n"},
        {{.keep_alive = true, .framing = MG_H1_LENGTH, .length = UINT64_MAX},
         "PUT /p HTTP/1.1\r\nHost: a.example\r\nVia: v\r\n"
         "Content-Length: 18446744073709551615\r\n\r\n"},
        {{.keep_alive = true, .framing = MG_H1_LENGTH},
         "PUT /p HTTP/1.1\r\nHost: a.example\r\nVia: v\r\nContent-Length: 0\r\n\r\n"},
        {{.framing = MG_H1_CHUNKED},
         "PUT /p HTTP/1.1\r\nHost: a.example\r\nVia: v\r\nTransfer-Encoding: chunked\r\n"
         "Connection: close\r\n\r\n"},
        {{.keep_alive = true, .upgrade = MG_STR("websocket")},
         "PUT /p HTTP/1.1\r\nHost: a.example\r\nVia: v\r\nConnection: upgrade\r\n"
         "Upgrade: websocket\r\n\r\n"},
        {{.te_trailers = true, .expect_continue = true, .framing = MG_H1_LENGTH, .length = 10},
         "PUT /p HTTP/1.1\r\nHost: a.example\r\nVia: v\r\nContent-Length: 10\r\n"
         "Connection: close, TE\r\nTE: trailers\r\nExpect: 100-continue\r\n\r\n"},
        {{.keep_alive = true,
          .target = MG_STR("/x?y"),
          .authority = MG_STR("b:81"),
          .extra = MG_STR("X: 1\r\nY: 2\r\n")},
         "PUT /x?y HTTP/1.1\r\nHost: b:81\r\nVia: v\r\nX: 1\r\nY: 2\r\n\r\n"},
        {{.keep_alive = true, .authority = MG_STR("")},
         "PUT /p HTTP/1.1\r\nHost: \r\nVia: v\r\n\r\n"},
        /* A request has no date and no server. */
        {{.keep_alive = true, .date = MG_STR("now"), .server = MG_STR("us")},
         "PUT /p HTTP/1.1\r\nHost: a.example\r\nVia: v\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mg_message m = request("/p");
        m.content_length = 77; /* how the body is framed is for the writer's caller to say */
        mg_fields_add_id(&m.fields, &arena, MG_FIELD_VIA, MG_STR("v"));
        assert_str(mg_h1_write_request(&m, &cases[i].w), cases[i].want);
    }
}

static void targets(void **state)
{
    (void)state;
    const struct mg_h1_write w = {.keep_alive = true};
    struct mg_message m = request("/p");
    m.query = MG_STR("a=1");
    assert_str(mg_h1_write_request(&m, &w), "PUT /p?a=1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    m.query = MG_STR("");
    assert_str(mg_h1_write_request(&m, &w), "PUT /p? HTTP/1.1\r\nHost: a.example\r\n\r\n");
    m = request("*");
    assert_str(mg_h1_write_request(&m, &w), "PUT * HTTP/1.1\r\nHost: a.example\r\n\r\n");
    m = request("");
    assert_str(mg_h1_write_request(&m, &w), "PUT / HTTP/1.1\r\nHost: a.example\r\n\r\n");
}

static void responses(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        int64_t declared;
        struct mg_h1_write w;
        const char *want;
    } cases[] = {
        {200, -1, {.keep_alive = true}, "HTTP/1.1 200 OK\r\n\r\n"},
        {200, -1, {.framing = MG_H1_UNTIL_CLOSE}, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
        {404,
         9,
         {.keep_alive = true, .framing = MG_H1_LENGTH, .length = 5},
         "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n"},
        {200,
         -1,
         {.keep_alive = true, .framing = MG_H1_CHUNKED},
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {599,
         -1,
         {.keep_alive = true, .framing = MG_H1_LENGTH},
         "HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n"},
        /* to HEAD */
        {200, 5, {.keep_alive = true}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
        /* never a length, or not when nothing is said */
        {304, 5, {.keep_alive = true}, "HTTP/1.1 304 Not Modified\r\n\r\n"},
        {204, 5, {.keep_alive = true}, "HTTP/1.1 204 No Content\r\n\r\n"},
        {204, -1, {.keep_alive = true, .framing = MG_H1_LENGTH}, "HTTP/1.1 204 No Content\r\n\r\n"},
        {204,
         -1,
         {.keep_alive = true, .framing = MG_H1_CHUNKED},
         "HTTP/1.1 204 No Content\r\n\r\n"},
        {103, 5, {.keep_alive = true}, "HTTP/1.1 103 Early Hints\r\n\r\n"},
        {101,
         -1,
         {.upgrade = MG_STR("websocket")},
         "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"},
        {200,
         -1,
         {.keep_alive = true,
          .say_keep_alive = true,
          .date = MG_STR("now"),
          .server = MG_STR("us"),
          .extra = MG_STR("X: 1\r\n")},
         "HTTP/1.1 200 OK\r\nDate: now\r\nServer: us\r\nConnection: keep-alive\r\nX: 1\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mg_message m = response(cases[i].status);
        m.content_length = cases[i].declared;
        assert_str(mg_h1_write_response(&m, &cases[i].w), cases[i].want);
    }
}

static void own_phrase_date_and_server_stay(void **state)
{
    (void)state;
    const struct mg_h1_write w = {
        .keep_alive = true, .date = MG_STR("now"), .server = MG_STR("us")};
    struct mg_message m = response(200);
    m.phrase = MG_STR("Fine");
    mg_fields_add(&m.fields, &arena, MG_STR("date"), MG_STR("then"));
    mg_fields_add(&m.fields, &arena, MG_STR("SERVER"), MG_STR(""));
    assert_str(mg_h1_write_response(&m, &w), "HTTP/1.1 200 Fine\r\ndate: then\r\nSERVER: \r\n\r\n");
}

static void codec_fields_are_skipped(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Connection",     "Content-Length",   "Expect", "Host",
        "HTTP2-Settings", "Keep-Alive",       "TE",     "Proxy-Connection",
        "UPGRADE",        "transfer-encoding"};
    const struct mg_h1_write w = {.keep_alive = true};
    struct mg_message m = request("/");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        mg_fields_add(&m.fields, &arena, mg_str_c(names[i]), MG_STR("x"));
    mg_fields_add(&m.fields, &arena, MG_STR("X-A"), MG_STR("1"));
    assert_str(mg_h1_write_request(&m, &w), "PUT / HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\n\r\n");
    m.status = 200;
    assert_str(mg_h1_write_response(&m, &w), "HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n");
}

/* Everything at once fits what was set aside: each piece in an arena that ends where the head ends
 * would show otherwise under a sanitizer. */
static void everything_at_once_fits(void **state)
{
    (void)state;
    struct mg_pool tiny;
    struct mg_arena large;
    mg_pool_init(&tiny, 64); /* heads are larger, and so each is a block of its own */
    mg_arena_init(&large, &tiny);
    const struct mg_h1_write w = {
        .framing = MG_H1_LENGTH,
        .length = UINT64_MAX,
        .keep_alive = true,
        .say_keep_alive = true,
        .upgrade = MG_STR("websocket"),
        .te_trailers = true,
        .expect_continue = true,
        .date = MG_STR("d"),
        .server = MG_STR("s"),
        .extra = MG_STR("X: 1\r\n"),
        .target = MG_STR("/t"),
        .authority = MG_STR("b"),
    };
    struct mg_message m = request("/p");
    m.arena = &large;
    m.query = MG_STR("q");
    m.status = 511; /* the longest phrase */
    for (int i = 0; i < 50; i++)
        mg_fields_add(&m.fields, &large, MG_STR("A"), MG_STR(""));
    assert_true(mg_str_ends(mg_h1_write_request(&m, &w),
                            MG_STR("Connection: upgrade, keep-alive, TE\r\nUpgrade: websocket\r\n"
                                   "TE: trailers\r\nExpect: 100-continue\r\nX: 1\r\n\r\n")));
    assert_true(mg_str_ends(mg_h1_write_response(&m, &w), MG_STR("X: 1\r\n\r\n")));
    mg_arena_release(&large);
    mg_pool_release(&tiny);
}

static void chunk_sizes(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        const char *want;
    } cases[] = {
        {0, "0\r\n"},
        {1, "1\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {500, "1f4\r\n"},
        {65536, "10000\r\n"},
        {UINT64_MAX, "ffffffffffffffff\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[20];
        assert_str(mg_str(out, mg_h1_write_chunk_size(out, cases[i].n)), cases[i].want);
    }
}

static void last_chunks(void **state)
{
    (void)state;
    struct mg_fields trailers = {0};
    struct mg_message m;
    mg_message_init(&m, &arena);
    assert_str(mg_h1_write_last_chunk(&arena, &m, NULL), "0\r\n\r\n");
    assert_str(mg_h1_write_last_chunk(&arena, &m, &trailers), "0\r\n\r\n");
    mg_fields_add(&trailers, &arena, MG_STR("X-Sum"), MG_STR("1"));
    mg_fields_add(&trailers, &arena, MG_STR("Content-Length"), MG_STR("5"));
    mg_fields_add(&trailers, &arena, MG_STR("Y"), MG_STR(""));
    assert_str(mg_h1_write_last_chunk(&arena, &m, &trailers), "0\r\nX-Sum: 1\r\nY: \r\n\r\n");
    mg_message_settle(&m, MG_STR("x_sum"));
    assert_str(mg_h1_write_last_chunk(&arena, &m, &trailers), "0\r\nY: \r\n\r\n");
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    const struct mg_h1_limits limits = {4096, 20, 1000};
    const struct mg_h1_write w = {.keep_alive = true,
                                  .framing = MG_H1_CHUNKED,
                                  .te_trailers = true,
                                  .expect_continue = true,
                                  .upgrade = MG_STR("websocket")};
    struct mg_message m = request("/p"), back;
    m.query = MG_STR("q=1");
    mg_fields_add(&m.fields, &arena, MG_STR("X-A"), MG_STR("1"));
    mg_fields_add(&m.fields, &arena, MG_STR("X-A"), MG_STR(""));
    struct mg_str head = mg_h1_write_request(&m, &w);
    struct mg_h1_framing framing;
    struct mg_h1_fault fault;
    mg_message_init(&back, &arena);
    assert_int_equal(mg_h1_parse_request(head.p, head.n, &limits, &back, &framing, &fault), 0);
    assert_str(back.method, "PUT");
    assert_str(back.authority, "a.example");
    assert_str(back.path, "/p");
    assert_str(back.query, "q=1");
    assert_str(back.upgrade, "websocket");
    assert_true(back.te_trailers && back.expect_continue && framing.keep_alive);
    assert_int_equal(framing.kind, MG_H1_CHUNKED);
    assert_int_equal(back.fields.n, 2);
    assert_str(mg_field_value(&back.fields.v[0]), "1");
    assert_str(mg_field_value(&back.fields.v[1]), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(requests),
        TEST(targets),
        TEST(responses),
        TEST(own_phrase_date_and_server_stay),
        TEST(codec_fields_are_skipped),
        TEST(everything_at_once_fits),
        TEST(chunk_sizes),
        TEST(last_chunks),
        TEST(what_is_written_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
