/* The lexer for JSON in pieces: a state machine over bytes, with runs of plain text taken at once.
 * Any thread; all state is the caller's. */
#include "base/json_lexer.h"

enum state {
    VALUE,
    FIRST_ITEM, /* or the end of the array */
    FIRST_KEY,  /* or the end of the object */
    KEY,
    COLON,
    MORE, /* comma, or the end of the container */
    DONE,
    TEXT, /* in a string: */
    ESCAPE,
    HEX,
    CHARACTER, /* of several bytes */
    WORD,      /* in true, false or null */
    MINUS,     /* in a number: */
    ZERO,
    WHOLE,
    POINT,
    FRACTION,
    E,
    E_SIGN,
    EXPONENT,
    BAD,
};

static inline bool is_digit(unsigned char c)
{
    return (unsigned char)(c - '0') < 10;
}

static inline bool is_space(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline void value_done(struct mg_json_lexer *l)
{
    l->_state = l->depth ? MORE : DONE;
}

static const unsigned char *bad(struct mg_json_lexer *l, const unsigned char *p,
                                enum mg_json_event *event)
{
    l->_state = BAD;
    *event = MG_JSON_LEX_BAD;
    return p;
}

static inline bool in_object(const struct mg_json_lexer *l)
{
    unsigned top = l->depth - 1;
    return l->_is_object[top / 64] >> top % 64 & 1;
}

static const unsigned char *open_container(struct mg_json_lexer *l, const unsigned char *p,
                                           bool object, enum mg_json_event *event)
{
    if (l->depth == MG_JSON_DEPTH_MAX)
        return bad(l, p, event);
    uint64_t bit = UINT64_C(1) << l->depth % 64, *word = &l->_is_object[l->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    l->depth++;
    l->_state = object ? FIRST_KEY : FIRST_ITEM;
    *event = object ? MG_JSON_LEX_OBJECT : MG_JSON_LEX_ARRAY;
    return p + 1;
}

static const unsigned char *close_container(struct mg_json_lexer *l, const unsigned char *p,
                                            enum mg_json_event *event)
{
    l->depth--;
    value_done(l);
    *event = MG_JSON_LEX_CLOSE;
    return p + 1;
}

static const unsigned char *begin_string(struct mg_json_lexer *l, const unsigned char *p, bool key,
                                         enum mg_json_event *event)
{
    l->_in_key = key;
    l->_state = TEXT;
    *event = key ? MG_JSON_LEX_KEY : MG_JSON_LEX_SCALAR;
    return p + 1;
}

static const unsigned char *begin_word(struct mg_json_lexer *l, const unsigned char *p,
                                       const char *rest, enum mg_json_event *event)
{
    l->_word = rest;
    l->_state = WORD;
    *event = MG_JSON_LEX_SCALAR;
    return p + 1;
}

static const unsigned char *begin_value(struct mg_json_lexer *l, const unsigned char *p,
                                        enum mg_json_event *event)
{
    switch (*p) {
    case '{':
        return open_container(l, p, true, event);
    case '[':
        return open_container(l, p, false, event);
    case '"':
        return begin_string(l, p, false, event);
    case 't':
        return begin_word(l, p, "rue", event);
    case 'f':
        return begin_word(l, p, "alse", event);
    case 'n':
        return begin_word(l, p, "ull", event);
    case '-':
        l->_state = MINUS;
        break;
    case '0':
        l->_state = ZERO;
        break;
    case '1' ... '9':
        l->_state = WHOLE;
        break;
    default:
        return bad(l, p, event);
    }
    *event = MG_JSON_LEX_SCALAR;
    return p + 1;
}

/* --- strings --- */

/* The first byte of a character of several, by Unicode's table 3-7 (RFC 3629 4). */
static bool begin_character(struct mg_json_lexer *l, unsigned char c)
{
    if (c < 0xc2 || c > 0xf4)
        return false;
    l->_left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    l->_low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    l->_high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    l->_state = CHARACTER;
    return true;
}

static bool next_of_character(struct mg_json_lexer *l, unsigned char c)
{
    if (c < l->_low || c > l->_high)
        return false;
    l->_low = 0x80;
    l->_high = 0xbf;
    if (--l->_left == 0)
        l->_state = TEXT;
    return true;
}

static bool escape(struct mg_json_lexer *l, unsigned char c)
{
    l->_state = c == 'u' ? HEX : TEXT;
    l->_left = 4;
    return c && strchr("\"\\/bfnrtu", c) != NULL;
}

static bool hex(struct mg_json_lexer *l, unsigned char c)
{
    if (--l->_left == 0)
        l->_state = TEXT;
    return is_digit(c) || (unsigned char)((c | 0x20) - 'a') < 6;
}

static const unsigned char *in_string(struct mg_json_lexer *l, const unsigned char *p,
                                      const unsigned char *end, enum mg_json_event *event)
{
    for (;; p++) {
        bool good = true;
        if (l->_state == TEXT)
            p = mg_json_text_run(p, end);
        if (p == end)
            return p;
        switch ((enum state)l->_state) {
        case TEXT:
            if (*p == '"') {
                *event = l->_in_key ? MG_JSON_LEX_KEY_END : MG_JSON_LEX_SCALAR_END;
                if (l->_in_key)
                    l->_state = COLON;
                else
                    value_done(l);
                return p + 1;
            }
            if (*p == '\\')
                l->_state = ESCAPE;
            else
                good = begin_character(l, *p);
            break;
        case ESCAPE:
            good = escape(l, *p);
            break;
        case HEX:
            good = hex(l, *p);
            break;
        default:
            good = next_of_character(l, *p);
            break;
        }
        if (!good)
            return bad(l, p, event);
    }
}

/* --- numbers and words --- */

/* The state after `c`; BAD when the number cannot go on so. */
static enum state next_in_number(enum state state, unsigned char c)
{
    bool digit = is_digit(c), exponent = (c | 0x20) == 'e';
    switch (state) {
    case MINUS:
        return c == '0' ? ZERO : digit ? WHOLE : BAD;
    case ZERO:
        return c == '.' ? POINT : exponent ? E : BAD;
    case WHOLE:
        return digit ? WHOLE : c == '.' ? POINT : exponent ? E : BAD;
    case POINT:
        return digit ? FRACTION : BAD;
    case FRACTION:
        return digit ? FRACTION : exponent ? E : BAD;
    case E:
        return digit ? EXPONENT : c == '+' || c == '-' ? E_SIGN : BAD;
    case E_SIGN:
    case EXPONENT:
        return digit ? EXPONENT : BAD;
    default:
        return BAD;
    }
}

static bool may_end(enum state state)
{
    return state == ZERO || state == WHOLE || state == FRACTION || state == EXPONENT;
}

static const unsigned char *in_number(struct mg_json_lexer *l, const unsigned char *p,
                                      const unsigned char *end, enum mg_json_event *event)
{
    for (; p < end; p++) {
        enum state next = next_in_number(l->_state, *p);
        if (next == BAD) {
            /* What follows is looked at by whoever comes next: "01" is two values too many. */
            if (!may_end(l->_state))
                return bad(l, p, event);
            value_done(l);
            *event = MG_JSON_LEX_SCALAR_END;
            return p;
        }
        l->_state = (unsigned char)next;
    }
    return p;
}

static const unsigned char *in_word(struct mg_json_lexer *l, const unsigned char *p,
                                    const unsigned char *end, enum mg_json_event *event)
{
    for (; p < end && *l->_word; p++, l->_word++)
        if (*p != (unsigned char)*l->_word)
            return bad(l, p, event);
    if (*l->_word)
        return p;
    value_done(l);
    *event = MG_JSON_LEX_SCALAR_END;
    return p;
}

/* --- between values --- */

/* The byte at `p` is no space. Without an event: it was a colon or a comma. */
static const unsigned char *between(struct mg_json_lexer *l, const unsigned char *p,
                                    enum mg_json_event *event)
{
    unsigned char c = *p;
    switch ((enum state)l->_state) {
    case VALUE:
        return begin_value(l, p, event);
    case FIRST_ITEM:
        return c == ']' ? close_container(l, p, event) : begin_value(l, p, event);
    case FIRST_KEY:
    case KEY:
        if (c == '"')
            return begin_string(l, p, true, event);
        if (c == '}' && l->_state == FIRST_KEY)
            return close_container(l, p, event);
        return bad(l, p, event);
    case COLON:
        if (c != ':')
            return bad(l, p, event);
        l->_state = VALUE;
        return p + 1;
    case MORE:
        if (c == (in_object(l) ? '}' : ']'))
            return close_container(l, p, event);
        if (c != ',')
            return bad(l, p, event);
        l->_state = in_object(l) ? KEY : VALUE;
        return p + 1;
    default: /* DONE, BAD */
        return bad(l, p, event);
    }
}

void mg_json_lexer_init(struct mg_json_lexer *l)
{
    /* Not the bits of containers: open_container() writes each before it is read. */
    l->depth = 0;
    l->_state = VALUE;
    l->_in_key = false;
}

const unsigned char *mg_json_lex(struct mg_json_lexer *l, const unsigned char *p,
                                 const unsigned char *end, enum mg_json_event *event)
{
    *event = MG_JSON_LEX_MORE;
    while (p < end && *event == MG_JSON_LEX_MORE) {
        if (l->_state >= MINUS && l->_state <= EXPONENT)
            p = in_number(l, p, end, event);
        else if (l->_state == WORD)
            p = in_word(l, p, end, event);
        else if (l->_state >= TEXT && l->_state < WORD)
            p = in_string(l, p, end, event);
        else if (is_space(*p))
            p++;
        else
            p = between(l, p, event);
    }
    return p;
}

enum mg_json_event mg_json_lex_end(struct mg_json_lexer *l)
{
    if (l->_state >= MINUS && l->_state <= EXPONENT && may_end(l->_state) && !l->depth) {
        l->_state = DONE;
        return MG_JSON_LEX_SCALAR_END;
    }
    if (l->_state == DONE)
        return MG_JSON_LEX_MORE;
    l->_state = BAD;
    return MG_JSON_LEX_BAD;
}

bool mg_json_lexer_is_done(const struct mg_json_lexer *l)
{
    return l->_state == DONE;
}

bool mg_json_is_number(struct mg_str s)
{
    if (!s.n || !(is_digit((unsigned char)s.p[0]) || s.p[0] == '-'))
        return false;
    enum state state = s.p[0] == '-' ? MINUS : s.p[0] == '0' ? ZERO : WHOLE;
    for (size_t i = 1; i < s.n; i++)
        state = next_in_number(state, (unsigned char)s.p[i]);
    return may_end(state);
}
