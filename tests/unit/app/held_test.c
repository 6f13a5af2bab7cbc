/* Sockets that are held: mg_held_*. */
#include "app/held.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/listener.h"

static int listening(char name[MG_LISTENER_NAME_MAX], const char *address)
{
    struct mg_error err;
    int fd = mg_listener_open(address, NULL, &err);
    assert_true(fd >= 0);
    assert_true(mg_listener_bound(fd, name));
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_by_address(void **unused)
{
    char a[MG_LISTENER_NAME_MAX], b[MG_LISTENER_NAME_MAX], want[512];
    struct mg_held h = {0};
    struct mg_buf list;
    (void)unused;
    int first = listening(a, "127.0.0.1:0"), second = listening(b, "127.0.0.1:0");
    int third = listening(b, a);
    assert_true(mg_listener_bound(second, b));
    assert_int_equal(mg_held_add(&h, MG_STR("127.0.0.1:0"), first), MG_OK);
    assert_int_equal(mg_held_add(&h, MG_STR("x"), second), MG_OK);
    assert_int_equal(mg_held_add(&h, MG_STR("whatever"), third), MG_OK);
    assert_int_equal(h.count, 2);
    assert_int_equal(h.items[0].count, 2);
    assert_string_equal(h.items[0].label, "127.0.0.1:0");
    mg_buf_init(&list, 512);
    mg_held_list(&h, &list);
    snprintf(want, sizeof want, "%s, %s", a, b);
    assert_true(mg_str_eq(mg_buf_str(&list), mg_str_c(want)));
    mg_held_drop(&h, MG_STR("127.0.0.1:1"));
    mg_held_drop(&h, mg_str_c(a));
    assert_false(is_open(first) || is_open(third));
    assert_int_equal(h.count, 1);
    assert_string_equal(h.items[0].name, b);
    mg_held_release(&h);
    assert_false(is_open(second));
    assert_int_equal(h.count, 0);
    mg_buf_release(&list);
}

static void test_over_exec(void **unused)
{
    char name[MG_LISTENER_NAME_MAX];
    struct mg_held h = {0}, other = {0};
    struct mg_handover_line line;
    struct mg_buf text;
    (void)unused;
    int fd = listening(name, "127.0.0.1:0");
    assert_int_equal(mg_held_add(&h, MG_STR("some where"), fd), MG_OK);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    mg_held_set_inheritable(&h, true);
    assert_int_equal(fcntl(fd, F_GETFD), 0);
    mg_buf_init(&text, 512);
    mg_held_write(&h, &text);
    struct mg_str rest = mg_buf_str(&text);
    assert_true(mg_handover_next(&rest, &line));
    mg_held_read(&other, &line);
    assert_int_equal(other.count, 1);
    assert_string_equal(other.items[0].label, "some where");
    assert_string_equal(other.items[0].name, name);
    assert_int_equal(other.items[0].fds[0], fd);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    free(other.items[0].fds);
    other.items[0].fds = NULL;
    other.items[0].count = 0;
    mg_held_release(&other);
    mg_held_release(&h);
    mg_buf_release(&text);
}

static void test_no_listening_socket(void **unused)
{
    struct mg_held h = {0};
    int ends[2];
    (void)unused;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(mg_held_add(&h, MG_STR("pipe"), ends[0]), MG_FAIL);
    assert_false(is_open(ends[0]));
    assert_int_equal(h.count, 0);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_address),
        cmocka_unit_test(test_over_exec),
        cmocka_unit_test(test_no_listening_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
