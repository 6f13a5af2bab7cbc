/*
 * The strict JSON reader and the writers. Any thread; all state is the caller's.
 *
 * Bytes of strings are looked at once, eight at a time, by mg_json_text_run(): reader and writers
 * agree through it on what may stand in a string as it is.
 */
#include "base/json.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum want {
    WANT_VALUE,
    WANT_FIRST_ITEM, /* or the end of the array */
    WANT_FIRST_KEY,  /* or the end of the object */
    WANT_MORE,       /* comma, or the end of the container */
    WANT_END,
    FAILED,
};

#define EXACT_POWERS 23

/* The powers of ten that a double holds exactly. */
static const double power_of_ten[EXACT_POWERS] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/* strtod and printf follow LC_NUMERIC, which a script may change with os.setlocale. */
static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    MG_BUG_ON(!c_locale);
}

static locale_t get_c_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    return c_locale;
}

static inline bool is_digit(unsigned char c)
{
    return (unsigned char)(c - '0') < 10;
}

static inline bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Length of the UTF-8 character of two to four bytes at `p`, or 0: the well-formed sequences of
 * Unicode's table 3-7 (RFC 3629 4), which leave out overlong forms and surrogates. */
static size_t utf8_length(const unsigned char *p, const unsigned char *end)
{
    size_t room = (size_t)(end - p);
    unsigned char c = p[0];
    if (room < 2 || c < 0xc2 || c > 0xf4)
        return 0;
    if (c < 0xe0)
        return is_tail(p[1]) ? 2 : 0;
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (room < 3 || p[1] < low || p[1] > high || !is_tail(p[2]))
        return 0;
    if (c < 0xf0)
        return 3;
    return room >= 4 && is_tail(p[3]) ? 4 : 0;
}

static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

#define ALL(byte) (0x0101010101010101u * (byte))

const unsigned char *mg_json_text_run(const unsigned char *p, const unsigned char *end)
{
    for (;;) {
        while (end - p >= 8) {
            uint64_t w;
            memcpy(&w, p, 8);
            uint64_t quote = w ^ ALL('"'), backslash = w ^ ALL('\\');
            /* High bits of the bytes that are below 0x20, zero after the xor, or above 0x7f.
             * Borrows can only mark bytes after a true mark, and the loop below stops before those.
             */
            uint64_t marks = ((w - ALL(0x20)) & ~w) | ((quote - ALL(1)) & ~quote) |
                             ((backslash - ALL(1)) & ~backslash) | w;
            marks &= ALL(0x80);
            if (marks) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
                p += __builtin_ctzll(marks) / 8;
#endif
                break;
            }
            p += 8;
        }
        while (p < end && is_plain(*p))
            p++;
        if (p == end || *p < 0x80)
            return p;
        do {
            size_t n = utf8_length(p, end);
            if (!n)
                return p;
            p += n;
        } while (p < end && *p >= 0x80);
    }
}

static enum mg_json_token fail_at(struct mg_json_reader *r, const unsigned char *p,
                                  const char *fault)
{
    r->at = (size_t)(p - r->_start);
    r->fault = p == r->_end ? "unexpected end of input" : fault;
    r->_want = FAILED;
    return MG_JSON_ERROR;
}

static inline void skip_space(struct mg_json_reader *r)
{
    const unsigned char *p = r->_p, *end = r->_end;
    while (p < end && *p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    r->_p = p;
}

static inline bool at_char(const struct mg_json_reader *r, unsigned char c)
{
    return r->_p < r->_end && *r->_p == c;
}

/* What must come after a value. */
static inline void value_done(struct mg_json_reader *r)
{
    r->_want = r->_depth ? WANT_MORE : WANT_END;
}

static int hex_digit(unsigned char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits at `p`, or -1. */
static int32_t hex4(const unsigned char *p, const unsigned char *end)
{
    if (end - p < 4)
        return -1;
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* Writes a code point that is no surrogate. */
static size_t utf8_encode(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00 >> n & 0xff) | c);
    return n;
}

/* A \uXXXX escape, or two that make a pair (RFC 8259 7), written at `out`. `p` is at the first
 * backslash. Returns the bytes used, or 0 after fail_at(). */
static size_t unescape_unicode(struct mg_json_reader *r, const unsigned char *p, char **out)
{
    int32_t c = hex4(p + 2, r->_end);
    if (c < 0) {
        fail_at(r, p, "'\\u' without four hexadecimal digits");
        return 0;
    }
    size_t used = 6;
    if (c >= 0xd800 && c <= 0xdfff) {
        bool pair = c <= 0xdbff && r->_end - p >= 12 && p[6] == '\\' && p[7] == 'u';
        int32_t low = pair ? hex4(p + 8, r->_end) : -1;
        if (low < 0xdc00 || low > 0xdfff) {
            fail_at(r, p, "lone surrogate");
            return 0;
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        used = 12;
    }
    *out += utf8_encode((uint32_t)c, *out);
    return used;
}

/* One escape, of which four bytes at most are written at `*out`; `p` is at its backslash. Returns
 * the bytes used, or 0 after fail_at(). */
static size_t unescape(struct mg_json_reader *r, const unsigned char *p, char **out)
{
    static const char meaning[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                      ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    if (p + 1 == r->_end) {
        fail_at(r, r->_end, NULL);
        return 0;
    }
    if (p[1] == 'u')
        return unescape_unicode(r, p, out);
    if (!meaning[p[1]]) {
        fail_at(r, p, "unknown escape");
        return 0;
    }
    *(*out)++ = meaning[p[1]];
    return 2;
}

/* The rest of a string whose bytes from `p` on cannot all be taken as they are: they stop at
 * `stop`. */
static enum mg_json_token read_escaped(struct mg_json_reader *r, const unsigned char *p,
                                       const unsigned char *stop, enum mg_json_token token)
{
    struct mg_buf *scratch = r->_scratch;
    mg_buf_reset(scratch);
    for (;;) {
        if (stop == r->_end || (*stop != '"' && *stop != '\\'))
            return fail_at(r, stop,
                           stop < r->_end && *stop < 0x20 ? "control character in a string"
                                                          : "invalid UTF-8");
        size_t run = (size_t)(stop - p);
        if (!mg_buf_reserve(scratch, run + 4))
            return fail_at(r, r->_start + r->at, "string too long");
        char *out = scratch->p + scratch->n;
        memcpy(out, p, run);
        out += run;
        size_t used = *stop == '"' ? 0 : unescape(r, stop, &out);
        scratch->n = (size_t)(out - scratch->p);
        if (!used)
            break;
        p = stop + used;
        stop = mg_json_text_run(p, r->_end);
    }
    if (r->_want == FAILED)
        return MG_JSON_ERROR;
    r->_p = stop + 1;
    r->text = mg_buf_str(scratch);
    return token;
}

/* A string; the reader is at its opening quote. */
static inline enum mg_json_token read_string(struct mg_json_reader *r, enum mg_json_token token)
{
    const unsigned char *p = r->_p + 1;
    const unsigned char *stop = mg_json_text_run(p, r->_end);
    if (stop == r->_end || *stop != '"')
        return read_escaped(r, p, stop, token);
    r->_p = stop + 1;
    r->text = mg_str((const char *)p, (size_t)(stop - p));
    return token;
}

static enum mg_json_token read_key(struct mg_json_reader *r)
{
    if (!at_char(r, '"'))
        return fail_at(r, r->_p, "expected a key in quotes");
    size_t at = r->at = (size_t)(r->_p - r->_start);
    if (read_string(r, MG_JSON_KEY) == MG_JSON_ERROR)
        return MG_JSON_ERROR;
    skip_space(r);
    if (!at_char(r, ':'))
        return fail_at(r, r->_p, "expected ':'");
    r->_p++;
    r->at = at;
    r->_want = WANT_VALUE;
    return MG_JSON_KEY;
}

/* Any number whose text is `p` to `end`, by the C library. */
static double slow_float(const unsigned char *p, const unsigned char *end)
{
    char text[MG_JSON_NUMBER_MAX + 1];
    size_t n = (size_t)(end - p);
    memcpy(text, p, n);
    text[n] = 0;
    return strtod_l(text, NULL, get_c_locale());
}

static enum mg_json_token float_done(struct mg_json_reader *r, double v, const unsigned char *start,
                                     const unsigned char *end)
{
    if (isinf(v) && !r->_text_only)
        return fail_at(r, start, "number out of range");
    r->number = v;
    r->_p = end;
    value_done(r);
    return MG_JSON_FLOAT;
}

/* Reads digits into `*mantissa` as long as there are no more than 19 from `*digits` on: those
 * always fit. Leading zeros are not counted. */
static const unsigned char *read_digits(const unsigned char *p, const unsigned char *end,
                                        uint64_t *mantissa, unsigned *digits)
{
    uint64_t m = *mantissa;
    unsigned n = *digits;
    for (; p < end && is_digit(*p); p++) {
        if (n < 19)
            m = m * 10 + (*p - '0');
        n += m != 0;
    }
    *mantissa = m;
    *digits = n;
    return p;
}

/* The exponent at `p`, just after the 'e'. NULL when there are no digits. Anything beyond the range
 * of a double stops counting, which keeps it beyond. */
static const unsigned char *read_exponent(const unsigned char *p, const unsigned char *end,
                                          int *exponent)
{
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end || !is_digit(*p))
        return NULL;
    int v = 0;
    for (; p < end && is_digit(*p); p++)
        v = v < 100000 ? v * 10 + (*p - '0') : v;
    *exponent = negative ? -v : v;
    return p;
}

/* A number from its point or its 'e' at `p` on, with what its integer part gave. */
static enum mg_json_token read_fraction(struct mg_json_reader *r, const unsigned char *start,
                                        const unsigned char *p, uint64_t mantissa, unsigned digits)
{
    const unsigned char *end = r->_end;
    int scale = 0, exponent = 0;
    if (*p == '.') {
        const unsigned char *fraction = ++p;
        p = read_digits(p, end, &mantissa, &digits);
        if (p == fraction)
            return fail_at(r, p, "expected a digit");
        scale = p - fraction < MG_JSON_NUMBER_MAX ? (int)(p - fraction) : MG_JSON_NUMBER_MAX;
    }
    if (p < end && (*p | 0x20) == 'e') {
        const unsigned char *after = read_exponent(p + 1, end, &exponent);
        if (!after)
            return fail_at(r, p + 1 < end && (p[1] == '-' || p[1] == '+') ? p + 2 : p + 1,
                           "expected a digit");
        p = after;
    }
    if (p - start > MG_JSON_NUMBER_MAX)
        return fail_at(r, start, "number too long");
    int power = exponent - scale;
    /* Both sides exact, so one operation rounds as it should. Anything else is for strtod. */
    if (digits > 19 || mantissa > (UINT64_C(1) << 53) || power <= -EXACT_POWERS ||
        power >= EXACT_POWERS)
        return float_done(r, slow_float(start, p), start, p);
    double v = (double)mantissa;
    v = power < 0 ? v / power_of_ten[-power] : v * power_of_ten[power];
    return float_done(r, *start == '-' ? -v : v, start, p);
}

static enum mg_json_token read_big_integer(struct mg_json_reader *r, const unsigned char *start,
                                           const unsigned char *end)
{
    if (!r->_big_as_float && !r->_text_only)
        return fail_at(r, start, "integer out of range");
    if (end - start > MG_JSON_NUMBER_MAX)
        return fail_at(r, start, "number too long");
    return float_done(r, slow_float(start, end), start, end);
}

static enum mg_json_token read_number(struct mg_json_reader *r)
{
    const unsigned char *start = r->_p, *end = r->_end, *p = start;
    bool negative = *p == '-';
    p += negative;
    if (p == end || !is_digit(*p))
        return fail_at(r, p, "expected a digit");
    uint64_t m = 0;
    unsigned digits = 0;
    if (*p != '0')
        p = read_digits(p, end, &m, &digits);
    else if (++p < end && is_digit(*p))
        return fail_at(r, p, "number with a leading zero");
    if (p < end && (*p == '.' || (*p | 0x20) == 'e'))
        return read_fraction(r, start, p, m, digits);
    if (digits > 19 || m > (uint64_t)INT64_MAX + negative)
        return read_big_integer(r, start, p);
    r->integer = (int64_t)(negative ? -m : m);
    r->_p = p;
    value_done(r);
    return MG_JSON_INTEGER;
}

static enum mg_json_token read_word(struct mg_json_reader *r, struct mg_str word,
                                    enum mg_json_token token)
{
    for (size_t i = 0; i < word.n; i++)
        if (r->_p + i == r->_end || r->_p[i] != (unsigned char)word.p[i])
            return fail_at(r, r->_p + i == r->_end ? r->_end : r->_p, "expected a value");
    r->_p += word.n;
    value_done(r);
    return token;
}

static enum mg_json_token open_container(struct mg_json_reader *r, bool object)
{
    if (r->_depth == r->_depth_limit)
        return fail_at(r, r->_p, "nested too deeply");
    uint64_t bit = UINT64_C(1) << r->_depth % 64, *word = &r->_outer[r->_depth / 64];
    *word = r->_in_object ? *word | bit : *word & ~bit;
    r->_depth++;
    r->_in_object = object;
    r->_want = object ? WANT_FIRST_KEY : WANT_FIRST_ITEM;
    r->_p++;
    return object ? MG_JSON_OBJECT : MG_JSON_ARRAY;
}

static enum mg_json_token close_container(struct mg_json_reader *r)
{
    bool object = r->_in_object;
    r->at = (size_t)(r->_p - r->_start);
    r->_p++;
    r->_depth--;
    r->_in_object = r->_outer[r->_depth / 64] >> r->_depth % 64 & 1;
    value_done(r);
    return object ? MG_JSON_OBJECT_END : MG_JSON_ARRAY_END;
}

static enum mg_json_token read_value(struct mg_json_reader *r)
{
    if (r->_p == r->_end)
        return fail_at(r, r->_p, NULL);
    r->at = (size_t)(r->_p - r->_start);
    switch (*r->_p) {
    case '"':
        value_done(r);
        return read_string(r, MG_JSON_STRING);
    case '{':
        return open_container(r, true);
    case '[':
        return open_container(r, false);
    case 't':
        return read_word(r, MG_STR("true"), MG_JSON_TRUE);
    case 'f':
        return read_word(r, MG_STR("false"), MG_JSON_FALSE);
    case 'n':
        return read_word(r, MG_STR("null"), MG_JSON_NULL);
    case '-':
    case '0' ... '9':
        return read_number(r);
    default:
        return fail_at(r, r->_p, "expected a value");
    }
}

static enum mg_json_token read_more(struct mg_json_reader *r)
{
    if (at_char(r, ',')) {
        r->_p++;
        skip_space(r);
        return r->_in_object ? read_key(r) : read_value(r);
    }
    if (at_char(r, r->_in_object ? '}' : ']'))
        return close_container(r);
    return fail_at(r, r->_p, r->_in_object ? "expected ',' or '}'" : "expected ',' or ']'");
}

static enum mg_json_token read_end(struct mg_json_reader *r)
{
    if (r->_p < r->_end)
        return fail_at(r, r->_p, "something follows the value");
    r->at = (size_t)(r->_p - r->_start);
    return MG_JSON_END;
}

void mg_json_reader_init(struct mg_json_reader *r, struct mg_str input,
                         const struct mg_json_options *options, struct mg_buf *scratch)
{
    static const unsigned char nothing[1];
    const struct mg_json_options defaults = {0};
    const struct mg_json_options *o = options ? options : &defaults;
    unsigned limit = o->depth_limit ? o->depth_limit : MG_JSON_DEPTH;

    /* Not the bits of outer containers: open_container() writes each before it is read. */
    r->text = MG_STR_NONE;
    r->integer = 0;
    r->number = 0;
    r->at = 0;
    r->fault = NULL;
    r->_start = r->_p = input.n ? (const unsigned char *)input.p : nothing;
    r->_end = r->_start + input.n;
    r->_scratch = scratch;
    r->_depth = 0;
    r->_depth_limit = limit < MG_JSON_DEPTH_MAX ? limit : MG_JSON_DEPTH_MAX;
    r->_want = WANT_VALUE;
    r->_in_object = false;
    r->_big_as_float = o->big_numbers_as_float;
    r->_text_only = o->text_only;
    if (mg_str_starts(input, MG_STR("\xef\xbb\xbf")))
        fail_at(r, r->_start, "byte order mark");
}

enum mg_json_token mg_json_next(struct mg_json_reader *r)
{
    skip_space(r);
    switch ((enum want)r->_want) {
    case WANT_MORE:
        return read_more(r);
    case WANT_FIRST_KEY:
        return at_char(r, '}') ? close_container(r) : read_key(r);
    case WANT_FIRST_ITEM:
        return at_char(r, ']') ? close_container(r) : read_value(r);
    case WANT_VALUE:
        return read_value(r);
    case WANT_END:
        return read_end(r);
    case FAILED:
        break;
    }
    return MG_JSON_ERROR;
}

void mg_json_reader_refuse(struct mg_json_reader *r, const char *fault)
{
    r->fault = fault;
    r->_want = FAILED;
}

struct mg_json_place mg_json_place(struct mg_str input, size_t offset)
{
    struct mg_json_place place = {1, 1};
    for (size_t i = 0; i < offset && i < input.n; i++) {
        if (input.p[i] == '\n')
            place = (struct mg_json_place){place.line + 1, 1};
        else
            place.column += !is_tail((unsigned char)input.p[i]);
    }
    return place;
}

enum mg_rc mg_json_reader_error(const struct mg_json_reader *r, struct mg_error *err)
{
    struct mg_str input = mg_str((const char *)r->_start, (size_t)(r->_end - r->_start));
    struct mg_json_place place = mg_json_place(input, r->at);
    return mg_error_set(err, "line %zu column %zu: %s", place.line, place.column, r->fault);
}

enum mg_rc mg_json_check(struct mg_str text, struct mg_error *err)
{
    static const struct mg_json_options options = {.text_only = true};
    struct mg_json_reader r;
    struct mg_buf strings;
    enum mg_json_token token;
    mg_buf_init(&strings, text.n + 4); /* what the reader asks for at most */
    mg_json_reader_init(&r, text, &options, &strings);
    while ((token = mg_json_next(&r)) > MG_JSON_END)
        ;
    mg_buf_release(&strings);
    return token == MG_JSON_END ? MG_OK : mg_json_reader_error(&r, err);
}

/* Appends the escape for a quote, a backslash or a control character. */
static void write_escape(struct mg_buf *out, unsigned char c)
{
    static const char letter[256] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                     ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    static const char hex[] = "0123456789abcdef";
    if (!mg_buf_reserve(out, 6))
        return;
    char *p = out->p + out->n;
    p[0] = '\\';
    if (letter[c]) {
        p[1] = letter[c];
        out->n += 2;
        return;
    }
    memcpy(p + 1, "u00", 3);
    p[4] = hex[c >> 4];
    p[5] = hex[c & 15];
    out->n += 6;
}

bool mg_json_write_string(struct mg_buf *out, struct mg_str s)
{
    if (!s.n) {
        mg_buf_add(out, "\"\"", 2);
        return true;
    }
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;
    /* Most strings need nothing more than this. */
    if (s.n > SIZE_MAX - 2 || !mg_buf_reserve(out, s.n + 2))
        return true;
    out->p[out->n++] = '"';
    while (p < end) {
        const unsigned char *stop = mg_json_text_run(p, end);
        mg_buf_add(out, p, (size_t)(stop - p));
        if (stop == end)
            break;
        if (*stop >= 0x80)
            return false;
        write_escape(out, *stop);
        p = stop + 1;
    }
    mg_buf_add_char(out, '"');
    return true;
}

void mg_json_write_integer(struct mg_buf *out, int64_t v)
{
    if (!mg_buf_reserve(out, 21))
        return;
    if (v < 0)
        out->p[out->n++] = '-';
    uint64_t magnitude = v < 0 ? -(uint64_t)v : (uint64_t)v;
    out->n += mg_u64_to_dec(magnitude, out->p + out->n);
}

/* Writes m / 10^places with at least one digit on both sides of the point. */
static size_t write_decimal(uint64_t m, size_t places, char *out)
{
    char digits[24];
    size_t n = mg_u64_to_dec(m, digits), whole = n > places ? n - places : 0, used = 0;
    memcpy(out, digits, whole);
    used = whole;
    if (!whole)
        out[used++] = '0';
    out[used++] = '.';
    memset(out + used, '0', whole ? 0 : places - n);
    used += whole ? 0 : places - n;
    memcpy(out + used, digits + whole, n - whole);
    used += n - whole;
    if (!places)
        out[used++] = '0';
    return used;
}

/*
 * Writes the decimal with the fewest places that reads back as `v`, for zero and 1e-5 <= v < 2^53.
 * It is exact: `v` is f / 2^s, and f * 10^places, cut into whole and rest at bit s, is the decimal
 * and how far it is off. It reads back if it is off by less than half a step of f, that is
 * 10^places / 2. The product stays below 2^53 * 10^22 < 2^127, as 17 digits are always enough.
 */
static size_t write_short_decimal(double v, char *out)
{
    int exponent;
    uint64_t f = (uint64_t)ldexp(frexp(v, &exponent), 53);
    int s = 53 - exponent;
    /* Below a power of two the steps are half as wide. */
    unsigned narrow = f == UINT64_C(1) << 52;
    unsigned __int128 product = f, unit = 1, one = (unsigned __int128)1 << s;

    for (size_t places = 0;; places++, product *= 10, unit *= 10) {
        unsigned __int128 rest = product & (one - 1);
        bool up = rest > one / 2;
        unsigned __int128 off = up ? one - rest : rest;
        if (off << (1 + narrow) < unit)
            return write_decimal((uint64_t)(product >> s) + up, places, out);
    }
}

/* The shortest of printf's texts that reads back as `v`. */
static size_t write_printed(double v, char *out, size_t room)
{
    locale_t c = get_c_locale(), before = uselocale(c);
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(out, room, "%.*g", digits, v);
        if (strtod_l(out, NULL, c) == v)
            break;
    }
    uselocale(before);
    if (!memchr(out, '.', (size_t)n) && !memchr(out, 'e', (size_t)n)) {
        memcpy(out + n, ".0", 2);
        n += 2;
    }
    return (size_t)n;
}

bool mg_json_write_float(struct mg_buf *out, double v)
{
    if (!isfinite(v))
        return false;
    char text[64];
    size_t n = 0;
    double a = fabs(v);
    if (signbit(v))
        text[n++] = '-';
    if (a == 0 || (a >= 1e-5 && a < 0x1p53))
        n += write_short_decimal(a, text + n);
    else
        n += write_printed(a, text + n, sizeof text - n);
    mg_buf_add(out, text, n);
    return true;
}
