/* Listening sockets for several workers: mg_sockets_open. */
#include "app/sockets.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/sockaddr.h"

static struct mg_generation *generation(struct mg_listen *listens, uint32_t count)
{
    struct mg_generation *gen = mg_generation_new();
    gen->listens = listens;
    gen->listen_count = count;
    return gen;
}

static struct mg_addr bound_to(int fd)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    struct mg_addr addr;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    mg_sockaddr_to(&ss, &addr);
    return addr;
}

static void test_one_port_for_all_workers(void **unused)
{
    struct mg_listen listens[] = {{.address = MG_STR("127.0.0.1:0")},
                                  {.address = MG_STR("[::1]:0")}};
    struct mg_generation *gen = generation(listens, 2);
    struct mg_error err;
    char text[MG_IP_TEXT_MAX];
    (void)unused;
    struct mg_sockets *s = mg_sockets_open(gen, 3, NULL, &err);
    if (!s)
        skip(); /* no IPv6 here */
    assert_int_equal(mg_sockets_count(s), 2);
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t w = 0; w < 3; w++) {
            struct mg_addr addr = bound_to(mg_sockets_fd(s, i, w));
            mg_ip_format_port(&addr, text);
            assert_string_equal(text, mg_sockets_name(s, i));
            assert_int_not_equal(addr.port, 0);
        }
    }
    mg_sockets_close(s, 0, 1);
    assert_int_equal(mg_sockets_fd(s, 0, 1), -1);
    mg_sockets_close(s, 0, 1);
    mg_sockets_free(s);
    mg_generation_unref(gen);
}

/* SO_REUSEPORT alone would let a second gateway take half of the connections. */
static void test_taken_port(void **unused)
{
    struct mg_listen first = {.address = MG_STR("127.0.0.1:0")}, second = {0};
    struct mg_generation *a = generation(&first, 1), *b = generation(&second, 1);
    struct mg_error err;
    (void)unused;
    struct mg_sockets *s = mg_sockets_open(a, 1, NULL, &err);
    assert_non_null(s);
    second.address = mg_str_c(mg_sockets_name(s, 0));
    assert_null(mg_sockets_open(b, 1, NULL, &err));
    assert_non_null(strstr(err.text, "Address already in use"));
    mg_sockets_free(s);
    mg_generation_unref(a);
    mg_generation_unref(b);
}

static void test_unix(void **unused)
{
    char address[64], folder[] = "/tmp/moongate-test-XXXXXX";
    (void)unused;
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof address, "unix:%s/s", folder);
    struct mg_listen listen = {.address = mg_str_c(address)};
    struct mg_generation *gen = generation(&listen, 1);
    struct mg_error err;
    struct mg_sockets *s = mg_sockets_open(gen, 2, NULL, &err);
    assert_non_null(s);
    assert_string_equal(mg_sockets_name(s, 0), address);
    assert_int_not_equal(mg_sockets_fd(s, 0, 0), mg_sockets_fd(s, 0, 1));
    assert_int_equal(access(address + 5, F_OK), 0);
    mg_sockets_free(s);
    assert_int_equal(access(address + 5, F_OK), -1);
    assert_int_equal(rmdir(folder), 0);
    mg_generation_unref(gen);
}

/* Several listeners may ask for any free port: over a reload each keeps the one it got. */
static void test_any_port_twice_over_a_reload(void **unused)
{
    struct mg_listen listens[] = {{.address = MG_STR("127.0.0.1:0")},
                                  {.address = MG_STR("127.0.0.1:0")},
                                  {.address = MG_STR("127.0.0.1:0")}};
    struct mg_generation *two = generation(listens, 2), *three = generation(listens, 3);
    struct mg_error err;
    (void)unused;
    struct mg_sockets *old = mg_sockets_open(two, 2, NULL, &err);
    assert_non_null(old);
    struct mg_sockets *s = mg_sockets_open(three, 2, old, &err);
    assert_non_null(s);
    assert_int_equal(mg_sockets_before(s, 0), 0);
    assert_int_equal(mg_sockets_before(s, 1), 1);
    assert_int_equal(mg_sockets_before(s, 2), MG_SOCKETS_NONE);
    assert_string_equal(mg_sockets_name(s, 1), mg_sockets_name(old, 1));
    assert_int_equal(mg_sockets_fd(s, 1, 1), mg_sockets_fd(old, 1, 1));
    mg_sockets_take_over(s, old);
    mg_sockets_free(old);
    assert_int_not_equal(bound_to(mg_sockets_fd(s, 0, 0)).port,
                         bound_to(mg_sockets_fd(s, 1, 0)).port);
    mg_sockets_free(s);
    mg_generation_unref(two);
    mg_generation_unref(three);
}

static void test_bad_address(void **unused)
{
    struct mg_listen listens[] = {{.address = MG_STR("127.0.0.1:0")}, {.address = MG_STR("x")}};
    struct mg_generation *gen = generation(listens, 2);
    struct mg_error err;
    (void)unused;
    assert_null(mg_sockets_open(gen, 2, NULL, &err));
    assert_non_null(strstr(err.text, "cannot listen on 'x'"));
    mg_generation_unref(gen);
}

/* --- from another process --- */

/* The descriptors, as a supervisor would have got them. */
static void hold(struct mg_held *held, const struct mg_sockets *s, uint32_t listener,
                 const char *label)
{
    for (uint32_t i = 0; i < mg_sockets_places(s, listener); i++)
        assert_int_equal(mg_held_add(held, mg_str_c(label), dup(mg_sockets_fd(s, listener, i))),
                         MG_OK);
}

static void expect_same(const struct mg_sockets *a, uint32_t i, const struct mg_sockets *b,
                        uint32_t j)
{
    assert_string_equal(mg_sockets_name(a, i), mg_sockets_name(b, j));
}

/* Two listeners for port 0, one of them known by its port by now; the order is another. */
static void test_inherit(void **unused)
{
    struct mg_listen before[] = {{.address = MG_STR("127.0.0.1:0")},
                                 {.address = MG_STR("127.0.0.1:0")},
                                 {.address = MG_STR("127.0.0.1:0")}};
    struct mg_listen after[] = {{.address = MG_STR("127.0.0.1:0")},
                                {.address = MG_STR("127.0.0.1:0"), .name = MG_STR("inside")},
                                {.address = MG_STR("")}};
    struct mg_generation *a = generation(before, 3), *b = generation(after, 3);
    struct mg_held held = {0};
    struct mg_error err;
    (void)unused;
    struct mg_sockets *first = mg_sockets_open(a, 2, NULL, &err);
    assert_non_null(first);
    hold(&held, first, 0, "127.0.0.1:0");
    hold(&held, first, 1, "127.0.0.1:0");
    hold(&held, first, 2, "inside");
    after[2].address = mg_str_c(mg_sockets_name(first, 0));
    struct mg_sockets *inherited = mg_sockets_inherit(&held);
    assert_int_equal(held.count, 0);
    struct mg_sockets *second = mg_sockets_open(b, 2, inherited, &err);
    assert_non_null(second);
    mg_sockets_take_over(second, inherited);
    mg_sockets_free(inherited);
    expect_same(second, 0, first, 1);
    expect_same(second, 1, first, 2);
    expect_same(second, 2, first, 0);
    mg_sockets_free(first);
    mg_sockets_free(second);
    mg_generation_unref(a);
    mg_generation_unref(b);
}

/* Each socket has connections of its own: none may be left without somebody who accepts. */
static void test_other_number_of_workers(void **unused)
{
    struct mg_listen listen = {.address = MG_STR("127.0.0.1:0")};
    struct mg_generation *gen = generation(&listen, 1);
    struct mg_error err;
    (void)unused;
    for (uint32_t workers = 1; workers <= 5; workers += 2) {
        struct mg_held held = {0};
        struct mg_sockets *first = mg_sockets_open(gen, 3, NULL, &err);
        hold(&held, first, 0, "127.0.0.1:0");
        struct mg_sockets *inherited = mg_sockets_inherit(&held);
        struct mg_sockets *second = mg_sockets_open(gen, workers, inherited, &err);
        assert_non_null(second);
        mg_sockets_take_over(second, inherited);
        mg_sockets_free(inherited);
        expect_same(second, 0, first, 0);
        assert_int_equal(mg_sockets_places(second, 0), workers > 3 ? workers : 3);
        for (uint32_t i = 0; i < mg_sockets_places(second, 0); i++)
            assert_int_equal(bound_to(mg_sockets_fd(second, 0, i)).port,
                             bound_to(mg_sockets_fd(first, 0, 0)).port);
        mg_sockets_free(first);
        mg_sockets_free(second);
    }
    mg_generation_unref(gen);
}

/* systemd opens one socket, without SO_REUSEPORT, and for all of IPv6 at once. */
static void test_one_socket_for_all_workers(void **unused)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    char address[MG_IP_TEXT_MAX];
    struct mg_held held = {0};
    struct mg_error err;
    (void)unused;
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) != 0)
        skip(); /* no IPv6 here */
    assert_int_equal(mg_held_add(&held, MG_STR("unbound"), dup(fd)), MG_FAIL);
    assert_int_equal(listen(fd, 16), 0);
    snprintf(address, sizeof address, "0.0.0.0:%u", bound_to(fd).port);
    struct mg_listen listen = {.address = mg_str_c(address)};
    struct mg_generation *gen = generation(&listen, 1);
    assert_int_equal(mg_held_add(&held, MG_STR("gate.socket"), fd), MG_OK);
    struct mg_sockets *inherited = mg_sockets_inherit(&held);
    struct mg_sockets *s = mg_sockets_open(gen, 2, inherited, &err);
    assert_non_null(s);
    mg_sockets_take_over(s, inherited);
    mg_sockets_free(inherited);
    assert_int_equal(mg_sockets_places(s, 0), 2);
    assert_int_equal(bound_to(mg_sockets_fd(s, 0, 1)).port, bound_to(mg_sockets_fd(s, 0, 0)).port);
    mg_sockets_free(s);
    mg_generation_unref(gen);
}

static void test_one_alone(void **unused)
{
    struct mg_sockets_one first, second, third;
    struct mg_held held = {0};
    struct mg_error err;
    (void)unused;
    assert_int_equal(
        mg_sockets_open_one("admin", "127.0.0.1:0", NULL, MG_SOCKETS_AT_ONCE, &first, &err), MG_OK);
    assert_int_equal(mg_held_add(&held, mg_str_c(first.label), dup(first.fd)), MG_OK);
    struct mg_sockets *inherited = mg_sockets_inherit(&held);
    assert_int_equal(
        mg_sockets_open_one("other", "127.0.0.1:0", inherited, MG_SOCKETS_AT_ONCE, &second, &err),
        MG_OK);
    assert_int_equal(
        mg_sockets_open_one("admin", "127.0.0.1:0", inherited, MG_SOCKETS_AT_ONCE, &third, &err),
        MG_OK);
    assert_string_not_equal(first.name, second.name);
    assert_string_equal(first.name, third.name);
    mg_sockets_close_one(&first, false);
    assert_null(first.address);
    mg_sockets_close_one(&first, false);
    mg_sockets_close_one(&second, false);
    mg_sockets_close_one(&third, false);
    mg_sockets_free(inherited);
}

/* Another process goes on with them. */
static void test_files_are_left(void **unused)
{
    char address[64], folder[] = "/tmp/moongate-test-XXXXXX";
    struct mg_error err;
    (void)unused;
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof address, "unix:%s/s", folder);
    struct mg_listen listen = {.address = mg_str_c(address)};
    struct mg_generation *gen = generation(&listen, 1);
    struct mg_sockets *s = mg_sockets_open(gen, 1, NULL, &err);
    mg_sockets_leave_files(s, true);
    mg_sockets_free(s);
    assert_int_equal(unlink(address + 5), 0);
    assert_int_equal(rmdir(folder), 0);
    mg_generation_unref(gen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_port_for_all_workers),
        cmocka_unit_test(test_taken_port),
        cmocka_unit_test(test_unix),
        cmocka_unit_test(test_any_port_twice_over_a_reload),
        cmocka_unit_test(test_bad_address),
        cmocka_unit_test(test_inherit),
        cmocka_unit_test(test_other_number_of_workers),
        cmocka_unit_test(test_one_socket_for_all_workers),
        cmocka_unit_test(test_one_alone),
        cmocka_unit_test(test_files_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
