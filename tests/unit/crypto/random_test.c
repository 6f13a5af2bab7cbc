/* Random bytes: none twice, also across threads and forks. */
#include "crypto/random.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { IDS = 2000, THREADS = 4 };

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, MG_RANDOM_UUID_CHARS);
}

static void *make_ids(void *arg)
{
    char(*ids)[MG_RANDOM_UUID_CHARS] = arg;
    for (int i = 0; i < IDS; i++)
        mg_random_uuid(ids[i]);
    return NULL;
}

static void uuids_look_right(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        char id[MG_RANDOM_UUID_CHARS];
        mg_random_uuid(id);
        for (int j = 0; j < MG_RANDOM_UUID_CHARS; j++) {
            if (j == 8 || j == 13 || j == 18 || j == 23)
                assert_int_equal(id[j], '-');
            else
                assert_non_null(memchr("0123456789abcdef", id[j], 16));
        }
        assert_int_equal(id[14], '4');
        assert_non_null(memchr("89ab", id[19], 4));
    }
}

static void threads_make_different_uuids(void **state)
{
    (void)state;
    static char ids[THREADS][IDS][MG_RANDOM_UUID_CHARS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_ids, ids[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    char(*all)[MG_RANDOM_UUID_CHARS] = ids[0];
    qsort(all, THREADS * IDS, MG_RANDOM_UUID_CHARS, compare_ids);
    for (int i = 1; i < THREADS * IDS; i++)
        assert_int_not_equal(compare_ids(all[i - 1], all[i]), 0);
}

static void every_length(void **state)
{
    (void)state;
    enum { MOST = 600 };
    static uint8_t seen[MOST], once[MOST + 1];
    for (size_t n = 0; n <= MOST; n++) {
        once[n] = 0x5a;
        memset(once, 0, n);
        mg_random_bytes(once, n);
        assert_int_equal(once[n], 0x5a); /* nothing past the end */
        for (size_t i = 0; i < n; i++)
            seen[i] |= once[i];
    }
    for (size_t i = 0; i < MOST - 16;
         i++) /* each place was written: 17 zeros in a row are unlikely */
        assert_int_not_equal(seen[i], 0);
}

static void child_repeats_nothing(void **state)
{
    (void)state;
    int ends[2];
    uint8_t ours[16], theirs[16];
    mg_random_bytes(ours, sizeof ours); /* the buffer is filled and half used */
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        mg_random_bytes(theirs, sizeof theirs);
        _exit(write(ends[1], theirs, sizeof theirs) != sizeof theirs);
    }
    mg_random_bytes(ours, sizeof ours);
    assert_int_equal(read(ends[0], theirs, sizeof theirs), sizeof theirs);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_memory_not_equal(ours, theirs, sizeof ours);
    close(ends[0]);
    close(ends[1]);
}

static void a_simulation_repeats(void **state)
{
    uint64_t seed = 7, again = 7, other = 8;
    char a[64], b[64], c[64];
    (void)state;
    mg_random_simulate(&seed);
    mg_random_bytes(a, sizeof a);
    mg_random_simulate(&again);
    mg_random_bytes(b, 40);
    mg_random_bytes(b + 40, 24);
    mg_random_simulate(&other);
    mg_random_bytes(c, sizeof c);
    mg_random_simulate(NULL);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    mg_random_bytes(c, sizeof c);
    assert_memory_not_equal(a, c, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uuids_look_right),     cmocka_unit_test(threads_make_different_uuids),
        cmocka_unit_test(every_length),         cmocka_unit_test(child_repeats_nothing),
        cmocka_unit_test(a_simulation_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
