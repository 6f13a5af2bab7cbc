/* Listening sockets for several workers: mg_sockets_open. */
#include "app/sockets.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_port_for_all_workers),
        cmocka_unit_test(test_taken_port),
        cmocka_unit_test(test_unix),
        cmocka_unit_test(test_bad_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
