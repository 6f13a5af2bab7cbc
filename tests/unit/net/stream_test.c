/* Streams: the same tests over in-memory pairs and over sockets, as the two must not differ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/stream.h"

enum kind { PAIR, PAIR_ON_REAL_LOOP, UNIX_SOCKETS, TCP_SOCKETS, KINDS };

struct end {
    struct mg_stream *stream;
    struct scene *scene;
    int readable, writable; /* calls */
    enum { DO_NOTHING, READ_ALL, READ_ONE, CLOSE } on_readable;
    char got[64];
    size_t got_n;
    ssize_t last; /* result of the last read that gave no bytes */
};

struct scene {
    struct mg_loop *loop;
    enum kind kind;
    struct end ends[2];
    struct mg_timer timer;
    int turns; /* to come before a real loop stops */
};

static void on_readable(void *arg)
{
    struct end *e = arg;
    e->readable++;
    if (e->on_readable == CLOSE) {
        mg_stream_close(e->stream);
        return;
    }
    if (e->on_readable == DO_NOTHING) {
        mg_stream_watch(e->stream, false, e->stream->watch_write);
        return;
    }
    size_t room = e->on_readable == READ_ONE ? 1 : sizeof e->got - e->got_n;
    ssize_t n = mg_stream_read(e->stream, e->got + e->got_n, room);
    if (n > 0)
        e->got_n += (size_t)n;
    else
        e->last = n;
    if (n == 0 || n == MG_STREAM_ERROR)
        mg_stream_watch(e->stream, false, false);
}

static void on_writable(void *arg)
{
    struct end *e = arg;
    e->writable++;
    mg_stream_watch(e->stream, e->stream->watch_read, false);
}

static void on_time(void *arg)
{
    struct scene *s = arg;
    if (s->turns-- > 0)
        mg_timer_set(&s->timer, mg_loop_now(s->loop) + MG_MILLISECOND);
    else
        mg_loop_stop(s->loop);
}

static void connected_tcp(int fds[2])
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t len = sizeof in;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&in, sizeof in), 0);
    fds[1] = accept(listener, NULL, NULL);
    assert_true(fds[1] >= 0);
    close(listener);
    for (int i = 0; i < 2; i++)
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
}

static void set_up(struct scene *s, enum kind kind)
{
    struct mg_stream *ends[2];
    int fds[2];
    *s = (struct scene){.kind = kind};
    s->loop = kind == PAIR ? mg_loop_new_simulated(1) : mg_loop_new(NULL);
    if (kind == PAIR || kind == PAIR_ON_REAL_LOOP) {
        mg_pair_stream_new(s->loop, 16, ends);
    } else {
        struct mg_addr addr = {.family = kind == TCP_SOCKETS ? 4 : 0};
        if (kind == TCP_SOCKETS)
            connected_tcp(fds);
        else
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        for (int i = 0; i < 2; i++)
            ends[i] = mg_socket_stream_new(s->loop, fds[i], &addr, &addr);
    }
    for (int i = 0; i < 2; i++) {
        s->ends[i] =
            (struct end){.stream = ends[i], .scene = s, .on_readable = READ_ALL, .last = 1};
        ends[i]->on_readable = on_readable;
        ends[i]->on_writable = on_writable;
        ends[i]->arg = &s->ends[i];
    }
    mg_timer_init(&s->timer, s->loop, on_time, s);
}

/* A real loop has so many turns, however long a busy machine takes for one of them. */
static void run(struct scene *s)
{
    if (s->kind == PAIR) {
        mg_loop_simulate(s->loop, mg_loop_now(s->loop), NULL);
        return;
    }
    s->turns = 20;
    on_time(s);
    mg_loop_run(s->loop);
}

/* Closes the ends that are left. */
static void tear_down(struct scene *s, bool first_is_open, bool second_is_open)
{
    if (first_is_open)
        mg_stream_close(s->ends[0].stream);
    if (second_is_open)
        mg_stream_close(s->ends[1].stream);
    run(s);
    mg_timer_release(&s->timer);
    mg_loop_free(s->loop);
}

static ssize_t write_text(struct mg_stream *s, const char *text)
{
    struct iovec iov = {.iov_base = (void *)text, .iov_len = strlen(text)};
    return mg_stream_writev(s, &iov, 1);
}

#define EACH_KIND(kind) for (enum kind kind = PAIR; kind < KINDS; kind++)

/* --- tests --- */

static void bytes_go_both_ways(void **state)
{
    (void)state;
    EACH_KIND(kind)
    {
        struct scene s;
        char out[4];
        set_up(&s, kind);
        assert_int_equal(mg_stream_read(s.ends[0].stream, out, sizeof out), MG_STREAM_AGAIN);
        struct iovec iov[3] = {{(void *)"he", 2}, {NULL, 0}, {(void *)"llo", 3}};
        assert_int_equal(mg_stream_writev(s.ends[0].stream, iov, 3), 5);
        assert_int_equal(write_text(s.ends[1].stream, "hi"), 2);
        assert_int_equal(s.ends[1].readable, 0); /* never inside a call */
        run(&s);
        assert_memory_equal(s.ends[1].got, "hello", 5);
        assert_memory_equal(s.ends[0].got, "hi", 2);
        assert_int_equal(mg_stream_read(s.ends[1].stream, out, sizeof out), MG_STREAM_AGAIN);
        tear_down(&s, true, true);
    }
}

static void what_is_left_is_told_again(void **state)
{
    (void)state;
    EACH_KIND(kind)
    {
        struct scene s;
        set_up(&s, kind);
        s.ends[1].on_readable = READ_ONE;
        assert_int_equal(write_text(s.ends[0].stream, "abcde"), 5);
        run(&s);
        assert_int_equal(s.ends[1].got_n, 5);
        assert_memory_equal(s.ends[1].got, "abcde", 5);
        assert_true(s.ends[1].readable >= 5);
        tear_down(&s, true, true);
    }
}

static void peek_and_take_one(void *arg)
{
    struct end *e = arg;
    char seen[8], byte;
    ssize_t n = mg_stream_peek(e->stream, seen, sizeof seen);
    e->last = n;
    if (++e->readable < 3 || n <= 0)
        return; /* what was only seen is told of again */
    assert_int_equal(mg_stream_read(e->stream, &byte, 1), 1);
    assert_int_equal(byte, seen[0]);
    memcpy(e->got + e->got_n, seen, (size_t)n);
    e->got_n += (size_t)n;
    mg_stream_watch(e->stream, n > 1, false);
}

static void bytes_that_were_seen_stay(void **state)
{
    (void)state;
    EACH_KIND(kind)
    {
        struct scene s;
        char out[4];
        set_up(&s, kind);
        assert_int_equal(mg_stream_peek(s.ends[1].stream, out, sizeof out), MG_STREAM_AGAIN);
        s.ends[1].stream->on_readable = peek_and_take_one;
        assert_int_equal(write_text(s.ends[0].stream, "abc"), 3);
        assert_int_equal(mg_stream_peek(s.ends[1].stream, out, 2), 2);
        assert_memory_equal(out, "ab", 2);
        run(&s);
        assert_int_equal(s.ends[1].readable, 5);
        assert_int_equal(s.ends[1].got_n, 6);
        assert_memory_equal(s.ends[1].got, "abcbcc", 6);
        mg_stream_shutdown(s.ends[0].stream);
        assert_int_equal(mg_stream_peek(s.ends[1].stream, out, sizeof out), 0);
        tear_down(&s, true, true);
    }
}

static void no_calls_while_not_watched(void **state)
{
    (void)state;
    EACH_KIND(kind)
    {
        struct scene s;
        set_up(&s, kind);
        mg_stream_watch(s.ends[1].stream, false, false);
        write_text(s.ends[0].stream, "abc");
        run(&s);
        assert_int_equal(s.ends[1].readable, 0);
        mg_stream_watch(s.ends[1].stream, true, false); /* what came meanwhile is told */
        run(&s);
        assert_int_equal(s.ends[1].got_n, 3);
        tear_down(&s, true, true);
    }
}

static size_t fill(struct mg_stream *s)
{
    static const char block[65536];
    struct iovec iov = {.iov_base = (void *)block, .iov_len = sizeof block};
    size_t total = 0;
    for (;;) {
        ssize_t n = mg_stream_writev(s, &iov, 1);
        if (n == MG_STREAM_AGAIN)
            return total;
        assert_true(n > 0);
        total += (size_t)n;
    }
}

static size_t drain(struct mg_stream *s)
{
    static char block[65536];
    size_t total = 0;
    for (ssize_t n; (n = mg_stream_read(s, block, sizeof block)) > 0;)
        total += (size_t)n;
    return total;
}

static void a_full_stream_says_again(void **state)
{
    (void)state;
    EACH_KIND(kind)
    {
        struct scene s;
        set_up(&s, kind);
        s.ends[1].on_readable = DO_NOTHING;
        size_t written = fill(s.ends[0].stream);
        assert_true(written >= 16);
        mg_stream_watch(s.ends[0].stream, true, true);
        run(&s);
        if (kind != TCP_SOCKETS) /* there the kernel may still move bytes on */
            assert_int_equal(s.ends[0].writable, 0);
        size_t read = 0;
        for (int i = 0; i < 100 && read < written; i++) {
            read += drain(s.ends[1].stream);
            run(&s);
        }
        assert_int_equal(read, written);
        assert_int_equal(s.ends[0].writable, 1);
        tear_down(&s, true, true);
    }
}

static void watching_writes_on_an_empty_stream_calls(void **state)
{
    (void)state;
    EACH_KIND(kind)
    {
        struct scene s;
        set_up(&s, kind);
        mg_stream_watch(s.ends[0].stream, true, true);
        assert_int_equal(s.ends[0].writable, 0);
        run(&s);
        assert_int_equal(s.ends[0].writable, 1);
        assert_false(s.ends[0].stream->watch_write);
        assert_true(s.ends[0].stream->watch_read);
        tear_down(&s, true, true);
    }
}

static void write_and_stay(void *arg)
{
    struct end *e = arg;
    if (++e->writable <= 3)
        assert_int_equal(write_text(e->stream, "x"), 1);
    else
        mg_stream_watch(e->stream, true, false);
}

/* Who writes a bit in each turn is called again without reading in between. */
static void room_that_is_left_is_told_again(void **state)
{
    (void)state;
    EACH_KIND(kind)
    {
        struct scene s;
        set_up(&s, kind);
        mg_stream_watch(s.ends[1].stream, false, false);
        s.ends[0].stream->on_writable = write_and_stay;
        mg_stream_watch(s.ends[0].stream, true, true);
        run(&s);
        assert_int_equal(s.ends[0].writable, 4);
        tear_down(&s, true, true);
    }
}

static void half_close_ends_one_direction(void **state)
{
    (void)state;
    EACH_KIND(kind)
    {
        struct scene s;
        set_up(&s, kind);
        write_text(s.ends[0].stream, "abc");
        mg_stream_shutdown(s.ends[0].stream);
        mg_stream_shutdown(s.ends[0].stream);
        run(&s);
        run(&s);
        assert_memory_equal(s.ends[1].got, "abc", 3);
        assert_int_equal(s.ends[1].last, 0);
        assert_int_equal(write_text(s.ends[0].stream, "d"), MG_STREAM_ERROR);
        assert_int_equal(s.ends[0].stream->error, EPIPE);
        /* The other direction still works. */
        assert_int_equal(write_text(s.ends[1].stream, "ok"), 2);
        run(&s);
        assert_memory_equal(s.ends[0].got, "ok", 2);
        tear_down(&s, true, true);
    }
}

static void close_lets_the_peer_read_what_was_sent(void **state)
{
    (void)state;
    EACH_KIND(kind)
    {
        struct scene s;
        set_up(&s, kind);
        write_text(s.ends[0].stream, "bye");
        mg_stream_close(s.ends[0].stream);
        mg_stream_close(s.ends[0].stream); /* twice in a turn does no harm */
        run(&s);
        run(&s);
        assert_memory_equal(s.ends[1].got, "bye", 3);
        assert_int_equal(s.ends[1].last, 0);
        assert_int_equal(s.ends[0].readable, 0);
        /* The first write may still go, as TCP cannot know; the second cannot. */
        write_text(s.ends[1].stream, "x");
        run(&s);
        assert_int_equal(write_text(s.ends[1].stream, "x"), MG_STREAM_ERROR);
        assert_true(s.ends[1].stream->error == EPIPE || s.ends[1].stream->error == ECONNRESET);
        tear_down(&s, false, true);
    }
}

static void a_reset_is_seen(void **state)
{
    (void)state;
    EACH_KIND(kind)
    {
        struct scene s;
        if (kind == UNIX_SOCKETS)
            continue; /* they know no reset */
        set_up(&s, kind);
        mg_stream_reset(s.ends[0].stream);
        run(&s);
        assert_int_equal(s.ends[1].last, MG_STREAM_ERROR);
        assert_int_equal(s.ends[1].stream->error, ECONNRESET);
        assert_int_equal(write_text(s.ends[1].stream, "x"), MG_STREAM_ERROR);
        tear_down(&s, false, true);
    }
}

static void an_end_may_be_closed_in_its_callback(void **state)
{
    (void)state;
    EACH_KIND(kind)
    {
        struct scene s;
        set_up(&s, kind);
        s.ends[1].on_readable = CLOSE;
        mg_stream_watch(s.ends[1].stream, true, true);
        write_text(s.ends[0].stream, "x");
        run(&s);
        run(&s);
        assert_int_equal(s.ends[1].readable, 1);
        if (kind == PAIR)
            assert_int_equal(s.ends[1].writable, 0); /* no call after the close */
        assert_true(s.ends[0].last <= 0);            /* the end, or a reset as a byte was lost */
        tear_down(&s, true, false);
    }
}

static void both_ends_may_close_in_one_turn(void **state)
{
    (void)state;
    EACH_KIND(kind)
    {
        struct scene s;
        set_up(&s, kind);
        write_text(s.ends[0].stream, "x");
        write_text(s.ends[1].stream, "x");
        tear_down(&s, true, true);
        assert_int_equal(s.ends[0].readable + s.ends[1].readable, 0);
    }
}

/* The ring of a pair, at all offsets. */
static void a_pair_keeps_the_order_of_bytes(void **state)
{
    struct mg_loop *loop = mg_loop_new_simulated(1);
    struct mg_stream *ends[2];
    uint8_t sent = 0, expected = 0;
    uint32_t random = 1;
    (void)state;
    mg_pair_stream_new(loop, 7, ends);
    for (int round = 0; round < 2000; round++) {
        uint8_t bytes[12];
        random = random * 1664525 + 1013904223;
        size_t want = 1 + (random >> 24) % 10;
        for (size_t i = 0; i < want; i++)
            bytes[i] = (uint8_t)(sent + i);
        struct iovec iov[2] = {{bytes, want / 2}, {bytes + want / 2, want - want / 2}};
        ssize_t n = mg_stream_writev(ends[0], iov, 2);
        if (n > 0)
            sent = (uint8_t)(sent + n);
        n = mg_stream_read(ends[1], bytes, 1 + (random >> 16) % 9);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(bytes[i], expected++);
    }
    assert_true(expected > 100 || sent > 100);
    mg_stream_close(ends[0]);
    mg_stream_close(ends[1]);
    mg_loop_free(loop);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(what_is_left_is_told_again),
        cmocka_unit_test(bytes_that_were_seen_stay),
        cmocka_unit_test(no_calls_while_not_watched),
        cmocka_unit_test(a_full_stream_says_again),
        cmocka_unit_test(watching_writes_on_an_empty_stream_calls),
        cmocka_unit_test(room_that_is_left_is_told_again),
        cmocka_unit_test(half_close_ends_one_direction),
        cmocka_unit_test(close_lets_the_peer_read_what_was_sent),
        cmocka_unit_test(a_reset_is_seen),
        cmocka_unit_test(an_end_may_be_closed_in_its_callback),
        cmocka_unit_test(both_ends_may_close_in_one_turn),
        cmocka_unit_test(a_pair_keeps_the_order_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
