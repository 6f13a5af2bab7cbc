/*
 * Four coders behind one face: zlib's two for gzip and deflate, and the two of br. Each has a `run`
 * that moves bytes between `in` and `out`; the limits are looked at in one place.
 */
#include "http/coding.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <zlib.h>

#include "base/error.h"

/* Of br: from quality 5 on, time and memory grow faster than what they save, and a window of 256
 * KiB sees nearly all that repeats in a text. */
#define BR_QUALITY_MAX 5
#define BR_WINDOW_BITS 18

#define ZLIB_WINDOW_BITS 15
#define ZLIB_GZIP 16 /* added to the bits: with gzip's header */
#define ZLIB_MEMORY_LEVEL 8
#define GZIP_FIRST_BYTE 0x1f

/* One call's bytes on either side. */
struct transfer {
    const char *in;
    size_t in_n;
    char *out;
    size_t room;
};

struct mg_coder {
    struct mg_coding_memory *memory;
    enum mg_coding coding;
    enum mg_coder_state (*run)(struct mg_coder *c, struct transfer *t, enum mg_coder_op op);
    void (*release)(struct mg_coder *c);
    struct mg_decoder_limits limits;
    uint64_t in_total, out_total;
    bool began; /* decoder: of zlib, the stream is set up */
    bool ended; /* decoder: the code, or this member of it, is complete */
    union {
        z_stream z;
        BrotliEncoderState *encoder;
        BrotliDecoderState *decoder;
    };
};

enum mg_coding mg_coding_of(struct mg_str name)
{
    if (mg_str_ieq(name, MG_STR("gzip")) || mg_str_ieq(name, MG_STR("x-gzip")))
        return MG_CODING_GZIP;
    if (mg_str_ieq(name, MG_STR("br")))
        return MG_CODING_BR;
    if (mg_str_ieq(name, MG_STR("deflate")))
        return MG_CODING_DEFLATE;
    return mg_str_ieq(name, MG_STR("identity")) ? MG_CODING_IDENTITY : MG_CODING_OTHER;
}

struct mg_str mg_coding_name(enum mg_coding coding)
{
    switch (coding) {
    case MG_CODING_GZIP:
        return MG_STR("gzip");
    case MG_CODING_DEFLATE:
        return MG_STR("deflate");
    case MG_CODING_BR:
        return MG_STR("br");
    default:
        return MG_STR("identity");
    }
}

/* --- memory --- */

static void *brotli_alloc(void *memory, size_t n)
{
    return mg_coding_memory_get(memory, n);
}

static void *zlib_alloc(void *memory, unsigned count, unsigned n)
{
    return mg_coding_memory_get(memory, (size_t)count * n);
}

static void free_block(void *memory, void *p)
{
    mg_coding_memory_put(memory, p);
}

/* --- zlib --- */

static void lend(z_stream *z, const struct transfer *t)
{
    z->next_in = (Bytef *)t->in;
    z->avail_in = t->in_n < UINT_MAX ? (uInt)t->in_n : UINT_MAX;
    z->next_out = (Bytef *)t->out;
    z->avail_out = t->room < UINT_MAX ? (uInt)t->room : UINT_MAX;
}

static void settle(const z_stream *z, struct transfer *t)
{
    size_t used = (size_t)((const char *)z->next_in - t->in);
    size_t made = (size_t)((char *)z->next_out - t->out);
    t->in += used;
    t->in_n -= used;
    t->out += made;
    t->room -= made;
}

static enum mg_coder_state run_deflate(struct mg_coder *c, struct transfer *t, enum mg_coder_op op)
{
    static const int flushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    lend(&c->z, t);
    int rc = deflate(&c->z, flushes[op]);
    settle(&c->z, t);
    if (rc == Z_STREAM_END)
        return MG_CODER_END;
    return t->room == 0 || t->in_n ? MG_CODER_FULL : MG_CODER_HUNGRY;
}

static void release_deflate(struct mg_coder *c)
{
    deflateEnd(&c->z);
}

/* The first byte of the zlib format names method 8 and a window (RFC 1950 2.2). A bare deflate that
 * began so would have a stored block with bits set in its padding: nobody writes that. */
static bool is_zlib_format(unsigned char first)
{
    return (first & 0x0f) == Z_DEFLATED && first >> 4 <= ZLIB_WINDOW_BITS - 8;
}

static void begin_inflate(struct mg_coder *c, const struct transfer *t)
{
    int bits = ZLIB_WINDOW_BITS + ZLIB_GZIP;
    if (c->coding == MG_CODING_DEFLATE)
        bits = is_zlib_format((unsigned char)t->in[0]) ? ZLIB_WINDOW_BITS : -ZLIB_WINDOW_BITS;
    MG_BUG_ON(inflateInit2(&c->z, bits) != Z_OK);
    c->began = true;
}

/* Behind a member only another one may come, and only in gzip. */
static bool begin_member(struct mg_coder *c, const struct transfer *t)
{
    c->ended = false;
    return c->coding == MG_CODING_GZIP && (unsigned char)t->in[0] == GZIP_FIRST_BYTE &&
           inflateReset(&c->z) == Z_OK;
}

static enum mg_coder_state out_of_input(const struct mg_coder *c, enum mg_coder_op op)
{
    if (op != MG_CODER_FINISH)
        return MG_CODER_HUNGRY;
    return c->ended || c->in_total == 0 ? MG_CODER_END : MG_CODER_BROKEN;
}

static enum mg_coder_state run_inflate(struct mg_coder *c, struct transfer *t, enum mg_coder_op op)
{
    for (;;) {
        if (t->in_n == 0 && (!c->began || c->ended))
            return out_of_input(c, op);
        if (!c->began)
            begin_inflate(c, t);
        if (c->ended && !begin_member(c, t))
            return MG_CODER_BROKEN;
        lend(&c->z, t);
        int rc = inflate(&c->z, Z_NO_FLUSH);
        settle(&c->z, t);
        c->ended = rc == Z_STREAM_END;
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return MG_CODER_BROKEN;
        if (t->room == 0)
            return MG_CODER_FULL;
        if (t->in_n == 0)
            return out_of_input(c, op);
    }
}

static void release_inflate(struct mg_coder *c)
{
    if (c->began)
        inflateEnd(&c->z);
}

/* --- br --- */

static enum mg_coder_state run_br_encoder(struct mg_coder *c, struct transfer *t,
                                          enum mg_coder_op op)
{
    static const BrotliEncoderOperation ops[] = {BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH,
                                                 BROTLI_OPERATION_FINISH};
    const uint8_t *in = (const uint8_t *)t->in;
    uint8_t *out = (uint8_t *)t->out;
    BROTLI_BOOL ok =
        BrotliEncoderCompressStream(c->encoder, ops[op], &t->in_n, &in, &t->room, &out, NULL);
    MG_BUG_ON(!ok);
    t->in = (const char *)in;
    t->out = (char *)out;
    if (BrotliEncoderIsFinished(c->encoder))
        return MG_CODER_END;
    return t->in_n || BrotliEncoderHasMoreOutput(c->encoder) ? MG_CODER_FULL : MG_CODER_HUNGRY;
}

static void release_br_encoder(struct mg_coder *c)
{
    BrotliEncoderDestroyInstance(c->encoder);
}

static enum mg_coder_state run_br_decoder(struct mg_coder *c, struct transfer *t,
                                          enum mg_coder_op op)
{
    const uint8_t *in = (const uint8_t *)t->in;
    uint8_t *out = (uint8_t *)t->out;
    if (c->ended || (t->in_n == 0 && c->in_total == 0))
        return t->in_n ? MG_CODER_BROKEN : out_of_input(c, op);
    BrotliDecoderResult rc =
        BrotliDecoderDecompressStream(c->decoder, &t->in_n, &in, &t->room, &out, NULL);
    t->in = (const char *)in;
    t->out = (char *)out;
    c->ended = rc == BROTLI_DECODER_RESULT_SUCCESS;
    switch (rc) {
    case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
        return MG_CODER_FULL;
    case BROTLI_DECODER_RESULT_ERROR:
        return MG_CODER_BROKEN;
    default:
        return t->in_n ? MG_CODER_BROKEN : out_of_input(c, op);
    }
}

static void release_br_decoder(struct mg_coder *c)
{
    BrotliDecoderDestroyInstance(c->decoder);
}

/* --- life --- */

static struct mg_coder *new_coder(struct mg_coding_memory *memory, enum mg_coding coding)
{
    MG_BUG_ON(coding == MG_CODING_IDENTITY || coding == MG_CODING_OTHER);
    struct mg_coder *c = mg_coding_memory_get(memory, sizeof *c);
    *c = (struct mg_coder){.memory = memory, .coding = coding};
    if (coding != MG_CODING_BR)
        c->z = (z_stream){.zalloc = zlib_alloc, .zfree = free_block, .opaque = memory};
    return c;
}

static void begin_deflate(struct mg_coder *c, int level)
{
    int bits = ZLIB_WINDOW_BITS + (c->coding == MG_CODING_GZIP ? ZLIB_GZIP : 0);
    MG_BUG_ON(deflateInit2(&c->z, level, Z_DEFLATED, bits, ZLIB_MEMORY_LEVEL, Z_DEFAULT_STRATEGY) !=
              Z_OK);
    c->run = run_deflate;
    c->release = release_deflate;
}

static void begin_br_encoder(struct mg_coder *c, int level, int64_t length)
{
    uint32_t quality = level < BR_QUALITY_MAX ? (uint32_t)level : BR_QUALITY_MAX;
    c->encoder = BrotliEncoderCreateInstance(brotli_alloc, free_block, c->memory);
    MG_BUG_ON(!c->encoder);
    BrotliEncoderSetParameter(c->encoder, BROTLI_PARAM_QUALITY, quality);
    BrotliEncoderSetParameter(c->encoder, BROTLI_PARAM_LGWIN, BR_WINDOW_BITS);
    if (length > 0 && length <= UINT32_MAX)
        BrotliEncoderSetParameter(c->encoder, BROTLI_PARAM_SIZE_HINT, (uint32_t)length);
    c->run = run_br_encoder;
    c->release = release_br_encoder;
}

struct mg_coder *mg_encoder_new(struct mg_coding_memory *memory, enum mg_coding coding, int level,
                                int64_t length)
{
    struct mg_coder *c = new_coder(memory, coding);
    if (coding == MG_CODING_BR)
        begin_br_encoder(c, level, length);
    else
        begin_deflate(c, level);
    return c;
}

struct mg_coder *mg_decoder_new(struct mg_coding_memory *memory, enum mg_coding coding,
                                const struct mg_decoder_limits *limits)
{
    struct mg_coder *c = new_coder(memory, coding);
    c->limits = *limits;
    if (coding == MG_CODING_BR) {
        c->decoder = BrotliDecoderCreateInstance(brotli_alloc, free_block, memory);
        MG_BUG_ON(!c->decoder);
        c->run = run_br_decoder;
        c->release = release_br_decoder;
    } else { /* begins with the first byte, which tells the format */
        c->run = run_inflate;
        c->release = release_inflate;
    }
    return c;
}

void mg_coder_free(struct mg_coder *c)
{
    if (!c)
        return;
    c->release(c);
    mg_coding_memory_put(c->memory, c);
}

/* --- run --- */

static bool is_too_large(const struct mg_coder *c)
{
    const struct mg_decoder_limits *l = &c->limits;
    if (l->bytes && c->out_total > l->bytes)
        return true;
    return l->ratio && c->out_total > MG_DECODER_RATIO_FREE &&
           c->out_total / l->ratio > c->in_total;
}

enum mg_coder_state mg_coder_run(struct mg_coder *c, struct mg_str *in, enum mg_coder_op op,
                                 char *out, size_t room, size_t *n)
{
    /* No input may be a null pointer, which nobody may add to. */
    struct transfer t = {.in = in->n ? in->p : "", .in_n = in->n, .out = out, .room = room};
    enum mg_coder_state state;
    size_t in_before = in->n;
    MG_BUG_ON(room < MG_CODER_ROOM_MIN);
    c->in_total += in->n; /* all of it, or the decoder cannot tell an empty body from a cut one */
    state = c->run(c, &t, op);
    c->in_total -= t.in_n;
    *n = room - t.room;
    c->out_total += *n;
    if (in_before)
        *in = mg_str(t.in, t.in_n);
    return is_too_large(c) ? MG_CODER_TOO_LARGE : state;
}
