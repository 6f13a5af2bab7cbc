/*
 * Content codings. What is decoded whole and in pieces must be the same, within the limits; what
 * decodes is encoded anew, and must decode to the same. The first two bytes of the input choose the
 * coding and the size of the pieces.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "http/coding.h"

#define CHECK(condition) MG_BUG_ON(!(condition))
#define LIMIT (64 << 10)
#define ROOM 512

struct decoded {
    enum mg_coder_state state;
    char bytes[LIMIT + ROOM];
    size_t n;
};

/* Runs `in` through the coder, `step` bytes at a time, and frees it. */
static void run(struct mg_coder *c, struct mg_str in, size_t step, struct decoded *out)
{
    bool last = false;
    out->n = 0;
    out->state = MG_CODER_HUNGRY;
    while (!last && out->state == MG_CODER_HUNGRY) {
        size_t n = in.n < step ? in.n : step;
        struct mg_str piece = mg_str(in.p, n);
        last = n == in.n;
        in = mg_str(in.p + n, in.n - n);
        do {
            size_t made;
            CHECK(out->n + ROOM <= sizeof out->bytes);
            out->state = mg_coder_run(c, &piece, last ? MG_CODER_FINISH : MG_CODER_GO,
                                      out->bytes + out->n, ROOM, &made);
            CHECK(made <= ROOM);
            out->n += made;
        } while (out->state == MG_CODER_FULL);
        CHECK(piece.n == 0 || out->state == MG_CODER_BROKEN || out->state == MG_CODER_TOO_LARGE);
    }
    mg_coder_free(c);
}

static void check_again(struct mg_coding_memory *memory, enum mg_coding coding,
                        const struct decoded *plain)
{
    static struct decoded code, again;
    const struct mg_decoder_limits limits = {.bytes = LIMIT};
    if (plain->n > LIMIT / 2) /* what cannot be made smaller gets larger */
        return;
    run(mg_encoder_new(memory, coding, 3, (int64_t)plain->n), mg_str(plain->bytes, plain->n), 1000,
        &code);
    CHECK(code.state == MG_CODER_END);
    run(mg_decoder_new(memory, coding, &limits), mg_str(code.bytes, code.n), 100, &again);
    CHECK(again.state == MG_CODER_END && again.n == plain->n &&
          memcmp(again.bytes, plain->bytes, plain->n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum mg_coding codings[] = {MG_CODING_GZIP, MG_CODING_DEFLATE, MG_CODING_BR};
    static struct decoded whole, pieces;
    const struct mg_decoder_limits limits = {.bytes = LIMIT, .ratio = 1000};
    if (size < 2)
        return 0;
    enum mg_coding coding = codings[data[0] % 3];
    struct mg_str in = mg_str((const char *)data + 2, size - 2);
    struct mg_coding_memory memory;
    mg_coding_memory_init(&memory);
    run(mg_decoder_new(&memory, coding, &limits), in, in.n + 1, &whole);
    run(mg_decoder_new(&memory, coding, &limits), in, (size_t)data[1] + 1, &pieces);
    CHECK(whole.state == pieces.state);
    CHECK(whole.state == MG_CODER_END || whole.state == MG_CODER_BROKEN ||
          whole.state == MG_CODER_TOO_LARGE);
    if (whole.state == MG_CODER_END) {
        CHECK(whole.n == pieces.n && memcmp(whole.bytes, pieces.bytes, whole.n) == 0);
        check_again(&memory, coding, &whole);
    }
    CHECK(memory.live == 0);
    mg_coding_memory_release(&memory);
    return 0;
}
