/* What one process hands to another: mg_handover_next, mg_handover_add_*. */
#include "app/handover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void test_what_is_written_is_read(void **unused)
{
    static const int fds[] = {5, 60, 700};
    struct mg_handover_line line;
    struct mg_buf text;
    int fd;
    (void)unused;
    mg_buf_init(&text, MG_HANDOVER_MAX);
    mg_handover_add_parent(&text, 4711, 3);
    mg_handover_add_child(&text, 12, 8, false);
    mg_handover_add_child(&text, 13, 9, true);
    mg_handover_add_crashes(&text, 7);
    mg_handover_add_log(&text, 2, 1);
    mg_handover_add_keys(&text, 6);
    mg_handover_add_socket(&text, fds, 3, "unix:/run/a b,c");
    mg_handover_add_socket(&text, fds, 1, "admin [::1]:0");
    struct mg_str rest = mg_buf_str(&text);

    assert_true(mg_handover_next(&rest, &line));
    assert_int_equal(line.kind, MG_HANDOVER_PARENT);
    assert_int_equal(line.pid, 4711);
    assert_int_equal(line.fd, 3);
    for (int i = 0; i < 2; i++) {
        assert_true(mg_handover_next(&rest, &line));
        assert_int_equal(line.kind, MG_HANDOVER_CHILD);
        assert_int_equal(line.pid, 12 + i);
        assert_int_equal(line.fd, 8 + i);
        assert_int_equal(line.retiring, i);
    }
    assert_true(mg_handover_next(&rest, &line));
    assert_int_equal(line.kind, MG_HANDOVER_CRASHES);
    assert_int_equal(line.crashes, 7);
    assert_true(mg_handover_next(&rest, &line));
    assert_int_equal(line.kind, MG_HANDOVER_LOG);
    assert_int_equal(line.log_level, 2);
    assert_int_equal(line.log_format, 1);
    assert_true(mg_handover_next(&rest, &line));
    assert_int_equal(line.kind, MG_HANDOVER_KEYS);
    assert_int_equal(line.fd, 6);
    assert_true(mg_handover_next(&rest, &line));
    assert_int_equal(line.kind, MG_HANDOVER_SOCKET);
    assert_true(mg_str_eq(line.label, MG_STR("unix:/run/a b,c")));
    for (size_t i = 0; i < COUNT(fds); i++) {
        assert_true(mg_handover_fd(&line.fds, &fd));
        assert_int_equal(fd, fds[i]);
    }
    assert_false(mg_handover_fd(&line.fds, &fd));
    assert_true(mg_handover_next(&rest, &line));
    assert_true(mg_str_eq(line.label, MG_STR("admin [::1]:0")));
    assert_false(mg_handover_next(&rest, &line));
    mg_buf_release(&text);
}

/* Another version may say more, and somebody may set the variable by hand. */
static void test_other_lines_are_passed_over(void **unused)
{
    static const char *const lines[] = {
        "",
        "parent",
        "parent 1",
        "parent x 3",
        "parent 0 3",
        "parent 1 -3",
        "parent 1 2147483648",
        "child 1 2",
        "child 1 2 new",
        "crashes -1",
        "keys",
        "keys x",
        "log 1",
        "socket",
        "socket 5",
        "socket 5 ",
        "socket  x",
        "sockets 5 a",
        "weather 5 fine",
    };
    struct mg_handover_line line;
    (void)unused;
    for (size_t i = 0; i < COUNT(lines); i++) {
        char text[128];
        snprintf(text, sizeof text, "%s\ncrashes 1\n", lines[i]);
        struct mg_str rest = mg_str_c(text);
        assert_true(mg_handover_next(&rest, &line));
        if (line.kind != MG_HANDOVER_CRASHES)
            fail_msg("'%s' was taken for something", lines[i]);
        assert_false(mg_handover_next(&rest, &line));
    }
}

static void test_bad_descriptors_end_their_list(void **unused)
{
    struct mg_str fds = MG_STR("4,5x,6");
    int fd;
    (void)unused;
    assert_true(mg_handover_fd(&fds, &fd));
    assert_int_equal(fd, 4);
    assert_false(mg_handover_fd(&fds, &fd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_other_lines_are_passed_over),
        cmocka_unit_test(test_bad_descriptors_end_their_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
