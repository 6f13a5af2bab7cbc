/* Byte-range helpers. Pure; any thread. */
#include "base/str.h"

bool mg_str_ieq(struct mg_str a, struct mg_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (mg_lower(a.p[i]) != mg_lower(b.p[i]))
            return false;
    return true;
}

int mg_str_compare(struct mg_str a, struct mg_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

bool mg_str_starts(struct mg_str s, struct mg_str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool mg_str_ends(struct mg_str s, struct mg_str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

struct mg_str mg_str_trim(struct mg_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

ptrdiff_t mg_str_find(struct mg_str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

bool mg_str_split(struct mg_str *rest, char sep, struct mg_str *item)
{
    *item = MG_STR_NONE;
    if (!rest->p)
        return false;
    ptrdiff_t at = mg_str_find(*rest, sep);
    if (at < 0) {
        *item = *rest;
        *rest = MG_STR_NONE;
        return item->n > 0;
    }
    *item = mg_str(rest->p, (size_t)at);
    *rest = mg_str(rest->p + at + 1, rest->n - (size_t)at - 1);
    return true;
}

bool mg_str_to_u64(struct mg_str s, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
        if (digit > 9 || v > (max - digit) / 10 || digit > max)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

size_t mg_u64_to_dec(uint64_t v, char *out)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char digits[20];
    size_t at = sizeof digits;
    for (; v >= 100; v /= 100) {
        at -= 2;
        memcpy(digits + at, pairs + v % 100 * 2, 2);
    }
    if (v >= 10) {
        at -= 2;
        memcpy(digits + at, pairs + v * 2, 2);
    } else {
        digits[--at] = (char)('0' + v);
    }
    memcpy(out, digits + at, sizeof digits - at);
    return sizeof digits - at;
}
