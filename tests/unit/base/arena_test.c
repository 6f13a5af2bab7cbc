/* Memory of one exchange. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"

#define CHUNK 256

struct scene {
    struct mg_pool pool;
    struct mg_arena arena;
};

static void set_up(struct scene *s)
{
    mg_pool_init(&s->pool, CHUNK);
    mg_arena_init(&s->arena, &s->pool);
}

static void tear_down(struct scene *s)
{
    mg_arena_release(&s->arena);
    assert_int_equal(s->arena.bytes, 0);
    assert_int_equal(s->pool.live, 0);
    mg_pool_release(&s->pool);
}

static void pieces_do_not_overlap(void **state)
{
    struct scene s;
    unsigned char *v[200];
    (void)state;
    set_up(&s);
    for (size_t i = 0; i < 200; i++) {
        v[i] = mg_arena_alloc(&s.arena, i); /* in a chunk, and beyond half of one */
        assert_non_null(v[i]);
        assert_int_equal((uintptr_t)v[i] % 8, 0);
        memset(v[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(v[i][k], i);
    assert_true(s.pool.live > 1);
    assert_true(s.arena.bytes > 200 * 199 / 2);
    tear_down(&s);
}

static void nothing_is_taken_before_the_first_piece(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    assert_int_equal(s.pool.live, 0);
    assert_int_equal(s.arena.bytes, 0);
    assert_non_null(mg_arena_alloc(&s.arena, 0));
    assert_non_null(mg_arena_calloc(&s.arena, 0));
    assert_non_null(mg_arena_alloc(&s.arena, 1));
    assert_int_equal(s.pool.live, 1);
    assert_int_equal(s.arena.bytes, CHUNK);
    tear_down(&s);
}

static void an_arena_is_used_again(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++)
            memset(mg_arena_alloc(&s.arena, 100), i, 100);
        memset(mg_arena_alloc(&s.arena, 10000), 1, 10000);
        assert_true(s.arena.bytes >= 12000);
        mg_arena_release(&s.arena);
        assert_int_equal(s.arena.bytes, 0);
        assert_int_equal(s.pool.live, 0);
    }
    tear_down(&s);
}

static void calloc_gives_zeros(void **state)
{
    static const char zeros[100];
    struct scene s;
    (void)state;
    set_up(&s);
    memset(mg_arena_alloc(&s.arena, 100), 0xff, 100);
    mg_arena_release(&s.arena); /* the next piece gets the same chunk */
    assert_memory_equal(mg_arena_calloc(&s.arena, 100), zeros, 100);
    tear_down(&s);
}

static void strings_are_copied(void **state)
{
    struct scene s;
    char text[] = "hello";
    (void)state;
    set_up(&s);
    struct mg_str copy = mg_arena_str(&s.arena, mg_str_c(text));
    struct mg_str none = mg_arena_str(&s.arena, MG_STR_NONE);
    struct mg_str printed = mg_arena_printf(&s.arena, "%s-%d", text, 42);
    struct mg_str endless = mg_arena_printf(&s.arena, "%0*d", 1000, 7);
    memset(text, 'x', 5);
    assert_string_equal(copy.p, "hello");
    assert_int_equal(copy.n, 5);
    assert_int_equal(none.n, 0);
    assert_string_equal(none.p, "");
    assert_string_equal(printed.p, "hello-42");
    assert_int_equal(printed.n, 8);
    assert_int_equal(endless.n, 1000);
    assert_int_equal(strlen(endless.p), 1000);
    tear_down(&s);
}

static void a_piece_may_grow(void **state)
{
    static const struct {
        size_t old, n;
        bool latest; /* nothing was taken after it */
        bool stays;
    } cases[] = {
        {10, 20, true, true},   {10, 14, true, true}, {10, 20, false, false},
        {10, 300, true, false}, {0, 20, true, true},  {200, 400, true, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene s;
        set_up(&s);
        mg_arena_alloc(&s.arena, 8);
        char *p = mg_arena_alloc(&s.arena, cases[i].old);
        memset(p, 'p', cases[i].old);
        char *after = cases[i].latest ? NULL : memset(mg_arena_alloc(&s.arena, 8), 'a', 8);
        char *grown = mg_arena_grow(&s.arena, p, cases[i].old, cases[i].n);
        assert_int_equal(grown == p, cases[i].stays);
        for (size_t k = 0; k < cases[i].old; k++)
            assert_int_equal(grown[k], 'p');
        memset(grown, 'g', cases[i].n);
        memset(mg_arena_alloc(&s.arena, 16), 'z', 16);
        for (size_t k = 0; k < cases[i].n; k++)
            assert_int_equal(grown[k], 'g');
        if (after)
            assert_memory_equal(after, "aaaaaaaa", 8);
        tear_down(&s);
    }
}

static void growing_from_nothing_is_allocating(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    char *p = mg_arena_grow(&s.arena, NULL, 0, 10);
    assert_non_null(p);
    memset(p, 1, 10);
    tear_down(&s);
}

static char undone[8];
static size_t undone_n;

static void undo(void *arg)
{
    undone[undone_n++] = *(char *)arg;
}

static void undo_steps_run_in_reverse(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    undone_n = 0;
    for (char c = 'a'; c <= 'd'; c++) {
        char *arg = mg_arena_alloc(&s.arena, 1); /* still there when the step runs */
        *arg = c;
        mg_arena_on_release(&s.arena, undo, arg);
    }
    mg_arena_release(&s.arena);
    assert_memory_equal(undone, "dcba", 4);
    mg_arena_release(&s.arena); /* once only */
    assert_int_equal(undone_n, 4);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_overlap),
        cmocka_unit_test(nothing_is_taken_before_the_first_piece),
        cmocka_unit_test(an_arena_is_used_again),
        cmocka_unit_test(calloc_gives_zeros),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(a_piece_may_grow),
        cmocka_unit_test(growing_from_nothing_is_allocating),
        cmocka_unit_test(undo_steps_run_in_reverse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
