/*
 * Borrowed byte ranges, and the ASCII-only comparisons that HTTP needs.
 *
 * A `struct mg_str` never owns its bytes and need not end in NUL. Who owns them is said where the
 * value is handed over; "in the arena" means until that arena is released.
 */
#ifndef MG_BASE_STR_H
#define MG_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mg_str {
    const char *p; /* may be NULL when n is 0 */
    size_t n;      /* bytes */
};

#define MG_STR(literal) ((struct mg_str){(literal), sizeof(literal) - 1})
#define MG_STR_NONE ((struct mg_str){NULL, 0})
/* For printf("%.*s", MG_STR_ARGS(s)). */
#define MG_STR_ARGS(s) (int)(s).n, (s).n ? (s).p : ""

static inline struct mg_str mg_str(const char *p, size_t n)
{
    return (struct mg_str){p, n};
}

static inline struct mg_str mg_str_c(const char *text)
{
    return (struct mg_str){text, text ? strlen(text) : 0};
}

static inline bool mg_str_eq(struct mg_str a, struct mg_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII lower case of one byte; other bytes pass unchanged, whatever the locale. */
static inline char mg_lower(char c)
{
    return (unsigned char)(c - 'A') < 26 ? (char)(c | 0x20) : c;
}

/* Equal but for ASCII case (RFC 9110 5.1 field names, schemes, hosts). */
bool mg_str_ieq(struct mg_str a, struct mg_str b);
/* Below, at or above 0: the order of their bytes, a prefix first. */
int mg_str_compare(struct mg_str a, struct mg_str b);

bool mg_str_starts(struct mg_str s, struct mg_str prefix);
bool mg_str_ends(struct mg_str s, struct mg_str suffix);

/* Without the spaces and tabs (RFC 9110 5.6.3 OWS) at both ends. */
struct mg_str mg_str_trim(struct mg_str s);

/* Position of the first `c`, or -1. */
ptrdiff_t mg_str_find(struct mg_str s, char c);

/* Takes the text up to the next `sep` off `*rest`. False, and an empty `*item`, when nothing was
 * left. An empty item is an item: "a,,b" gives three, "" gives none. */
bool mg_str_split(struct mg_str *rest, char sep, struct mg_str *item);

/* Decimal digits only, no sign, no space; false on anything else and on overflow of `max`. */
bool mg_str_to_u64(struct mg_str s, uint64_t max, uint64_t *out);

/* Writes the decimal digits of `v` at `out` (room for 20) and returns how many. Ends without NUL.
 */
size_t mg_u64_to_dec(uint64_t v, char *out);

#endif
