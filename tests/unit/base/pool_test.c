/* Free lists of equal blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/memory.h"
#include "base/pool.h"

static void blocks_are_used_again(void **state)
{
    struct mg_pool pool;
    (void)state;
    mg_pool_init(&pool, 64);
    void *a = mg_pool_get(&pool), *b = mg_pool_get(&pool);
    assert_ptr_not_equal(a, b);
    memset(a, 1, 64);
    memset(b, 2, 64);
    assert_int_equal(pool.live, 2);
    assert_int_equal(pool.free_count, 0);
    mg_pool_put(&pool, a);
    assert_int_equal(pool.live, 1);
    assert_int_equal(pool.free_count, 1);
    assert_ptr_equal(mg_pool_get(&pool), a); /* the warm one first */
    memset(a, 3, 64);                        /* all of it, which ASan checks */
    mg_pool_put(&pool, a);
    mg_pool_put(&pool, b);
    assert_int_equal(pool.live, 0);
    mg_pool_release(&pool);
    assert_int_equal(pool.free_count, 0);
}

static void a_trim_frees_what_was_not_needed(void **state)
{
    struct mg_pool pool;
    void *v[5];
    (void)state;
    for (size_t bytes = 64; bytes <= 65536; bytes *= 1024) {
        mg_pool_init(&pool, bytes);
        for (size_t i = 0; i < 5; i++)
            memset(v[i] = mg_pool_get(&pool), 1, bytes);
        mg_pool_trim(&pool);
        for (size_t i = 0; i < 5; i++)
            mg_pool_put(&pool, v[i]);
        assert_int_equal(pool.free_count, 5);
        mg_pool_trim(&pool); /* all were in use since the last one */
        assert_int_equal(pool.free_count, 5);
        v[0] = mg_pool_get(&pool);
        v[1] = mg_pool_get(&pool);
        mg_pool_put(&pool, v[0]);
        mg_pool_put(&pool, v[1]);
        mg_pool_trim(&pool); /* two were */
        assert_int_equal(pool.free_count, 2);
        mg_pool_trim(&pool);
        assert_int_equal(pool.free_count, 0);
        assert_int_equal(pool.live, 0);
        mg_pool_release(&pool);
    }
}

static void a_free_block_is_out_of_bounds(void **state)
{
    (void)state;
#ifdef MG_ASAN
    struct mg_pool pool;
    mg_pool_init(&pool, 64);
    char *block = mg_pool_get(&pool);
    assert_false(__asan_address_is_poisoned(block));
    mg_pool_put(&pool, block);
    assert_true(__asan_address_is_poisoned(block));
    assert_true(__asan_address_is_poisoned(block + 63));
    mg_pool_release(&pool);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_used_again),
        cmocka_unit_test(a_trim_frees_what_was_not_needed),
        cmocka_unit_test(a_free_block_is_out_of_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
