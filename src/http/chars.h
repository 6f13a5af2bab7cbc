/*
 * Which bytes may stand where in HTTP: one table of classes, and a fast walk over field text. Pure.
 */
#ifndef MG_HTTP_CHARS_H
#define MG_HTTP_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum mg_chars_class {
    MG_CHARS_TOKEN = 1, /* tchar (RFC 9110 5.6.2) */
    MG_CHARS_PATH = 2,  /* of a path, but for '%': see target.h */
    MG_CHARS_QUERY = 4, /* of a query, after the '?' */
    MG_CHARS_HEX = 8,
    MG_CHARS_ALNUM = 16, /* letters and digits */
};

extern const uint8_t mg_chars_table[256];

static inline bool mg_chars_is(char c, enum mg_chars_class cls)
{
    return mg_chars_table[(unsigned char)c] & cls;
}

/* A byte that no field value holds (RFC 9110 5.5): a control other than tab, or DEL; so CR and LF
 * too. */
static inline bool mg_chars_is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

/* The first such byte of [p, end), or `end`. */
static inline const char *mg_chars_text_end(const char *p, const char *end)
{
    typedef uint8_t block __attribute__((vector_size(16)));
    while (end - p >= (ptrdiff_t)sizeof(block)) {
        block b;
        uint64_t bad[2]; /* 0xff for each byte that is a control */
        memcpy(&b, p, sizeof b);
        block hits = (block)(((b < 0x20) & (b != '\t')) | (b == 0x7f));
        memcpy(bad, &hits, sizeof bad);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        if (bad[0])
            return p + __builtin_ctzll(bad[0]) / 8;
        if (bad[1])
            return p + 8 + __builtin_ctzll(bad[1]) / 8;
#else
        if (bad[0] | bad[1])
            break; /* the loop below finds it */
#endif
        p += sizeof b;
    }
    while (p < end && !mg_chars_is_control(*p))
        p++;
    return p;
}

#endif
