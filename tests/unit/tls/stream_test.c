/*
 * TLS streams, our server and our client on the two ends of an in-memory pair: what one writes the
 * other reads, whatever the pieces; and every way in which it ends or does not begin.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "net/security.h"
#include "tls/client.h"
#include "tls/server.h"
#include "tls/test_ca.h"

#define PATIENCE (10 * MG_SECOND)
#define SECONDS(n) ((n) * (uint64_t)MG_SECOND)

/* One end as its owner has it. */
struct side {
    struct mg_stream *stream;
    char failure[160];
    unsigned done;
    char *got;
    size_t got_bytes, got_room;
    const char *to_send;
    size_t to_send_bytes, sent;
    bool ended, broken, paused, shut_when_sent;
    size_t read_size;
};

struct fixture {
    struct mg_loop *loop;
    struct mg_tls_desk desk, client_desk;
    struct mg_tls_server_settings *server_settings;
    struct mg_tls_client_settings *client_settings;
    struct mg_tls_server *server;
    struct mg_tls_client *client;
    struct mg_stream *ends[2];
    struct side s, c;
};

static struct test_cert *ca, *other_ca, *ec, *rsa, *b_test, *person, *stranger;

static int make_certificates(void **state)
{
    (void)state;
    ca = test_ca_new("Test CA");
    other_ca = test_ca_new("Other CA");
    ec = test_leaf_new(ca, TEST_KEY_P256, "DNS:a.test, IP:127.0.0.1");
    rsa = test_leaf_new(ca, TEST_KEY_RSA2048, "DNS:a.test");
    b_test = test_leaf_new(ca, TEST_KEY_P256, "DNS:b.test, DNS:*.c.test");
    person = test_leaf_new(ca, TEST_KEY_P256, "email:ann@a.test");
    stranger = test_leaf_new(other_ca, TEST_KEY_P256, NULL);
    return 0;
}

static int free_certificates(void **state)
{
    struct test_cert *all[] = {ca, other_ca, ec, rsa, b_test, person, stranger};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        test_cert_free(all[i]);
    return 0;
}

/* --- the two sides --- */

static void write_some(struct side *s)
{
    while (s->sent < s->to_send_bytes) {
        /* In two pieces, as heads and bodies come. */
        size_t left = s->to_send_bytes - s->sent, first = left / 3;
        struct iovec v[2] = {{(char *)s->to_send + s->sent, first},
                             {(char *)s->to_send + s->sent + first, left - first}};
        ssize_t n = mg_stream_writev(s->stream, v, 2);
        if (n == MG_STREAM_AGAIN) {
            mg_stream_watch(s->stream, s->stream->watch_read, true);
            return;
        }
        if (n < 0) {
            s->broken = true;
            return;
        }
        s->sent += (size_t)n;
    }
    mg_stream_watch(s->stream, s->stream->watch_read, false);
    if (s->shut_when_sent)
        mg_stream_shutdown(s->stream);
    s->shut_when_sent = false;
}

static void on_writable(void *arg)
{
    write_some(arg);
}

static void on_readable(void *arg)
{
    struct side *s = arg;
    if (s->paused) {
        mg_stream_watch(s->stream, false, s->stream->watch_write);
        return;
    }
    if (s->got_room - s->got_bytes < s->read_size)
        s->got = mg_realloc(s->got, s->got_room = 2 * s->got_room + s->read_size);
    ssize_t n = mg_stream_read(s->stream, s->got + s->got_bytes, s->read_size);
    if (n > 0)
        s->got_bytes += (size_t)n;
    if (n == 0)
        s->ended = true;
    if (n == MG_STREAM_ERROR)
        s->broken = true;
    if (n == 0 || n == MG_STREAM_ERROR)
        mg_stream_watch(s->stream, false, s->stream->watch_write);
}

static void on_done(void *arg, struct mg_stream *stream, const char *failure)
{
    struct side *s = arg;
    s->done++;
    s->stream = stream;
    if (!stream) {
        snprintf(s->failure, sizeof s->failure, "%s", failure);
        return;
    }
    stream->arg = s;
    stream->on_readable = on_readable;
    stream->on_writable = on_writable;
}

static void run(struct fixture *f)
{
    mg_loop_simulate(f->loop, mg_loop_now(f->loop) + SECONDS(1), NULL);
}

/* --- setting up --- */

static struct mg_tls_server_settings *settings_of(struct test_cert *const *certs, size_t count)
{
    struct mg_tls_server_settings *s = mg_tls_server_settings_new();
    s->certificates = mg_arena_calloc(&s->arena, count * sizeof *s->certificates);
    s->certificate_count = count;
    s->min_version = 12;
    s->client_depth = 4;
    for (size_t i = 0; i < count; i++) {
        s->certificates[i].cert_file = MG_STR("cert.pem");
        s->certificates[i].cert_pem = mg_str_c(certs[i]->chain_pem);
        s->certificates[i].key_pem = mg_str_c(certs[i]->key_pem);
    }
    return s;
}

static struct mg_tls_trust *trust_in(const struct test_cert *authority)
{
    struct mg_error err;
    struct mg_tls_trust *t =
        mg_tls_trust_new(mg_str_c(authority->cert_pem), MG_STR_NONE, false, &err);
    assert_non_null(t);
    return t;
}

static void prepare(struct fixture *f)
{
    struct test_cert *all[] = {ec, rsa, b_test};
    *f = (struct fixture){.loop = mg_loop_new_simulated(7)};
    mg_tls_desk_init(&f->desk, f->loop);
    mg_tls_desk_init(&f->client_desk, f->loop);
    f->server_settings = settings_of(all, 3);
    f->server_settings->tickets = mg_tls_tickets_new(3600);
    f->client_settings = mg_tls_client_settings_new();
    f->client_settings->trust = trust_in(ca);
    f->s.read_size = f->c.read_size = 65536;
}

static void start_server(struct fixture *f)
{
    struct mg_error err;
    if (!f->server && !(f->server = mg_tls_server_new(&f->desk, f->server_settings, &err)))
        fail_msg("%s", err.text);
    mg_tls_server_accept(f->server, f->ends[0], mg_loop_now(f->loop) + PATIENCE, on_done, &f->s);
}

static struct mg_tls_stream *start_client(struct fixture *f, const char *host)
{
    struct mg_error err;
    if (!f->client && !(f->client = mg_tls_client_new(&f->client_desk, f->client_settings, &err)))
        fail_msg("%s", err.text);
    return mg_tls_client_connect(f->client, f->ends[1], mg_str_c(host), 7,
                                 mg_loop_now(f->loop) + PATIENCE, on_done, &f->c);
}

static void connect_as(struct fixture *f, const char *host, size_t room)
{
    mg_pair_stream_new(f->loop, room, f->ends);
    start_server(f);
    start_client(f, host);
    run(f);
}

static void close_side(struct side *s)
{
    if (s->stream)
        mg_stream_close(s->stream);
    free(s->got);
    *s = (struct side){.read_size = 65536};
}

static void finish(struct fixture *f)
{
    close_side(&f->s);
    close_side(&f->c);
    mg_loop_simulate(f->loop, UINT64_MAX, NULL);
    assert_int_equal(f->desk.handshakes, 0);
    assert_int_equal(f->desk.leaving, 0);
    assert_int_equal(f->desk.wire.live, 0);
    assert_int_equal(f->client_desk.wire.live, 0);
    assert_int_equal(f->desk.shelf.buffers.live, 0);
    mg_tls_desk_release(&f->desk);
    mg_tls_desk_release(&f->client_desk);
    mg_loop_settle(f->loop);
    mg_tls_server_unref(f->server);
    mg_tls_client_unref(f->client);
    mg_tls_server_settings_unref(f->server_settings);
    mg_tls_client_settings_unref(f->client_settings);
    mg_loop_free(f->loop);
}

/* --- bytes --- */

static char *pattern(size_t n, unsigned seed)
{
    char *p = mg_malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)((i * 31 + seed) ^ (i >> 8));
    return p;
}

static void exchange(size_t bytes, size_t room, size_t read_size)
{
    struct fixture f;
    prepare(&f);
    f.s.read_size = f.c.read_size = read_size;
    connect_as(&f, "a.test", room);
    assert_non_null(f.s.stream);
    assert_non_null(f.c.stream);
    char *up = pattern(bytes, 1), *down = pattern(bytes, 2);
    f.c.to_send = up;
    f.s.to_send = down;
    f.c.to_send_bytes = f.s.to_send_bytes = bytes;
    write_some(&f.c);
    write_some(&f.s);
    run(&f);
    assert_int_equal(f.s.got_bytes, bytes);
    assert_int_equal(f.c.got_bytes, bytes);
    assert_memory_equal(f.s.got, up, bytes);
    assert_memory_equal(f.c.got, down, bytes);
    finish(&f);
    free(up);
    free(down);
}

static void what_one_writes_the_other_reads(void **state)
{
    static const size_t sizes[] = {1, 100, 16383, 16384, 16385, 70000, 1 << 20};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        exchange(sizes[i], 16384, 65536);
        exchange(sizes[i], 200000, 1000);
        exchange(sizes[i], 16384, 16384);
    }
}

static void pieces_on_the_wire_may_be_of_any_size(void **state)
{
    (void)state;
    for (size_t room = 1; room < 40; room += 3)
        exchange(5000, room, 65536);
}

static void a_reader_that_stops_stops_the_writer(void **state)
{
    struct fixture f;
    size_t bytes = 4 << 20;
    char *down = pattern(bytes, 5);
    (void)state;
    prepare(&f);
    connect_as(&f, "a.test", 16384);
    f.c.paused = true;
    f.s.to_send = down;
    f.s.to_send_bytes = bytes;
    write_some(&f.s);
    run(&f);
    assert_true(f.s.sent < 256 * 1024); /* two buffers and what is in between */
    assert_int_equal(f.c.got_bytes, 0);
    f.c.paused = false;
    mg_stream_watch(f.c.stream, true, false);
    run(&f);
    assert_int_equal(f.c.got_bytes, bytes);
    assert_memory_equal(f.c.got, down, bytes);
    finish(&f);
    free(down);
}

/* --- ends --- */

static void a_close_is_an_end(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    connect_as(&f, "a.test", 16384);
    f.s.to_send = "last words";
    f.s.to_send_bytes = 10;
    write_some(&f.s);
    mg_stream_close(f.s.stream);
    f.s.stream = NULL;
    run(&f);
    assert_int_equal(f.c.got_bytes, 10);
    assert_true(f.c.ended);
    assert_false(f.c.broken);
    finish(&f);
}

static void one_direction_may_end_before_the_other(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    connect_as(&f, "a.test", 16384);
    f.c.to_send = "question";
    f.c.to_send_bytes = 8;
    f.c.shut_when_sent = true;
    write_some(&f.c);
    run(&f);
    assert_true(f.s.ended);
    f.s.to_send = "answer";
    f.s.to_send_bytes = 6;
    write_some(&f.s);
    run(&f);
    assert_int_equal(f.c.got_bytes, 6);
    assert_false(f.c.ended);
    finish(&f);
}

/* The TCP connection ends, but nobody said goodbye: bytes may have been cut off. */
static void a_truncation_is_an_error(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    connect_as(&f, "a.test", 16384);
    mg_stream_shutdown(f.ends[0]); /* below TLS */
    run(&f);
    assert_true(f.c.broken);
    assert_false(f.c.ended);
    finish(&f);
}

static void last_bytes_are_sent_after_a_close(void **state)
{
    struct fixture f;
    char *down = pattern(60000, 3);
    (void)state;
    prepare(&f);
    connect_as(&f, "a.test", 1000);
    f.c.paused = true;
    f.s.to_send = down;
    f.s.to_send_bytes = 60000;
    write_some(&f.s);
    assert_int_equal(f.s.sent, 60000); /* all in the buffer */
    mg_stream_close(f.s.stream);
    f.s.stream = NULL;
    assert_int_equal(f.desk.leaving, 1);
    f.c.paused = false;
    mg_stream_watch(f.c.stream, true, false);
    run(&f);
    assert_int_equal(f.desk.leaving, 0);
    assert_int_equal(f.c.got_bytes, 60000);
    assert_true(f.c.ended);
    finish(&f);
    free(down);
}

static void last_bytes_are_not_sent_for_ever(void **state)
{
    struct fixture f;
    char *down = pattern(60000, 3);
    (void)state;
    prepare(&f);
    connect_as(&f, "a.test", 1000);
    f.c.paused = true;
    f.s.to_send = down;
    f.s.to_send_bytes = 60000;
    write_some(&f.s);
    mg_stream_close(f.s.stream);
    f.s.stream = NULL;
    mg_loop_simulate(f.loop, mg_loop_now(f.loop) + SECONDS(60), NULL);
    assert_int_equal(f.desk.leaving, 0);
    finish(&f);
    free(down);
}

/* --- handshakes that fail --- */

static void expect_failure(struct fixture *f, const char *server, const char *client)
{
    assert_null(f->s.stream);
    assert_int_equal(f->s.done, 1);
    if (client) {
        assert_null(f->c.stream);
        assert_string_equal(f->c.failure, client);
    }
    if (server)
        assert_string_equal(f->s.failure, server);
}

static void a_silent_client_is_not_waited_for_longer(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    mg_pair_stream_new(f.loop, 16384, f.ends);
    start_server(&f);
    mg_loop_simulate(f.loop, mg_loop_now(f.loop) + PATIENCE - 1000, NULL);
    assert_int_equal(f.s.done, 0);
    mg_loop_simulate(f.loop, mg_loop_now(f.loop) + 2000, NULL);
    expect_failure(&f, "the handshake took too long", NULL);
    mg_stream_close(f.ends[1]);
    finish(&f);
}

static void put(struct mg_stream *s, const char *bytes, size_t n)
{
    struct iovec v = {(char *)bytes, n};
    assert_int_equal(mg_stream_writev(s, &v, 1), n);
}

static void a_half_handshake_is_not_waited_for_longer(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    mg_pair_stream_new(f.loop, 16384, f.ends);
    start_server(&f);
    put(f.ends[1], "\x16\x03\x01\x02\x00\x01", 6);
    mg_loop_simulate(f.loop, mg_loop_now(f.loop) + PATIENCE + 1000, NULL);
    expect_failure(&f, "the handshake took too long", NULL);
    mg_stream_close(f.ends[1]);
    finish(&f);
}

static void plain_http_gets_an_answer(void **state)
{
    struct fixture f;
    char answer[512] = {0};
    (void)state;
    prepare(&f);
    mg_pair_stream_new(f.loop, 16384, f.ends);
    start_server(&f);
    put(f.ends[1], "GET / HTTP/1.1\r\n", 16);
    run(&f);
    expect_failure(&f, "this is no TLS", NULL);
    assert_true(mg_stream_read(f.ends[1], answer, sizeof answer - 1) > 0);
    assert_non_null(strstr(answer, "HTTP/1.1 400 Bad Request\r\n"));
    mg_stream_close(f.ends[1]);
    finish(&f);
}

static void garbage_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
        {"\0\0\0\0\0\0\0\0", 8},
        {"\x80\x2e\x01\x03\x01\x00\x15\x00", 8},         /* an SSL 2 hello */
        {"\x15\x03\x01\x00\x02\x02\x28", 7},             /* an alert */
        {"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", 10} /* a ServerHello */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        prepare(&f);
        mg_pair_stream_new(f.loop, 16384, f.ends);
        start_server(&f);
        put(f.ends[1], cases[i].bytes, cases[i].n);
        run(&f);
        expect_failure(&f, NULL, NULL);
        mg_stream_close(f.ends[1]);
        finish(&f);
    }
}

static void a_handshake_can_be_given_up(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    mg_pair_stream_new(f.loop, 16384, f.ends);
    start_server(&f);
    mg_tls_stream_cancel(start_client(&f, "a.test"));
    run(&f);
    expect_failure(&f, "the peer closed the connection", NULL);
    assert_int_equal(f.c.done, 0);
    finish(&f);
}

static void handshakes_of_clients_can_be_cut(void **state)
{
    struct fixture f;
    struct mg_stream *open_ends[2];
    char byte;
    (void)state;
    prepare(&f);
    connect_as(&f, "a.test", 16384);
    open_ends[0] = f.s.stream;
    f.s.stream = NULL;
    mg_pair_stream_new(f.loop, 16384, f.ends);
    start_server(&f);
    put(f.ends[1], "\x16\x03\x01\x02\x00\x01", 6);
    run(&f);
    assert_int_equal(f.desk.handshakes, 1);
    mg_tls_desk_cut(&f.desk);
    assert_int_equal(f.desk.handshakes, 0);
    run(&f);
    assert_int_equal(f.s.done, 1); /* of the first */
    assert_int_equal(mg_stream_read(f.ends[1], &byte, 1), 0);
    assert_false(f.c.ended);
    mg_stream_close(f.ends[1]);
    mg_stream_close(open_ends[0]);
    finish(&f);
}

static void handshakes_with_backends_are_not_cut(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    mg_pair_stream_new(f.loop, 16384, f.ends);
    start_server(&f);
    start_client(&f, "a.test");
    mg_tls_desk_cut(&f.client_desk);
    run(&f);
    assert_non_null(f.c.stream);
    finish(&f);
}

static void backends_must_be_who_they_say(void **state)
{
    static const struct {
        const char *host;
        bool other;
        const char *failure; /* NULL: none */
    } cases[] = {
        {"a.test", false, NULL},
        {"A.Test", false, NULL},
        {"x.c.test", false, NULL},
        {"127.0.0.1", false, NULL},
        {"nobody.test", false, "not for this name"},
        {"127.0.0.2", false, "not for this name"},
        {"x.y.c.test", false, "not for this name"},
        {"a.test", true, "unknown issuer"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        prepare(&f);
        if (cases[i].other) {
            mg_tls_trust_unref(f.client_settings->trust);
            f.client_settings->trust = trust_in(other_ca);
        }
        connect_as(&f, cases[i].host, 16384);
        if (cases[i].failure)
            assert_string_equal(f.c.failure, cases[i].failure);
        assert_int_equal(f.c.stream != NULL, cases[i].failure == NULL);
        finish(&f);
    }
}

/* A server does not offer P-521 for the key exchange, but a backend's certificate may have it. */
static void a_backend_may_have_a_p521_key(void **state)
{
    struct fixture f;
    struct test_cert *p521 = test_leaf_new(ca, TEST_KEY_P521, "DNS:a.test");
    (void)state;
    prepare(&f);
    mg_tls_server_settings_unref(f.server_settings);
    f.server_settings = settings_of(&p521, 1);
    connect_as(&f, "a.test", 16384);
    assert_string_equal(f.c.failure, "");
    assert_non_null(f.c.stream);
    finish(&f);
    test_cert_free(p521);
}

static void a_certificate_for_clients_does_not_serve(void **state)
{
    struct fixture f;
    struct mg_error err;
    struct test_want want = {.sans = "DNS:a.test", .extended_key_usage = "clientAuth"};
    struct test_cert *cert = test_cert_new(&want, ca);
    (void)state;
    prepare(&f);
    mg_tls_server_settings_unref(f.server_settings);
    f.server_settings = settings_of(&cert, 1);
    assert_null(mg_tls_server_new(&f.desk, f.server_settings, &err));
    assert_string_equal(err.text, "cert.pem: certificate: it may not be used for a server");
    finish(&f);
    test_cert_free(cert);
}

static void without_verification_anybody_will_do(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    mg_tls_trust_unref(f.client_settings->trust);
    f.client_settings->trust = NULL;
    connect_as(&f, "nobody.test", 16384);
    assert_non_null(f.c.stream);
    finish(&f);
}

/* --- names --- */

static void the_name_chooses_the_certificate(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    connect_as(&f, "a.test", 16384);
    struct mg_str der = f.c.stream->security->peer_der;
    assert_int_equal(der.n, ec->der.n);
    assert_memory_equal(der.p, ec->der.p, der.n);
    assert_true(mg_str_eq(f.s.stream->security->server_name, MG_STR("a.test")));
    close_side(&f.s);
    close_side(&f.c);
    mg_tls_client_unref(f.client); /* and its session */
    f.client = NULL;
    connect_as(&f, "host.c.test", 16384);
    assert_memory_equal(f.c.stream->security->peer_der.p, b_test->der.p, b_test->der.n);
    finish(&f);
}

static void unknown_names_can_be_refused(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    f.server_settings->reject_unknown_names = true;
    mg_tls_trust_unref(f.client_settings->trust);
    f.client_settings->trust = NULL;
    connect_as(&f, "nobody.test", 16384);
    expect_failure(&f, NULL, NULL);
    assert_null(f.c.stream);
    finish(&f);
}

/* --- clients' certificates --- */

static void clients_show_who_they_are(void **state)
{
    static const struct {
        enum mg_tls_client_auth auth;
        struct test_cert **shown;
        const char *failure;
    } cases[] = {
        {MG_TLS_CLIENT_AUTH_NONE, &person, NULL},
        {MG_TLS_CLIENT_AUTH_REQUEST, NULL, NULL},
        {MG_TLS_CLIENT_AUTH_REQUEST, &person, NULL},
        {MG_TLS_CLIENT_AUTH_REQUEST, &stranger, "unknown issuer"},
        {MG_TLS_CLIENT_AUTH_REQUIRE, NULL, ""},
        {MG_TLS_CLIENT_AUTH_REQUIRE, &person, NULL},
        {MG_TLS_CLIENT_AUTH_REQUIRE, &stranger, "unknown issuer"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        prepare(&f);
        f.server_settings->client_auth = cases[i].auth;
        if (cases[i].auth)
            f.server_settings->client_trust = trust_in(ca);
        if (cases[i].shown) {
            f.client_settings->cert_pem = mg_str_c((*cases[i].shown)->chain_pem);
            f.client_settings->key_pem = mg_str_c((*cases[i].shown)->key_pem);
        }
        connect_as(&f, "a.test", 16384);
        assert_int_equal(f.s.stream == NULL, cases[i].failure != NULL);
        if (cases[i].failure && *cases[i].failure)
            assert_string_equal(f.s.failure, cases[i].failure);
        if (f.s.stream) {
            bool seen = cases[i].auth && cases[i].shown;
            assert_int_equal(f.s.stream->security->peer_der.n, seen ? person->der.n : 0);
        }
        finish(&f);
    }
}

static void a_revoked_certificate_is_none(void **state)
{
    struct fixture f;
    struct mg_error err;
    const struct test_cert *revoked[] = {person};
    char *crl = test_crl_new(ca, revoked, 1, 3600);
    (void)state;
    prepare(&f);
    f.server_settings->client_auth = MG_TLS_CLIENT_AUTH_REQUIRE;
    f.server_settings->client_trust =
        mg_tls_trust_new(mg_str_c(ca->cert_pem), mg_str_c(crl), false, &err);
    f.client_settings->cert_pem = mg_str_c(person->chain_pem);
    f.client_settings->key_pem = mg_str_c(person->key_pem);
    connect_as(&f, "a.test", 16384);
    expect_failure(&f, "revoked", NULL);
    finish(&f);
    free(crl);
}

/* --- coming back --- */

static void a_session_is_taken_up_again(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    connect_as(&f, "a.test", 16384);
    assert_false(f.s.stream->security->resumed);
    for (int i = 0; i < 3; i++) {
        close_side(&f.s);
        close_side(&f.c);
        connect_as(&f, "a.test", 16384);
        assert_true(f.s.stream->security->resumed);
    }
    finish(&f);
}

/* A backend that says only this to a client, and hangs up. */
static void fail_once(struct fixture *f, const char *bytes, size_t n, const char *failure)
{
    close_side(&f->s);
    close_side(&f->c);
    mg_pair_stream_new(f->loop, 16384, f->ends);
    start_client(f, "a.test");
    put(f->ends[0], bytes, n);
    run(f);
    assert_string_equal(f->c.failure, failure);
    mg_stream_close(f->ends[0]);
}

static bool is_resumed(struct fixture *f)
{
    close_side(&f->s);
    close_side(&f->c);
    connect_as(f, "a.test", 16384);
    return f->s.stream->security->resumed;
}

static void a_session_that_was_refused_is_not_offered_again(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *failure;
        bool for_good;
    } cases[] = {
        {"\x15\x03\x03\0\2\2\x28", 7, "the peer says: handshake failure", true},
        {"\x15\x03\x03\0\2\2\xfa", 7, "the peer refuses, and does not say why", true},
        {"\x16\x03\x03\0\4\2\0\0\0", 9,
         "SSL - Processing of the ServerHello handshake message failed", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        prepare(&f);
        connect_as(&f, "a.test", 16384);
        assert_true(is_resumed(&f));
        fail_once(&f, cases[i].bytes, cases[i].n, cases[i].failure);
        assert_false(is_resumed(&f));
        assert_int_equal(is_resumed(&f), !cases[i].for_good);
        finish(&f);
    }
}

static void without_tickets_there_is_no_coming_back(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    mg_tls_tickets_unref(f.server_settings->tickets);
    f.server_settings->tickets = NULL;
    connect_as(&f, "a.test", 16384);
    close_side(&f.s);
    close_side(&f.c);
    connect_as(&f, "a.test", 16384);
    assert_false(f.s.stream->security->resumed);
    finish(&f);
}

/* What a client proved to one server proves nothing to another one, which may ask for more. */
static void tickets_of_others_are_worth_nothing(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    connect_as(&f, "a.test", 16384);
    close_side(&f.s);
    close_side(&f.c);
    mg_tls_server_unref(f.server);
    mg_tls_server_settings_unref(f.server_settings);
    f.server = NULL;
    f.server_settings = settings_of(&ec, 1);
    f.server_settings->tickets = mg_tls_tickets_new(3600);
    f.server_settings->client_auth = MG_TLS_CLIENT_AUTH_REQUIRE;
    f.server_settings->client_trust = trust_in(ca);
    connect_as(&f, "a.test", 16384);
    assert_null(f.s.stream);
    finish(&f);
}

/* --- the rest --- */

static void protocols_are_agreed_on(void **state)
{
    static const char *both[] = {"http/1.1", "x", NULL}, *one[] = {"x", NULL};
    struct fixture f;
    (void)state;
    prepare(&f);
    f.server_settings->protocols = both;
    f.client_settings->protocols = one;
    connect_as(&f, "a.test", 16384);
    assert_true(mg_str_eq(f.s.stream->security->protocol, MG_STR("x")));
    assert_true(mg_str_eq(f.c.stream->security->protocol, MG_STR("x")));
    finish(&f);
}

static void idle_connections_share_their_buffers(void **state)
{
    struct fixture f;
    (void)state;
    prepare(&f);
    connect_as(&f, "a.test", 16384);
    assert_int_equal(f.desk.shelf.buffers.live, 0);
    assert_int_equal(f.desk.wire.live, 0);
    for (int i = 0; i < 5; i++) { /* sequence numbers survive */
        f.c.to_send = "ping";
        f.c.to_send_bytes = 4;
        f.c.sent = 0;
        write_some(&f.c);
        run(&f);
        f.s.to_send = "pong";
        f.s.to_send_bytes = 4;
        f.s.sent = 0;
        write_some(&f.s);
        run(&f);
        assert_int_equal(f.desk.shelf.buffers.live, 0);
    }
    assert_int_equal(f.s.got_bytes, 20);
    assert_int_equal(f.c.got_bytes, 20);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_writes_the_other_reads),
        cmocka_unit_test(pieces_on_the_wire_may_be_of_any_size),
        cmocka_unit_test(a_reader_that_stops_stops_the_writer),
        cmocka_unit_test(a_close_is_an_end),
        cmocka_unit_test(one_direction_may_end_before_the_other),
        cmocka_unit_test(a_truncation_is_an_error),
        cmocka_unit_test(last_bytes_are_sent_after_a_close),
        cmocka_unit_test(last_bytes_are_not_sent_for_ever),
        cmocka_unit_test(a_silent_client_is_not_waited_for_longer),
        cmocka_unit_test(a_half_handshake_is_not_waited_for_longer),
        cmocka_unit_test(plain_http_gets_an_answer),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_handshake_can_be_given_up),
        cmocka_unit_test(handshakes_of_clients_can_be_cut),
        cmocka_unit_test(handshakes_with_backends_are_not_cut),
        cmocka_unit_test(backends_must_be_who_they_say),
        cmocka_unit_test(a_backend_may_have_a_p521_key),
        cmocka_unit_test(a_certificate_for_clients_does_not_serve),
        cmocka_unit_test(without_verification_anybody_will_do),
        cmocka_unit_test(the_name_chooses_the_certificate),
        cmocka_unit_test(unknown_names_can_be_refused),
        cmocka_unit_test(clients_show_who_they_are),
        cmocka_unit_test(a_revoked_certificate_is_none),
        cmocka_unit_test(a_session_is_taken_up_again),
        cmocka_unit_test(a_session_that_was_refused_is_not_offered_again),
        cmocka_unit_test(without_tickets_there_is_no_coming_back),
        cmocka_unit_test(tickets_of_others_are_worth_nothing),
        cmocka_unit_test(protocols_are_agreed_on),
        cmocka_unit_test(idle_connections_share_their_buffers),
    };
    return cmocka_run_group_tests(tests, make_certificates, free_certificates);
}
