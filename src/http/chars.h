/*
 * Which bytes may stand where in HTTP: one table of classes, and a fast walk over field text. Pure.
 */
#ifndef MG_HTTP_CHARS_H
#define MG_HTTP_CHARS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum mg_chars_class {
    MG_CHARS_TOKEN = 1, /* tchar (RFC 9110 5.6.2) */
    MG_CHARS_PATH = 2,  /* of a path, but for '%': see target.h */
    MG_CHARS_QUERY = 4, /* of a query, after the '?' */
    MG_CHARS_HEX = 8,
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
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    /* Eight bytes a turn. `below` and `del` have the top bit of the first byte that is under 0x20,
     * or 0x7f, set; a borrow can only spoil bytes above that one. */
    const uint64_t ones = 0x0101010101010101u;
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        uint64_t below = (w - ones * 0x20) & ~w;
        uint64_t x = w ^ ones * 0x7f;
        uint64_t del = (x - ones) & ~x;
        uint64_t hit = (below | del) & ones * 0x80;
        if (!hit) {
            p += 8;
            continue;
        }
        p += __builtin_ctzll(hit) >> 3;
        if (*p != '\t')
            return p;
        p++;
    }
#endif
    while (p < end && !mg_chars_is_control(*p))
        p++;
    return p;
}

#endif
