/*
 * Byte ranges (RFC 9110 14). Pure; any thread.
 *
 * One range is answered with 206. Several are joined where they overlap or touch; when one is left,
 * it is answered, else the whole representation is: a multipart answer is never made, so that no
 * request gets more bytes than the representation has (RFC 9110 17.15).
 */
#ifndef MG_HTTP_RANGE_H
#define MG_HTTP_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* A request for more ranges than this is answered whole. */
#define MG_RANGE_COUNT_MAX 16

enum mg_range_verdict {
    MG_RANGE_WHOLE,         /* ignore the field: 200 */
    MG_RANGE_PART,          /* 206 with that one range */
    MG_RANGE_UNSATISFIABLE, /* 416 */
};

struct mg_range {
    uint64_t first, last; /* both included */
};

/* Positions beyond this are read as this: no representation is longer. */
#define MG_RANGE_END (UINT64_MAX / 2)

/* What is asked for, whatever the length of the representation. */
struct mg_range_asked {
    bool any;             /* false: no part at all, and nothing else is set */
    bool suffix;          /* the last `last` bytes */
    uint64_t first, last; /* else both included; `last` MG_RANGE_END: to the end */
};

/* What a Range field asks of a representation of `length` bytes. Other units, and what the grammar
 * does not allow, are ignored (14.2). `*out` is set for MG_RANGE_PART only. The caller has looked
 * at the method (GET alone has ranges) and at If-Range before. */
enum mg_range_verdict mg_range_choose(struct mg_str field, uint64_t length, struct mg_range *out);

static inline uint64_t mg_range_length(struct mg_range r)
{
    return r.last - r.first + 1;
}

/* Reads a Range field that asks for one range and no more. False: for several, for none, or not in
 * bytes. */
bool mg_range_read_one(struct mg_str field, struct mg_range_asked *out);
/* It as a field, the same text for all ways to write it; in the arena. */
struct mg_str mg_range_text(struct mg_arena *arena, const struct mg_range_asked *asked);

/* What is asked for, of a representation of `length` bytes of which only `part` is at hand. False:
 * no byte of it is asked for, or one that is not at hand. */
bool mg_range_within(const struct mg_range_asked *asked, struct mg_range part, uint64_t length,
                     struct mg_range *out);

/* Content-Range of a 206, and of a 416 (14.4); in the arena. */
struct mg_str mg_range_content(struct mg_arena *arena, struct mg_range r, uint64_t length);
struct mg_str mg_range_content_unsatisfied(struct mg_arena *arena, uint64_t length);

/* Reads the Content-Range of a 206; `*length` MG_RANGE_END: it does not tell the complete length
 * ("*"). False when it is malformed, of no part ("*" before the slash) or not in bytes. */
bool mg_range_read_content(struct mg_str field, struct mg_range *out, uint64_t *length);

#endif
