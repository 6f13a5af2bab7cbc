/*
 * For tests that need files: a folder of their own, gone at the end. Brings cmocka along.
 */
#ifndef MG_TESTS_SCRIPT_FILES_TEST_H
#define MG_TESTS_SCRIPT_FILES_TEST_H

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct files_test {
    char folder[64];
    char path[PATH_MAX]; /* of the last files_test_path */
};

static inline void files_test_start(struct files_test *t)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(t->folder, sizeof t->folder, "%s/moongate-test-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(t->folder));
}

static inline const char *files_test_path(struct files_test *t, const char *name)
{
    snprintf(t->path, sizeof t->path, "%s/%s", t->folder, name);
    return t->path;
}

/* Writes a file; makes the folders on its way. */
static inline void files_test_write(struct files_test *t, const char *name, const char *text)
{
    files_test_path(t, name);
    for (char *slash = t->path + strlen(t->folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(t->path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(t->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static inline int files_test_remove(const char *path, const struct stat *st, int kind,
                                    struct FTW *place)
{
    (void)st;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline void files_test_end(struct files_test *t)
{
    assert_int_equal(nftw(t->folder, files_test_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
