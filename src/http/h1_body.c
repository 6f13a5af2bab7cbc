/*
 * HTTP/1.x bodies: length, chunks, or until the connection ends (RFC 9112 6 and 7). Pure, in place.
 *
 * Chunk lines go byte by byte through a small state machine, so that they may be split anywhere and
 * nothing is looked at twice; chunk data moves in one piece.
 */
#include "http/h1_body.h"

#include "http/chars.h"
#include "http/h1_fields.h"

#define SIZE_DIGITS 15 /* keeps a size below 2^60 */
#define LINE_BYTES 256

enum state {
    SIZE,         /* in the hex digits, or before them */
    BEFORE_EXT,   /* blanks: only a ';' may follow */
    EXT_START,    /* after ';' */
    EXT_NAME,     /* */
    AFTER_NAME,   /* blanks: ';' or '=' may follow */
    VALUE_START,  /* after '=' */
    VALUE,        /* a token */
    QUOTED,       /* in a quoted string */
    QUOTED_PAIR,  /* after its backslash */
    AFTER_QUOTED, /* */
    LINE_END,     /* CR seen */
    DATA,         /* */
    DATA_CR,      /* all data seen */
    DATA_LF,      /* */
    TRAILERS,
};

void mg_h1_body_init(struct mg_h1_body *b, const struct mg_h1_framing *framing,
                     const struct mg_h1_limits *limits, struct mg_fields *trailers,
                     struct mg_arena *arena)
{
    *b = (struct mg_h1_body){
        .kind = framing->kind,
        .left = framing->kind == MG_H1_LENGTH ? framing->length : 0,
        ._limits = *limits,
        ._trailers = trailers,
        ._arena = arena,
        /* An empty line ends trailers at once; only a head needs a line before it. */
        ._scan = {.first_done = true},
    };
    b->done = b->kind == MG_H1_NO_BODY || (b->kind == MG_H1_LENGTH && b->left == 0);
}

/* ---- chunk lines ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static int begin_line(struct mg_h1_body *b)
{
    b->_digits = 0;
    b->_line = 0;
    return SIZE;
}

static int size_digit(struct mg_h1_body *b, char c, struct mg_h1_fault *fault)
{
    if (b->_digits == SIZE_DIGITS)
        return mg_h1_fail(fault, 400, "chunk-size-too-large");
    b->_digits++;
    unsigned value = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
    b->left = b->left << 4 | value;
    return SIZE;
}

/* What may follow a size, a name or a value; -1 for anything else. */
static int after_item(char c, enum state blank)
{
    if (c == '\r')
        return LINE_END;
    if (c == ';')
        return EXT_START;
    return is_blank(c) ? (int)blank : -1;
}

static int ext_step(enum state state, char c)
{
    bool token = mg_chars_is(c, MG_CHARS_TOKEN);
    switch (state) {
    case BEFORE_EXT:
        return c == ';' ? EXT_START : is_blank(c) ? BEFORE_EXT : -1;
    case EXT_START:
        return token ? EXT_NAME : is_blank(c) ? EXT_START : -1;
    case EXT_NAME:
        if (token)
            return EXT_NAME;
        return c == '=' ? VALUE_START : after_item(c, AFTER_NAME);
    case AFTER_NAME:
        if (c == '=')
            return VALUE_START;
        return c == ';' ? EXT_START : is_blank(c) ? AFTER_NAME : -1;
    case VALUE_START:
        if (c == '"')
            return QUOTED;
        return token ? VALUE : is_blank(c) ? VALUE_START : -1;
    case VALUE:
        return token ? VALUE : after_item(c, BEFORE_EXT);
    case QUOTED:
        if (c == '"')
            return AFTER_QUOTED;
        if (c == '\\')
            return QUOTED_PAIR;
        return mg_chars_is_control(c) ? -1 : QUOTED;
    case QUOTED_PAIR:
        return mg_chars_is_control(c) ? -1 : QUOTED;
    default: /* AFTER_QUOTED */
        return after_item(c, BEFORE_EXT);
    }
}

/* One byte of a chunk line: the next state, or -1. */
static int line_step(struct mg_h1_body *b, char c, struct mg_h1_fault *fault)
{
    if (++b->_line > LINE_BYTES)
        return mg_h1_fail(fault, 400, "chunk-line-too-long");
    if (b->_state == LINE_END) {
        if (c != '\n')
            return mg_h1_fail(fault, 400, "bare-cr");
        return b->left ? DATA : TRAILERS;
    }
    if (c == '\n')
        return mg_h1_fail(fault, 400, "bare-lf");
    if (b->_state == SIZE) {
        if (mg_chars_is(c, MG_CHARS_HEX))
            return size_digit(b, c, fault);
        int next = b->_digits ? after_item(c, BEFORE_EXT) : -1;
        return next < 0 ? mg_h1_fail(fault, 400, "chunk-size") : next;
    }
    int next = ext_step(b->_state, c);
    return next < 0 ? mg_h1_fail(fault, 400, "chunk-extension") : next;
}

/* ---- trailers ---- */

/* `*used` becomes all of the block, or 0 while its end is not there. The next state, or -1. */
static int take_trailers(struct mg_h1_body *b, const char *p, size_t n, size_t *used,
                         struct mg_h1_fault *fault)
{
    uint32_t skip;
    int size = mg_h1_head_end(&b->_scan, p, n, &b->_limits, false, &skip, fault);
    if (size < 0 && fault->status == 431)
        return mg_h1_fail(fault, 431, "trailers-too-large");
    if (size < 0)
        return -1;
    *used = (size_t)size;
    if (size == 0)
        return TRAILERS;
    if (mg_h1_parse_trailers(p, (size_t)size, &b->_limits, b->_trailers, b->_arena, fault))
        return -1;
    b->done = true;
    return TRAILERS;
}

/* ---- decoding ---- */

/* Moves up to `n` bytes of payload and counts them. */
static size_t take_payload(struct mg_h1_body *b, char *dst, const char *src, size_t n)
{
    if (dst != src)
        memmove(dst, src, n);
    b->total += n;
    return n;
}

/* Payload of a known size; the number of bytes taken. */
static size_t take_counted(struct mg_h1_body *b, char *dst, const char *src, size_t n)
{
    if (n > b->left)
        n = (size_t)b->left;
    b->left -= n;
    return take_payload(b, dst, src, n);
}

static int decode_chunked(struct mg_h1_body *b, char *dst, const char *src, size_t n, size_t *used,
                          size_t *payload, struct mg_h1_fault *fault)
{
    size_t at = 0;
    while (at < n && !b->done) {
        int next = b->_state;
        size_t took = 1;
        switch (b->_state) {
        case DATA:
            took = take_counted(b, dst + *payload, src + at, n - at);
            *payload += took;
            next = b->left ? DATA : DATA_CR;
            break;
        case DATA_CR:
            next = src[at] == '\r' ? DATA_LF : mg_h1_fail(fault, 400, "chunk-end");
            break;
        case DATA_LF:
            next = src[at] == '\n' ? begin_line(b) : mg_h1_fail(fault, 400, "chunk-end");
            break;
        case TRAILERS:
            next = take_trailers(b, src + at, n - at, &took, fault);
            break;
        default:
            next = line_step(b, src[at], fault);
        }
        *used = at;
        if (next < 0)
            return -1;
        if (took == 0)
            return 0; /* trailers not yet complete */
        b->_state = (uint8_t)next;
        at += took;
    }
    *used = at;
    return 0;
}

int mg_h1_body_decode(struct mg_h1_body *b, char *dst, const char *src, size_t n, size_t *used,
                      size_t *payload, struct mg_h1_fault *fault)
{
    *used = *payload = 0;
    if (b->done || n == 0)
        return 0;
    if (b->kind == MG_H1_CHUNKED)
        return decode_chunked(b, dst, src, n, used, payload, fault);
    if (b->kind == MG_H1_UNTIL_CLOSE) {
        *used = *payload = take_payload(b, dst, src, n);
        return 0;
    }
    *used = *payload = take_counted(b, dst, src, n);
    b->done = b->left == 0;
    return 0;
}

void mg_h1_body_skip(struct mg_h1_body *b, uint64_t n)
{
    b->left -= n;
    b->total += n;
    b->done = b->left == 0;
}

int mg_h1_body_eof(struct mg_h1_body *b)
{
    if (b->kind == MG_H1_UNTIL_CLOSE)
        b->done = true;
    return b->done ? 0 : -1;
}
