/* Buffers that grow up to a limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"

static void pieces_are_joined(void **state)
{
    struct mg_buf b;
    (void)state;
    mg_buf_init(&b, 1000);
    assert_int_equal(mg_buf_str(&b).n, 0);
    mg_buf_add(&b, "ab", 2);
    mg_buf_add(&b, NULL, 0);
    mg_buf_add_str(&b, MG_STR("cd"));
    mg_buf_add_str(&b, MG_STR_NONE);
    mg_buf_add_c(&b, "ef");
    mg_buf_add_c(&b, "");
    mg_buf_add_char(&b, 'g');
    mg_buf_printf(&b, "%d-%s", 42, "h");
    mg_buf_printf(&b, "%s", "");
    assert_false(b.failed);
    assert_true(mg_str_eq(mg_buf_str(&b), MG_STR("abcdefg42-h")));
    mg_buf_release(&b);
    assert_null(b.p);
    mg_buf_add_c(&b, "again");
    assert_true(mg_str_eq(mg_buf_str(&b), MG_STR("again")));
    mg_buf_release(&b);
}

static void the_limit_holds(void **state)
{
    static const struct {
        size_t limit, first, second;
        bool fails;
        size_t n;
    } cases[] = {
        {10, 10, 0, false, 10},      {10, 11, 0, true, 0},
        {10, 6, 4, false, 10},       {10, 6, 5, true, 6},
        {0, 0, 0, false, 0},         {0, 1, 0, true, 0},
        {300, 200, 100, false, 300}, {300, 256, 45, true, 256},
        {10, 5, SIZE_MAX, true, 5},  {SIZE_MAX, 5, SIZE_MAX - 4, true, 5},
    };
    static const char bytes[512];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_buf b;
        mg_buf_init(&b, cases[i].limit);
        mg_buf_add(&b, bytes, cases[i].first);
        mg_buf_add(&b, bytes, cases[i].second);
        assert_int_equal(b.failed, cases[i].fails);
        assert_int_equal(b.n, cases[i].n);
        assert_true(b.room <= cases[i].limit);
        mg_buf_release(&b);
    }
}

static void after_a_failure_all_is_dropped(void **state)
{
    struct mg_buf b;
    (void)state;
    mg_buf_init(&b, 4);
    mg_buf_add_c(&b, "ab");
    mg_buf_add_c(&b, "cde");
    mg_buf_add_c(&b, "f"); /* would fit, but must not close the gap */
    mg_buf_printf(&b, "%d", 1);
    assert_false(mg_buf_reserve(&b, 1));
    assert_true(b.failed);
    assert_true(mg_str_eq(mg_buf_str(&b), MG_STR("ab")));
    mg_buf_reset(&b);
    assert_false(b.failed);
    assert_int_equal(b.n, 0);
    mg_buf_add_c(&b, "abcd");
    assert_true(mg_str_eq(mg_buf_str(&b), MG_STR("abcd")));
    mg_buf_release(&b);
}

static void reserved_room_may_be_filled(void **state)
{
    struct mg_buf b;
    (void)state;
    mg_buf_init(&b, 100000);
    for (size_t i = 1; i < 300; i++) {
        assert_true(mg_buf_reserve(&b, i));
        assert_true(b.room - b.n >= i);
        memset(b.p + b.n, (int)(i & 0x7f), i);
        b.n += i;
    }
    size_t at = 0;
    for (size_t i = 1; i < 300; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(b.p[at++], i & 0x7f);
    mg_buf_release(&b);
}

static void printf_text_may_be_long(void **state)
{
    struct mg_buf b;
    (void)state;
    mg_buf_init(&b, 2000);
    mg_buf_printf(&b, "%0*d", 1500, 1);
    assert_int_equal(b.n, 1500);
    assert_int_equal(b.p[1499], '1');
    mg_buf_printf(&b, "%0*d", 501, 1);
    assert_true(b.failed);
    assert_int_equal(b.n, 1500);
    mg_buf_release(&b);
    /* Up to the very limit, as with the other ways of adding. */
    mg_buf_init(&b, 3);
    mg_buf_printf(&b, "%s", "abc");
    assert_false(b.failed);
    assert_true(mg_str_eq(mg_buf_str(&b), MG_STR("abc")));
    mg_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_joined),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(after_a_failure_all_is_dropped),
        cmocka_unit_test(reserved_room_may_be_filled),
        cmocka_unit_test(printf_text_may_be_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
