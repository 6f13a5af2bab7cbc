/* Base64, base64url and hex, strict when reading. Pure. */
#include "crypto/base64.h"

static const char STANDARD[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char URL[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define BAD 0xff

/* Values of the 62 characters that both alphabets share, plus one; 0 for all others. */
static const uint8_t SHARED[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62,
};

static inline unsigned value_of(uint8_t c, const char alphabet[64])
{
    if (SHARED[c])
        return SHARED[c] - 1u;
    return c == (uint8_t)alphabet[62] ? 62 : c == (uint8_t)alphabet[63] ? 63 : BAD;
}

static size_t encode(struct mg_str data, const char alphabet[64], bool padded, char *out)
{
    const uint8_t *p = (const uint8_t *)data.p;
    size_t left = data.n;
    char *at = out;
    for (; left >= 3; left -= 3, p += 3) {
        *at++ = alphabet[p[0] >> 2];
        *at++ = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
        *at++ = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
        *at++ = alphabet[p[2] & 63];
    }
    if (left) {
        *at++ = alphabet[p[0] >> 2];
        if (left == 2) {
            *at++ = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
            *at++ = alphabet[(p[1] & 15) << 2];
        } else {
            *at++ = alphabet[(p[0] & 3) << 4];
        }
        for (; padded && left < 3; left++)
            *at++ = '=';
    }
    return (size_t)(at - out);
}

/* The last two or three characters, whose unused bits must be zero. */
static bool decode_rest(const uint8_t *p, size_t left, const char alphabet[64], uint8_t **at)
{
    unsigned a = value_of(p[0], alphabet), b = value_of(p[1], alphabet);
    unsigned c = left == 3 ? value_of(p[2], alphabet) : 0;
    if ((a | b | c) > 63 || (left == 3 ? c & 3 : b & 15))
        return false;
    *(*at)++ = (uint8_t)(a << 2 | b >> 4);
    if (left == 3)
        *(*at)++ = (uint8_t)(b << 4 | c >> 2);
    return true;
}

/* `text` has lost its padding. */
static bool decode(struct mg_str text, const char alphabet[64], uint8_t *out, size_t *n)
{
    const uint8_t *p = (const uint8_t *)text.p;
    size_t left = text.n;
    uint8_t *at = out;
    if (left % 4 == 1)
        return false;
    for (; left >= 4; left -= 4, p += 4) {
        unsigned a = value_of(p[0], alphabet), b = value_of(p[1], alphabet);
        unsigned c = value_of(p[2], alphabet), d = value_of(p[3], alphabet);
        if ((a | b | c | d) > 63)
            return false;
        *at++ = (uint8_t)(a << 2 | b >> 4);
        *at++ = (uint8_t)(b << 4 | c >> 2);
        *at++ = (uint8_t)(c << 6 | d);
    }
    if (left && !decode_rest(p, left, alphabet, &at))
        return false;
    *n = (size_t)(at - out);
    return true;
}

size_t mg_base64_encode(struct mg_str data, char *out)
{
    return encode(data, STANDARD, true, out);
}

size_t mg_base64_url_encode(struct mg_str data, char *out)
{
    return encode(data, URL, false, out);
}

bool mg_base64_decode(struct mg_str text, void *out, size_t *n)
{
    if (text.n % 4)
        return false;
    for (int i = 0; i < 2 && text.n && text.p[text.n - 1] == '='; i++)
        text.n--;
    return decode(text, STANDARD, out, n);
}

bool mg_base64_url_decode(struct mg_str text, void *out, size_t *n)
{
    return decode(text, URL, out, n);
}

void mg_base64_hex_encode(struct mg_str data, char *out)
{
    for (size_t i = 0; i < data.n; i++) {
        uint8_t byte = (uint8_t)data.p[i];
        *out++ = "0123456789abcdef"[byte >> 4];
        *out++ = "0123456789abcdef"[byte & 15];
    }
}
