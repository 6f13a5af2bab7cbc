/* HTTP/1 bodies: each is decoded as a whole, split at every place, and byte by byte; what comes out
 * must be the same. */
#include "http/h1_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/test_arena.h"

static const struct mg_h1_limits limits = {
    .head_bytes = 64, /* of trailers */
    .field_count = 3,
    .target_bytes = 64,
};

/* ---- a connection's buffer ---- */

/* payload, then bytes done with, then bytes not yet used:  0 <= payload <= src <= n */
struct feed {
    struct mg_h1_body body;
    struct mg_fields trailers;
    struct mg_h1_fault fault;
    char *buf; /* exactly `n` bytes, so that reading beyond is seen */
    size_t payload, src, n;
};

static void feed_init(struct feed *f, const struct mg_h1_framing *framing)
{
    memset(f, 0, sizeof *f);
    mg_h1_body_init(&f->body, framing, &limits, &f->trailers, &arena);
}

/* `n` more bytes arrive and are decoded. */
static int feed(struct feed *f, const char *bytes, size_t n)
{
    char *grown = malloc(f->n + n + 1);
    memcpy(grown, f->buf ? f->buf : "", f->n);
    memcpy(grown + f->n, bytes, n);
    free(f->buf);
    f->buf = realloc(grown, f->n + n ? f->n + n : 1);
    f->n += n;
    size_t used, payload;
    int rc = mg_h1_body_decode(&f->body, f->buf + f->payload, f->buf + f->src, f->n - f->src, &used,
                               &payload, &f->fault);
    assert_true(used <= f->n - f->src);
    assert_true(f->payload + payload <= f->src + used);
    f->src += used;
    f->payload += payload;
    if (rc == 0)
        assert_int_equal(f->body.total, f->payload);
    return rc;
}

/* ---- cases ---- */

struct body_case {
    struct mg_str wire;
    const char *payload;  /* NULL: refused */
    const char *trailers; /* or the reason */
    size_t left_over;     /* bytes after the end */
};

#define GOOD(wire, payload, trailers, left)                                                        \
    {                                                                                              \
        {wire, sizeof(wire) - 1}, payload, trailers, left                                          \
    }
#define BAD(wire, reason)                                                                          \
    {                                                                                              \
        {wire, sizeof(wire) - 1}, NULL, reason, 0                                                  \
    }

#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16
#define A192 A64 A64 A64

static const struct body_case chunked[] = {
    GOOD("0\r\n\r\n", "", "", 0),
    GOOD("5\r\nhello\r\n0\r\n\r\n", "hello", "", 0),
    GOOD("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "hello", "", 16),
    GOOD("1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n000\r\n\r\n", "abcdef", "", 0),
    GOOD("000000000000005\r\n\r\n0\r\n\r\n0\r\n\r\n", "\r\n0\r\n", "", 0),
    GOOD("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", "", 0),
    GOOD("1;a\r\nx\r\n0;b\r\n\r\n", "x", "", 0),
    GOOD("1;a=b;c=\"d;\\\"\\\\ \t\xc3\xa9\";e\r\nx\r\n0\r\n\r\n", "x", "", 0),
    GOOD("1 ; a = b ; c\t=\t\"\" ;d\r\nx\r\n0\r\n\r\n", "x", "", 0),
    GOOD("1;" A192 "\r\nx\r\n0\r\n\r\n", "x", "", 0),
    GOOD("0\r\nX-Sum: 1\r\nY:2 \r\n\r\n", "", "X-Sum: 1|Y: 2", 0),
    GOOD("1\r\nx\r\n0;a\r\nContent-Length: 5\r\nX: 1\r\n\r\nHello", "x", "X: 1", 5),
    GOOD("0\r\nX: 01234567890123456789012345678901234567890123456789012345\r\n\r\n\n", "",
         "X: 01234567890123456789012345678901234567890123456789012345", 1),

    BAD("\r\n", "chunk-size"),
    BAD(" 1\r\nx", "chunk-size"),
    BAD("\t1\r\nx", "chunk-size"),
    BAD("x", "chunk-size"),
    BAD("g\r\n", "chunk-size"),
    BAD("-1\r\n", "chunk-size"),
    BAD("+1\r\n", "chunk-size"),
    BAD("0x1\r\n", "chunk-size"),
    BAD("1_0\r\n", "chunk-size"),
    BAD("\xd9\xa1\r\n", "chunk-size"),
    BAD("5\0\r\nhello", "chunk-size"),
    BAD(";a\r\n", "chunk-size"),
    BAD("1,1\r\n", "chunk-size"),
    BAD("0000000000000005\r\nhello", "chunk-size-too-large"),
    BAD("ffffffffffffffff\r\n", "chunk-size-too-large"),
    BAD("10000000000000005\r\nhello", "chunk-size-too-large"),
    BAD("1 \r\nx", "chunk-extension"),
    BAD("1\t\r\nx", "chunk-extension"),
    BAD("1 1\r\nx", "chunk-extension"),
    BAD("1 a\r\nx", "chunk-extension"),
    BAD("1;\r\nx", "chunk-extension"),
    BAD("1; \r\nx", "chunk-extension"),
    BAD("1;;a\r\nx", "chunk-extension"),
    BAD("1;=a\r\nx", "chunk-extension"),
    BAD("1;a \r\nx", "chunk-extension"),
    BAD("1;a b\r\nx", "chunk-extension"),
    BAD("1;a=\r\nx", "chunk-extension"),
    BAD("1;a= \r\nx", "chunk-extension"),
    BAD("1;a==b\r\nx", "chunk-extension"),
    BAD("1;a=b c\r\nx", "chunk-extension"),
    BAD("1;a=b=c\r\nx", "chunk-extension"),
    BAD("1;a=b\"c\"\r\nx", "chunk-extension"),
    BAD("1;a=\"b\"c\r\nx", "chunk-extension"),
    BAD("1;a=\"b\r\nx", "chunk-extension"),
    BAD("1;a=\"b\\\r\nx", "chunk-extension"),
    BAD("1;a=\"\0\"\r\nx", "chunk-extension"),
    BAD("1;a\0\r\nx", "chunk-extension"),
    BAD("1;a\x7f\r\nx", "chunk-extension"),
    BAD("1;\xc3\xa9\r\nx", "chunk-extension"),
    BAD("1\nx\n0\n\n", "bare-lf"),
    BAD("1;a\nx", "bare-lf"),
    BAD("1;a=\"\n\"\r\nx", "bare-lf"),
    BAD("1\rx", "bare-cr"),
    BAD("1\r\r\nx", "bare-cr"),
    BAD("1;a\r;b\r\nx", "bare-cr"),
    BAD("1;" A192 A64 "\r\nx", "chunk-line-too-long"),
    BAD("1\r\nxy", "chunk-end"),
    BAD("1\r\nx\n0\r\n\r\n", "chunk-end"),
    BAD("1\r\nx0\r\n\r\n", "chunk-end"),
    BAD("1\r\nx\r0\r\n\r\n", "chunk-end"),
    BAD("3\r\nfoo\r\n\r\n", "chunk-size"),
    BAD("0\r\n\n", "bare-lf"),
    BAD("0\r\nX: 1\n\r\n", "bare-lf"),
    BAD("0\r\nX: 1\r\n\n", "bare-lf"),
    BAD("0\r\nX: 1\rY: 2\r\n\r\n", "bare-cr"),
    BAD("0\r\nX\r\n\r\n", "field-name"),
    BAD("0\r\n X: 1\r\n\r\n", "line-folding"),
    BAD("0\r\nX : 1\r\n\r\n", "space-before-colon"),
    BAD("0\r\nX: \0\r\n\r\n", "field-value"),
    BAD("0\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n", "too-many-fields"),
    BAD("0\r\nX: 012345678901234567890123456789012345678901234567890123456789\r\n\r\n",
        "trailers-too-large"),
    BAD("0\r\n" A64, "trailers-too-large"),
};

static void check_trailers(const struct feed *f, const char *want)
{
    char got[256] = "";
    size_t n = 0;
    for (unsigned i = 0; i < f->trailers.n; i++) {
        const struct mg_field *t = &f->trailers.v[i];
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%.*s: %.*s", i ? "|" : "", t->name_len,
                              t->name, (int)t->value_len, t->value);
    }
    assert_string_equal(got, want);
}

static void check_end(struct feed *f, int rc, const struct body_case *c)
{
    if (!c->payload) {
        if (rc != -1 || strcmp(f->fault.reason, c->trailers) != 0)
            fail_msg("got %s, want %s: %s", rc ? f->fault.reason : "no fault", c->trailers,
                     c->wire.p);
        assert_int_equal(
            f->fault.status,
            strstr(c->trailers, "trailers-too") || strstr(c->trailers, "too-many") ? 431 : 400);
        return;
    }
    if (rc)
        fail_msg("refused with %s: %s", f->fault.reason, c->wire.p);
    assert_true(f->body.done);
    assert_int_equal(f->n - f->src, c->left_over);
    assert_int_equal(f->payload, strlen(c->payload));
    assert_memory_equal(f->buf, c->payload, f->payload);
    assert_memory_equal(f->buf + f->src, c->wire.p + c->wire.n - c->left_over, c->left_over);
    assert_int_equal(mg_h1_body_eof(&f->body), 0);
    free(f->buf); /* trailers were copied */
    f->buf = NULL;
    check_trailers(f, c->trailers);
}

static const struct mg_h1_framing chunked_framing = {.kind = MG_H1_CHUNKED};

static void check_split(const struct body_case *c, size_t at)
{
    struct feed f;
    feed_init(&f, &chunked_framing);
    int rc = feed(&f, c->wire.p, at);
    if (rc == 0)
        rc = feed(&f, c->wire.p + at, c->wire.n - at);
    check_end(&f, rc, c);
    free(f.buf);
}

static void check_bytewise(const struct body_case *c)
{
    struct feed f;
    feed_init(&f, &chunked_framing);
    int rc = 0;
    for (size_t i = 0; i < c->wire.n && rc == 0; i++) {
        if (!f.body.done && f.body.total < c->wire.n)
            assert_int_equal(mg_h1_body_eof(&f.body), -1);
        rc = feed(&f, c->wire.p + i, 1);
    }
    check_end(&f, rc, c);
    free(f.buf);
}

static void chunks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof chunked / sizeof *chunked; i++) {
        for (size_t at = 0; at <= chunked[i].wire.n; at++)
            check_split(&chunked[i], at);
        check_bytewise(&chunked[i]);
    }
}

static void trailers_may_be_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *wire, *reason;
    } cases[] = {
        {"0\r\n\r\n", NULL},
        {"0\r\nX: 1\r\n\r\n", NULL},
        {"0\r\nX : 1\r\n\r\n", "space-before-colon"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mg_h1_body b;
        struct mg_h1_fault fault;
        char buf[64];
        size_t n = strlen(cases[i].wire), used, payload;
        memcpy(buf, cases[i].wire, n);
        mg_h1_body_init(&b, &chunked_framing, &limits, NULL, NULL);
        int rc = mg_h1_body_decode(&b, buf, buf, n, &used, &payload, &fault);
        assert_int_equal(rc, cases[i].reason ? -1 : 0);
        if (rc)
            assert_string_equal(fault.reason, cases[i].reason);
        else
            assert_true(b.done && used == n && payload == 0);
    }
}

static void lengths(void **state)
{
    (void)state;
    const struct mg_h1_framing five = {.kind = MG_H1_LENGTH, .length = 5};
    for (size_t at = 0; at <= 7; at++) {
        struct feed f;
        feed_init(&f, &five);
        assert_int_equal(feed(&f, "hello!!", at), 0);
        assert_int_equal(f.body.done, at >= 5);
        assert_int_equal(mg_h1_body_eof(&f.body), at >= 5 ? 0 : -1);
        assert_int_equal(feed(&f, &"hello!!"[at], 7 - at), 0);
        assert_true(f.body.done);
        assert_int_equal(f.payload, 5);
        assert_int_equal(f.src, 5);
        assert_memory_equal(f.buf, "hello!!", 7);
        free(f.buf);
    }
}

/* Sizes beyond 32 bits: bytes are counted, not held. */
static void huge_lengths(void **state)
{
    (void)state;
    const struct mg_h1_framing huge = {.kind = MG_H1_LENGTH, .length = INT64_MAX};
    struct feed f;
    feed_init(&f, &huge);
    assert_int_equal(feed(&f, "abc", 3), 0);
    assert_int_equal(f.body.left, INT64_MAX - 3);
    assert_false(f.body.done);
    free(f.buf);

    feed_init(&f, &chunked_framing);
    assert_int_equal(feed(&f, "fffffffffffffff\r\nabc", 20), 0);
    assert_int_equal(f.body.left, 0xffffffffffffffc);
    free(f.buf);
}

static void no_body(void **state)
{
    (void)state;
    const struct mg_h1_framing framings[] = {{.kind = MG_H1_NO_BODY, .length = 5},
                                             {.kind = MG_H1_LENGTH, .length = 0}};
    for (size_t i = 0; i < 2; i++) {
        struct feed f;
        feed_init(&f, &framings[i]);
        assert_true(f.body.done);
        assert_int_equal(feed(&f, "next", 4), 0);
        assert_int_equal(f.src, 0);
        assert_int_equal(f.payload, 0);
        assert_int_equal(mg_h1_body_eof(&f.body), 0);
        free(f.buf);
    }
}

static void until_close(void **state)
{
    (void)state;
    const struct mg_h1_framing framing = {.kind = MG_H1_UNTIL_CLOSE};
    struct feed f;
    feed_init(&f, &framing);
    assert_int_equal(feed(&f, "0\r\n", 3), 0);
    assert_int_equal(feed(&f, "\r\n", 2), 0);
    assert_false(f.body.done);
    assert_int_equal(f.payload, 5);
    assert_memory_equal(f.buf, "0\r\n\r\n", 5);
    assert_int_equal(mg_h1_body_eof(&f.body), 0);
    assert_true(f.body.done);
    free(f.buf);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(chunks),  TEST(trailers_may_be_dropped),
        TEST(lengths), TEST(huge_lengths),
        TEST(no_body), TEST(until_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
