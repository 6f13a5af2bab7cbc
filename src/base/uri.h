/*
 * Request paths, query strings, URLs and authorities (RFC 3986; RFC 9110 4.2, 7.2; RFC 9112 3.2).
 *
 * Everything here is strict: a byte that the grammar asks to be percent-encoded is refused where it
 * stands raw, so two readers of one path cannot disagree about it. Pure; any thread.
 */
#ifndef MG_BASE_URI_H
#define MG_BASE_URI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

enum mg_uri_rc {
    MG_URI_OK = 0,
    MG_URI_BAD_BYTE = -1,     /* a control, a space, a byte over 0x7e, '#', or '?' in a path */
    MG_URI_BAD_ESCAPE = -2,   /* '%' without two hex digits after it */
    MG_URI_NUL = -3,          /* "%00" in a path */
    MG_URI_ABOVE_ROOT = -4,   /* ".." climbs out of the root */
    MG_URI_NOT_ABSOLUTE = -5, /* a path that does not begin with '/' */
    MG_URI_BAD_SCHEME = -6,   /* neither "http://" nor "https://" */
    MG_URI_BAD_HOST = -7,
    MG_URI_BAD_PORT = -8, /* not 1-65535 in decimal digits, or nothing after ':' */
    MG_URI_USERINFO = -9, /* "user@host" (RFC 9110 4.2.4) */
};

/* The code in words, lower case, static. */
const char *mg_uri_rc_text(enum mg_uri_rc rc);

/*
 * The path as routes see it. Slashes in a row count as one; then dot segments are resolved (RFC
 * 3986 5.2.4), also those written with %2e; then escapes are decoded, but for "%2F" and "%25",
 * which stay (in upper case): so no slash is made up, and nothing decodes twice. The result begins
 * with '/', has no empty segment but perhaps the last, no dot segment and no NUL. It may hold
 * control characters and bytes over 0x7f that came percent-encoded.
 *
 * Borrows `raw`; `*out` is `raw` itself when nothing had to change, else in the arena, never
 * longer. An empty path is "/" (RFC 9110 4.2.3). On an error `*out` is untouched.
 */
enum mg_uri_rc mg_uri_path_normalize(struct mg_arena *arena, struct mg_str raw, struct mg_str *out);

/* Decodes the escapes of one piece of a path by the same rule; raw bytes are not judged. Writes at
 * most `raw.n` bytes at `out` and sets `*n`. */
enum mg_uri_rc mg_uri_path_decode(struct mg_str raw, char *out, size_t *n);

/* What the encoded text is to become. */
enum mg_uri_part {
    MG_URI_SEGMENT, /* one path segment: '/' is encoded. "." and ".." cannot be made harmless by
                       this */
    MG_URI_PATH,    /* text from a normalised path: '/' stays, and so do its "%2F" and "%25" */
    MG_URI_QUERY,   /* a key or value in a query */
};

/* Percent-encodes with upper-case digits. The second borrows `text` when nothing needs an escape,
 * else the result is in the arena. */
void mg_uri_encode(struct mg_buf *out, struct mg_str text, enum mg_uri_part part);
struct mg_str mg_uri_encode_arena(struct mg_arena *arena, struct mg_str text,
                                  enum mg_uri_part part);

/* Decodes every escape, "%00" too; with `plus` also '+' to a space, as forms in a query have it.
 * Borrows `text` when there is nothing to decode. MG_URI_BAD_ESCAPE leaves `*out` untouched. */
enum mg_uri_rc mg_uri_decode(struct mg_arena *arena, struct mg_str text, bool plus,
                             struct mg_str *out);

/* Takes the next "key=value" off `*rest`, raw; empty items ("a&&b") are skipped. `value->p` is NULL
 * when there was no '='. False at the end. */
bool mg_uri_query_next(struct mg_str *rest, struct mg_str *key, struct mg_str *value);

/* Does the raw query have that key, and with `value` that value, after decoding? Any of several
 * will do. Allocates nothing; an item with a bad escape equals nothing. */
bool mg_uri_query_has(struct mg_str query, struct mg_str key, const struct mg_str *value);

struct mg_uri_authority {
    struct mg_str
        host; /* as written, without the brackets of an IPv6 address; may be empty if allowed */
    uint16_t port; /* 0 when there is none */
    bool v6;
};

/* host[:port] with no user part: a registered name, an IPv4 address, or an IPv6 address in brackets
 * without a zone. At most 255 bytes of host. Views into `text`. */
enum mg_uri_rc mg_uri_parse_authority(struct mg_str text, bool empty_host_ok,
                                      struct mg_uri_authority *out);

struct mg_uri {
    bool https;
    struct mg_str authority;    /* host[:port] as written */
    struct mg_uri_authority at; /* its port is that of the scheme when none was written */
    struct mg_str path;         /* raw; "/" when empty */
    struct mg_str query;        /* raw, without '?'; p is NULL when there is no '?' */
};

/* An absolute http or https URL without a fragment. Views into `text`. On an error `*out` is
 * undefined. */
enum mg_uri_rc mg_uri_parse(struct mg_str text, struct mg_uri *out);

#endif
