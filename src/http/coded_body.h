/*
 * A body that encodes or decodes another one while it is read. One thread.
 *
 * It has one block of output at most, and pulls from its source only when that is empty: so a slow
 * reader stops the sender, and a body of any length needs the same memory. When the source has
 * nothing more for now, an encoder gives all that came so far, so events and slow documents come
 * through at once.
 */
#ifndef MG_HTTP_CODED_BODY_H
#define MG_HTTP_CODED_BODY_H

#include "http/body.h"
#include "http/coding.h"

/* Reasons of bodies that break here. */
#define MG_CODED_BROKEN "broken-content-coding"
#define MG_CODED_TOO_LARGE "decoded-body-too-large"

struct mg_coded_options {
    struct mg_coder *coder; /* taken */
    struct mg_pool *blocks; /* borrowed: where output lies while there is some */
    int broken_status;      /* decoder: mg_body.status where the code is broken (400, 502) */
    int large_status;       /* ... and where a limit was met (413, 502) */
};

/* Reads from `source` from now on. In the arena, and the coder goes with it, if not before: at the
 * end. Trailers are those of the source; a source that breaks breaks it alike. */
struct mg_body *mg_coded_body(struct mg_arena *arena, struct mg_body *source,
                              const struct mg_coded_options *options);

#endif
