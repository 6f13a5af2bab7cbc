/*
 * Content codings (RFC 9110 8.4.1): gzip, deflate and br, written and read as streams. Bytes in,
 * bytes out; the output of one call is bounded by the room that it is given. One thread.
 *
 *     for (;;) {
 *         state = mg_coder_run(c, &in, op, out, sizeof out, &n);
 *         use(out, n);
 *         if (state != MG_CODER_FULL)
 *             break;
 *     }
 *
 * What is read is hostile. A gzip may have several members (RFC 1952 2.2); deflate comes in the
 * zlib format, as it should, or without it, as some send it. Bytes behind the end are refused, and
 * so is an end that does not come: such a body may have been cut. A body without any byte is empty.
 */
#ifndef MG_HTTP_CODING_H
#define MG_HTTP_CODING_H

#include <stdint.h>

#include "base/str.h"
#include "http/coding_memory.h"

enum mg_coding {
    MG_CODING_IDENTITY,
    MG_CODING_GZIP,
    MG_CODING_DEFLATE,
    MG_CODING_BR,
    MG_CODING_OTHER, /* none of ours */
};

/* By its name in Content-Encoding, without case; "x-gzip" is gzip (RFC 9110 8.4.1.3). */
enum mg_coding mg_coding_of(struct mg_str name);
/* Of one of ours. */
struct mg_str mg_coding_name(enum mg_coding coding);

/* More codings around each other are nobody's need. */
#define MG_CODINGS_MAX 3

/* The codings of one body, in the order in which they were put on. */
struct mg_codings {
    enum mg_coding v[MG_CODINGS_MAX];
    unsigned n;
};

enum mg_coder_op {
    MG_CODER_GO,     /* more may come: output comes when it pays */
    MG_CODER_FLUSH,  /* encoder: what came so far can be decoded from what is given */
    MG_CODER_FINISH, /* nothing comes behind these bytes */
};

enum mg_coder_state {
    MG_CODER_HUNGRY,    /* the op is done; all of `in` was used */
    MG_CODER_FULL,      /* the room was too small: call again with the same op and the rest */
    MG_CODER_END,       /* after MG_CODER_FINISH: that is all */
    MG_CODER_BROKEN,    /* decoder: this is not that coding, or not all of it; no further call */
    MG_CODER_TOO_LARGE, /* decoder: a limit was met; no further call */
};

/* Bombs: a limit on all of it, and on how much larger than its code it may be. */
struct mg_decoder_limits {
    uint64_t bytes; /* 0: none */
    unsigned ratio; /* output over input, once MG_DECODER_RATIO_FREE bytes came out; 0: none */
};

#define MG_DECODER_RATIO_FREE (1 << 20)

/* Least room for a call. */
#define MG_CODER_ROOM_MIN 64

struct mg_coder;

/* `level`: 1 (quick) to 9 (small); br takes no more of it than streams can afford. `length` of what
 * comes, or -1: a short one takes less memory. Borrows the memory. */
struct mg_coder *mg_encoder_new(struct mg_coding_memory *memory, enum mg_coding coding, int level,
                                int64_t length);
/* Not for MG_CODING_IDENTITY and MG_CODING_OTHER, either of them. */
struct mg_coder *mg_decoder_new(struct mg_coding_memory *memory, enum mg_coding coding,
                                const struct mg_decoder_limits *limits);
void mg_coder_free(struct mg_coder *c); /* NULL: nothing */

/* Takes from the front of `in`, and writes at most `room` bytes to `out`, `*n` in all. */
enum mg_coder_state mg_coder_run(struct mg_coder *c, struct mg_str *in, enum mg_coder_op op,
                                 char *out, size_t room, size_t *n);

#endif
