/* Listening, accepting and connecting, over TCP on the loopback and unix sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/listener.h"
#include "net/sockaddr.h"

#define MAX 64

struct scene {
    struct mg_loop *loop;
    struct mg_timer timer;
    int turns; /* to come before the loop stops */
    struct mg_listener *listener;
    bool free_at_first;
    struct mg_stream *accepted[MAX];
    int accepted_count;
    struct mg_stream *connected[MAX];
    int connected_count;
    int failed, error;
};

static void on_time(void *arg)
{
    struct scene *s = arg;
    if (s->turns-- > 0)
        mg_timer_set(&s->timer, mg_loop_now(s->loop) + MG_MILLISECOND);
    else
        mg_loop_stop(s->loop);
}

static void set_up(struct scene *s)
{
    *s = (struct scene){.loop = mg_loop_new(NULL)};
    mg_timer_init(&s->timer, s->loop, on_time, s);
}

/* So many turns, however long a busy machine takes for one of them. */
static void run(struct scene *s)
{
    s->turns = 20;
    on_time(s);
    mg_loop_run(s->loop);
}

static void tear_down(struct scene *s)
{
    for (int i = 0; i < s->accepted_count; i++)
        mg_stream_close(s->accepted[i]);
    for (int i = 0; i < s->connected_count; i++)
        mg_stream_close(s->connected[i]);
    mg_listener_free(s->listener);
    mg_timer_release(&s->timer);
    mg_loop_free(s->loop);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void on_accept(void *arg, struct mg_stream *stream)
{
    struct scene *s = arg;
    stream->on_readable = nothing;
    assert_true(s->accepted_count < MAX);
    s->accepted[s->accepted_count++] = stream;
    if (s->free_at_first) {
        mg_listener_free(s->listener);
        s->listener = NULL;
    }
}

static void on_connect(void *arg, struct mg_stream *stream, int error)
{
    struct scene *s = arg;
    s->error = error;
    if (!stream) {
        assert_int_not_equal(error, 0);
        s->failed++;
        return;
    }
    assert_int_equal(error, 0);
    stream->on_readable = nothing;
    assert_true(s->connected_count < MAX);
    s->connected[s->connected_count++] = stream;
}

/* A path in a new folder; the caller removes both. */
static void new_path(char path[64], char address[80])
{
    static const char template[] = "/tmp/moongate-listener-XXXXXX";
    memcpy(path, template, sizeof template);
    assert_non_null(mkdtemp(path));
    memcpy(path + sizeof template - 1, "/s", 3);
    snprintf(address, 80, "unix:%s", path);
}

static void remove_path(char path[64])
{
    unlink(path);
    *strrchr(path, '/') = 0;
    assert_int_equal(rmdir(path), 0);
}

/* --- tests --- */

static void tcp_addresses_are_opened(void **state)
{
    static const char *const addresses[] = {"127.0.0.1:0", ":0", "*:0"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct mg_addr bound = {0};
        struct mg_error err;
        char text[MG_IP_TEXT_MAX];
        int fd = mg_listener_open(addresses[i], &bound, &err);
        if (fd < 0)
            fail_msg("%s", err.text);
        assert_int_equal(bound.family, 4);
        assert_int_not_equal(bound.port, 0);
        /* Each worker opens the same address. */
        mg_ip_format_port(&bound, text);
        int second = mg_listener_open(text, NULL, &err);
        assert_true(second >= 0);
        close(second);
        close(fd);
    }
}

static void bad_addresses_are_refused(void **state)
{
    static const struct {
        const char *address, *error;
    } cases[] = {
        {"nonsense", "cannot listen on 'nonsense': not an address and port"},
        {"127.0.0.1", "cannot listen on '127.0.0.1': not an address and port"},
        {"127.0.0.1:65536", "cannot listen on '127.0.0.1:65536': not an address and port"},
        {"name:80", "cannot listen on 'name:80': not an address and port"},
        {"192.0.2.1:0", "cannot listen on '192.0.2.1:0': Cannot assign requested address"},
        {"unix:", "cannot listen on 'unix:': path empty or too long"},
        {"unix:/nowhere/at/all",
         "cannot listen on 'unix:/nowhere/at/all': No such file or directory"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_error err = {{0}};
        assert_int_equal(mg_listener_open(cases[i].address, NULL, &err), -1);
        assert_string_equal(err.text, cases[i].error);
    }
}

static void tcp_connections_are_accepted(void **state)
{
    struct scene s;
    struct mg_addr bound;
    int error = 0;
    (void)state;
    set_up(&s);
    int fd = mg_listener_open("127.0.0.1:0", &bound, NULL);
    s.listener = mg_listener_new(s.loop, fd, on_accept, &s);
    for (int i = 0; i < 40; i++) /* more than are taken in one turn */
        assert_non_null(mg_connect_start(s.loop, &bound, NULL, on_connect, &s, &error));
    assert_int_equal(s.connected_count, 0); /* never inside the call */
    run(&s);
    assert_int_equal(s.connected_count, 40);
    assert_int_equal(s.accepted_count, 40);
    assert_true(mg_ip_eq(&s.connected[0]->peer, &bound));
    assert_int_equal(s.connected[0]->peer.port, bound.port);
    assert_int_equal(s.accepted[0]->local.port, bound.port);
    assert_int_equal(s.accepted[0]->peer.family, 4);
    assert_int_not_equal(s.accepted[0]->peer.port, 0);
    assert_false(s.accepted[0]->is_unix);
    /* They are joined, in the order of the queue. */
    struct iovec iov = {(void *)"x", 1};
    char got = 0;
    assert_int_equal(mg_stream_writev(s.connected[0], &iov, 1), 1);
    run(&s);
    assert_int_equal(mg_stream_read(s.accepted[0], &got, 1), 1);
    assert_int_equal(got, 'x');
    tear_down(&s);
    close(fd);
}

/* A port where nobody listens, nor will meanwhile. */
static int bind_without_listening(struct mg_addr *bound)
{
    struct sockaddr_storage ss;
    *bound = (struct mg_addr){.family = 4, .bytes = {127, 0, 0, 1}};
    socklen_t len = mg_sockaddr_from(bound, &ss);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
    len = sizeof ss;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    mg_sockaddr_to(&ss, bound);
    return fd;
}

static void a_refused_connection_is_told(void **state)
{
    struct scene s;
    struct mg_addr bound;
    int error = 0;
    (void)state;
    set_up(&s);
    int fd = bind_without_listening(&bound);
    if (mg_connect_start(s.loop, &bound, NULL, on_connect, &s, &error))
        run(&s);
    assert_int_equal(s.connected_count, 0);
    assert_int_equal(s.failed ? s.error : error, ECONNREFUSED);
    /* At once, without a call. */
    s.failed = 0;
    assert_null(mg_connect_start(s.loop, NULL, "/nowhere/at/all", on_connect, &s, &error));
    assert_int_equal(error, ENOENT);
    char endless[200];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = 0;
    assert_null(mg_connect_start(s.loop, NULL, endless, on_connect, &s, &error));
    assert_int_equal(error, ENAMETOOLONG);
    run(&s);
    assert_int_equal(s.failed, 0);
    tear_down(&s);
    close(fd);
}

static void a_cancelled_connection_is_not_told(void **state)
{
    struct scene s;
    struct mg_addr bound;
    int error = 0;
    (void)state;
    set_up(&s);
    int fd = mg_listener_open("127.0.0.1:0", &bound, NULL);
    mg_connect_cancel(mg_connect_start(s.loop, &bound, NULL, on_connect, &s, &error));
    run(&s);
    assert_int_equal(s.connected_count + s.failed, 0);
    tear_down(&s);
    close(fd);
}

static void a_listener_may_go_in_its_callback(void **state)
{
    struct scene s;
    struct mg_addr bound;
    int error = 0;
    (void)state;
    set_up(&s);
    int fd = mg_listener_open("127.0.0.1:0", &bound, NULL);
    s.listener = mg_listener_new(s.loop, fd, on_accept, &s);
    s.free_at_first = true;
    for (int i = 0; i < 3; i++)
        mg_connect_start(s.loop, &bound, NULL, on_connect, &s, &error);
    run(&s);
    assert_int_equal(s.accepted_count, 1);
    tear_down(&s);
    close(fd);
}

static void unix_sockets_are_opened(void **state)
{
    char path[64], address[80];
    struct scene s;
    struct mg_addr bound = {.family = 4};
    struct mg_error err;
    int error = 0;
    (void)state;
    set_up(&s);
    new_path(path, address);
    int fd = mg_listener_open(address, &bound, &err);
    assert_true(fd >= 0);
    assert_int_equal(bound.family, 0);
    s.listener = mg_listener_new(s.loop, fd, on_accept, &s);
    assert_non_null(mg_connect_start(s.loop, NULL, path, on_connect, &s, &error));
    run(&s);
    assert_int_equal(s.accepted_count, 1);
    assert_int_equal(s.connected_count, 1);
    assert_true(s.accepted[0]->is_unix && s.connected[0]->is_unix);

    /* While somebody answers on it, nobody else gets it. */
    assert_int_equal(mg_listener_open(address, NULL, &err), -1);
    assert_non_null(strstr(err.text, "Address already in use"));

    /* Left behind, it is replaced. */
    tear_down(&s);
    close(fd);
    assert_int_equal(access(path, F_OK), 0);
    fd = mg_listener_open(address, NULL, &err);
    if (fd < 0)
        fail_msg("%s", err.text);
    close(fd);
    remove_path(path);
}

/* With its queue full, a socket is in use; a look at it must not wait for room. */
static void a_busy_unix_socket_is_in_use(void **state)
{
    char path[64], address[80];
    struct mg_error err;
    int error = 0;
    (void)state;
    new_path(path, address);
    int fd = mg_listener_open(address, NULL, &err);
    assert_true(fd >= 0);
    assert_int_equal(listen(fd, 1), 0);
    for (int i = 0; i < 8 && !error; i++) {
        struct mg_loop *loop = mg_loop_new(NULL);
        struct mg_connect *c = mg_connect_start(loop, NULL, path, on_connect, NULL, &error);
        if (c)
            mg_connect_cancel(c);
        mg_loop_free(loop);
    }
    assert_int_equal(error, EAGAIN);
    alarm(60); /* ends the program if it waits */
    assert_int_equal(mg_listener_open(address, NULL, &err), -1);
    alarm(0);
    close(fd);
    remove_path(path);
}

static void a_file_in_the_way_is_not_removed(void **state)
{
    char path[64], address[80];
    struct mg_error err;
    (void)state;
    new_path(path, address);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(mg_listener_open(address, NULL, &err), -1);
    assert_int_equal(access(path, F_OK), 0);
    remove_path(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_addresses_are_opened),
        cmocka_unit_test(bad_addresses_are_refused),
        cmocka_unit_test(tcp_connections_are_accepted),
        cmocka_unit_test(a_refused_connection_is_told),
        cmocka_unit_test(a_cancelled_connection_is_not_told),
        cmocka_unit_test(a_listener_may_go_in_its_callback),
        cmocka_unit_test(unix_sockets_are_opened),
        cmocka_unit_test(a_busy_unix_socket_is_in_use),
        cmocka_unit_test(a_file_in_the_way_is_not_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
