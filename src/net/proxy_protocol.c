/*
 * Reading PROXY protocol headers. Pure; any thread.
 *
 * Always true: checks come in the order of the bytes they look at, each as soon as its bytes are
 * there. So a header that comes in pieces is judged like one that comes whole, and what cannot
 * become a header is refused early.
 */
#include "net/proxy_protocol.h"

#define V1_PREFIX MG_STR("PROXY ")
#define V2_SIGNATURE MG_STR("\r\n\r\n\0\r\nQUIT\n")

/* Version 2 before its addresses: signature, version and command, family and transport, length. */
#define V2_FIXED 16
#define V2_ROOM (MG_PROXY_HEADER_MAX - V2_FIXED)

enum command { LOCAL = 0, PROXY = 1 };
enum family { UNSPEC = 0, INET = 1, INET6 = 2, UNIX = 3 };
enum transport { NO_TRANSPORT = 0, STREAM = 1, DGRAM = 2 };

enum tlv_type {
    TLV_ALPN = 0x01,
    TLV_AUTHORITY = 0x02,
    TLV_CRC32C = 0x03,
    TLV_UNIQUE_ID = 0x05,
    TLV_SSL = 0x20,
};

/* PP 2.2.5 */
#define UNIQUE_ID_MAX 128
/* PP 2.2.6: flags and the result of the verification, before the nested vectors. */
#define SSL_FIXED 5
#define SSL_CLIENT_TLS 0x01

struct tlv {
    uint8_t type;
    struct mg_str value;
};

static int bad(struct mg_proxy_header *out, const char *reason)
{
    out->reason = reason;
    return -1;
}

static int more(struct mg_proxy_header *out, size_t missing_bytes)
{
    out->missing_bytes = missing_bytes;
    return 0;
}

static uint8_t byte_at(const char *p, size_t at)
{
    return (uint8_t)p[at];
}

static uint16_t u16_at(const char *p)
{
    return (uint16_t)(byte_at(p, 0) << 8 | byte_at(p, 1));
}

/* --- version 1 --- */

/* The field up to the next space. */
static bool take_field(struct mg_str *rest, struct mg_str *field)
{
    ptrdiff_t space = mg_str_find(*rest, ' ');
    if (space < 0)
        return false;
    *field = mg_str(rest->p, (size_t)space);
    *rest = mg_str(rest->p + space + 1, rest->n - (size_t)space - 1);
    return true;
}

static bool read_port(struct mg_str text, uint16_t *port)
{
    uint64_t number;
    if (text.n > 1 && text.p[0] == '0')
        return false;
    if (!mg_str_to_u64(text, UINT16_MAX, &number))
        return false;
    *port = (uint16_t)number;
    return true;
}

static bool read_address(struct mg_str text, bool is_v6, struct mg_addr *addr)
{
    return (mg_str_find(text, ':') >= 0) == is_v6 && mg_ip_parse(text, addr);
}

/* What follows "TCP4 " or "TCP6 ". */
static const char *read_endpoints(struct mg_str rest, bool is_v6, struct mg_proxy_header *out)
{
    struct mg_str source, destination, source_port;
    if (!take_field(&rest, &source) || !take_field(&rest, &destination) ||
        !take_field(&rest, &source_port))
        return "a field is missing";
    if (!read_address(source, is_v6, &out->source) ||
        !read_address(destination, is_v6, &out->destination))
        return is_v6 ? "not an IPv6 address" : "not an IPv4 address";
    if (!read_port(source_port, &out->source.port) || !read_port(rest, &out->destination.port))
        return "not a port";
    out->kind = MG_PROXY_TCP;
    return NULL;
}

/* The line without its CRLF. */
static const char *read_line(struct mg_str line, struct mg_proxy_header *out)
{
    const struct mg_str unknown = MG_STR("UNKNOWN");
    struct mg_str rest = mg_str(line.p + V1_PREFIX.n, line.n - V1_PREFIX.n);
    if (mg_str_starts(rest, MG_STR("TCP4 ")))
        return read_endpoints(mg_str(rest.p + 5, rest.n - 5), false, out);
    if (mg_str_starts(rest, MG_STR("TCP6 ")))
        return read_endpoints(mg_str(rest.p + 5, rest.n - 5), true, out);
    /* PP 2.1: what stands behind it says nothing. */
    if (mg_str_starts(rest, unknown) && (rest.n == unknown.n || rest.p[unknown.n] == ' ')) {
        out->kind = MG_PROXY_UNKNOWN;
        return NULL;
    }
    return "not TCP4, TCP6 or UNKNOWN";
}

static int parse_v1(const char *p, size_t n, struct mg_proxy_header *out)
{
    size_t seen = n < MG_PROXY_LINE_MAX ? n : MG_PROXY_LINE_MAX;
    for (size_t i = V1_PREFIX.n; i < seen; i++) {
        if (p[i] == '\n')
            return bad(out, "a line feed without carriage return");
        if (p[i] != '\r')
            continue;
        if (i + 1 == seen)
            break;
        if (p[i + 1] != '\n')
            return bad(out, "a carriage return without line feed");
        const char *reason = read_line(mg_str(p, i), out);
        return reason ? bad(out, reason) : (int)(i + 2);
    }
    if (n >= MG_PROXY_LINE_MAX)
        return bad(out, "the line is longer than 107 bytes");
    return more(out, MG_PROXY_LINE_MAX - n);
}

/* --- version 2 --- */

/* RFC 4960 appendix B, over the whole header but with zeros for the four bytes at `hole`. Bit by
 * bit: a header has a few dozen bytes, and most come without a checksum. */
static uint32_t crc32c(const char *p, size_t n, const char *hole)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= p + i >= hole && p + i < hole + 4 ? 0 : byte_at(p, i);
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

static bool checksum_holds(struct mg_str header, struct mg_str checksum)
{
    uint32_t said = (uint32_t)u16_at(checksum.p) << 16 | u16_at(checksum.p + 2);
    return crc32c(header.p, header.n, checksum.p) == said;
}

/* Takes one vector off `*rest`, which is not empty. False when it does not fit. */
static bool take_tlv(struct mg_str *rest, struct tlv *tlv)
{
    if (rest->n < 3)
        return false;
    size_t length = u16_at(rest->p + 1);
    if (length > rest->n - 3)
        return false;
    tlv->type = byte_at(rest->p, 0);
    tlv->value = mg_str(rest->p + 3, length);
    *rest = mg_str(rest->p + 3 + length, rest->n - 3 - length);
    return true;
}

static const char *read_ssl(struct mg_str value, struct mg_proxy_header *out)
{
    struct tlv nested;
    if (value.n < SSL_FIXED)
        return "the TLV about TLS is too short";
    struct mg_str rest = mg_str(value.p + SSL_FIXED, value.n - SSL_FIXED);
    while (rest.n)
        if (!take_tlv(&rest, &nested))
            return "a TLV about TLS reaches beyond its end";
    out->over_tls = byte_at(value.p, 0) & SSL_CLIENT_TLS;
    return NULL;
}

static const char *read_tlv(const struct tlv *tlv, struct mg_str header,
                            struct mg_proxy_header *out)
{
    switch (tlv->type) {
    case TLV_ALPN:
        out->alpn = tlv->value;
        return NULL;
    case TLV_AUTHORITY:
        out->authority = tlv->value;
        return NULL;
    case TLV_CRC32C:
        if (tlv->value.n != 4)
            return "the checksum has not four bytes";
        return checksum_holds(header, tlv->value) ? NULL : "the checksum is wrong";
    case TLV_UNIQUE_ID:
        return tlv->value.n <= UNIQUE_ID_MAX ? NULL : "the unique id is longer than 128 bytes";
    case TLV_SSL:
        return read_ssl(tlv->value, out);
    default:
        return NULL;
    }
}

/* Those that mean something here may come once: of two, somebody else may believe the other. */
static bool is_repeated(uint8_t type, uint64_t *seen)
{
    if (type != TLV_ALPN && type != TLV_AUTHORITY && type != TLV_CRC32C && type != TLV_SSL)
        return false;
    bool again = *seen >> type & 1;
    *seen |= UINT64_C(1) << type;
    return again;
}

static const char *read_tlvs(struct mg_str header, size_t from, struct mg_proxy_header *out)
{
    struct mg_str rest = mg_str(header.p + from, header.n - from);
    struct tlv tlv;
    uint64_t seen = 0;
    while (rest.n) {
        if (!take_tlv(&rest, &tlv))
            return "a TLV reaches beyond the header";
        if (is_repeated(tlv.type, &seen))
            return "a TLV comes twice";
        const char *reason = read_tlv(&tlv, header, out);
        if (reason)
            return reason;
    }
    return NULL;
}

/* Both addresses and both ports, by family. */
static size_t addresses_length(enum family family)
{
    static const size_t lengths[] = {
        [UNSPEC] = 0, [INET] = 2 * (4 + 2), [INET6] = 2 * (16 + 2), [UNIX] = 2 * 108};
    return lengths[family];
}

static struct mg_addr read_endpoint(const char *addr, const char *port, enum family family)
{
    const uint8_t *bytes = (const uint8_t *)addr;
    struct mg_addr out = family == INET ? mg_ip_from_v4(bytes) : mg_ip_from_v6(bytes);
    out.port = u16_at(port);
    return out;
}

static void read_addresses(const char *p, enum family family, struct mg_proxy_header *out)
{
    size_t width = family == INET ? 4 : 16;
    const char *ports = p + 2 * width;
    out->source = read_endpoint(p, ports, family);
    out->destination = read_endpoint(p + width, ports + 2, family);
    out->kind = MG_PROXY_TCP;
}

/* The 13th and 14th byte, as far as they are there. */
static const char *check_kind(const char *p, size_t n)
{
    if (n > 12 && byte_at(p, 12) >> 4 != 2)
        return "not version 1 or 2";
    if (n > 12 && (byte_at(p, 12) & 15) > PROXY)
        return "the command is neither LOCAL nor PROXY";
    if (n <= 13 || (byte_at(p, 12) & 15) == LOCAL)
        return NULL; /* PP 2.2: of LOCAL the family is ignored */
    if (byte_at(p, 13) >> 4 > UNIX)
        return "unknown address family";
    if ((byte_at(p, 13) & 15) > DGRAM)
        return "unknown transport";
    /* Nobody can have passed on datagrams over a stream to an HTTP server. */
    return (byte_at(p, 13) & 15) == DGRAM ? "the transport is not a stream" : NULL;
}

/* All of a header of the command PROXY but its fixed part. */
static const char *read_proxied(struct mg_str header, struct mg_proxy_header *out)
{
    enum family family = byte_at(header.p, 13) >> 4;
    enum transport transport = byte_at(header.p, 13) & 15;
    out->kind = MG_PROXY_UNKNOWN;
    /* Where addresses end, which nobody defined, and vectors begin cannot be told. */
    if (family == UNSPEC || transport == NO_TRANSPORT)
        return NULL;
    if (family != UNIX)
        read_addresses(header.p + V2_FIXED, family, out);
    return read_tlvs(header, V2_FIXED + addresses_length(family), out);
}

static bool has_addresses(const char *p)
{
    enum transport transport = byte_at(p, 13) & 15;
    return (byte_at(p, 12) & 15) == PROXY && transport == STREAM;
}

static int parse_v2(const char *p, size_t n, struct mg_proxy_header *out)
{
    const char *reason = check_kind(p, n);
    if (reason)
        return bad(out, reason);
    if (n < V2_FIXED)
        return more(out, MG_PROXY_HEADER_MAX - n);
    size_t length = u16_at(p + 14);
    if (length > V2_ROOM)
        return bad(out, "the header is longer than 4096 bytes");
    if (has_addresses(p) && length < addresses_length(byte_at(p, 13) >> 4))
        return bad(out, "the addresses do not fit in the header");
    if (n - V2_FIXED < length)
        return more(out, V2_FIXED + length - n);
    out->kind = MG_PROXY_LOCAL;
    if ((byte_at(p, 12) & 15) == PROXY)
        reason = read_proxied(mg_str(p, V2_FIXED + length), out);
    return reason ? bad(out, reason) : (int)(V2_FIXED + length);
}

/* --- both --- */

/* Whether the bytes begin with `prefix`, as far as they are there. */
static bool may_start(const char *p, size_t n, struct mg_str prefix)
{
    return memcmp(p, prefix.p, n < prefix.n ? n : prefix.n) == 0;
}

int mg_proxy_protocol_parse(const char *p, size_t n, struct mg_proxy_header *out)
{
    *out = (struct mg_proxy_header){0};
    if (n == 0)
        return more(out, MG_PROXY_HEADER_MAX);
    if (may_start(p, n, V1_PREFIX))
        return parse_v1(p, n, out);
    if (may_start(p, n, V2_SIGNATURE))
        return parse_v2(p, n, out);
    return bad(out, "not a PROXY header");
}
