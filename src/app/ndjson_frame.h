/*
 * Where one JSON text ends and the next begins, in a stream that has them one per line, over
 * several lines, or side by side.
 *
 * A text is an object or an array. Brackets and strings are followed, and no more: whether the text
 * is JSON is for the reader to say (base/json.h). What is no text is told as broken, and reading
 * goes on: behind the end of that line, or where a line begins a new object in a place where none
 * can stand, as it is after a text that was cut off. Lines that are left of a broken text are
 * passed over. Pure; each byte is looked at once.
 */
#ifndef MG_APP_NDJSON_FRAME_H
#define MG_APP_NDJSON_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define MG_NDJSON_DEPTH 128 /* as base/json.h has it */

enum mg_ndjson_frame_result {
    MG_NDJSON_MORE,   /* nothing whole is there */
    MG_NDJSON_TEXT,   /* a text */
    MG_NDJSON_BROKEN, /* something that is none */
};

/* All zeros at the start. */
struct mg_ndjson_frame {
    size_t _at; /* bytes of the input that were looked at */
    uint32_t _depth;
    char _last;    /* the last byte that counts; 'x' for all of a number or word */
    bool _string;  /* inside of one */
    bool _escape;  /* behind a backslash in it */
    bool _fresh;   /* nothing but space since the line began */
    bool _lines;   /* the text has more than one line */
    bool _skip;    /* the rest of the line belongs to what is broken */
    bool _drop;    /* the rest of the line counts for nothing */
    bool _remains; /* lines may be left of what was broken */
    uint64_t _objects[MG_NDJSON_DEPTH / 64]; /* a bit for each open container: is it an object */
};

/* Looks for the next text in `input`, which begins where the last call said (`used` bytes further);
 * after MG_NDJSON_MORE there may be more of it than at the last call, never less. `at_end`: nothing
 * follows it. Sets `*text` (a view; after MG_NDJSON_BROKEN what is broken) and `*used`, the bytes
 * that are done with. */
enum mg_ndjson_frame_result mg_ndjson_frame_next(struct mg_ndjson_frame *f, struct mg_str input,
                                                 bool at_end, struct mg_str *text, size_t *used);

/* Passes over the rest of the line: the text is longer than the caller can keep. The next input
 * begins anywhere behind what was given so far. */
void mg_ndjson_frame_skip(struct mg_ndjson_frame *f);

#endif
