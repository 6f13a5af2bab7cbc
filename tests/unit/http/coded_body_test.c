/* Bodies that are encoded or decoded while they are read: back-pressure, flushes, ends of all
 * kinds, and memory that does not grow with the body. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"
#include "http/coded_body.h"

struct scene {
    struct mg_pool chunks, blocks;
    struct mg_arena arena;
    struct mg_coding_memory memory;
};

static void set_up(struct scene *s)
{
    mg_pool_init(&s->chunks, 1024);
    mg_pool_init(&s->blocks, 16 << 10);
    mg_arena_init(&s->arena, &s->chunks);
    mg_coding_memory_init(&s->memory);
}

static void tear_down(struct scene *s)
{
    mg_arena_release(&s->arena);
    assert_int_equal(s->memory.live, 0);
    assert_int_equal(s->blocks.live, 0);
    mg_coding_memory_release(&s->memory);
    mg_pool_release(&s->blocks);
    mg_pool_release(&s->chunks);
}

static struct mg_body *encoded(struct scene *s, struct mg_body *source, enum mg_coding coding)
{
    struct mg_coded_options o = {.coder = mg_encoder_new(&s->memory, coding, 1, -1),
                                 .blocks = &s->blocks};
    return mg_coded_body(&s->arena, source, &o);
}

static struct mg_body *decoded(struct scene *s, struct mg_body *source, enum mg_coding coding,
                               uint64_t limit)
{
    const struct mg_decoder_limits limits = {.bytes = limit};
    struct mg_coded_options o = {.coder = mg_decoder_new(&s->memory, coding, &limits),
                                 .blocks = &s->blocks,
                                 .broken_status = 400,
                                 .large_status = 413};
    return mg_coded_body(&s->arena, source, &o);
}

/* --- a source that the test feeds --- */

struct fed {
    struct mg_body base;
    struct mg_str piece;
    enum mg_body_state then; /* when the piece is used up */
    int cancelled, ready;    /* `ready`: calls that the reader got */
};

static struct fed *fed_of(struct mg_body *b)
{
    return MG_CONTAINER_OF(b, struct fed, base);
}

static enum mg_body_state fed_peek(struct mg_body *b, struct mg_str *bytes)
{
    struct fed *f = fed_of(b);
    *bytes = f->piece;
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

static struct fed fed(struct mg_str piece, enum mg_body_state then)
{
    return (struct fed){.base = {.ops = &fed_ops, .length = -1}, .piece = piece, .then = then};
}

static void feed(struct fed *f, struct mg_str piece, enum mg_body_state then)
{
    f->piece = piece;
    f->then = then;
    mg_body_ready(&f->base);
}

static void on_ready(void *arg)
{
    ((struct fed *)arg)->ready++;
}

/* Reads what can be read now, `step` bytes at a time; returns what stopped it. */
static enum mg_body_state drain(struct mg_body *b, size_t step, char *out, size_t *n)
{
    struct mg_str bytes;
    enum mg_body_state state;
    while ((state = mg_body_peek(b, &bytes)) == MG_BODY_BYTES) {
        size_t take = bytes.n < step ? bytes.n : step;
        memcpy(out + *n, bytes.p, take);
        *n += take;
        mg_body_consume(b, take);
    }
    return state;
}

/* --- tests --- */

static void what_came_comes_through(void **state)
{
    static const enum mg_coding codings[] = {MG_CODING_GZIP, MG_CODING_DEFLATE, MG_CODING_BR};
    (void)state;
    for (size_t c = 0; c < 3; c++) {
        struct scene s;
        struct fed source = fed(MG_STR("data: 1\n\n"), MG_BODY_WAIT);
        struct mg_fields trailers = {0};
        char out[100];
        size_t n = 0;
        set_up(&s);
        struct mg_body *b = decoded(&s, encoded(&s, &source.base, codings[c]), codings[c], 0);
        b->on_ready = on_ready;
        b->reader = &source;
        assert_int_equal(b->length, -1);
        assert_int_equal(drain(b, 4, out, &n), MG_BODY_WAIT);
        assert_int_equal(n, 9);
        assert_int_equal(s.blocks.live, 0); /* nobody holds one while there is nothing */
        feed(&source, MG_STR("data: 2\n\n"), MG_BODY_WAIT);
        assert_int_equal(source.ready, 1);
        assert_int_equal(drain(b, 4, out, &n), MG_BODY_WAIT);
        assert_memory_equal(out, "data: 1\n\ndata: 2\n\n", 18);
        source.base.trailers = &trailers;
        feed(&source, MG_STR_NONE, MG_BODY_END);
        assert_int_equal(drain(b, 4, out, &n), MG_BODY_END);
        assert_ptr_equal(b->trailers, &trailers);
        assert_int_equal(s.memory.live, 0); /* the coders went at the end */
        tear_down(&s);
    }
}

static void a_body_that_is_there_ends_with_its_last_bytes(void **state)
{
    struct scene s;
    struct mg_str bytes;
    (void)state;
    set_up(&s);
    struct mg_body *b = encoded(&s, mg_body_fixed(&s.arena, MG_STR("abc")), MG_CODING_GZIP);
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_BYTES);
    assert_true(b->at_end);
    mg_body_consume(b, bytes.n);
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_END);
    tear_down(&s);
}

static void a_source_that_breaks_breaks_it(void **state)
{
    struct scene s;
    struct fed source = fed(MG_STR("abc"), MG_BODY_BROKEN);
    struct mg_str bytes;
    (void)state;
    set_up(&s);
    source.base.reason = "upstream-closed";
    source.base.status = 502;
    struct mg_body *b = encoded(&s, &source.base, MG_CODING_BR);
    while (mg_body_peek(b, &bytes) == MG_BODY_BYTES) {
        assert_false(b->at_end);
        mg_body_consume(b, bytes.n);
    }
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_BROKEN);
    assert_string_equal(b->reason, "upstream-closed");
    assert_int_equal(b->status, 502);
    tear_down(&s);
}

static void a_broken_code_breaks_it(void **state)
{
    struct scene s;
    struct fed source = fed(MG_STR("this is no gzip"), MG_BODY_WAIT);
    struct mg_str bytes;
    (void)state;
    set_up(&s);
    struct mg_body *b = decoded(&s, &source.base, MG_CODING_GZIP, 0);
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_BROKEN);
    assert_string_equal(b->reason, MG_CODED_BROKEN);
    assert_int_equal(b->status, 400);
    assert_int_equal(source.cancelled, 1);
    mg_body_cancel(b);
    assert_int_equal(source.cancelled, 1);
    tear_down(&s);
}

static void a_limit_breaks_it(void **state)
{
    static char zeros[50000];
    struct scene s;
    char out[sizeof zeros];
    size_t n = 0;
    (void)state;
    set_up(&s);
    struct mg_body *source = mg_body_fixed(&s.arena, mg_str(zeros, sizeof zeros));
    struct mg_body *b =
        decoded(&s, encoded(&s, source, MG_CODING_GZIP), MG_CODING_GZIP, sizeof zeros - 1);
    assert_int_equal(drain(b, SIZE_MAX, out, &n), MG_BODY_BROKEN);
    assert_string_equal(b->reason, MG_CODED_TOO_LARGE);
    assert_int_equal(b->status, 413);
    tear_down(&s);
}

static void who_cancels_it_cancels_its_source(void **state)
{
    struct scene s;
    struct fed source = fed(MG_STR("abc"), MG_BODY_WAIT);
    struct mg_str bytes;
    (void)state;
    set_up(&s);
    struct mg_body *b = encoded(&s, &source.base, MG_CODING_GZIP);
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_BYTES);
    mg_body_cancel(b);
    assert_int_equal(source.cancelled, 1);
    assert_int_equal(s.memory.live, 0);
    assert_int_equal(s.blocks.live, 0);
    tear_down(&s);
}

static void one_that_nobody_reads_goes_with_its_arena(void **state)
{
    struct scene s;
    struct fed source = fed(MG_STR("abc"), MG_BODY_WAIT);
    struct mg_str bytes;
    (void)state;
    set_up(&s);
    encoded(&s, &source.base, MG_CODING_BR);
    struct mg_body *b = encoded(&s, &source.base, MG_CODING_GZIP);
    assert_int_equal(mg_body_peek(b, &bytes), MG_BODY_BYTES);
    tear_down(&s);
}

/* --- a large one --- */

#define LARGE_BYTES (UINT64_C(1) << 30)

/* Lines that are alike, but not the same; made as they are read. */
struct lines {
    struct mg_body base;
    uint64_t left;
    char page[1 << 16];
};

static enum mg_body_state lines_peek(struct mg_body *b, struct mg_str *bytes)
{
    struct lines *l = MG_CONTAINER_OF(b, struct lines, base);
    size_t n = l->left < sizeof l->page ? (size_t)l->left : sizeof l->page;
    *bytes = mg_str(l->page, n);
    return n ? MG_BODY_BYTES : MG_BODY_END;
}

static void lines_consume(struct mg_body *b, size_t n)
{
    struct lines *l = MG_CONTAINER_OF(b, struct lines, base);
    l->left -= n;
    l->page[l->left % sizeof l->page]++;
}

static const struct mg_body_ops lines_ops = {.peek = lines_peek, .consume = lines_consume};

/* Each peek of a body that compresses well takes a bounded piece of its source. */
static void a_gigabyte_takes_no_more_memory_than_a_page(void **state)
{
    static struct lines lines;
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct scene s;
        struct mg_str bytes;
        enum mg_body_state was;
        uint64_t total = 0, most = 0;
        set_up(&s);
        lines = (struct lines){.base = {.ops = &lines_ops, .length = -1}, .left = LARGE_BYTES};
        for (size_t c = 0; c < sizeof lines.page; c++)
            lines.page[c] = "{\"id\":0001,\"name\":\"chair\"}\n"[c % 27];
        enum mg_coding coding = i ? MG_CODING_BR : MG_CODING_GZIP;
        struct mg_body *b = encoded(&s, &lines.base, coding);
        size_t arena_bytes = s.arena.bytes;
        for (;;) {
            uint64_t before = lines.left;
            was = mg_body_peek(b, &bytes);
            if (before - lines.left > most)
                most = before - lines.left;
            if (was != MG_BODY_BYTES)
                break;
            total += bytes.n;
            mg_body_consume(b, bytes.n);
            assert_true(s.memory.live < 32 && s.blocks.live <= 1);
        }
        assert_int_equal(was, MG_BODY_END);
        assert_int_equal(lines.left, 0);
        assert_true(total > 0 && total < LARGE_BYTES / 10);
        assert_true(most <= 512 << 10);
        assert_int_equal(s.arena.bytes, arena_bytes);
        tear_down(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_came_comes_through),
        cmocka_unit_test(a_body_that_is_there_ends_with_its_last_bytes),
        cmocka_unit_test(a_source_that_breaks_breaks_it),
        cmocka_unit_test(a_broken_code_breaks_it),
        cmocka_unit_test(a_limit_breaks_it),
        cmocka_unit_test(who_cancels_it_cancels_its_source),
        cmocka_unit_test(one_that_nobody_reads_goes_with_its_arena),
        cmocka_unit_test(a_gigabyte_takes_no_more_memory_than_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
