/* Growing byte buffers with a limit. One thread each. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void mg_buf_init(struct mg_buf *b, size_t limit_bytes)
{
    /* One less than SIZE_MAX at most, as a byte more than `room` is allocated. */
    *b = (struct mg_buf){.limit = limit_bytes < SIZE_MAX ? limit_bytes : SIZE_MAX - 1};
}

void mg_buf_release(struct mg_buf *b)
{
    free(b->p);
    mg_buf_init(b, b->limit);
}

void mg_buf_reset(struct mg_buf *b)
{
    b->n = 0;
    b->failed = false;
}

bool mg_buf_reserve(struct mg_buf *b, size_t n)
{
    if (b->room - b->n >= n && !b->failed)
        return true;
    if (b->failed || n > b->limit - b->n) {
        b->failed = true;
        return false;
    }
    size_t room = b->room < 128 ? 256 : b->room * 2;
    if (room < b->n + n)
        room = b->n + n;
    if (room > b->limit)
        room = b->limit;
    char *p = realloc(b->p, room + 1); /* vsnprintf wants a place for its NUL */
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->room = room;
    return true;
}

void mg_buf_add(struct mg_buf *b, const void *bytes, size_t n)
{
    if (n && mg_buf_reserve(b, n)) {
        memcpy(b->p + b->n, bytes, n);
        b->n += n;
    }
}

void mg_buf_add_str(struct mg_buf *b, struct mg_str s)
{
    mg_buf_add(b, s.p, s.n);
}

void mg_buf_add_c(struct mg_buf *b, const char *text)
{
    mg_buf_add(b, text, strlen(text));
}

void mg_buf_add_char(struct mg_buf *b, char c)
{
    mg_buf_add(b, &c, 1);
}

void mg_buf_printf(struct mg_buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n > 0 && mg_buf_reserve(b, (size_t)n)) {
        vsnprintf(b->p + b->n, (size_t)n + 1, format, again);
        b->n += (size_t)n;
    }
    va_end(again);
}
