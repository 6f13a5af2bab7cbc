/* The table of byte classes. Constant; any thread. */
#include "http/chars.h"

#define T MG_CHARS_TOKEN
#define P MG_CHARS_PATH
#define Q MG_CHARS_QUERY
#define X MG_CHARS_HEX
#define A MG_CHARS_ALNUM

/*
 * Path and query hold what RFC 3986 3.3 and 3.4 allow, and beyond that the bytes that browsers
 * leave as they are (the path and query percent-encode sets of the URL standard): brackets and '|'
 * in both, braces, caret, backquote and backslash in the query alone. What browsers always encode
 * is refused: the double quote, '<', '>', and bytes from 0x80 up. So is '#', which belongs to no
 * target.
 */
const uint8_t mg_chars_table[256] = {
    ['0' ... '9'] = T | P | Q | X | A,
    ['A' ... 'F'] = T | P | Q | X | A,
    ['G' ... 'Z'] = T | P | Q | A,
    ['a' ... 'f'] = T | P | Q | X | A,
    ['g' ... 'z'] = T | P | Q | A,
    ['!'] = T | P | Q,
    ['#'] = T,
    ['$'] = T | P | Q,
    ['%'] = T | Q,
    ['&'] = T | P | Q,
    ['\''] = T | P | Q,
    ['('] = P | Q,
    [')'] = P | Q,
    ['*'] = T | P | Q,
    ['+'] = T | P | Q,
    [','] = P | Q,
    ['-'] = T | P | Q,
    ['.'] = T | P | Q,
    ['/'] = P | Q,
    [':'] = P | Q,
    [';'] = P | Q,
    ['='] = P | Q,
    ['?'] = Q,
    ['@'] = P | Q,
    ['['] = P | Q,
    ['\\'] = Q,
    [']'] = P | Q,
    ['^'] = T | Q,
    ['_'] = T | P | Q,
    ['`'] = T | Q,
    ['{'] = Q,
    ['|'] = T | P | Q,
    ['}'] = Q,
    ['~'] = T | P | Q,
};
