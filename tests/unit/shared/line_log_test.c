/* Lines of several writers reach a file, each whole and in its writer's order; nobody waits for a
 * reader that does not read. */
#include "shared/line_log.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

#define WRITERS 3
#define LINES 5000

static char folder[] = "/tmp/moongate-line-log-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/log", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static struct mg_line_log *open_file(void)
{
    struct mg_error err;
    struct mg_line_log *l = mg_line_log_new();
    const struct mg_line_target target = {MG_LINE_TO_FILE, mg_str_c(path)};
    assert_int_equal(mg_line_log_prepare(l, &target, &err), MG_OK);
    mg_line_log_adopt(l);
    return l;
}

struct writer {
    struct mg_line_log *log;
    unsigned number;
};

static void *write_lines(void *arg)
{
    const struct writer *w = arg;
    struct mg_line_ring *ring = mg_line_log_ring(w->log, w->number);
    char line[64];
    for (unsigned i = 0; i < LINES; i++) {
        int n = snprintf(line, sizeof line, "%u %u\n", w->number, i);
        assert_true(mg_line_ring_put(ring, mg_str(line, (size_t)n)));
    }
    return NULL;
}

static void lines_of_many_writers(void **state)
{
    (void)state;
    struct mg_line_log *l = open_file();
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    unsigned next[WRITERS] = {0}, writer, number;
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){l, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &writers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    mg_line_log_free(l); /* writes what is left */
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fscanf(f, "%u %u\n", &writer, &number) == 2) {
        assert_in_range(writer, 0, WRITERS - 1);
        assert_int_equal(number, next[writer]++);
    }
    fclose(f);
    for (unsigned i = 0; i < WRITERS; i++)
        assert_int_equal(next[i], LINES);
}

static void no_line(void *arg, enum mg_log_level level, struct mg_str line)
{
    (void)line;
    assert_int_equal(level, MG_LOG_WARN);
    ++*(int *)arg;
}

/* Without a target nobody empties the rings. */
static void what_finds_no_room_is_dropped_and_counted(void **state)
{
    (void)state;
    struct mg_line_log *l = mg_line_log_new();
    struct mg_line_ring *ring = mg_line_log_ring(l, 0);
    static char line[1024];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (size_t i = 0; i < MG_LINE_RING_BYTES / sizeof line; i++)
        assert_true(mg_line_ring_put(ring, mg_str(line, sizeof line)));
    assert_false(mg_line_ring_put(ring, mg_str(line, sizeof line)));
    assert_false(mg_line_ring_put(ring, mg_str(line, sizeof line)));
    assert_int_equal(mg_line_log_dropped(l), 2);
    mg_line_log_free(l);
}

static void drops_are_told(void **state)
{
    (void)state;
    int told = 0;
    struct mg_error err;
    struct mg_line_log *l = mg_line_log_new();
    struct mg_line_ring *ring = mg_line_log_ring(l, 0);
    static char line[MG_LINE_RING_BYTES];
    memset(line, 'x', sizeof line);
    assert_true(mg_line_ring_put(ring, mg_str(line, sizeof line)));
    assert_false(mg_line_ring_put(ring, mg_str(line, 1)));
    const struct mg_line_target target = {MG_LINE_TO_FILE, mg_str_c(path)};
    mg_log_set_sink(no_line, &told);
    assert_int_equal(mg_line_log_prepare(l, &target, &err), MG_OK);
    mg_line_log_adopt(l);
    mg_line_log_free(l);
    mg_log_set_sink(NULL, NULL);
    assert_int_equal(told, 1);
}

struct told {
    atomic_uint failures, recoveries;
};

static void count_told(void *arg, enum mg_log_level level, struct mg_str line)
{
    static const char failure[] = "cannot be written\",\"error\":\"No space left on device\"";
    static const char recovery[] = "written again\",\"lost\":";
    struct told *told = arg;
    if (level == MG_LOG_ERROR && memmem(line.p, line.n, failure, sizeof failure - 1))
        atomic_fetch_add(&told->failures, 1);
    if (level == MG_LOG_WARN && memmem(line.p, line.n, recovery, sizeof recovery - 1))
        atomic_fetch_add(&told->recoveries, 1);
}

static void put_until(struct mg_line_ring *ring, atomic_uint *count)
{
    while (atomic_load(count) == 0) {
        mg_line_ring_put(ring, MG_STR("line\n"));
        sched_yield();
    }
}

static void a_full_disk_is_told_of_once(void **state)
{
    (void)state;
    struct told told = {0};
    struct mg_error err;
    const struct mg_line_target full = {MG_LINE_TO_FILE, MG_STR("/dev/full")};
    const struct mg_line_target good = {MG_LINE_TO_FILE, mg_str_c(path)};
    struct mg_line_log *l = mg_line_log_new();
    struct mg_line_ring *ring = mg_line_log_ring(l, 0);
    mg_log_set_sink(count_told, &told);
    assert_int_equal(mg_line_log_prepare(l, &full, &err), MG_OK);
    mg_line_log_adopt(l);
    put_until(ring, &told.failures);
    assert_int_equal(mg_line_log_prepare(l, &good, &err), MG_OK);
    mg_line_log_adopt(l);
    put_until(ring, &told.recoveries);
    mg_line_log_free(l);
    mg_log_set_sink(NULL, NULL);
    assert_int_equal(told.failures, 1);
    assert_int_equal(told.recoveries, 1);
}

static void a_file_that_cannot_be_opened(void **state)
{
    (void)state;
    struct mg_error err;
    struct mg_line_log *l = mg_line_log_new();
    const struct mg_line_target target = {MG_LINE_TO_FILE, MG_STR("/none/such")};
    assert_int_equal(mg_line_log_prepare(l, &target, &err), MG_FAIL);
    assert_string_equal(err.text, "cannot write to '/none/such': No such file or directory");
    mg_line_log_free(l);
}

static size_t file_bytes(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0 ? (size_t)st.st_size : 0;
}

static void a_target_is_given_up(void **state)
{
    (void)state;
    struct mg_error err;
    char other[sizeof path + 8];
    snprintf(other, sizeof other, "%s.other", path);
    const struct mg_line_target target = {MG_LINE_TO_FILE, mg_str_c(other)};
    struct mg_line_log *l = open_file();
    struct mg_line_ring *ring = mg_line_log_ring(l, 0);
    size_t before = file_bytes(path);
    assert_int_equal(mg_line_log_prepare(l, &target, &err), MG_OK);
    mg_line_log_discard(l);
    mg_line_log_adopt(l); /* of nothing */
    assert_true(mg_line_ring_put(ring, MG_STR("kept\n")));
    assert_int_equal(mg_line_log_prepare(l, &target, &err), MG_OK);
    mg_line_log_free(l);
    assert_int_equal(file_bytes(path), before + 5);
    assert_int_equal(file_bytes(other), 0);
    assert_int_equal(unlink(other), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_many_writers),
        cmocka_unit_test(what_finds_no_room_is_dropped_and_counted),
        cmocka_unit_test(drops_are_told),
        cmocka_unit_test(a_full_disk_is_told_of_once),
        cmocka_unit_test(a_file_that_cannot_be_opened),
        cmocka_unit_test(a_target_is_given_up),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
