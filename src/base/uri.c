/* Paths, queries and URLs. Pure; any thread. */
#include "base/uri.h"

#include "base/ip.h"

#define HOST_MAX 255

/* What a byte is. RFC 3986 2.2, 2.3, 3.3. */
enum {
    UNRESERVED = 0x01,
    SUB_DELIM = 0x02,
    IN_SEGMENT = 0x04, /* ':' and '@', which a segment may hold beside the two above */
    REFUSED = 0x08,    /* may not stand raw in a path */
    PERCENT = 0x10,
    SLASH = 0x40,
    AFTER_SLASH = 0x80, /* makes the path need work when it follows a slash; SLASH shifted by one */
};

static const uint8_t CLASS[256] = {
    [0x00 ... 0x20] = REFUSED,
    [0x7f ... 0xff] = REFUSED,
    ['#'] = REFUSED,
    ['?'] = REFUSED,
    ['A' ... 'Z'] = UNRESERVED,
    ['a' ... 'z'] = UNRESERVED,
    ['0' ... '9'] = UNRESERVED,
    ['-'] = UNRESERVED,
    ['.'] = UNRESERVED | AFTER_SLASH,
    ['_'] = UNRESERVED,
    ['~'] = UNRESERVED,
    ['!'] = SUB_DELIM,
    ['$'] = SUB_DELIM,
    ['&'] = SUB_DELIM,
    ['\''] = SUB_DELIM,
    ['('] = SUB_DELIM,
    [')'] = SUB_DELIM,
    ['*'] = SUB_DELIM,
    ['+'] = SUB_DELIM,
    [','] = SUB_DELIM,
    [';'] = SUB_DELIM,
    ['='] = SUB_DELIM,
    [':'] = IN_SEGMENT,
    ['@'] = IN_SEGMENT,
    ['%'] = PERCENT,
    ['/'] = SLASH | AFTER_SLASH,
};

static inline unsigned class_of(char c)
{
    return CLASS[(unsigned char)c];
}

static inline int hex_digit(char c)
{
    unsigned digit = (unsigned char)c - (unsigned)'0';
    if (digit < 10)
        return (int)digit;
    unsigned letter = (unsigned char)mg_lower(c) - (unsigned)'a';
    return letter < 6 ? (int)letter + 10 : -1;
}

/* The byte that the escape at `at` stands for, or -1. */
static int escape_at(struct mg_str s, size_t at)
{
    if (s.n - at < 3)
        return -1;
    int high = hex_digit(s.p[at + 1]), low = hex_digit(s.p[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static size_t put_escape(char *out, unsigned char byte)
{
    static const char HEX[] = "0123456789ABCDEF";
    out[0] = '%';
    out[1] = HEX[byte >> 4];
    out[2] = HEX[byte & 15];
    return 3;
}

enum mg_uri_rc mg_uri_path_decode(struct mg_str raw, char *out, size_t *n)
{
    size_t used = 0;
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] != '%') {
            out[used++] = raw.p[i];
            continue;
        }
        int byte = escape_at(raw, i);
        if (byte < 0)
            return MG_URI_BAD_ESCAPE;
        if (byte == 0)
            return MG_URI_NUL;
        if (byte == '/' || byte == '%')
            used += put_escape(out + used, (unsigned char)byte);
        else
            out[used++] = (char)byte;
        i += 2;
    }
    *n = used;
    return MG_URI_OK;
}

/* OR of the classes of all bytes; AFTER_SLASH only when such a byte does follow a slash. No branch
 * on the bytes, for this runs over every request's path. */
static unsigned scan_path(struct mg_str raw)
{
    unsigned seen = 0, pairs = 0, before = 0;
    for (size_t i = 0; i < raw.n; i++) {
        unsigned c = class_of(raw.p[i]);
        seen |= c;
        pairs |= before << 1 & c;
        before = c & SLASH;
    }
    return (seen & (unsigned)~AFTER_SLASH) | (pairs & AFTER_SLASH);
}

/* Start of the last segment of `out`, which ends in a slash and is more than the root. */
static size_t drop_segment(const char *out, size_t used)
{
    used--;
    while (out[used - 1] != '/')
        used--;
    return used;
}

/* `raw` begins with '/'. `out` has room for as many bytes, and ends in a slash before each segment:
 * so what is written never overtakes what is read. */
static enum mg_uri_rc resolve(struct mg_str raw, char *out, size_t *n)
{
    size_t used = 1, at = 1;
    out[0] = '/';
    while (at < raw.n) {
        struct mg_str rest = mg_str(raw.p + at, raw.n - at);
        ptrdiff_t slash = mg_str_find(rest, '/');
        struct mg_str segment = mg_str(rest.p, slash < 0 ? rest.n : (size_t)slash);
        struct mg_str decoded = mg_str(out + used, 0);
        enum mg_uri_rc rc = mg_uri_path_decode(segment, out + used, &decoded.n);
        if (rc)
            return rc;
        if (mg_str_eq(decoded, MG_STR(".."))) {
            if (used == 1)
                return MG_URI_ABOVE_ROOT;
            used = drop_segment(out, used);
        } else if (decoded.n > 0 && !mg_str_eq(decoded, MG_STR("."))) {
            used += decoded.n;
            if (slash >= 0)
                out[used++] = '/';
        }
        at += segment.n + 1;
    }
    *n = used;
    return MG_URI_OK;
}

enum mg_uri_rc mg_uri_path_normalize(struct mg_arena *arena, struct mg_str raw, struct mg_str *out)
{
    if (raw.n == 0) {
        *out = MG_STR("/");
        return MG_URI_OK;
    }
    if (raw.p[0] != '/')
        return MG_URI_NOT_ABSOLUTE;
    unsigned seen = scan_path(raw);
    if (seen & REFUSED)
        return MG_URI_BAD_BYTE;
    if (!(seen & (PERCENT | AFTER_SLASH))) {
        *out = raw;
        return MG_URI_OK;
    }
    char *text = mg_arena_alloc(arena, raw.n);
    size_t n;
    enum mg_uri_rc rc = resolve(raw, text, &n);
    if (!rc)
        *out = mg_str(text, n);
    return rc;
}

static unsigned allowed_in(enum mg_uri_part part)
{
    switch (part) {
    case MG_URI_SEGMENT:
        return UNRESERVED | SUB_DELIM | IN_SEGMENT;
    case MG_URI_PATH:
        return UNRESERVED | SUB_DELIM | IN_SEGMENT | SLASH;
    case MG_URI_QUERY:
        break;
    }
    return UNRESERVED;
}

/* "%2F" and "%25" of a normalised path are not encoded again. */
static bool stays(struct mg_str text, size_t at, enum mg_uri_part part)
{
    if (part == MG_URI_PATH && text.p[at] == '%') {
        int byte = escape_at(text, at);
        return byte == '/' || byte == '%';
    }
    return class_of(text.p[at]) & allowed_in(part);
}

static size_t count_escapes(struct mg_str text, enum mg_uri_part part)
{
    size_t count = 0;
    for (size_t i = 0; i < text.n; i++)
        count += !stays(text, i, part);
    return count;
}

static void encode_into(char *out, struct mg_str text, enum mg_uri_part part)
{
    for (size_t i = 0; i < text.n; i++) {
        if (stays(text, i, part))
            *out++ = text.p[i];
        else
            out += put_escape(out, (unsigned char)text.p[i]);
    }
}

void mg_uri_encode(struct mg_buf *out, struct mg_str text, enum mg_uri_part part)
{
    size_t n = text.n + 2 * count_escapes(text, part);
    if (n == 0 || !mg_buf_reserve(out, n))
        return;
    encode_into(out->p + out->n, text, part);
    out->n += n;
}

struct mg_str mg_uri_encode_arena(struct mg_arena *arena, struct mg_str text, enum mg_uri_part part)
{
    size_t escapes = count_escapes(text, part);
    if (escapes == 0)
        return text;
    size_t n = text.n + 2 * escapes;
    char *out = mg_arena_alloc(arena, n);
    encode_into(out, text, part);
    return mg_str(out, n);
}

/* One byte of encoded text, decoded: moves `*at` past it. -1 for a bad escape. */
static int decode_at(struct mg_str text, size_t *at, bool plus)
{
    char c = text.p[*at];
    if (c == '%') {
        int byte = escape_at(text, *at);
        *at += 3;
        return byte;
    }
    ++*at;
    return plus && c == '+' ? ' ' : (unsigned char)c;
}

enum mg_uri_rc mg_uri_decode(struct mg_arena *arena, struct mg_str text, bool plus,
                             struct mg_str *out)
{
    if (mg_str_find(text, '%') < 0 && !(plus && mg_str_find(text, '+') >= 0)) {
        *out = text;
        return MG_URI_OK;
    }
    char *p = mg_arena_alloc(arena, text.n);
    size_t n = 0;
    for (size_t at = 0; at < text.n;) {
        int byte = decode_at(text, &at, plus);
        if (byte < 0)
            return MG_URI_BAD_ESCAPE;
        p[n++] = (char)byte;
    }
    *out = mg_str(p, n);
    return MG_URI_OK;
}

bool mg_uri_query_next(struct mg_str *rest, struct mg_str *key, struct mg_str *value)
{
    struct mg_str item;
    do {
        if (!mg_str_split(rest, '&', &item))
            return false;
    } while (item.n == 0);
    ptrdiff_t equals = mg_str_find(item, '=');
    *key = item;
    *value = MG_STR_NONE;
    if (equals >= 0) {
        key->n = (size_t)equals;
        *value = mg_str(item.p + equals + 1, item.n - key->n - 1);
    }
    return true;
}

static bool decodes_to(struct mg_str raw, struct mg_str text)
{
    size_t n = 0;
    for (size_t at = 0; at < raw.n; n++) {
        int byte = decode_at(raw, &at, true);
        if (byte < 0 || n == text.n || byte != (unsigned char)text.p[n])
            return false;
    }
    return n == text.n;
}

bool mg_uri_query_has(struct mg_str query, struct mg_str key, const struct mg_str *value)
{
    struct mg_str k, v;
    while (mg_uri_query_next(&query, &k, &v))
        if (decodes_to(k, key) && (!value || decodes_to(v, *value)))
            return true;
    return false;
}

static bool is_reg_name(struct mg_str host)
{
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] == '%') {
            if (escape_at(host, i) <= 0)
                return false;
            i += 2;
        } else if (!(class_of(host.p[i]) & (UNRESERVED | SUB_DELIM))) {
            return false;
        }
    }
    return true;
}

/* Cuts the host off `*rest`, up to the ':' of a port. */
static enum mg_uri_rc take_host(struct mg_str *rest, struct mg_uri_authority *out)
{
    out->v6 = rest->n > 0 && rest->p[0] == '[';
    ptrdiff_t end = mg_str_find(*rest, out->v6 ? ']' : ':');
    if (end < 0 && out->v6)
        return MG_URI_BAD_HOST;
    size_t n = end < 0 ? rest->n : (size_t)end;
    out->host = out->v6 ? mg_str(rest->p + 1, n - 1) : mg_str(rest->p, n);
    n += out->v6;
    *rest = mg_str(rest->p + n, rest->n - n);

    if (out->host.n > HOST_MAX)
        return MG_URI_BAD_HOST;
    struct mg_addr addr;
    bool good = out->v6 ? mg_str_find(out->host, ':') >= 0 && mg_ip_parse(out->host, &addr)
                        : is_reg_name(out->host);
    return good ? MG_URI_OK : MG_URI_BAD_HOST;
}

enum mg_uri_rc mg_uri_parse_authority(struct mg_str text, bool empty_host_ok,
                                      struct mg_uri_authority *out)
{
    struct mg_str rest = text;
    struct mg_uri_authority a = {0};
    if (mg_str_find(text, '@') >= 0)
        return MG_URI_USERINFO;
    enum mg_uri_rc rc = text.n > 0 ? take_host(&rest, &a) : MG_URI_OK;
    if (rc)
        return rc;
    if (a.host.n == 0 && !empty_host_ok)
        return MG_URI_BAD_HOST;
    if (rest.n > 0) {
        uint64_t port;
        if (rest.p[0] != ':')
            return MG_URI_BAD_HOST;
        if (!mg_str_to_u64(mg_str(rest.p + 1, rest.n - 1), UINT16_MAX, &port) || port == 0)
            return MG_URI_BAD_PORT;
        a.port = (uint16_t)port;
    }
    *out = a;
    return MG_URI_OK;
}

/* Takes "http://" or "https://" off the front; schemes have no case (RFC 3986 3.1). */
static bool take_scheme(struct mg_str *rest, bool *https)
{
    static const struct mg_str SCHEMES[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < 2; i++) {
        size_t n = SCHEMES[i].n;
        if (rest->n < n || !mg_str_ieq(mg_str(rest->p, n), SCHEMES[i]))
            continue;
        *rest = mg_str(rest->p + n, rest->n - n);
        *https = i == 1;
        return true;
    }
    return false;
}

static struct mg_str take_authority(struct mg_str *rest)
{
    size_t n = 0;
    while (n < rest->n && rest->p[n] != '/' && rest->p[n] != '?' && rest->p[n] != '#')
        n++;
    struct mg_str authority = mg_str(rest->p, n);
    *rest = mg_str(rest->p + n, rest->n - n);
    return authority;
}

/* A query may hold what a path may, and '?' (RFC 3986 3.4). */
static bool is_query(struct mg_str query)
{
    for (size_t i = 0; i < query.n; i++)
        if (query.p[i] != '?' && class_of(query.p[i]) & REFUSED)
            return false;
    return true;
}

enum mg_uri_rc mg_uri_parse(struct mg_str text, struct mg_uri *out)
{
    struct mg_str rest = text;
    if (!take_scheme(&rest, &out->https))
        return MG_URI_BAD_SCHEME;
    out->authority = take_authority(&rest);
    enum mg_uri_rc rc = mg_uri_parse_authority(out->authority, false, &out->at);
    if (rc)
        return rc;
    if (out->at.port == 0)
        out->at.port = out->https ? 443 : 80;

    ptrdiff_t mark = mg_str_find(rest, '?');
    out->path = mark < 0 ? rest : mg_str(rest.p, (size_t)mark);
    out->query = MG_STR_NONE;
    if (mark >= 0)
        out->query = mg_str(rest.p + mark + 1, rest.n - out->path.n - 1);
    if (scan_path(out->path) & REFUSED || !is_query(out->query))
        return MG_URI_BAD_BYTE;
    if (out->path.n == 0)
        out->path = MG_STR("/");
    return MG_URI_OK;
}

const char *mg_uri_rc_text(enum mg_uri_rc rc)
{
    switch (rc) {
    case MG_URI_OK:
        return "fine";
    case MG_URI_BAD_BYTE:
        return "has a byte that must be percent-encoded";
    case MG_URI_BAD_ESCAPE:
        return "has '%' without two hex digits";
    case MG_URI_NUL:
        return "has an encoded NUL";
    case MG_URI_ABOVE_ROOT:
        return "climbs above the root";
    case MG_URI_NOT_ABSOLUTE:
        return "does not begin with '/'";
    case MG_URI_BAD_SCHEME:
        return "does not begin with http:// or https://";
    case MG_URI_BAD_HOST:
        return "has a bad host";
    case MG_URI_BAD_PORT:
        return "has a bad port";
    case MG_URI_USERINFO:
        return "has a user part";
    }
    return "is bad";
}
