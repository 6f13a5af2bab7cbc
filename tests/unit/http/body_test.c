/* Bodies that need no connection, and the collector. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"
#include "http/body.h"

struct scene {
    struct mg_pool pool;
    struct mg_arena arena;
};

static void set_up(struct scene *s)
{
    mg_pool_init(&s->pool, 1024);
    mg_arena_init(&s->arena, &s->pool);
}

static void tear_down(struct scene *s)
{
    mg_arena_release(&s->arena);
    mg_pool_release(&s->pool);
}

/* A source that the test feeds piece by piece. */
struct fed {
    struct mg_body base;
    struct mg_str piece;
    enum mg_body_state then; /* when the piece is used up */
    int cancelled;
};

static struct fed *fed_of(struct mg_body *b)
{
    return MG_CONTAINER_OF(b, struct fed, base);
}

static enum mg_body_state fed_peek(struct mg_body *b, struct mg_str *bytes)
{
    struct fed *f = fed_of(b);
    *bytes = f->piece;
    b->at_end = f->then == MG_BODY_END;
    return f->piece.n ? MG_BODY_BYTES : f->then;
}

static void fed_consume(struct mg_body *b, size_t n)
{
    struct fed *f = fed_of(b);
    assert_true(n <= f->piece.n);
    f->piece = mg_str(f->piece.p + n, f->piece.n - n);
}

static void fed_cancel(struct mg_body *b)
{
    fed_of(b)->cancelled++;
}

static const struct mg_body_ops fed_ops = {
    .peek = fed_peek, .consume = fed_consume, .cancel = fed_cancel};

static struct fed fed(int64_t length)
{
    return (struct fed){.base = {.ops = &fed_ops, .length = length}, .then = MG_BODY_WAIT};
}

static void feed(struct fed *f, const char *text, enum mg_body_state then)
{
    f->piece = mg_str_c(text);
    f->then = then;
    mg_body_ready(&f->base);
}

/* --- fixed --- */

static void a_fixed_body_gives_its_bytes(void **state)
{
    struct scene s;
    struct mg_str bytes;
    (void)state;
    set_up(&s);
    struct mg_body *b = mg_body_fixed(&s.arena, MG_STR("hello"));
    assert_int_equal(b->length, 5);
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_BYTES);
    assert_true(b->at_end);
    assert_true(mg_str_eq(bytes, MG_STR("hello")));
    mg_body_consume(b, 2);
    assert_true(mg_body_is_fixed(b, &bytes));
    assert_true(mg_str_eq(bytes, MG_STR("llo")));
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_BYTES);
    assert_true(mg_str_eq(bytes, MG_STR("llo")));
    mg_body_consume(b, 3);
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_END);
    assert_null(b->trailers);
    assert_int_equal(b->length, 5);
    mg_body_cancel(b);

    b = mg_body_empty(&s.arena);
    assert_int_equal(b->length, 0);
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_END);
    assert_true(mg_body_is_fixed(b, &bytes));
    assert_int_equal(bytes.n, 0);
    tear_down(&s);
}

/* --- a front, then the rest --- */

static void count_ready(void *reader)
{
    ++*(int *)reader;
}

static void a_chain_gives_the_front_first(void **state)
{
    struct scene s;
    struct fed f = fed(10);
    struct mg_fields trailers = {0};
    struct mg_str bytes;
    int ready = 0;
    (void)state;
    set_up(&s);
    struct mg_body *b = mg_body_chain(&s.arena, MG_STR("abcde"), &f.base);
    b->on_ready = count_ready;
    b->reader = &ready;
    assert_int_equal(b->length, 10); /* the front was part of it */
    assert_false(mg_body_is_fixed(b, &bytes));
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_BYTES);
    assert_false(b->at_end);
    assert_true(mg_str_eq(bytes, MG_STR("abcde")));
    mg_body_consume(b, 4);
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_BYTES);
    assert_true(mg_str_eq(bytes, MG_STR("e")));
    mg_body_consume(b, 1);
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_WAIT);

    feed(&f, "fghij", MG_BODY_END);
    assert_int_equal(ready, 1);
    f.base.trailers = &trailers;
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_BYTES);
    assert_true(b->at_end);
    assert_true(mg_str_eq(bytes, MG_STR("fghij")));
    mg_body_consume(b, 5);
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_END);
    assert_ptr_equal(b->trailers, &trailers);
    tear_down(&s);
}

static void a_chain_breaks_and_ends_with_its_rest(void **state)
{
    struct scene s;
    struct fed f = fed(-1);
    struct mg_str bytes;
    int ready = 0;
    (void)state;
    set_up(&s);
    struct mg_body *b = mg_body_chain(&s.arena, MG_STR_NONE, &f.base);
    b->on_ready = count_ready;
    b->reader = &ready;
    assert_int_equal(b->length, -1);
    f.base.reason = "client_left";
    f.base.status = 400;
    feed(&f, "", MG_BODY_BROKEN);
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_BROKEN);
    assert_string_equal(b->reason, "client_left");
    assert_int_equal(b->status, 400);
    mg_body_cancel(b);
    assert_int_equal(f.cancelled, 1);
    feed(&f, "x", MG_BODY_WAIT); /* no call after cancel */
    assert_int_equal(ready, 1);
    tear_down(&s);
}

/* --- the collector --- */

struct done {
    int calls;
    enum mg_collect_result result;
};

static void on_done(void *arg, enum mg_collect_result result)
{
    struct done *d = arg;
    d->calls++;
    d->result = result;
}

static void collecting_at_once(void **state)
{
    static const struct {
        const char *text;
        size_t limit;
        enum mg_collect_result result;
    } cases[] = {
        {"", 0, MG_COLLECT_DONE},           {"hello", 5, MG_COLLECT_DONE},
        {"hello", 100, MG_COLLECT_DONE},    {"hello", 4, MG_COLLECT_TOO_LARGE},
        {"hello", 0, MG_COLLECT_TOO_LARGE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene s;
        struct mg_body_collector c;
        struct done d = {0};
        enum mg_collect_result result;
        set_up(&s);
        struct mg_body *b = mg_body_fixed(&s.arena, mg_str_c(cases[i].text));
        assert_true(mg_body_collect(&c, b, &s.arena, cases[i].limit, on_done, &d, &result));
        assert_int_equal(result, cases[i].result);
        assert_int_equal(d.calls, 0);
        if (result == MG_COLLECT_DONE)
            assert_true(mg_str_eq(mg_str(c.bytes, c.n), mg_str_c(cases[i].text)));
        tear_down(&s);
    }
}

static void collecting_in_pieces(void **state)
{
    static const int64_t lengths[] = {-1, 6, 0, 9000};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct scene s;
        struct fed f = fed(lengths[i]);
        struct mg_body_collector c;
        struct done d = {0};
        enum mg_collect_result result;
        set_up(&s);
        f.piece = MG_STR("ab");
        assert_false(mg_body_collect(&c, &f.base, &s.arena, 8000, on_done, &d, &result));
        assert_int_equal(f.piece.n, 0); /* what was there is taken */
        feed(&f, "cd", MG_BODY_WAIT);
        feed(&f, "", MG_BODY_WAIT);
        assert_int_equal(d.calls, 0);
        feed(&f, "ef", MG_BODY_END);
        assert_int_equal(d.calls, 1);
        assert_int_equal(d.result, MG_COLLECT_DONE);
        assert_true(mg_str_eq(mg_str(c.bytes, c.n), MG_STR("abcdef")));
        feed(&f, "", MG_BODY_END); /* once only */
        assert_int_equal(d.calls, 1);
        tear_down(&s);
    }
}

static void a_long_body_keeps_its_order(void **state)
{
    struct scene s;
    struct fed f = fed(-1);
    struct mg_body_collector c;
    struct done d = {0};
    enum mg_collect_result result;
    char piece[101];
    (void)state;
    set_up(&s);
    assert_false(mg_body_collect(&c, &f.base, &s.arena, 100000, on_done, &d, &result));
    for (int i = 0; i < 1000; i++) {
        memset(piece, 'a' + i % 26, 100);
        piece[100] = 0;
        feed(&f, piece, i == 999 ? MG_BODY_END : MG_BODY_WAIT);
    }
    assert_int_equal(d.calls, 1);
    assert_int_equal(c.n, 100000);
    for (size_t i = 0; i < c.n; i++)
        assert_int_equal(c.bytes[i], 'a' + i / 100 % 26);
    tear_down(&s);
}

static void what_is_too_large_goes_on_as_a_stream(void **state)
{
    struct scene s;
    struct fed f = fed(-1);
    struct mg_body_collector c;
    struct done d = {0};
    struct mg_str bytes;
    enum mg_collect_result result;
    char all[32];
    size_t n = 0;
    (void)state;
    set_up(&s);
    assert_false(mg_body_collect(&c, &f.base, &s.arena, 5, on_done, &d, &result));
    feed(&f, "abc", MG_BODY_WAIT);
    feed(&f, "def", MG_BODY_END);
    assert_int_equal(d.calls, 1);
    assert_int_equal(d.result, MG_COLLECT_TOO_LARGE);
    struct mg_body *b = mg_body_chain(&s.arena, mg_str(c.bytes, c.n), &f.base);
    while (mg_body_peek(b, &bytes) == MG_BODY_BYTES) {
        memcpy(all + n, bytes.p, bytes.n);
        n += bytes.n;
        mg_body_consume(b, bytes.n);
    }
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_END);
    assert_true(mg_str_eq(mg_str(all, n), MG_STR("abcdef")));
    tear_down(&s);
}

static void a_broken_body_is_told(void **state)
{
    struct scene s;
    struct mg_body_collector c;
    enum mg_collect_result result;
    (void)state;
    set_up(&s);
    for (int later = 0; later < 2; later++) {
        struct fed f = fed(10);
        struct done d = {0};
        f.piece = MG_STR("abc");
        f.then = later ? MG_BODY_WAIT : MG_BODY_BROKEN;
        bool at_once = mg_body_collect(&c, &f.base, &s.arena, 100, on_done, &d, &result);
        assert_int_equal(at_once, !later);
        if (later)
            feed(&f, "", MG_BODY_BROKEN);
        assert_int_equal(d.calls, later);
        assert_int_equal(later ? d.result : result, MG_COLLECT_BROKEN);
    }
    tear_down(&s);
}

static void collecting_may_be_stopped(void **state)
{
    struct scene s;
    struct fed f = fed(-1);
    struct mg_body_collector c;
    struct done d = {0};
    enum mg_collect_result result;
    (void)state;
    set_up(&s);
    assert_false(mg_body_collect(&c, &f.base, &s.arena, 100, on_done, &d, &result));
    mg_body_cancel(c.body);
    assert_int_equal(f.cancelled, 1);
    feed(&f, "abc", MG_BODY_END);
    assert_int_equal(d.calls, 0);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fixed_body_gives_its_bytes),
        cmocka_unit_test(a_chain_gives_the_front_first),
        cmocka_unit_test(a_chain_breaks_and_ends_with_its_rest),
        cmocka_unit_test(collecting_at_once),
        cmocka_unit_test(collecting_in_pieces),
        cmocka_unit_test(a_long_body_keeps_its_order),
        cmocka_unit_test(what_is_too_large_goes_on_as_a_stream),
        cmocka_unit_test(a_broken_body_is_told),
        cmocka_unit_test(collecting_may_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
