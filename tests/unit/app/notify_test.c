/* What systemd is told, and where. */
#include "app/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void test_address(void **unused)
{
    struct sockaddr_un to;
    char longest[sizeof to.sun_path + 1];
    (void)unused;
    assert_int_equal(mg_notify_address("/run/n", &to), offsetof(struct sockaddr_un, sun_path) + 6);
    assert_string_equal(to.sun_path, "/run/n");
    assert_int_equal(to.sun_family, AF_UNIX);
    assert_int_equal(mg_notify_address("@n/1", &to), offsetof(struct sockaddr_un, sun_path) + 4);
    assert_memory_equal(to.sun_path, "\0n/1", 5);
    memset(longest, '/', sizeof longest);
    longest[sizeof longest - 1] = 0;
    const char *const bad[] = {NULL, "", "/", "@", "n", "vsock:2:1", longest};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(mg_notify_address(bad[i], &to), 0);
}

static void test_watchdog(void **unused)
{
    static const struct {
        const char *usec, *pid;
        uint64_t want_ns;
    } cases[] = {{NULL, NULL, 0},
                 {"2000000", NULL, 2000000000},
                 {"2000000", "17", 2000000000},
                 {"2000000", "18", 0}, /* somebody else's */
                 {"2000000", "x", 0},
                 {NULL, "17", 0},
                 {"-1", "17", 0},
                 {"9223372036854775807", NULL, 0}};
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(mg_notify_watchdog(cases[i].usec, cases[i].pid, 17), cases[i].want_ns);
}

/* A text of a config's author must not become a word of the protocol. */
static void test_status_is_one_line(void **unused)
{
    struct mg_buf text;
    (void)unused;
    mg_buf_init(&text, 256);
    mg_notify_add_status(&text, MG_STR("a\nREADY=1\tb"));
    assert_true(mg_str_eq(mg_buf_str(&text), MG_STR("STATUS=a READY=1 b\n")));
    mg_buf_release(&text);
}

/* --- sent to a socket --- */

static int listen_for_it(const char *name)
{
    struct sockaddr_un at;
    socklen_t length = mg_notify_address(name, &at);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, length), 0);
    return fd;
}

static void assert_hears(int fd, const char *want)
{
    char got[4096] = "";
    assert_true(recv(fd, got, sizeof got - 1, 0) > 0);
    assert_string_equal(got, want);
}

static void test_messages(void **unused)
{
    struct mg_notify n;
    char name[64], ready[64], got[4096] = "";
    long long usec;
    (void)unused;
    snprintf(name, sizeof name, "@moongate-notify-test-%ld", (long)getpid());
    int fd = listen_for_it(name);
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", "3000000", 1);
    mg_notify_init(&n);
    assert_int_equal(n.watchdog_ns, 3000000000);
    mg_notify_ready(&n, MG_STR("fine"));
    snprintf(ready, sizeof ready, "READY=1\nMAINPID=%ld\nSTATUS=fine\n", (long)getpid());
    assert_hears(fd, ready);
    mg_notify_reloading(&n, MG_STR("so"));
    assert_true(recv(fd, got, sizeof got - 1, 0) > 0);
    assert_int_equal(sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=so\n", &usec), 1);
    assert_true(usec > 0);
    mg_notify_stopping(&n, MG_STR("bye"));
    assert_hears(fd, "STOPPING=1\nSTATUS=bye\n");
    mg_notify_status(&n, MG_STR("hm"));
    assert_hears(fd, "STATUS=hm\n");
    mg_notify_alive(&n);
    assert_hears(fd, "WATCHDOG=1\n");
    mg_notify_hide();
    mg_notify_init(&n);
    mg_notify_ready(&n, MG_STR("fine"));
    assert_int_equal(recv(fd, got, sizeof got, 0), -1);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_watchdog),
        cmocka_unit_test(test_status_is_one_line),
        cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
