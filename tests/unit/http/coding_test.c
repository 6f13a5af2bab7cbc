/* Content codings: what is written can be read, in pieces of any size; what is broken is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "http/coding.h"

static const enum mg_coding ALL[] = {MG_CODING_GZIP, MG_CODING_DEFLATE, MG_CODING_BR};
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const struct mg_decoder_limits NO_LIMITS;

struct text {
    char bytes[1 << 18];
    size_t n;
};

/* Runs all of `in` through the coder, `step` bytes at a time, with `room` for each call. */
static enum mg_coder_state run(struct mg_coder *c, struct mg_str in, size_t step, size_t room,
                               bool flush, struct text *out)
{
    char piece[4096];
    enum mg_coder_state state = MG_CODER_HUNGRY;
    bool last = false;
    out->n = 0;
    while (!last && (state == MG_CODER_HUNGRY)) {
        size_t n = in.n < step ? in.n : step;
        struct mg_str part = mg_str(in.p, n);
        last = n == in.n;
        in = mg_str(in.p + n, in.n - n);
        enum mg_coder_op op = last ? MG_CODER_FINISH : flush ? MG_CODER_FLUSH : MG_CODER_GO;
        do {
            size_t made;
            state = mg_coder_run(c, &part, op, piece, room, &made);
            assert_true(made <= room && out->n + made <= sizeof out->bytes);
            memcpy(out->bytes + out->n, piece, made);
            out->n += made;
        } while (state == MG_CODER_FULL);
        if (state == MG_CODER_HUNGRY || state == MG_CODER_END)
            assert_int_equal(part.n, 0);
    }
    return state;
}

static enum mg_coder_state encode(enum mg_coding coding, struct mg_str in, size_t step, size_t room,
                                  bool flush, struct text *out)
{
    struct mg_coding_memory memory;
    mg_coding_memory_init(&memory);
    struct mg_coder *c = mg_encoder_new(&memory, coding, 5, -1);
    enum mg_coder_state state = run(c, in, step, room, flush, out);
    mg_coder_free(c);
    assert_int_equal(memory.live, 0);
    mg_coding_memory_release(&memory);
    return state;
}

static enum mg_coder_state decode_within(enum mg_coding coding, struct mg_str in, size_t step,
                                         size_t room, const struct mg_decoder_limits *limits,
                                         struct text *out)
{
    struct mg_coding_memory memory;
    mg_coding_memory_init(&memory);
    struct mg_coder *c = mg_decoder_new(&memory, coding, limits);
    enum mg_coder_state state = run(c, in, step, room, false, out);
    mg_coder_free(c);
    assert_int_equal(memory.live, 0);
    mg_coding_memory_release(&memory);
    return state;
}

static enum mg_coder_state decode(enum mg_coding coding, struct mg_str in, struct text *out)
{
    return decode_within(coding, in, SIZE_MAX, 4096, &NO_LIMITS, out);
}

static void fill(struct text *t, size_t n)
{
    uint32_t seed = 1;
    t->n = n;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        t->bytes[i] = i % 3 ? "abcdefgh"[seed >> 29] : (char)(seed >> 24);
    }
}

static struct mg_str str_of(const struct text *t)
{
    return mg_str(t->bytes, t->n);
}

static void names_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum mg_coding coding;
    } cases[] = {
        {"gzip", MG_CODING_GZIP}, {"X-GZIP", MG_CODING_GZIP},       {"deflate", MG_CODING_DEFLATE},
        {"BR", MG_CODING_BR},     {"identity", MG_CODING_IDENTITY}, {"zstd", MG_CODING_OTHER},
        {"", MG_CODING_OTHER}};
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(mg_coding_of(mg_str_c(cases[i].name)), cases[i].coding);
    for (size_t i = 0; i < COUNT(ALL); i++)
        assert_int_equal(mg_coding_of(mg_coding_name(ALL[i])), ALL[i]);
}

static void what_is_encoded_decodes(void **state)
{
    static const size_t lengths[] = {0, 1, 100, 70000}, steps[] = {1, 7, 4096, SIZE_MAX};
    static const size_t rooms[] = {64, 1000, 4096};
    struct text *in = mg_malloc(sizeof *in), *code = mg_malloc(sizeof *code),
                *out = mg_malloc(sizeof *out);
    (void)state;
    for (size_t c = 0; c < COUNT(ALL); c++)
        for (size_t l = 0; l < COUNT(lengths); l++)
            for (size_t s = 0; s < COUNT(steps); s++) {
                bool flush = s == 2;
                if (steps[s] < 7 && lengths[l] > 1000)
                    continue;
                fill(in, lengths[l]);
                assert_int_equal(
                    encode(ALL[c], str_of(in), steps[s], rooms[s % COUNT(rooms)], flush, code),
                    MG_CODER_END);
                assert_int_equal(decode_within(ALL[c], str_of(code), steps[s],
                                               rooms[(s + l) % COUNT(rooms)], &NO_LIMITS, out),
                                 MG_CODER_END);
                assert_int_equal(out->n, in->n);
                assert_memory_equal(out->bytes, in->bytes, in->n);
            }
    free(in);
    free(code);
    free(out);
}

/* Made by gzip 1.12 and zlib 1.2.13 of "hello\n"; the second one of "hello" without a header. */
#define HELLO_GZIP                                                                                 \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\xe7\x02\x00\x20\x30\x3a\x36"     \
    "\x06\x00\x00\x00"
#define HELLO_RAW "\xcb\x48\xcd\xc9\xc9\x07\x00"

static void foreign_codes_are_read(void **state)
{
    struct text *out = mg_malloc(sizeof *out);
    (void)state;
    assert_int_equal(decode(MG_CODING_GZIP, MG_STR(HELLO_GZIP), out), MG_CODER_END);
    assert_int_equal(out->n, 6);
    assert_memory_equal(out->bytes, "hello\n", 6);
    assert_int_equal(decode(MG_CODING_DEFLATE, MG_STR(HELLO_RAW), out), MG_CODER_END);
    assert_int_equal(out->n, 5);
    free(out);
}

static void a_gzip_may_have_members(void **state)
{
    struct text *out = mg_malloc(sizeof *out);
    (void)state;
    for (size_t step = 1; step < 60; step++) {
        assert_int_equal(
            decode_within(MG_CODING_GZIP, MG_STR(HELLO_GZIP HELLO_GZIP), step, 64, &NO_LIMITS, out),
            MG_CODER_END);
        assert_int_equal(out->n, 12);
    }
    free(out);
}

static void what_stands_behind_the_end_is_refused(void **state)
{
    struct text *code = mg_malloc(sizeof *code), *out = mg_malloc(sizeof *out);
    (void)state;
    for (size_t c = 0; c < COUNT(ALL); c++) {
        static const char *const tails[] = {"\0", "x", "\x1f"};
        for (size_t i = 0; i < COUNT(tails); i++) {
            encode(ALL[c], MG_STR("some text"), SIZE_MAX, 4096, false, code);
            code->bytes[code->n++] = tails[i][0];
            assert_int_equal(decode(ALL[c], str_of(code), out), MG_CODER_BROKEN);
            assert_int_equal(decode_within(ALL[c], str_of(code), 1, 64, &NO_LIMITS, out),
                             MG_CODER_BROKEN);
        }
    }
    free(code);
    free(out);
}

static void a_cut_code_is_broken(void **state)
{
    struct text *code = mg_malloc(sizeof *code), *out = mg_malloc(sizeof *out);
    (void)state;
    for (size_t c = 0; c < COUNT(ALL); c++) {
        encode(ALL[c], MG_STR("a text that is long enough to be cut in many places"), SIZE_MAX,
               4096, false, code);
        for (size_t n = 1; n < code->n; n++)
            assert_int_equal(decode(ALL[c], mg_str(code->bytes, n), out), MG_CODER_BROKEN);
        assert_int_equal(decode(ALL[c], mg_str(code->bytes, 0), out), MG_CODER_END);
        assert_int_equal(out->n, 0);
    }
    free(code);
    free(out);
}

static void a_changed_checksum_is_broken(void **state)
{
    struct text *code = mg_malloc(sizeof *code), *out = mg_malloc(sizeof *out);
    (void)state;
    for (size_t c = 0; c < 2; c++) { /* br has none */
        encode(ALL[c], MG_STR("some text"), SIZE_MAX, 4096, false, code);
        code->bytes[code->n - 6 + 2 * c] ^= 1;
        assert_int_equal(decode(ALL[c], str_of(code), out), MG_CODER_BROKEN);
    }
    free(code);
    free(out);
}

/* Each flush gives all that came before it. */
static void a_flush_gives_what_came(void **state)
{
    struct mg_coding_memory memory;
    char code[4096], out[4096];
    (void)state;
    mg_coding_memory_init(&memory);
    for (size_t c = 0; c < COUNT(ALL); c++) {
        struct mg_coder *e = mg_encoder_new(&memory, ALL[c], 9, -1);
        struct mg_coder *d = mg_decoder_new(&memory, ALL[c], &NO_LIMITS);
        for (int i = 0; i < 5; i++) {
            struct mg_str in = MG_STR("data: tick\n\n"), coded;
            size_t n, made;
            assert_int_equal(mg_coder_run(e, &in, MG_CODER_FLUSH, code, sizeof code, &n),
                             MG_CODER_HUNGRY);
            coded = mg_str(code, n);
            assert_int_equal(mg_coder_run(d, &coded, MG_CODER_GO, out, sizeof out, &made),
                             MG_CODER_HUNGRY);
            assert_int_equal(made, 12);
        }
        mg_coder_free(e);
        mg_coder_free(d);
    }
    assert_int_equal(memory.live, 0);
    mg_coding_memory_release(&memory);
}

/* 16 MiB of zeros; the output is thrown away. */
static void make_bomb(enum mg_coding coding, struct text *code)
{
    struct mg_coding_memory memory;
    static char zeros[1 << 16];
    mg_coding_memory_init(&memory);
    struct mg_coder *c = mg_encoder_new(&memory, coding, 9, -1);
    code->n = 0;
    for (int i = 0; i <= 256; i++) {
        struct mg_str in = mg_str(zeros, i < 256 ? sizeof zeros : 0);
        size_t n;
        enum mg_coder_op op = i < 256 ? MG_CODER_GO : MG_CODER_FINISH;
        while (mg_coder_run(c, &in, op, code->bytes + code->n, 4096, &n) == MG_CODER_FULL)
            code->n += n;
        code->n += n;
    }
    mg_coder_free(c);
    mg_coding_memory_release(&memory);
}

static size_t explode(enum mg_coding coding, struct mg_str code,
                      const struct mg_decoder_limits *limits, enum mg_coder_state *state)
{
    struct mg_coding_memory memory;
    char out[8192];
    size_t total = 0, n;
    mg_coding_memory_init(&memory);
    struct mg_coder *c = mg_decoder_new(&memory, coding, limits);
    do {
        *state = mg_coder_run(c, &code, MG_CODER_FINISH, out, sizeof out, &n);
        total += n;
    } while (*state == MG_CODER_FULL);
    mg_coder_free(c);
    mg_coding_memory_release(&memory);
    return total;
}

static void bombs_meet_a_limit(void **state)
{
    struct text *code = mg_malloc(sizeof *code);
    const struct mg_decoder_limits bytes = {.bytes = 100000}, ratio = {.ratio = 200};
    (void)state;
    for (size_t c = 0; c < COUNT(ALL); c++) {
        enum mg_coder_state end;
        make_bomb(ALL[c], code);
        assert_int_equal(explode(ALL[c], str_of(code), &NO_LIMITS, &end), 16 << 20);
        assert_int_equal(end, MG_CODER_END);
        assert_true(explode(ALL[c], str_of(code), &bytes, &end) < 100000 + 8192 + 1);
        assert_int_equal(end, MG_CODER_TOO_LARGE);
        assert_true(explode(ALL[c], str_of(code), &ratio, &end) < 16 << 20);
        assert_int_equal(end, MG_CODER_TOO_LARGE);
    }
    free(code);
}

static void memory_is_used_again(void **state)
{
    struct mg_coding_memory memory;
    (void)state;
    mg_coding_memory_init(&memory);
    mg_coder_free(mg_encoder_new(&memory, MG_CODING_GZIP, 5, -1));
    size_t kept = memory.count;
    assert_true(kept > 0);
    mg_coder_free(mg_encoder_new(&memory, MG_CODING_GZIP, 5, -1));
    assert_int_equal(memory.count, kept);
    mg_coding_memory_trim(&memory); /* all of it was needed */
    assert_int_equal(memory.count, kept);
    mg_coding_memory_trim(&memory);
    assert_int_equal(memory.count, 0);
    mg_coding_memory_release(&memory);
}

static void no_more_is_kept_than_that(void **state)
{
    struct mg_coding_memory memory;
    void *blocks[20];
    (void)state;
    mg_coding_memory_init(&memory);
    for (size_t i = 0; i < COUNT(blocks); i++)
        blocks[i] = mg_coding_memory_get(&memory, 1 << 20);
    void *huge = mg_coding_memory_get(&memory, MG_CODING_KEPT_BYTES + 1);
    mg_coding_memory_put(&memory, huge);
    assert_int_equal(memory.count, 0);
    for (size_t i = 0; i < COUNT(blocks); i++)
        mg_coding_memory_put(&memory, blocks[i]);
    assert_int_equal(memory.bytes, MG_CODING_KEPT_BYTES);
    assert_int_equal(memory.live, 0);
    mg_coding_memory_release(&memory);
    assert_int_equal(memory.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_known),
        cmocka_unit_test(what_is_encoded_decodes),
        cmocka_unit_test(foreign_codes_are_read),
        cmocka_unit_test(a_gzip_may_have_members),
        cmocka_unit_test(what_stands_behind_the_end_is_refused),
        cmocka_unit_test(a_cut_code_is_broken),
        cmocka_unit_test(a_changed_checksum_is_broken),
        cmocka_unit_test(a_flush_gives_what_came),
        cmocka_unit_test(bombs_meet_a_limit),
        cmocka_unit_test(memory_is_used_again),
        cmocka_unit_test(no_more_is_kept_than_that),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
