/* How the end of a process is told: mg_child_describe_end, mg_child_exit_status; and
 * mg_program_find. */
#include "app/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/program.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define EXITED(status) ((status) << 8)

static void test_ends(void **unused)
{
    static const struct {
        int status;
        const char *how;
        int exit_status;
    } cases[] = {{EXITED(0), "exited with status 0", 0},
                 {EXITED(3), "exited with status 3", 3},
                 {11, "killed by signal 11 (SEGV)", 139},
                 {11 | 0x80, "killed by signal 11 (SEGV)", 139}, /* with a core */
                 {63, "killed by signal 63 (?)", 191}};
    char how[MG_CHILD_END_MAX];
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        mg_child_describe_end(cases[i].status, how);
        assert_string_equal(how, cases[i].how);
        assert_int_equal(mg_child_exit_status(cases[i].status), cases[i].exit_status);
    }
}

static void expect_program(const char *name, const char *want)
{
    char *path = mg_program_find(name);
    assert_string_equal(path, want);
    free(path);
}

/* By the name that it was called by, where that leads to it. */
static void test_program(void **unused)
{
    char own[4096], folder[] = "/tmp/moongate-test-XXXXXX", link[64];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    (void)unused;
    assert_true(n > 0);
    own[n] = 0;
    assert_non_null(mkdtemp(folder));
    snprintf(link, sizeof link, "%s/gate", folder);
    assert_int_equal(symlink(own, link), 0);
    expect_program(link, link);
    expect_program("/bin/sh", own);
    expect_program("", own);
    setenv("PATH", "", 1);
    expect_program("gate", own);
    setenv("PATH", folder, 1);
    expect_program("gate", link);
    expect_program("sh", own);
    unlink(link);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
