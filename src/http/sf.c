/*
 * RFC 9651, section 4: a recursive descent of depth two over borrowed text, and the way back.
 *
 * A reader's `bad` is sticky: what comes after a fault reads as nothing, so that only the loops and
 * the entry points look at it.
 */
#include "http/sf.h"

#include "crypto/base64.h"
#include "http/chars.h"

#define TEXT_ROOM_FIRST 64
#define DECIMAL_INTEGER_DIGITS 12
#define INTEGER_DIGITS 15
#define FRACTION_DIGITS 3

struct reader {
    const char *p, *end;
    struct mg_arena *arena;
    bool bad;
};

/* Grows by doubling in the arena. */
struct growing {
    void *v;
    uint16_t n, room;
};

/* ---- characters ---- */

static bool is_lower(char c)
{
    return (unsigned char)(c - 'a') < 26;
}

static bool is_alpha(char c)
{
    return is_lower(mg_lower(c));
}

static bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

static bool is_key_start(char c)
{
    return is_lower(c) || c == '*';
}

static bool is_key_char(char c)
{
    return is_key_start(c) || is_digit(c) || c == '_' || c == '-' || c == '.';
}

static bool is_token_start(char c)
{
    return is_alpha(c) || c == '*';
}

static bool is_token_char(char c)
{
    return mg_chars_is(c, MG_CHARS_TOKEN) || c == ':' || c == '/';
}

static bool is_printable(char c)
{
    return c >= 0x20 && c < 0x7f;
}

/* Of lower-case hex only, as display strings have it; -1 for another byte. */
static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool matches(struct mg_str s, bool (*first)(char), bool (*rest)(char))
{
    if (s.n == 0 || !first(s.p[0]))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!rest(s.p[i]))
            return false;
    return true;
}

bool mg_sf_is_token(struct mg_str s)
{
    return matches(s, is_token_start, is_token_char);
}

bool mg_sf_is_key(struct mg_str s)
{
    return matches(s, is_key_start, is_key_char);
}

bool mg_sf_is_string(struct mg_str s)
{
    return s.n == 0 || matches(s, is_printable, is_printable);
}

/* Length of the UTF-8 sequence at `p`, or 0: overlong forms, surrogates and what lies beyond
 * U+10FFFF are none (RFC 3629 4). */
static size_t utf8_size(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t size = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool bad = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
               (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
    return bad ? 0 : size;
}

static bool is_utf8(struct mg_str s)
{
    for (size_t i = 0, size; i < s.n; i += size)
        if (!(size = utf8_size((const unsigned char *)s.p + i, s.n - i)))
            return false;
    return true;
}

/* ---- reading: small steps ---- */

static bool at(const struct reader *r, char c)
{
    return !r->bad && r->p < r->end && *r->p == c;
}

static bool take(struct reader *r, char c)
{
    if (!at(r, c))
        return false;
    r->p++;
    return true;
}

static void skip_spaces(struct reader *r)
{
    while (take(r, ' '))
        ;
}

static void skip_blanks(struct reader *r)
{
    while (take(r, ' ') || take(r, '\t'))
        ;
}

static struct mg_str take_while(struct reader *r, bool (*first)(char), bool (*rest)(char))
{
    const char *start = r->p;
    if (r->bad || r->p == r->end || !first(*r->p)) {
        r->bad = true;
        return MG_STR_NONE;
    }
    while (r->p < r->end && rest(*r->p))
        r->p++;
    return mg_str(start, (size_t)(r->p - start));
}

/* One more element of `size` bytes, zeroed; NULL, and a fault, beyond `max`. */
static void *push(struct reader *r, struct growing *list, size_t size, uint16_t max)
{
    if (list->n == max)
        r->bad = true;
    if (r->bad)
        return NULL;
    if (list->n == list->room) {
        uint16_t room = list->room ? (uint16_t)(2 * list->room) : 2;
        list->v = mg_arena_grow(r->arena, list->v, list->room * size, room * size);
        list->room = room;
    }
    void *element = (char *)list->v + list->n++ * size;
    memset(element, 0, size);
    return element;
}

/* ---- reading: bare items (4.2.3.1) ---- */

/* Up to `max` digits; how many there were. */
static unsigned take_digits(struct reader *r, unsigned max, int64_t *value)
{
    unsigned n = 0;
    for (; r->p < r->end && is_digit(*r->p); r->p++, n++) {
        if (n == max) {
            r->bad = true;
            return 0;
        }
        *value = *value * 10 + (*r->p - '0');
    }
    return n;
}

static struct mg_sf_bare read_number(struct reader *r)
{
    struct mg_sf_bare out = {.type = MG_SF_INTEGER};
    bool negative = take(r, '-');
    unsigned digits = take_digits(r, INTEGER_DIGITS, &out.number);
    if (digits == 0)
        r->bad = true;
    if (take(r, '.')) {
        out.type = MG_SF_DECIMAL;
        unsigned places = take_digits(r, FRACTION_DIGITS, &out.number);
        if (places == 0 || digits > DECIMAL_INTEGER_DIGITS)
            r->bad = true;
        for (; places < FRACTION_DIGITS; places++)
            out.number *= 10;
    }
    if (negative)
        out.number = -out.number;
    return out;
}

/* 4.2.5; the opening quote is next. Borrows when nothing was escaped. */
static struct mg_str read_string(struct reader *r)
{
    const char *start = ++r->p;
    bool escaped = false;
    for (; r->p < r->end && *r->p != '"'; r->p++) {
        if (*r->p == '\\') {
            escaped = true;
            r->p++;
            if (r->p == r->end || (*r->p != '"' && *r->p != '\\'))
                break;
        } else if (!is_printable(*r->p)) {
            break;
        }
    }
    struct mg_str raw = mg_str(start, (size_t)(r->p - start));
    if (!take(r, '"')) {
        r->bad = true;
        return MG_STR_NONE;
    }
    if (!escaped)
        return raw;
    char *out = mg_arena_alloc(r->arena, raw.n);
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        i += raw.p[i] == '\\';
        out[n++] = raw.p[i];
    }
    return mg_str(out, n);
}

/* 4.2.7; the opening colon is next. */
static struct mg_str read_bytes(struct reader *r)
{
    r->p++;
    const char *close = memchr(r->p, ':', (size_t)(r->end - r->p));
    if (!close) {
        r->bad = true;
        return MG_STR_NONE;
    }
    struct mg_str text = mg_str(r->p, (size_t)(close - r->p));
    char *out = mg_arena_alloc(r->arena, MG_BASE64_DECODED_MAX(text.n) + 1);
    size_t n = 0;
    if (!mg_base64_decode(text, out, &n))
        r->bad = true;
    r->p = close + 1;
    return mg_str(out, n);
}

/* 4.2.10: percent-encoded UTF-8 between %" and ". */
static struct mg_str read_display(struct reader *r)
{
    if (!take(r, '%') || !take(r, '"')) {
        r->bad = true;
        return MG_STR_NONE;
    }
    const char *close = memchr(r->p, '"', (size_t)(r->end - r->p));
    if (!close) {
        r->bad = true;
        return MG_STR_NONE;
    }
    char *out = mg_arena_alloc(r->arena, (size_t)(close - r->p) + 1);
    size_t n = 0;
    for (; r->p < close; r->p++) {
        char c = *r->p;
        if (c == '%') {
            int high = close - r->p > 2 ? hex_value(r->p[1]) : -1;
            int low = close - r->p > 2 ? hex_value(r->p[2]) : -1;
            r->bad |= high < 0 || low < 0;
            if (r->bad)
                break;
            c = (char)(high << 4 | low);
            r->p += 2;
        } else if (!is_printable(c)) {
            r->bad = true;
        }
        out[n++] = c;
    }
    r->p = close + 1;
    r->bad |= !is_utf8(mg_str(out, n));
    return mg_str(out, n);
}

static struct mg_sf_bare read_boolean(struct reader *r)
{
    struct mg_sf_bare out = {.type = MG_SF_BOOLEAN};
    r->p++;
    out.boolean = take(r, '1');
    if (!out.boolean && !take(r, '0'))
        r->bad = true;
    return out;
}

static struct mg_sf_bare read_date(struct reader *r)
{
    r->p++;
    struct mg_sf_bare out = read_number(r);
    r->bad |= out.type != MG_SF_INTEGER;
    out.type = MG_SF_DATE;
    return out;
}

static struct mg_sf_bare read_bare(struct reader *r)
{
    char c = r->p < r->end && !r->bad ? *r->p : '\0';
    switch (c) {
    case '"':
        return mg_sf_text(MG_SF_STRING, read_string(r));
    case ':':
        return mg_sf_text(MG_SF_BYTES, read_bytes(r));
    case '%':
        return mg_sf_text(MG_SF_DISPLAY, read_display(r));
    case '?':
        return read_boolean(r);
    case '@':
        return read_date(r);
    default:
        if (c == '-' || is_digit(c))
            return read_number(r);
        return mg_sf_text(MG_SF_TOKEN, take_while(r, is_token_start, is_token_char));
    }
}

/* ---- reading: items, members ---- */

static struct mg_sf_param *find_param(struct growing *list, struct mg_str key)
{
    struct mg_sf_param *params = list->v;
    for (unsigned i = 0; i < list->n; i++)
        if (mg_str_eq(params[i].key, key))
            return &params[i];
    return NULL;
}

/* 4.2.3.2 */
static void read_params(struct reader *r, struct mg_sf_item *item)
{
    struct growing list = {0};
    while (take(r, ';')) {
        skip_spaces(r);
        struct mg_str key = take_while(r, is_key_start, is_key_char);
        struct mg_sf_bare value = take(r, '=') ? read_bare(r) : mg_sf_true();
        struct mg_sf_param *p = find_param(&list, key);
        if (!p)
            p = push(r, &list, sizeof *p, MG_SF_PARAMS_MAX);
        if (p)
            *p = (struct mg_sf_param){key, value};
    }
    item->params = list.v;
    item->param_count = list.n;
}

static void read_item(struct reader *r, struct mg_sf_item *item)
{
    item->bare = read_bare(r);
    read_params(r, item);
}

/* 4.2.1.2; the opening parenthesis is taken. */
static void read_inner_list(struct reader *r, struct mg_sf_item *item)
{
    struct growing list = {0};
    item->bare.type = MG_SF_INNER_LIST;
    for (;;) {
        skip_spaces(r);
        if (take(r, ')'))
            break;
        struct mg_sf_item *inner = push(r, &list, sizeof *inner, MG_SF_INNER_ITEMS_MAX);
        if (!inner)
            return;
        read_item(r, inner);
        if (!at(r, ' ') && !at(r, ')')) {
            r->bad = true;
            return;
        }
    }
    item->inner = list.v;
    item->inner_count = list.n;
    read_params(r, item);
}

static void read_member_value(struct reader *r, struct mg_sf_item *item)
{
    if (take(r, '('))
        read_inner_list(r, item);
    else
        read_item(r, item);
}

static struct mg_sf_member *find_member(struct growing *list, struct mg_str key)
{
    struct mg_sf_member *members = list->v;
    for (unsigned i = 0; i < list->n; i++)
        if (mg_str_eq(members[i].key, key))
            return &members[i];
    return NULL;
}

/* A member of a dictionary (4.2.2): "key", "key;params" or "key=value". */
static void read_keyed(struct reader *r, struct growing *list)
{
    struct mg_str key = take_while(r, is_key_start, is_key_char);
    struct mg_sf_member *m = find_member(list, key);
    if (!m)
        m = push(r, list, sizeof *m, MG_SF_MEMBERS_MAX);
    if (!m)
        return;
    *m = (struct mg_sf_member){.key = key};
    if (take(r, '=')) {
        read_member_value(r, &m->value);
    } else {
        m->value.bare = mg_sf_true();
        read_params(r, &m->value);
    }
}

static void read_unkeyed(struct reader *r, struct growing *list)
{
    struct mg_sf_member *m = push(r, list, sizeof *m, MG_SF_MEMBERS_MAX);
    if (m)
        read_member_value(r, &m->value);
}

static bool read_members(struct mg_arena *arena, struct mg_str text,
                         void (*read_one)(struct reader *, struct growing *),
                         struct mg_sf_members *out)
{
    struct reader r = {.p = text.p, .end = text.p + text.n, .arena = arena};
    struct growing list = {0};
    skip_spaces(&r);
    bool more = r.p < r.end;
    while (more) {
        read_one(&r, &list);
        skip_blanks(&r);
        more = take(&r, ',');
        skip_blanks(&r);
        if (more && r.p == r.end) /* a comma with nothing after it */
            r.bad = true;
        more &= !r.bad;
    }
    *out = (struct mg_sf_members){list.v, list.n};
    return !r.bad && r.p == r.end;
}

bool mg_sf_read_list(struct mg_arena *arena, struct mg_str text, struct mg_sf_members *out)
{
    return read_members(arena, text, read_unkeyed, out);
}

bool mg_sf_read_dictionary(struct mg_arena *arena, struct mg_str text, struct mg_sf_members *out)
{
    return read_members(arena, text, read_keyed, out);
}

bool mg_sf_read_item(struct mg_arena *arena, struct mg_str text, struct mg_sf_item *out)
{
    struct reader r = {.p = text.p, .end = text.p + text.n, .arena = arena};
    *out = (struct mg_sf_item){0};
    skip_spaces(&r);
    read_item(&r, out);
    skip_spaces(&r);
    return !r.bad && r.p == r.end;
}

const struct mg_sf_item *mg_sf_get(const struct mg_sf_members *dictionary, struct mg_str key)
{
    for (unsigned i = 0; i < dictionary->n; i++)
        if (mg_str_eq(dictionary->v[i].key, key))
            return &dictionary->v[i].value;
    return NULL;
}

const struct mg_sf_bare *mg_sf_param(const struct mg_sf_item *item, struct mg_str key)
{
    for (unsigned i = 0; i < item->param_count; i++)
        if (mg_str_eq(item->params[i].key, key))
            return &item->params[i].value;
    return NULL;
}

/* ---- writing (4.1) ---- */

void mg_sf_writer_init(struct mg_sf_writer *w, struct mg_arena *arena)
{
    *w = (struct mg_sf_writer){.arena = arena};
}

static char *reserve(struct mg_sf_writer *w, size_t n)
{
    if (w->room - w->n < n) {
        size_t room = w->room ? w->room : TEXT_ROOM_FIRST;
        while (room - w->n < n)
            room *= 2;
        w->p = mg_arena_grow(w->arena, w->p, w->n, room);
        w->room = room;
    }
    return w->p + w->n;
}

void mg_sf_add_raw(struct mg_sf_writer *w, struct mg_str text)
{
    if (text.n == 0)
        return;
    memcpy(reserve(w, text.n), text.p, text.n);
    w->n += text.n;
}

static void add_char(struct mg_sf_writer *w, char c)
{
    *reserve(w, 1) = c;
    w->n++;
}

void mg_sf_add_key(struct mg_sf_writer *w, struct mg_str key)
{
    w->failed |= !mg_sf_is_key(key);
    mg_sf_add_raw(w, key);
}

static void add_integer(struct mg_sf_writer *w, int64_t n)
{
    if (n < -MG_SF_INTEGER_MAX || n > MG_SF_INTEGER_MAX) {
        w->failed = true;
        return;
    }
    if (n < 0)
        add_char(w, '-');
    w->n += mg_u64_to_dec((uint64_t)(n < 0 ? -n : n), reserve(w, 20));
}

/* 4.1.5: at most 12 digits before the point, so 15 in all; at least one place, no zeros at the
 * end. */
static void add_decimal(struct mg_sf_writer *w, int64_t thousandths)
{
    if (thousandths < -MG_SF_INTEGER_MAX || thousandths > MG_SF_INTEGER_MAX) {
        w->failed = true;
        return;
    }
    if (thousandths < 0 && thousandths > -1000)
        add_char(w, '-'); /* the integer part is 0 and has no sign of its own */
    add_integer(w, thousandths / 1000);
    int fraction = (int)(thousandths % 1000);
    if (fraction < 0)
        fraction = -fraction;
    add_char(w, '.');
    do {
        add_char(w, (char)('0' + fraction / 100));
        fraction = fraction % 100 * 10;
    } while (fraction > 0);
}

static void add_string(struct mg_sf_writer *w, struct mg_str s)
{
    w->failed |= !mg_sf_is_string(s);
    add_char(w, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            add_char(w, '\\');
        add_char(w, s.p[i]);
    }
    add_char(w, '"');
}

static void add_bytes(struct mg_sf_writer *w, struct mg_str s)
{
    add_char(w, ':');
    w->n += mg_base64_encode(s, reserve(w, MG_BASE64_ENCODED_MAX(s.n)));
    add_char(w, ':');
}

static void add_display(struct mg_sf_writer *w, struct mg_str s)
{
    w->failed |= !is_utf8(s);
    mg_sf_add_raw(w, MG_STR("%\""));
    for (size_t i = 0; i < s.n; i++) {
        if (is_printable(s.p[i]) && s.p[i] != '%' && s.p[i] != '"') {
            add_char(w, s.p[i]);
        } else {
            add_char(w, '%');
            mg_base64_hex_encode(mg_str(s.p + i, 1), reserve(w, 2));
            w->n += 2;
        }
    }
    add_char(w, '"');
}

void mg_sf_add_bare(struct mg_sf_writer *w, const struct mg_sf_bare *bare)
{
    switch (bare->type) {
    case MG_SF_DATE:
        add_char(w, '@');
        add_integer(w, bare->number);
        break;
    case MG_SF_INTEGER:
        add_integer(w, bare->number);
        break;
    case MG_SF_DECIMAL:
        add_decimal(w, bare->number);
        break;
    case MG_SF_STRING:
        add_string(w, bare->text);
        break;
    case MG_SF_TOKEN:
        w->failed |= !mg_sf_is_token(bare->text);
        mg_sf_add_raw(w, bare->text);
        break;
    case MG_SF_BYTES:
        add_bytes(w, bare->text);
        break;
    case MG_SF_BOOLEAN:
        mg_sf_add_raw(w, bare->boolean ? MG_STR("?1") : MG_STR("?0"));
        break;
    case MG_SF_DISPLAY:
        add_display(w, bare->text);
        break;
    case MG_SF_INNER_LIST:
        w->failed = true;
        break;
    }
}

static bool is_true(const struct mg_sf_bare *bare)
{
    return bare->type == MG_SF_BOOLEAN && bare->boolean;
}

void mg_sf_add_param(struct mg_sf_writer *w, struct mg_str key, const struct mg_sf_bare *value)
{
    add_char(w, ';');
    mg_sf_add_key(w, key);
    if (is_true(value))
        return;
    add_char(w, '=');
    mg_sf_add_bare(w, value);
}

static void add_params(struct mg_sf_writer *w, const struct mg_sf_item *item)
{
    for (unsigned i = 0; i < item->param_count; i++)
        mg_sf_add_param(w, item->params[i].key, &item->params[i].value);
}

/* An item of an inner list holds none itself, so this ends one level down. */
static void add_inner_list(struct mg_sf_writer *w, const struct mg_sf_item *list)
{
    add_char(w, '(');
    for (unsigned i = 0; i < list->inner_count; i++) {
        if (i > 0)
            add_char(w, ' ');
        mg_sf_add_bare(w, &list->inner[i].bare);
        add_params(w, &list->inner[i]);
    }
    add_char(w, ')');
}

void mg_sf_add_item(struct mg_sf_writer *w, const struct mg_sf_item *item)
{
    if (item->bare.type == MG_SF_INNER_LIST)
        add_inner_list(w, item);
    else
        mg_sf_add_bare(w, &item->bare);
    add_params(w, item);
}

void mg_sf_add_list(struct mg_sf_writer *w, const struct mg_sf_members *list)
{
    for (unsigned i = 0; i < list->n; i++) {
        if (i > 0)
            mg_sf_add_raw(w, MG_STR(", "));
        mg_sf_add_item(w, &list->v[i].value);
    }
}

void mg_sf_add_dictionary(struct mg_sf_writer *w, const struct mg_sf_members *dictionary)
{
    for (unsigned i = 0; i < dictionary->n; i++) {
        const struct mg_sf_member *m = &dictionary->v[i];
        if (i > 0)
            mg_sf_add_raw(w, MG_STR(", "));
        mg_sf_add_key(w, m->key);
        if (is_true(&m->value.bare)) {
            add_params(w, &m->value);
            continue;
        }
        add_char(w, '=');
        mg_sf_add_item(w, &m->value);
    }
}
