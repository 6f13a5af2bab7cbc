/*
 * JSON text (RFC 8259), without any opinion on what its values become: a strict pull reader over
 * bytes that are all there, and writers for the three kinds of leaf that need thought.
 *
 * Strict means: UTF-8 checked byte by byte, no byte order mark, no control characters in strings,
 * no lone surrogates, nothing after the value. The reader does not look for duplicate keys, as it
 * keeps none; who builds objects from it does.
 */
#ifndef MG_BASE_JSON_H
#define MG_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#define MG_JSON_DEPTH 128       /* arrays and objects within each other, unless told otherwise */
#define MG_JSON_DEPTH_MAX 1024  /* the most one may ask for */
#define MG_JSON_NUMBER_MAX 1024 /* bytes of one number */

enum mg_json_token {
    MG_JSON_ERROR = -1, /* and so for every call that follows */
    MG_JSON_END = 0,    /* the whole input was one value */
    MG_JSON_OBJECT,
    MG_JSON_OBJECT_END,
    MG_JSON_ARRAY,
    MG_JSON_ARRAY_END,
    MG_JSON_KEY, /* its value comes with the next call */
    MG_JSON_STRING,
    MG_JSON_INTEGER, /* written without fraction and exponent */
    MG_JSON_FLOAT,
    MG_JSON_TRUE,
    MG_JSON_FALSE,
    MG_JSON_NULL,
};

struct mg_json_options {
    unsigned depth_limit; /* 0: MG_JSON_DEPTH; more than MG_JSON_DEPTH_MAX counts as that */
    /* An integer beyond int64 becomes a float instead of an error. What is too big for a float too
     * stays an error: infinity cannot be written back. */
    bool big_numbers_as_float;
    /* Only the text is of interest: numbers of any size that MG_JSON_NUMBER_MAX bytes can tell
     * pass, and have no value. */
    bool text_only;
};

struct mg_json_reader {
    /* The token returned last. */
    struct mg_str
        text; /* of KEY and STRING, unescaped: in the input, or in scratch until the next call */
    int64_t integer;   /* of INTEGER */
    double number;     /* of FLOAT */
    size_t at;         /* offset of its first byte; after ERROR, of the byte at fault */
    const char *fault; /* after ERROR: what is wrong, a literal */

    const unsigned char *_start, *_p, *_end;
    struct mg_buf *_scratch;
    unsigned _depth, _depth_limit;
    unsigned char _want;
    bool _in_object; /* the innermost open container */
    bool _big_as_float, _text_only;
    uint64_t
        _outer[MG_JSON_DEPTH_MAX / 64]; /* a bit for each container around it: is it an object */
};

/* A line and a column, both from 1; columns are characters, not bytes. */
struct mg_json_place {
    size_t line, column;
};

/* Borrows `input` and `scratch` as long as the reader is in use. `scratch` is written only for
 * strings with escapes; its limit is theirs. `options` may be NULL. Nothing to release. */
void mg_json_reader_init(struct mg_json_reader *r, struct mg_str input,
                         const struct mg_json_options *options, struct mg_buf *scratch);

/* The next token. Well-formed nesting is assured: a KEY comes before each value of an object, ends
 * match beginnings, END comes after the one value. */
enum mg_json_token mg_json_next(struct mg_json_reader *r);

/* For a rule of the caller's own: the token returned last is at fault. Borrows `fault`. */
void mg_json_reader_refuse(struct mg_json_reader *r, const char *fault);

/* Sets "line 3 column 7: <fault>" after ERROR. Returns MG_FAIL. */
enum mg_rc mg_json_reader_error(const struct mg_json_reader *r, struct mg_error *err);

/* Whether `text` is one JSON value, no deeper than MG_JSON_DEPTH, with numbers of at most
 * MG_JSON_NUMBER_MAX bytes; else MG_FAIL with the place of what is wrong. */
enum mg_rc mg_json_check(struct mg_str text, struct mg_error *err) MG_MUST_CHECK;

/* Where a byte of `input` is. Reads from the start: for error texts only. */
struct mg_json_place mg_json_place(struct mg_str input, size_t offset);

/* The first byte from `p` on that cannot stand in a string as it is: a quote, a backslash, a
 * control character, or one that begins no whole UTF-8 character before `end`; or `end`. */
const unsigned char *mg_json_text_run(const unsigned char *p, const unsigned char *end);

/* Appends `s` as a JSON string with its quotes. False when `s` is not UTF-8; `out` then holds a
 * part. */
bool mg_json_write_string(struct mg_buf *out, struct mg_str s) MG_MUST_CHECK;

void mg_json_write_integer(struct mg_buf *out, int64_t v);

/* Appends a text that reads back as `v` and has no digit too many, always with a point or an
 * exponent, so that it reads back as a float. False, and nothing appended, for infinities and NaN,
 * which JSON cannot say. */
bool mg_json_write_float(struct mg_buf *out, double v) MG_MUST_CHECK;

#endif
