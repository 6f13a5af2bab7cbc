/* Whoever starts the program may have closed what every program prints to. */
#include "app/descriptors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define STANDARD 3

static void closed_ones_lead_nowhere(void **state)
{
    (void)state;
    int kept[STANDARD];
    struct stat null, at[STANDARD];
    assert_int_equal(stat("/dev/null", &null), 0);
    for (int fd = 0; fd < STANDARD; fd++)
        assert_true((kept[fd] = dup(fd)) >= STANDARD);
    close(STDIN_FILENO);
    close(STDERR_FILENO);
    mg_descriptors_fill_standard();
    int next = dup(STDOUT_FILENO);
    for (int fd = 0; fd < STANDARD; fd++)
        fstat(fd, &at[fd]);
    for (int fd = 0; fd < STANDARD; fd++) {
        dup2(kept[fd], fd);
        close(kept[fd]);
    }
    close(next);
    assert_int_equal(at[STDIN_FILENO].st_rdev, null.st_rdev);
    assert_int_equal(at[STDERR_FILENO].st_rdev, null.st_rdev);
    assert_int_equal(next, kept[STANDARD - 1] + 1); /* nothing else was left open */
}

static void open_ones_stay(void **state)
{
    (void)state;
    struct stat before, after;
    assert_int_equal(fstat(STDOUT_FILENO, &before), 0);
    mg_descriptors_fill_standard();
    assert_int_equal(fstat(STDOUT_FILENO, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_ones_lead_nowhere),
        cmocka_unit_test(open_ones_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
