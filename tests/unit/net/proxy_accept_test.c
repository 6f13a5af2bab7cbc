/* Waiting for PROXY headers, over pairs and a clock that the test moves, and over sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "net/proxy_accept.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define HEADER_NS (3 * MG_SECOND)
#define DATA MG_STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n")

struct scene {
    struct mg_loop *loop;
    struct mg_proxy_gate gate;
    struct mg_cidr_set *trusted;
    struct mg_timer timer; /* ends a run of the real loop */
    /* The proxy's end. */
    struct mg_stream *proxy;
    bool ended, broken;
    /* The server's end, before and after. */
    struct mg_stream *stream;
    struct mg_stream *accepted;
    int calls;
    struct mg_proxy_header header; /* without its texts */
    char authority[64];
    char got[8192];
    size_t got_n;
    /* The log. */
    char log[512];
    int lines;
    /* Of counting streams. */
    int peeks, reads;
};

static struct scene *counted;

/* --- the proxy's end --- */

static void proxy_reads(void *arg)
{
    struct scene *s = arg;
    char byte;
    ssize_t n = mg_stream_read(s->proxy, &byte, 1);
    s->ended |= n == 0;
    s->broken |= n == MG_STREAM_ERROR;
    if (n == 0 || n == MG_STREAM_ERROR)
        mg_stream_watch(s->proxy, false, false);
}

static void send_bytes(struct scene *s, struct mg_str bytes)
{
    struct iovec iov = {(void *)bytes.p, bytes.n};
    assert_int_equal(mg_stream_writev(s->proxy, &iov, 1), bytes.n);
}

/* --- the server's end --- */

static void server_reads(void *arg)
{
    struct scene *s = arg;
    ssize_t n = mg_stream_read(s->accepted, s->got + s->got_n, sizeof s->got - s->got_n);
    if (n > 0)
        s->got_n += (size_t)n;
    if (n == 0 || n == MG_STREAM_ERROR)
        mg_stream_watch(s->accepted, false, false);
}

static void on_accepted(void *arg, struct mg_stream *stream, const struct mg_proxy_header *header)
{
    struct scene *s = arg;
    s->calls++;
    s->accepted = stream;
    s->header = *header;
    snprintf(s->authority, sizeof s->authority, "%.*s", MG_STR_ARGS(header->authority));
    stream->arg = s;
    stream->on_readable = server_reads;
}

static void keep_line(void *arg, enum mg_log_level level, struct mg_str line)
{
    struct scene *s = arg;
    if (level != MG_LOG_WARN)
        return;
    s->lines++;
    snprintf(s->log, sizeof s->log, "%.*s", MG_STR_ARGS(line));
}

/* --- streams that count calls --- */

static const struct mg_stream_ops *real_ops;
static struct mg_stream_ops counting_ops;

static ssize_t counting_read(struct mg_stream *s, void *out, size_t n)
{
    counted->reads++;
    return real_ops->read(s, out, n);
}

static ssize_t counting_peek(struct mg_stream *s, void *out, size_t n)
{
    counted->peeks++;
    return real_ops->peek(s, out, n);
}

static void count_calls(struct scene *s)
{
    counted = s;
    real_ops = s->stream->ops;
    counting_ops = *real_ops;
    counting_ops.read = counting_read;
    counting_ops.peek = counting_peek;
    s->stream->ops = &counting_ops;
}

/* --- scenes --- */

static void set_up(struct scene *s, bool simulated)
{
    const struct mg_str networks[] = {MG_STR("10.0.0.0/8"), MG_STR("2001:db8::/32")};
    *s = (struct scene){.loop = simulated ? mg_loop_new_simulated(1) : mg_loop_new(NULL)};
    mg_proxy_accept_init(&s->gate, s->loop);
    s->gate.header_time_ns = HEADER_NS;
    s->gate.limit = 100;
    s->trusted = mg_cidr_set_new(networks, COUNT(networks), NULL);
    assert_non_null(s->trusted);
    mg_log_set_sink(keep_line, s);
    mg_timer_init(&s->timer, s->loop, (mg_timer_fn)mg_loop_stop, s->loop);
}

/* A new connection from `peer`; the one before it must have ended. */
static void connect_ends(struct scene *s, struct mg_stream *ends[2], const char *peer)
{
    s->proxy = ends[0];
    s->stream = ends[1];
    s->proxy->arg = s;
    s->proxy->on_readable = proxy_reads;
    if (peer) {
        assert_true(mg_ip_parse_port(mg_str_c(peer), &s->stream->peer));
        assert_true(mg_ip_parse_port(MG_STR("10.9.9.9:80"), &s->stream->local));
    }
    count_calls(s);
    mg_proxy_accept_start(&s->gate, s->stream, s->trusted, on_accepted, s);
    assert_int_equal(s->calls, 0);
}

static void set_up_pair(struct scene *s, const char *peer)
{
    struct mg_stream *ends[2];
    set_up(s, true);
    mg_pair_stream_new(s->loop, 8192, ends);
    connect_ends(s, ends, peer);
}

static void run(struct scene *s, uint64_t ns)
{
    if (mg_loop_is_simulated(s->loop)) {
        mg_loop_simulate(s->loop, mg_loop_now(s->loop) + ns, NULL);
        return;
    }
    mg_timer_set(&s->timer, mg_loop_now(s->loop) + ns);
    mg_loop_run(s->loop);
}

static void tear_down(struct scene *s)
{
    assert_int_equal(s->gate.count, 0);
    if (s->accepted)
        mg_stream_close(s->accepted);
    if (s->proxy)
        mg_stream_close(s->proxy);
    mg_timer_release(&s->timer);
    mg_loop_settle(s->loop);
    assert_int_equal(mg_loop_is_simulated(s->loop) ? mg_loop_next_timer(s->loop) : 0, 0);
    mg_loop_free(s->loop);
    mg_cidr_set_free(s->trusted);
    mg_log_set_sink(NULL, NULL);
}

static void check_addresses(struct scene *s, const char *peer, const char *local)
{
    char text[MG_IP_TEXT_MAX];
    mg_ip_format_port(&s->accepted->peer, text);
    assert_string_equal(text, peer);
    mg_ip_format_port(&s->accepted->local, text);
    assert_string_equal(text, local);
}

static void check_data(struct scene *s)
{
    assert_int_equal(s->got_n, DATA.n);
    assert_memory_equal(s->got, DATA.p, DATA.n);
}

/* Cut off with a line that has this text. */
static void check_refused(struct scene *s, const char *reason)
{
    assert_int_equal(s->calls, 0);
    assert_int_equal(s->gate.count, 0);
    assert_true(s->broken);
    assert_int_equal(s->lines, 1);
    if (!strstr(s->log, reason))
        fail_msg("'%s' is not in %s", reason, s->log);
}

/* --- headers --- */

#define V2_IP4                                                                                     \
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x14\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb"         \
    "\x02\x00\x05"                                                                                 \
    "a.org"
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define SOCKET "10.0.0.1:4000", "10.9.9.9:80"

static const struct {
    struct mg_str bytes;
    const char *peer, *local;
} HEADERS[] = {
    {BYTES("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), "192.168.0.1:56324",
     "192.168.0.11:443"},
    {BYTES("PROXY TCP6 ::1 2001:db8::2 1 2\r\n"), "[::1]:1", "[2001:db8::2]:2"},
    {BYTES("PROXY UNKNOWN\r\n"), SOCKET},
    {BYTES(V2_IP4), "192.168.0.1:56324", "192.168.0.11:443"},
    {BYTES("\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"), SOCKET},
    {BYTES("\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x03zzz"), SOCKET},
};

/* Header and data arrive in two segments, cut anywhere; or in one. */
static void data_is_left_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(HEADERS); i++) {
        char bytes[512];
        struct mg_str h = HEADERS[i].bytes;
        size_t n = h.n + DATA.n;
        memcpy(bytes, h.p, h.n);
        memcpy(bytes + h.n, DATA.p, DATA.n);
        for (size_t cut = 1; cut <= n; cut++) {
            struct scene s;
            set_up_pair(&s, "10.0.0.1:4000");
            send_bytes(&s, mg_str(bytes, cut));
            run(&s, 0);
            assert_int_equal(s.calls, cut >= h.n);
            assert_int_equal(s.gate.count, cut < h.n);
            if (cut < n)
                send_bytes(&s, mg_str(bytes + cut, n - cut));
            run(&s, 0);
            assert_int_equal(s.calls, 1);
            assert_int_equal(s.lines, 0);
            check_addresses(&s, HEADERS[i].peer, HEADERS[i].local);
            check_data(&s);
            tear_down(&s);
        }
    }
}

static void byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(HEADERS); i++) {
        struct scene s;
        set_up_pair(&s, "10.0.0.1:4000");
        for (size_t at = 0; at < HEADERS[i].bytes.n; at++) {
            assert_int_equal(s.calls, 0);
            send_bytes(&s, mg_str(HEADERS[i].bytes.p + at, 1));
            run(&s, 0);
        }
        assert_int_equal(s.calls, 1);
        for (size_t at = 0; at < DATA.n; at++)
            send_bytes(&s, mg_str(DATA.p + at, 1));
        run(&s, 0);
        check_addresses(&s, HEADERS[i].peer, HEADERS[i].local);
        check_data(&s);
        tear_down(&s);
    }
}

static void what_the_header_says_is_passed_on(void **state)
{
    (void)state;
    const struct mg_str h = BYTES(V2_IP4);
    for (size_t cut = 1; cut <= h.n; cut++) {
        struct scene s;
        set_up_pair(&s, "10.0.0.1:4000");
        send_bytes(&s, mg_str(h.p, cut));
        run(&s, 0);
        if (cut < h.n)
            send_bytes(&s, mg_str(h.p + cut, h.n - cut));
        run(&s, 0);
        assert_int_equal(s.header.kind, MG_PROXY_TCP);
        assert_string_equal(s.authority, "a.org");
        tear_down(&s);
    }
}

/* As many bytes as a header can have, in pieces, and the data at once behind the last one. */
static void the_longest_header(void **state)
{
    (void)state;
    static char bytes[MG_PROXY_HEADER_MAX];
    static const size_t pieces[] = {1, 7, 16, 1000, 4095, 4096};
    memcpy(bytes, V2_IP4, 28);
    memcpy(bytes + 14, "\x0f\xf0", 2);
    memcpy(bytes + 28, "\x04\x0f\xe1", 3);
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct scene s;
        set_up_pair(&s, "10.0.0.1:4000");
        for (size_t at = 0; at < sizeof bytes; at += pieces[i]) {
            size_t left = sizeof bytes - at;
            assert_int_equal(s.calls, 0);
            send_bytes(&s, mg_str(bytes + at, left < pieces[i] ? left : pieces[i]));
            if (left > pieces[i])
                run(&s, 0);
        }
        send_bytes(&s, DATA);
        run(&s, 0);
        assert_int_equal(s.calls, 1);
        check_addresses(&s, "192.168.0.1:56324", "192.168.0.11:443");
        check_data(&s);
        tear_down(&s);
    }
}

/* Two calls for a header that comes whole, two for each part of one that does not, and none while
 * nothing comes. */
static void calls_are_few(void **state)
{
    (void)state;
    struct scene s;
    set_up_pair(&s, "10.0.0.1:4000");
    send_bytes(&s, HEADERS[0].bytes);
    run(&s, 0);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.peeks, 1);
    assert_int_equal(s.reads, 1);
    tear_down(&s);

    set_up_pair(&s, "10.0.0.1:4000");
    send_bytes(&s, mg_str(HEADERS[0].bytes.p, 10));
    run(&s, MG_SECOND);
    assert_int_equal(s.peeks, 1);
    assert_int_equal(s.reads, 1);
    send_bytes(&s, mg_str(HEADERS[0].bytes.p + 10, HEADERS[0].bytes.n - 10));
    run(&s, MG_SECOND);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.peeks, 2);
    assert_int_equal(s.reads, 2);
    tear_down(&s);
}

/* --- who is cut off --- */

static void who_is_not_trusted_is_cut_off(void **state)
{
    (void)state;
    static const struct {
        const char *peer;
        const char *shown; /* in the log; NULL: trusted */
    } CASES[] = {
        {"10.255.0.1:1", NULL},
        {"[2001:db8::7]:1", NULL},
        {"[::ffff:10.0.0.1]:1", NULL},
        {"11.0.0.1:1", "\"11.0.0.1:1\""},
        {"192.168.0.1:1", "\"192.168.0.1:1\""},
        {"[2001:db9::7]:1", "\"[2001:db9::7]:1\""},
        {"[::ffff:9.0.0.1]:1", "\"9.0.0.1:1\""},
        {NULL, "unix"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct scene s;
        set_up_pair(&s, CASES[i].peer);
        if (CASES[i].shown) {
            run(&s, 0);
            check_refused(&s, "not trusted");
            assert_non_null(strstr(s.log, CASES[i].shown));
        } else {
            send_bytes(&s, HEADERS[0].bytes);
            run(&s, 0);
            assert_int_equal(s.calls, 1);
        }
        tear_down(&s);
    }
}

static void without_a_list_nobody_is_trusted(void **state)
{
    (void)state;
    struct scene s;
    struct mg_stream *ends[2];
    set_up(&s, true);
    mg_cidr_set_free(s.trusted);
    s.trusted = NULL;
    mg_pair_stream_new(s.loop, 100, ends);
    connect_ends(&s, ends, "10.0.0.1:1");
    run(&s, 0);
    check_refused(&s, "not trusted");
    tear_down(&s);
}

static void garbage_is_cut_off_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *reason;
    } CASES[] = {
        {"G", "not a PROXY header"},
        {"GET / HTTP/1.1\r\n\r\n", "not a PROXY header"},
        {"PROXX", "not a PROXY header"},
        {"\r\n\r\nx", "not a PROXY header"},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 1 x\r\n", "not a port"},
        {"PROXY UNKNOWN\n", "line feed"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        for (size_t first = 0; first < strlen(CASES[i].bytes); first++) {
            struct scene s;
            set_up_pair(&s, "10.0.0.1:4000");
            if (first)
                send_bytes(&s, mg_str(CASES[i].bytes, first));
            run(&s, 0);
            if (s.gate.count)
                send_bytes(&s, mg_str_c(CASES[i].bytes + first));
            run(&s, 0);
            check_refused(&s, CASES[i].reason);
            assert_non_null(strstr(s.log, "10.0.0.1:4000"));
            tear_down(&s);
        }
    }
}

/* Neither silence nor a byte from time to time puts the end off. */
static void time_is_bounded(void **state)
{
    (void)state;
    for (int slowly = 0; slowly < 2; slowly++) {
        struct scene s;
        set_up_pair(&s, "10.0.0.1:4000");
        for (int i = 0; i < 5; i++) {
            if (slowly)
                send_bytes(&s, mg_str(HEADERS[0].bytes.p + i, 1));
            run(&s, HEADER_NS / 5 - 1);
            assert_int_equal(s.gate.count, 1);
        }
        run(&s, 5);
        check_refused(&s, "in time");
        tear_down(&s);
    }
}

static void after_the_header_time_is_not_ours(void **state)
{
    (void)state;
    struct scene s;
    set_up_pair(&s, "10.0.0.1:4000");
    send_bytes(&s, HEADERS[0].bytes);
    run(&s, 10 * HEADER_NS);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.lines, 0);
    send_bytes(&s, DATA);
    run(&s, 0);
    check_data(&s);
    tear_down(&s);
}

static void a_proxy_that_leaves(void **state)
{
    (void)state;
    enum how { END, RESET };
    static const struct {
        size_t bytes;
        enum how how;
        const char *reason; /* NULL: not worth a warning */
    } CASES[] = {
        {0, END, NULL},
        {0, RESET, "broke"},
        {7, END, "ended within"},
        {7, RESET, "broke"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct scene s;
        set_up_pair(&s, "10.0.0.1:4000");
        if (CASES[i].bytes)
            send_bytes(&s, mg_str(HEADERS[0].bytes.p, CASES[i].bytes));
        run(&s, 0);
        if (CASES[i].how == RESET) {
            mg_stream_reset(s.proxy);
            s.proxy = NULL;
        } else {
            mg_stream_shutdown(s.proxy);
        }
        run(&s, 0);
        assert_int_equal(s.calls, 0);
        assert_int_equal(s.gate.count, 0);
        assert_int_equal(s.lines, CASES[i].reason ? 1 : 0);
        if (CASES[i].reason)
            assert_non_null(strstr(s.log, CASES[i].reason));
        tear_down(&s);
    }
}

/* A header whose end and the end of the connection arrive together is whole all the same. */
static void the_end_may_follow_at_once(void **state)
{
    (void)state;
    struct scene s;
    set_up_pair(&s, "10.0.0.1:4000");
    send_bytes(&s, HEADERS[0].bytes);
    send_bytes(&s, DATA);
    mg_stream_shutdown(s.proxy);
    run(&s, 0);
    assert_int_equal(s.calls, 1);
    check_data(&s);
    tear_down(&s);
}

/* --- many --- */

static void connections_have_a_limit(void **state)
{
    (void)state;
    struct scene s;
    struct mg_stream *ends[2], *proxies[5];
    uint32_t others = 1;
    set_up(&s, true);
    s.gate.limit = 4;
    s.gate.others = &others;
    for (int i = 0; i < 5; i++) {
        mg_pair_stream_new(s.loop, 100, ends);
        connect_ends(&s, ends, "10.0.0.1:1");
        proxies[i] = s.proxy;
        assert_int_equal(s.gate.count, i < 3 ? i + 1 : 3);
        assert_int_equal(s.lines, i < 3 ? 0 : i - 2);
    }
    assert_non_null(strstr(s.log, "too many connections"));
    run(&s, 0);
    assert_true(s.ended);
    for (int i = 0; i < 5; i++) {
        mg_stream_close(proxies[i]);
        s.proxy = NULL;
    }
    run(&s, 0);
    tear_down(&s);
}

static void all_can_be_cancelled(void **state)
{
    (void)state;
    struct scene s;
    struct mg_stream *ends[2], *proxies[3];
    set_up(&s, true);
    for (int i = 0; i < 3; i++) {
        mg_pair_stream_new(s.loop, 100, ends);
        connect_ends(&s, ends, "10.0.0.1:1");
        proxies[i] = s.proxy;
        if (i == 1)
            send_bytes(&s, MG_STR("PROXY TCP"));
    }
    run(&s, 0);
    send_bytes(&s, HEADERS[0].bytes); /* too late */
    mg_proxy_accept_cancel(&s.gate);
    assert_int_equal(s.gate.count, 0);
    run(&s, 2 * HEADER_NS);
    assert_int_equal(s.calls, 0);
    assert_int_equal(s.lines, 0);
    for (int i = 0; i < 3; i++)
        mg_stream_close(proxies[i]);

    /* It can be used again. */
    mg_pair_stream_new(s.loop, 100, ends);
    connect_ends(&s, ends, "10.0.0.1:1");
    send_bytes(&s, HEADERS[0].bytes);
    run(&s, 0);
    assert_int_equal(s.calls, 1);
    tear_down(&s);
}

/* --- sockets --- */

/* Runs the loop until it is so, or for far too long. */
#define RUN_UNTIL(s, condition)                                                                    \
    do {                                                                                           \
        for (int i_ = 0; i_ < 5000 && !(condition); i_++)                                          \
            run(s, MG_MILLISECOND);                                                                \
        assert_true(condition);                                                                    \
    } while (0)

/* Unix sockets: trusted without an address. */
static void set_up_sockets(struct scene *s, uint64_t header_time_ns)
{
    struct mg_stream *ends[2];
    struct mg_addr none = {0};
    int fds[2];
    set_up(s, false);
    s->gate.header_time_ns = header_time_ns;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    for (int i = 0; i < 2; i++)
        ends[i] = mg_socket_stream_new(s->loop, fds[i], &none, &none);
    connect_ends(s, ends, NULL);
}

static void over_sockets(void **state)
{
    (void)state;
    struct mg_str h = HEADERS[0].bytes;
    for (size_t cut = 1; cut <= h.n; cut += 9) {
        struct scene s;
        set_up_sockets(&s, 60 * MG_SECOND);
        send_bytes(&s, mg_str(h.p, cut));
        RUN_UNTIL(&s, s.reads == 1);
        run(&s, MG_MILLISECOND);
        assert_int_equal(s.peeks, 1); /* the loop does not spin on what is there */
        if (cut < h.n)
            send_bytes(&s, mg_str(h.p + cut, h.n - cut));
        send_bytes(&s, DATA);
        RUN_UNTIL(&s, s.got_n == DATA.n);
        assert_int_equal(s.calls, 1);
        check_addresses(&s, HEADERS[0].peer, HEADERS[0].local);
        check_data(&s);
        tear_down(&s);
    }
}

static void time_is_bounded_over_sockets(void **state)
{
    (void)state;
    struct scene s;
    set_up_sockets(&s, MG_MILLISECOND);
    send_bytes(&s, MG_STR("PROXY"));
    RUN_UNTIL(&s, s.gate.count == 0 && s.ended);
    assert_int_equal(s.calls, 0);
    assert_non_null(strstr(s.log, "in time"));
    tear_down(&s);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_is_left_whole),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(what_the_header_says_is_passed_on),
        cmocka_unit_test(the_longest_header),
        cmocka_unit_test(calls_are_few),
        cmocka_unit_test(who_is_not_trusted_is_cut_off),
        cmocka_unit_test(without_a_list_nobody_is_trusted),
        cmocka_unit_test(garbage_is_cut_off_at_once),
        cmocka_unit_test(time_is_bounded),
        cmocka_unit_test(after_the_header_time_is_not_ours),
        cmocka_unit_test(a_proxy_that_leaves),
        cmocka_unit_test(the_end_may_follow_at_once),
        cmocka_unit_test(connections_have_a_limit),
        cmocka_unit_test(all_can_be_cancelled),
        cmocka_unit_test(over_sockets),
        cmocka_unit_test(time_is_bounded_over_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
