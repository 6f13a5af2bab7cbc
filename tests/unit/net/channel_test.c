/* Messages with descriptors: mg_channel_*. */
#include "net/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct side {
    struct mg_loop *loop;
    struct mg_channel *channel;
    char said[256];
    int fd; /* that came last */
    int count, stop_at;
    bool ended;
};

static void on_message(void *arg, struct mg_str text, int fd)
{
    struct side *s = arg;
    size_t n = strlen(s->said);
    snprintf(s->said + n, sizeof s->said - n, "%.*s;", MG_STR_ARGS(text));
    if (fd >= 0)
        s->fd = fd;
    if (++s->count == s->stop_at)
        mg_loop_stop(s->loop);
}

static void on_end(void *arg)
{
    struct side *s = arg;
    s->ended = true;
    mg_loop_stop(s->loop);
}

/* One side on a loop; returns the other end. */
static int open_side(struct side *s)
{
    struct mg_error err;
    int ends[2];
    *s = (struct side){.loop = mg_loop_new(&err), .fd = -1};
    const struct mg_channel_events events = {.on_message = on_message, .on_end = on_end, .arg = s};
    assert_int_equal(mg_channel_pair(ends, &err), MG_OK);
    s->channel = mg_channel_new(s->loop, ends[0], &events);
    assert_int_equal(mg_channel_fd(s->channel), ends[0]);
    return ends[1];
}

static void close_side(struct side *s)
{
    mg_channel_free(s->channel);
    mg_channel_free(NULL);
    mg_loop_free(s->loop);
}

static void test_there_and_back(void **unused)
{
    struct side a, b;
    struct mg_error err;
    int pipe_ends[2], other = open_side(&a);
    char byte;
    (void)unused;
    b = (struct side){.loop = mg_loop_new(&err), .fd = -1, .stop_at = 2};
    const struct mg_channel_events events = {.on_message = on_message, .on_end = on_end, .arg = &b};
    b.channel = mg_channel_new(b.loop, other, &events);
    assert_int_equal(pipe(pipe_ends), 0);
    assert_true(mg_channel_send(a.channel, MG_STR("one 1"), -1, 0));
    assert_true(mg_channel_send(a.channel, MG_STR("two"), pipe_ends[1], 0));
    assert_int_equal(b.count, 0);
    mg_loop_run(b.loop);
    assert_string_equal(b.said, "one 1;two;");
    assert_true(b.fd >= 0);
    assert_int_equal(write(b.fd, "x", 1), 1);
    assert_int_equal(read(pipe_ends[0], &byte, 1), 1);
    close(b.fd);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    mg_channel_free(b.channel);
    b.channel = NULL;
    mg_loop_run(a.loop);
    assert_true(a.ended);
    assert_false(mg_channel_send(a.channel, MG_STR("late"), -1, 1000));
    close_side(&a);
    close_side(&b);
}

/* What was said before the end is heard before the end. */
static void test_last_words(void **unused)
{
    struct side a;
    int other = open_side(&a);
    (void)unused;
    assert_int_equal(write(other, "first", 5), 5);
    assert_int_equal(write(other, "last", 4), 4);
    close(other);
    mg_channel_finish(a.channel);
    assert_string_equal(a.said, "first;last;");
    assert_false(a.ended);
    mg_loop_run(a.loop);
    assert_true(a.ended);
    close_side(&a);
}

/* The other side does not read: whoever does not want to wait goes on. */
static void test_full(void **unused)
{
    struct side a;
    int other = open_side(&a), sent = 0;
    (void)unused;
    while (mg_channel_send(a.channel, MG_STR("more"), -1, 0) && sent < 1000000)
        sent++;
    assert_in_range(sent, 10, 999999);
    assert_false(mg_channel_send(a.channel, MG_STR("more"), -1, 1));
    close(other);
    close_side(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_last_words),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
