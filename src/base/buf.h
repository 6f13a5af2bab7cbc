/*
 * A byte buffer that grows up to a limit. For text that is built piece by piece (JSON, error
 * bodies, serialised heads, collected bodies), not for the hot forwarding path.
 *
 * Appending past the limit, or running out of memory, sets `failed` and drops what follows; look
 * once, at the end.
 */
#ifndef MG_BASE_BUF_H
#define MG_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct mg_buf {
    char *p;
    size_t n;     /* bytes used */
    size_t room;  /* bytes that there is memory for */
    size_t limit; /* never grows beyond; set at init */
    bool failed;
};

void mg_buf_init(struct mg_buf *b, size_t limit_bytes);
void mg_buf_release(struct mg_buf *b);
void mg_buf_reset(struct mg_buf *b); /* empty, memory kept, failed cleared */

void mg_buf_add(struct mg_buf *b, const void *bytes, size_t n);
void mg_buf_add_str(struct mg_buf *b, struct mg_str s);
void mg_buf_add_c(struct mg_buf *b, const char *text);
void mg_buf_add_char(struct mg_buf *b, char c);
void mg_buf_printf(struct mg_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Room for `n` more bytes at b->p + b->n, or false (and `failed`). The caller adds to b->n. */
bool mg_buf_reserve(struct mg_buf *b, size_t n);

static inline struct mg_str mg_buf_str(const struct mg_buf *b)
{
    return mg_str(b->p, b->n);
}

#endif
