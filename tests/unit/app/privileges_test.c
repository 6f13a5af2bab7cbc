/* Who one may become: mg_privileges_drop. Becoming it is tested with the running program. */
#include "app/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct mg_str number(char *text, size_t room, unsigned value)
{
    snprintf(text, room, "%u", value);
    return mg_str_c(text);
}

static void test_nothing_to_do(void **unused)
{
    char uid[16], gid[16];
    struct mg_error err;
    (void)unused;
    assert_int_equal(mg_privileges_drop(MG_STR_NONE, MG_STR_NONE, &err), MG_OK);
    struct mg_str user = number(uid, sizeof uid, geteuid());
    struct mg_str group = number(gid, sizeof gid, getegid());
    assert_int_equal(mg_privileges_drop(user, group, &err), MG_OK);
}

static void test_nobody_of_that_name(void **unused)
{
    struct mg_error err;
    (void)unused;
    assert_int_equal(mg_privileges_drop(MG_STR("no-such"), MG_STR_NONE, &err), MG_FAIL);
    assert_string_equal(err.text, "user: there is no user 'no-such'");
    assert_int_equal(mg_privileges_drop(MG_STR_NONE, MG_STR("no-such"), &err), MG_FAIL);
    assert_string_equal(err.text, "group: there is no group 'no-such'");
    assert_int_equal(mg_privileges_drop(MG_STR("4294967295"), MG_STR_NONE, &err), MG_FAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_nobody_of_that_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
