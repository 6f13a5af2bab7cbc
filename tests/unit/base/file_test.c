/* Whole files: mg_file_read. */
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT 40000

static void write_file(const char *path, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < n; i++)
        fputc((int)(i % 251), file);
    assert_int_equal(fclose(file), 0);
}

static void test_sizes(void **unused)
{
    static const size_t sizes[] = {0, 1, 16383, 16384, 16385, LIMIT - 1, LIMIT, LIMIT + 1, 100000};
    char path[] = "/tmp/moongate-test-XXXXXX";
    int fd = mkstemp(path);
    (void)unused;
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct mg_buf out;
        struct mg_error err;
        mg_buf_init(&out, LIMIT);
        write_file(path, sizes[i]);
        enum mg_rc rc = mg_file_read(path, &out, &err);
        assert_int_equal(rc, sizes[i] <= LIMIT ? MG_OK : MG_FAIL);
        if (rc == MG_OK) {
            assert_int_equal(out.n, sizes[i]);
            for (size_t k = 0; k < out.n; k++)
                assert_int_equal((unsigned char)out.p[k], k % 251);
        } else {
            assert_non_null(strstr(err.text, "larger than 40000 bytes"));
        }
        mg_buf_release(&out);
    }
    unlink(path);
}

static void test_appends(void **unused)
{
    char path[] = "/tmp/moongate-test-XXXXXX";
    int fd = mkstemp(path);
    struct mg_buf out;
    (void)unused;
    assert_int_equal(write(fd, "tail", 4), 4);
    close(fd);
    mg_buf_init(&out, 8);
    mg_buf_add_c(&out, "head");
    assert_int_equal(mg_file_read(path, &out, NULL), MG_OK);
    assert_memory_equal(out.p, "headtail", 8);
    assert_int_equal(mg_file_read(path, &out, NULL), MG_FAIL);
    mg_buf_release(&out);
    unlink(path);
}

static void test_failures(void **unused)
{
    struct mg_buf out;
    struct mg_error err;
    (void)unused;
    mg_buf_init(&out, 100);
    assert_int_equal(mg_file_read("/nothing/here", &out, &err), MG_EOF);
    assert_string_equal(err.text, "/nothing/here: No such file or directory");
    assert_int_equal(mg_file_read("/tmp", &out, &err), MG_FAIL);
    assert_string_equal(err.text, "/tmp: Is a directory");
    mg_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
