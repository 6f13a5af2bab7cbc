/*
 * The field names that rules of ours look at: spelling, quick recognition, and which of them belong
 * to the codec or must not trail. Constant; any thread.
 */
#include "http/chars.h"
#include "http/message.h"

#define LONGEST 19 /* proxy-authorization */
#define ROOM 20    /* for it and its NUL */

static const struct {
    uint8_t n;
    char spelling[ROOM];
    char lower[ROOM];
} names[MG_FIELD_COUNT] = {
#define NAME(id, usual, lower) [MG_FIELD_##id] = {sizeof(usual) - 1, usual, lower}
    NAME(ACCEPT, "Accept", "accept"),
    NAME(ACCEPT_ENCODING, "Accept-Encoding", "accept-encoding"),
    NAME(AGE, "Age", "age"),
    NAME(AUTHORIZATION, "Authorization", "authorization"),
    NAME(CACHE_CONTROL, "Cache-Control", "cache-control"),
    NAME(CONNECTION, "Connection", "connection"),
    NAME(CONTENT_DIGEST, "Content-Digest", "content-digest"),
    NAME(CONTENT_ENCODING, "Content-Encoding", "content-encoding"),
    NAME(CONTENT_LENGTH, "Content-Length", "content-length"),
    NAME(CONTENT_LOCATION, "Content-Location", "content-location"),
    NAME(CONTENT_MD5, "Content-MD5", "content-md5"),
    NAME(CONTENT_RANGE, "Content-Range", "content-range"),
    NAME(CONTENT_TYPE, "Content-Type", "content-type"),
    NAME(COOKIE, "Cookie", "cookie"),
    NAME(DATE, "Date", "date"),
    NAME(DIGEST, "Digest", "digest"),
    NAME(ETAG, "ETag", "etag"),
    NAME(EXPECT, "Expect", "expect"),
    NAME(EXPIRES, "Expires", "expires"),
    NAME(FORWARDED, "Forwarded", "forwarded"),
    NAME(HOST, "Host", "host"),
    NAME(HTTP2_SETTINGS, "HTTP2-Settings", "http2-settings"),
    NAME(IF_MATCH, "If-Match", "if-match"),
    NAME(IF_MODIFIED_SINCE, "If-Modified-Since", "if-modified-since"),
    NAME(IF_NONE_MATCH, "If-None-Match", "if-none-match"),
    NAME(IF_RANGE, "If-Range", "if-range"),
    NAME(IF_UNMODIFIED_SINCE, "If-Unmodified-Since", "if-unmodified-since"),
    NAME(KEEP_ALIVE, "Keep-Alive", "keep-alive"),
    NAME(LAST_MODIFIED, "Last-Modified", "last-modified"),
    NAME(LOCATION, "Location", "location"),
    NAME(MAX_FORWARDS, "Max-Forwards", "max-forwards"),
    NAME(ORIGIN, "Origin", "origin"),
    NAME(PROXY_AUTHENTICATE, "Proxy-Authenticate", "proxy-authenticate"),
    NAME(PROXY_AUTHORIZATION, "Proxy-Authorization", "proxy-authorization"),
    NAME(PROXY_CONNECTION, "Proxy-Connection", "proxy-connection"),
    NAME(RANGE, "Range", "range"),
    NAME(REPR_DIGEST, "Repr-Digest", "repr-digest"),
    NAME(RETRY_AFTER, "Retry-After", "retry-after"),
    NAME(SERVER, "Server", "server"),
    NAME(SET_COOKIE, "Set-Cookie", "set-cookie"),
    NAME(TE, "TE", "te"),
    NAME(TRAILER, "Trailer", "trailer"),
    NAME(TRANSFER_ENCODING, "Transfer-Encoding", "transfer-encoding"),
    NAME(UPGRADE, "Upgrade", "upgrade"),
    NAME(USER_AGENT, "User-Agent", "user-agent"),
    NAME(VARY, "Vary", "vary"),
    NAME(VIA, "Via", "via"),
    NAME(X_FORWARDED_FOR, "X-Forwarded-For", "x-forwarded-for"),
    NAME(X_FORWARDED_HOST, "X-Forwarded-Host", "x-forwarded-host"),
    NAME(X_FORWARDED_PORT, "X-Forwarded-Port", "x-forwarded-port"),
    NAME(X_FORWARDED_PREFIX, "X-Forwarded-Prefix", "x-forwarded-prefix"),
    NAME(X_FORWARDED_PROTO, "X-Forwarded-Proto", "x-forwarded-proto"),
    NAME(X_REAL_IP, "X-Real-IP", "x-real-ip"),
    NAME(X_REQUEST_ID, "X-Request-ID", "x-request-id"),
#undef NAME
};

/* The names of each length, common ones first; 0 (MG_FIELD_OTHER) ends a row. */
static const uint8_t by_length[LONGEST + 1][8] = {
    [2] = {MG_FIELD_TE},
    [3] = {MG_FIELD_VIA, MG_FIELD_AGE},
    [4] = {MG_FIELD_HOST, MG_FIELD_DATE, MG_FIELD_ETAG, MG_FIELD_VARY},
    [5] = {MG_FIELD_RANGE},
    [6] = {MG_FIELD_ACCEPT, MG_FIELD_COOKIE, MG_FIELD_SERVER, MG_FIELD_ORIGIN, MG_FIELD_EXPECT,
           MG_FIELD_DIGEST},
    [7] = {MG_FIELD_UPGRADE, MG_FIELD_EXPIRES, MG_FIELD_TRAILER},
    [8] = {MG_FIELD_LOCATION, MG_FIELD_IF_RANGE, MG_FIELD_IF_MATCH},
    [9] = {MG_FIELD_X_REAL_IP, MG_FIELD_FORWARDED},
    [10] = {MG_FIELD_CONNECTION, MG_FIELD_USER_AGENT, MG_FIELD_SET_COOKIE, MG_FIELD_KEEP_ALIVE},
    [11] = {MG_FIELD_RETRY_AFTER, MG_FIELD_CONTENT_MD5, MG_FIELD_REPR_DIGEST},
    [12] = {MG_FIELD_CONTENT_TYPE, MG_FIELD_X_REQUEST_ID, MG_FIELD_MAX_FORWARDS},
    [13] = {MG_FIELD_CACHE_CONTROL, MG_FIELD_AUTHORIZATION, MG_FIELD_LAST_MODIFIED,
            MG_FIELD_IF_NONE_MATCH, MG_FIELD_CONTENT_RANGE},
    [14] = {MG_FIELD_CONTENT_LENGTH, MG_FIELD_CONTENT_DIGEST, MG_FIELD_HTTP2_SETTINGS},
    [15] = {MG_FIELD_ACCEPT_ENCODING, MG_FIELD_X_FORWARDED_FOR},
    [16] = {MG_FIELD_CONTENT_ENCODING, MG_FIELD_X_FORWARDED_HOST, MG_FIELD_X_FORWARDED_PORT,
            MG_FIELD_CONTENT_LOCATION, MG_FIELD_PROXY_CONNECTION},
    [17] = {MG_FIELD_TRANSFER_ENCODING, MG_FIELD_X_FORWARDED_PROTO, MG_FIELD_IF_MODIFIED_SINCE},
    [18] = {MG_FIELD_X_FORWARDED_PREFIX, MG_FIELD_PROXY_AUTHENTICATE},
    [19] = {MG_FIELD_PROXY_AUTHORIZATION, MG_FIELD_IF_UNMODIFIED_SINCE},
};

/* A name of 2 to 19 bytes as three words: its first eight bytes, its last eight (they may overlap),
 * and what may lie between. Equal names have equal words. */
struct words {
    uint64_t first, middle, last;
};

static inline struct words load_words(const char *p, size_t n)
{
    struct words w = {0, 0, 0};
    if (n >= 8) {
        memcpy(&w.first, p, 8);
        memcpy(&w.last, p + n - 8, 8);
        if (n > 16)
            memcpy(&w.middle, p + 8, 8);
    } else if (n >= 4) {
        uint32_t a, b;
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        w.first = a;
        w.last = b;
    } else {
        w.first = (uint64_t)(unsigned char)p[0] << 8 | (unsigned char)p[1];
        w.last = (unsigned char)p[n - 1];
    }
    return w;
}

/* Lower case of eight ASCII letters at once; other bytes stay. In `x` and `y`, whose sums cannot
 * carry from byte to byte, the top bit says "at least 'A'" and "beyond 'Z'". */
static inline uint64_t lower_word(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t seven = w & ones * 0x7f;
    uint64_t x = seven + ones * (0x80 - 'A');
    uint64_t y = seven + ones * (0x7f - 'Z');
    return w | ((x & ~y & ~w & ones * 0x80) >> 2);
}

enum mg_field_id mg_field_id(struct mg_str name)
{
    if (name.n < 2 || name.n > LONGEST)
        return MG_FIELD_OTHER;
    struct words w = load_words(name.p, name.n);
    w = (struct words){lower_word(w.first), lower_word(w.middle), lower_word(w.last)};
    for (const uint8_t *id = by_length[name.n]; *id; id++) {
        struct words k = load_words(names[*id].lower, name.n);
        if (k.first == w.first && k.last == w.last && k.middle == w.middle)
            return *id;
    }
    return MG_FIELD_OTHER;
}

struct mg_str mg_field_name(enum mg_field_id id)
{
    return mg_str(names[id].spelling, names[id].n);
}

#define BIT(id) (UINT64_C(1) << MG_FIELD_##id)
_Static_assert(MG_FIELD_COUNT <= 64, "sets of field ids are one word");

static const uint64_t codec_fields =
    BIT(CONNECTION) | BIT(CONTENT_LENGTH) | BIT(EXPECT) | BIT(HOST) | BIT(HTTP2_SETTINGS) |
    BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) | BIT(TE) | BIT(TRANSFER_ENCODING) | BIT(UPGRADE);

static const uint64_t not_trailing =
    BIT(ACCEPT) | BIT(ACCEPT_ENCODING) | BIT(AGE) | BIT(AUTHORIZATION) | BIT(CACHE_CONTROL) |
    BIT(CONTENT_ENCODING) | BIT(CONTENT_LOCATION) | BIT(CONTENT_RANGE) | BIT(CONTENT_TYPE) |
    BIT(COOKIE) | BIT(DATE) | BIT(EXPIRES) | BIT(FORWARDED) | BIT(IF_MATCH) |
    BIT(IF_MODIFIED_SINCE) | BIT(IF_NONE_MATCH) | BIT(IF_RANGE) | BIT(IF_UNMODIFIED_SINCE) |
    BIT(LOCATION) | BIT(MAX_FORWARDS) | BIT(ORIGIN) | BIT(PROXY_AUTHENTICATE) |
    BIT(PROXY_AUTHORIZATION) | BIT(RANGE) | BIT(RETRY_AFTER) | BIT(SET_COOKIE) | BIT(TRAILER) |
    BIT(VARY) | BIT(VIA) | BIT(X_FORWARDED_FOR) | BIT(X_FORWARDED_HOST) | BIT(X_FORWARDED_PORT) |
    BIT(X_FORWARDED_PREFIX) | BIT(X_FORWARDED_PROTO) | BIT(X_REAL_IP) | BIT(X_REQUEST_ID);

/* The same for names that no other rule looks at. A hyphen at the end: all that begin so. Beside
 * those of RFC 9110 there are the conditions (13.1), and what backends take a target, a method or
 * the client's address from. */
static const char *const others_not_trailing[] = {
    "accept-charset",
    "accept-language",
    "content-disposition",
    "content-language",
    "if-",
    "pragma",
    "referer",
    "sec-",
    "true-client-ip",
    "warning",
    "www-authenticate",
    "x-client-ip",
    "x-forwarded-",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-",
    "x-rewrite-",
};

bool mg_field_is_codec(enum mg_field_id id)
{
    return codec_fields >> id & 1;
}

bool mg_field_is_alike(struct mg_str a, struct mg_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (mg_lower(a.p[i]) != mg_lower(b.p[i]) &&
            (mg_chars_is(a.p[i], MG_CHARS_ALNUM) || mg_chars_is(b.p[i], MG_CHARS_ALNUM)))
            return false;
    return true;
}

static bool is_other_not_trailing(struct mg_str name)
{
    for (size_t i = 0; i < sizeof others_not_trailing / sizeof *others_not_trailing; i++) {
        struct mg_str other = mg_str_c(others_not_trailing[i]);
        bool is_prefix = other.p[other.n - 1] == '-';
        if (is_prefix ? name.n > other.n && mg_field_is_alike(mg_str(name.p, other.n), other)
                      : mg_field_is_alike(name, other))
            return true;
    }
    return false;
}

/* The known name that some server may take it for. */
static enum mg_field_id alike_id(struct mg_str name)
{
    char usual[LONGEST];
    if (name.n > sizeof usual)
        return MG_FIELD_OTHER;
    for (size_t i = 0; i < name.n; i++)
        usual[i] = mg_chars_is(name.p[i], MG_CHARS_ALNUM) ? name.p[i] : '-';
    return mg_field_id(mg_str(usual, name.n));
}

bool mg_field_may_trail(const struct mg_field *f)
{
    struct mg_str name = mg_str(f->name, f->name_len);
    enum mg_field_id id = f->id != MG_FIELD_OTHER ? f->id : alike_id(name);
    return !((codec_fields | not_trailing) >> id & 1) && !is_other_not_trailing(name);
}
