/* mg.file: what it reads and what it refuses. */
#include "script/lua_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/moongate-file-XXXXXX";
static struct mg_lib_env env;

static void make_file(const char *name, size_t bytes)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static int set_up(void **state)
{
    (void)state;
    char path[256];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/errors", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    make_file("errors/404.json", 3);
    make_file("empty", 0);
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/large", folder);
    make_file("large", 1);
    assert_int_equal(truncate(path, (1 << 20) + 1), 0);
    env.folder = mg_str_c(folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"errors/404.json", "errors", "empty", "pipe", "large"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (unlink(path) != 0)
            rmdir(path);
    }
    return rmdir(folder);
}

static void test_reading(void **state)
{
    (void)state;
    static const char *const code[] = {
        "gives('xxx', mg.file('errors/404.json')) gives('xxx', mg.file('./errors//404.json'))",
        "gives('', mg.file('empty'))",
        "fails(\"cannot read 'errors/405.json': no such file\", mg.file('errors/405.json'))",
        "code('not_found', mg.file('none'))",
        "fails(\"cannot read 'errors': not a file of at most 1 MiB\", mg.file('errors'))",
        "code('bad_file', mg.file('pipe')) code('bad_file', mg.file('large'))",
        "for _, name in ipairs{'/etc/passwd', '/none', '../x', 'a/../b', 'a/..'} do\n"
        "  fails(\"cannot read '\" .. name .. \"': it is not in the config's folder\", "
        "mg.file(name))\n"
        "end",
        "code('bad_file', mg.file('../x')) code('bad_file', mg.file('')) code('bad_file', "
        "mg.file('a\\0b'))",
        "raises('string expected, got nil', mg.file, nil)",
    };
    lua_test_run_each(&env, code, COUNT(code));
}

/* In full, as whoever writes the config may name it. */
static void test_absolute_names(void **state)
{
    (void)state;
    char code[3][512];
    const char *all[3];
    snprintf(code[0], sizeof code[0], "gives('xxx', mg.file('%s/errors/404.json'))", folder);
    snprintf(code[1], sizeof code[1],
             "code('bad_file', mg.file('%s/../x')) code('bad_file', mg.file('%s'))", folder,
             folder);
    snprintf(code[2], sizeof code[2], "code('bad_file', mg.file('%s/errors/../../..%s/empty'))",
             folder, "/etc");
    for (size_t i = 0; i < COUNT(code); i++)
        all[i] = code[i];
    lua_test_run_each(&env, all, COUNT(all));
}

static void test_in_a_task(void **state)
{
    (void)state;
    char context[] = "";
    struct lua_test t;
    lua_test_start(&t, &env);
    lua_test_in_task(&t, context);
    lua_test_run(&t, "raises('call mg.file in new', mg.file, 'empty')");
    lua_test_in_task(&t, NULL);
    lua_test_end(&t);
}

static void test_starved(void **state)
{
    (void)state;
    int before = dup(0);
    close(before);
    lua_test_run_starved(&env, "mg.file('errors/404.json') mg.file('none') mg.file('errors')");
    int after = dup(0);
    close(after);
    assert_int_equal(before, after); /* no descriptor was left open */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_absolute_names),
        cmocka_unit_test(test_in_a_task),
        cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
