/* PROXY headers: what is taken and what comes out, what is refused and why. Every input is given as
 * a whole, with other bytes behind it, and byte by byte, each time from a block of its exact size.
 */
#include "net/proxy_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
/* Command, family and transport, length: the rest of the fixed part. */
#define V2(command_and_family, length) SIGNATURE command_and_family length
#define INET_ENDS "\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb"
#define INET_TEXT "192.168.0.1:56324 192.168.0.11:443"
#define INET6_ENDS                                                                                 \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"                                                   \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"                                                   \
    "\xff\xff\x00\x00"
#define MAPPED_ENDS                                                                                \
    "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01"                                                     \
    "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x02"                                                     \
    "\x00\x01\x00\x02"

#define BYTES(literal)                                                                             \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

/* --- feeding --- */

static int parse_exact(struct mg_str bytes, struct mg_proxy_header *out)
{
    char *copy = malloc(bytes.n + 1);
    memcpy(copy + 1, bytes.p, bytes.n); /* to the end of the block */
    int length = mg_proxy_protocol_parse(copy + 1, bytes.n, out);
    /* Texts are moved to where they came from, as the block goes. */
    if (out->authority.n)
        out->authority.p = bytes.p + (out->authority.p - copy - 1);
    if (out->alpn.n)
        out->alpn.p = bytes.p + (out->alpn.p - copy - 1);
    free(copy);
    return length;
}

static void check_same(const struct mg_proxy_header *a, const struct mg_proxy_header *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_memory_equal(&a->source, &b->source, sizeof a->source);
    assert_memory_equal(&a->destination, &b->destination, sizeof a->destination);
    assert_int_equal(a->over_tls, b->over_tls);
    assert_true(mg_str_eq(a->authority, b->authority));
    assert_true(mg_str_eq(a->alpn, b->alpn));
}

/* Every part of the input asks for more until the answer comes, which is the answer to the whole,
 * and no part says that less is missing than is. */
static void check_parts(struct mg_str bytes, int length, const struct mg_proxy_header *whole)
{
    for (size_t n = 0; n <= bytes.n; n++) {
        struct mg_proxy_header part;
        int answer = parse_exact(mg_str(bytes.p, n), &part);
        if (answer == 0) {
            assert_true(part.missing_bytes > 0);
            assert_true(n + part.missing_bytes <= MG_PROXY_HEADER_MAX);
            assert_true(length <= 0 || n + part.missing_bytes >= (size_t)length);
            continue;
        }
        assert_int_equal(answer, length);
        if (length < 0)
            assert_string_equal(part.reason, whole->reason);
        else
            check_same(&part, whole);
        assert_true(length < 0 || n == (size_t)length);
        return;
    }
    assert_int_equal(length, 0);
}

static int parse(struct mg_str bytes, struct mg_proxy_header *out)
{
    int length = parse_exact(bytes, out);
    check_parts(bytes, length, out);
    return length;
}

/* The header's own bytes with others behind them. */
static void check_with_data(struct mg_str bytes, const struct mg_proxy_header *alone)
{
    static const char data[] = "GET / HTTP/1.1\r\n\r\nPROXY \r\n";
    struct mg_proxy_header header;
    size_t n = bytes.n + sizeof data - 1;
    char *both = malloc(n);
    memcpy(both, bytes.p, bytes.n);
    memcpy(both + bytes.n, data, sizeof data - 1);
    assert_int_equal(mg_proxy_protocol_parse(both, n, &header), bytes.n);
    check_same(&header, alone);
    free(both);
}

/* --- taken --- */

struct taken {
    struct mg_str bytes;
    enum mg_proxy_kind kind;
    const char *ends; /* of TCP: source and destination */
};

static const struct taken TAKEN[] = {
    /* The example of PP 2.1. */
    {BYTES("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), MG_PROXY_TCP, INET_TEXT},
    /* Its longest lines. */
    {BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), MG_PROXY_TCP,
     "255.255.255.255:65535 255.255.255.255:65535"},
    {BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     MG_PROXY_TCP,
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 "
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    {BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     MG_PROXY_UNKNOWN, NULL},
    {BYTES("PROXY UNKNOWN\r\n"), MG_PROXY_UNKNOWN, NULL},
    {BYTES("PROXY UNKNOWN \r\n"), MG_PROXY_UNKNOWN, NULL},
    {BYTES("PROXY UNKNOWN  what \0 ever\r\n"), MG_PROXY_UNKNOWN, NULL},
    {BYTES("PROXY TCP4 0.0.0.0 1.2.3.4 0 1\r\n"), MG_PROXY_TCP, "0.0.0.0:0 1.2.3.4:1"},
    {BYTES("PROXY TCP6 ::1 2001:DB8::A 1 2\r\n"), MG_PROXY_TCP, "[::1]:1 [2001:db8::a]:2"},
    {BYTES("PROXY TCP6 ::ffff:10.0.0.1 ::ffff:10.0.0.2 1 2\r\n"), MG_PROXY_TCP,
     "10.0.0.1:1 10.0.0.2:2"},

    {BYTES(V2("\x21\x11", "\x00\x0c") INET_ENDS), MG_PROXY_TCP, INET_TEXT},
    {BYTES(V2("\x21\x21", "\x00\x24") INET6_ENDS), MG_PROXY_TCP,
     "[2001:db8::1]:65535 [2001:db8::2]:0"},
    {BYTES(V2("\x21\x21", "\x00\x24") MAPPED_ENDS), MG_PROXY_TCP, "10.0.0.1:1 10.0.0.2:2"},
    /* PP 2.2: of LOCAL nothing counts but the length. */
    {BYTES(V2("\x20\x00", "\x00\x00")), MG_PROXY_LOCAL, NULL},
    {BYTES(V2("\x20\x11", "\x00\x0c") INET_ENDS), MG_PROXY_LOCAL, NULL},
    {BYTES(V2("\x20\xff", "\x00\x02") "ab"), MG_PROXY_LOCAL, NULL},
    {BYTES(V2("\x20\x11", "\x00\x02") "ab"), MG_PROXY_LOCAL, NULL},
    {BYTES(V2("\x20\xf1", "\x00\x00")), MG_PROXY_LOCAL, NULL},
    /* Unspecified: the block is skipped. */
    {BYTES(V2("\x21\x00", "\x00\x00")), MG_PROXY_UNKNOWN, NULL},
    {BYTES(V2("\x21\x00", "\x00\x05") "abcde"), MG_PROXY_UNKNOWN, NULL},
    {BYTES(V2("\x21\x01", "\x00\x01") "a"), MG_PROXY_UNKNOWN, NULL},
    {BYTES(V2("\x21\x10", "\x00\x0c") INET_ENDS), MG_PROXY_UNKNOWN, NULL},
    {BYTES(V2("\x21\x30", "\x00\x01") "a"), MG_PROXY_UNKNOWN, NULL},
    /* Vectors that mean nothing to us; an empty one. */
    {BYTES(V2("\x21\x11", "\x00\x14") INET_ENDS "\x04\x00\x02zz\xe0\x00\x00"), MG_PROXY_TCP,
     INET_TEXT},
    {BYTES(V2("\x21\x11", "\x00\x12") INET_ENDS "\x04\x00\x00\x04\x00\x00"), MG_PROXY_TCP,
     INET_TEXT},
};

static void check_ends(const struct mg_proxy_header *h, const char *expected)
{
    char text[2 * MG_IP_TEXT_MAX];
    if (!expected) {
        assert_int_equal(h->source.family, 0);
        assert_int_equal(h->destination.family, 0);
        return;
    }
    size_t n = mg_ip_format_port(&h->source, text);
    text[n] = ' ';
    mg_ip_format_port(&h->destination, text + n + 1);
    assert_string_equal(text, expected);
}

static void taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(TAKEN); i++) {
        struct mg_proxy_header header;
        int length = parse(TAKEN[i].bytes, &header);
        if (length != (int)TAKEN[i].bytes.n)
            fail_msg("case %zu: %d, %s", i, length, header.reason);
        assert_int_equal(header.kind, TAKEN[i].kind);
        check_ends(&header, TAKEN[i].ends);
        check_with_data(TAKEN[i].bytes, &header);
    }
}

/* --- refused --- */

static const struct {
    struct mg_str bytes;
    const char *reason;
} REFUSED[] = {
    {BYTES("GET / HTTP/1.1\r\n"), "not a PROXY header"},
    {BYTES("\x16\x03\x01\x02\x00"), "not a PROXY header"},
    {BYTES("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), "not a PROXY header"},
    {BYTES("PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2\r\n"), "not a PROXY header"},
    {BYTES("PROXY\r\n"), "not a PROXY header"},
    {BYTES(" PROXY UNKNOWN\r\n"), "not a PROXY header"},
    {BYTES("\r\n\r\nPROXY UNKNOWN\r\n"), "not a PROXY header"},
    {BYTES("\r\n\r\n\0\r\nQUIT\r"), "not a PROXY header"},

    {BYTES("PROXY \r\n"), "not TCP4, TCP6 or UNKNOWN"},
    {BYTES("PROXY TCP4\r\n"), "not TCP4, TCP6 or UNKNOWN"},
    {BYTES("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"), "not TCP4, TCP6 or UNKNOWN"},
    {BYTES("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), "not TCP4, TCP6 or UNKNOWN"},
    {BYTES("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n"), "not TCP4, TCP6 or UNKNOWN"},
    {BYTES("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"), "not TCP4, TCP6 or UNKNOWN"},
    {BYTES("PROXY UNKNOWNS\r\n"), "not TCP4, TCP6 or UNKNOWN"},
    {BYTES("PROXY UNKNOW\r\n"), "not TCP4, TCP6 or UNKNOWN"},

    {BYTES("PROXY TCP4 \r\n"), "a field is missing"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), "a field is missing"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n"), "not a port"},
    {BYTES("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"), "not an IPv4 address"},
    {BYTES("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n"), "not an IPv4 address"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4  1 2\r\n"), "not a port"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1  2\r\n"), "not a port"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"), "not a port"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"), "not a port"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1\t2\r\n"), "a field is missing"},

    {BYTES("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n"), "not an IPv4 address"},
    {BYTES("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"), "not an IPv4 address"},
    {BYTES("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n"), "not an IPv4 address"},
    {BYTES("PROXY TCP4 1.2.3.4 ::1 1 2\r\n"), "not an IPv4 address"},
    {BYTES("PROXY TCP4 ::ffff:1.2.3.4 1.2.3.4 1 2\r\n"), "not an IPv4 address"},
    {BYTES("PROXY TCP6 1.2.3.4 ::1 1 2\r\n"), "not an IPv6 address"},
    {BYTES("PROXY TCP6 ::1 ::1::2 1 2\r\n"), "not an IPv6 address"},
    {BYTES("PROXY TCP6 [::1] ::1 1 2\r\n"), "not an IPv6 address"},
    {BYTES("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), "not an IPv6 address"},
    {BYTES("PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n"), "not an IPv6 address"},

    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"), "not a port"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 00 2\r\n"), "not a port"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"), "not a port"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"), "not a port"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 18446744073709551617\r\n"), "not a port"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"), "not a port"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n"), "not a port"},

    {BYTES("PROXY UNKNOWN\n"), "a line feed without carriage return"},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"), "a line feed without carriage return"},
    {BYTES("PROXY UNKNOWN\rx\r\n"), "a carriage return without line feed"},
    {BYTES("PROXY UNKNOWN\r\r\n"), "a carriage return without line feed"},
    /* 108 bytes, and as many without an end. */
    {BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655350\r\n"),
     "the line is longer than 107 bytes"},
    {BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 6553500\n"),
     "the line is longer than 107 bytes"},

    {BYTES(V2("\x11\x11", "\x00\x0c") INET_ENDS), "not version 1 or 2"},
    {BYTES(V2("\x31\x11", "\x00\x0c") INET_ENDS), "not version 1 or 2"},
    {BYTES(V2("\x22\x11", "\x00\x0c") INET_ENDS), "the command is neither LOCAL nor PROXY"},
    {BYTES(V2("\x2f\x00", "\x00\x00")), "the command is neither LOCAL nor PROXY"},
    {BYTES(V2("\x21\x41", "\x00\x0c") INET_ENDS), "unknown address family"},
    {BYTES(V2("\x21\xf1", "\x00\x0c") INET_ENDS), "unknown address family"},
    {BYTES(V2("\x21\x13", "\x00\x0c") INET_ENDS), "unknown transport"},
    {BYTES(V2("\x21\x1f", "\x00\x0c") INET_ENDS), "unknown transport"},
    {BYTES(V2("\x21\x12", "\x00\x0c") INET_ENDS), "the transport is not a stream"},
    {BYTES(V2("\x21\x22", "\x00\x24") INET6_ENDS), "the transport is not a stream"},
    {BYTES(V2("\x21\x02", "\x00\x00")), "the transport is not a stream"},
    {BYTES(V2("\x21\x11", "\x0f\xf1")), "the header is longer than 4096 bytes"},
    {BYTES(V2("\x20\x00", "\xff\xff")), "the header is longer than 4096 bytes"},
    {BYTES(V2("\x21\x11", "\x00\x0b") INET_ENDS), "the addresses do not fit in the header"},
    {BYTES(V2("\x21\x11", "\x00\x00")), "the addresses do not fit in the header"},
    {BYTES(V2("\x21\x21", "\x00\x23") INET6_ENDS), "the addresses do not fit in the header"},
    {BYTES(V2("\x21\x31", "\x00\xd7")), "the addresses do not fit in the header"},

    {BYTES(V2("\x21\x11", "\x00\x0d") INET_ENDS "\x04"), "a TLV reaches beyond the header"},
    {BYTES(V2("\x21\x11", "\x00\x0e") INET_ENDS "\x04\x00"), "a TLV reaches beyond the header"},
    {BYTES(V2("\x21\x11", "\x00\x0f") INET_ENDS "\x04\x00\x01"), "a TLV reaches beyond the header"},
    {BYTES(V2("\x21\x11", "\x00\x11") INET_ENDS "\x04\xff\xff\x00\x00"),
     "a TLV reaches beyond the header"},
    {BYTES(V2("\x21\x11", "\x00\x14") INET_ENDS "\x01\x00\x01h\x01\x00\x01h"), "a TLV comes twice"},
    {BYTES(V2("\x21\x11", "\x00\x12") INET_ENDS "\x02\x00\x00\x02\x00\x00"), "a TLV comes twice"},
    {BYTES(V2("\x21\x11", "\x00\x0f") INET_ENDS "\x03\x00\x00"), "the checksum has not four bytes"},
    {BYTES(V2("\x21\x11", "\x00\x14") INET_ENDS "\x03\x00\x05zzzzz"),
     "the checksum has not four bytes"},
    {BYTES(V2("\x21\x11", "\x00\x13") INET_ENDS "\x03\x00\x04zzzz"), "the checksum is wrong"},
    {BYTES(V2("\x21\x11", "\x00\x13") INET_ENDS "\x20\x00\x04\x01\x00\x00\x00"),
     "the TLV about TLS is too short"},
    {BYTES(V2("\x21\x11", "\x00\x16") INET_ENDS "\x20\x00\x07\x01\x00\x00\x00\x00\x21\x00"),
     "a TLV about TLS reaches beyond its end"},
    /* The nested vector would fit in the header, but not in the one around it. */
    {BYTES(V2("\x21\x11", "\x00\x1a") INET_ENDS
           "\x20\x00\x08\x01\x00\x00\x00\x00\x21\x00\x01\x04\x00\x00"),
     "a TLV about TLS reaches beyond its end"},
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(REFUSED); i++) {
        struct mg_proxy_header header;
        int length = parse(REFUSED[i].bytes, &header);
        if (length != -1)
            fail_msg("case %zu: %d instead of '%s'", i, length, REFUSED[i].reason);
        assert_string_equal(header.reason, REFUSED[i].reason);
    }
}

/* What a part can still become bounds how much has to be kept of it. */
static void says_how_much_is_missing(void **state)
{
    (void)state;
    static const struct {
        struct mg_str bytes;
        size_t missing;
    } CASES[] = {
        {BYTES(""), 4096},
        {BYTES("P"), 106},
        {BYTES("PROXY UNKNOWN\r"), 93},
        {BYTES("\r"), 4095},
        {BYTES(V2("\x21\x11", "\x00")), 4081},
        {BYTES(V2("\x21\x11", "\x00\x0c")), 12},
        {BYTES(V2("\x21\x11", "\x0f\xf0") "ab"), 4078},
        {BYTES(V2("\x20\x00", "\x00\x01")), 1},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_proxy_header header;
        assert_int_equal(parse(CASES[i].bytes, &header), 0);
        assert_int_equal(header.missing_bytes, CASES[i].missing);
    }
}

static void what_is_known_of_tls(void **state)
{
    (void)state;
#define TLS_VERSION "\x21\x00\x07TLSv1.3"
    static const struct {
        struct mg_str bytes;
        bool over_tls;
        const char *authority, *alpn;
    } CASES[] = {
        {BYTES(V2("\x21\x11", "\x00\x0c") INET_ENDS), false, "", ""},
        {BYTES(V2("\x21\x11", "\x00\x22") INET_ENDS "\x01\x00\x02h2"
                                                    "\x02\x00\x0b"
                                                    "example.org"
                                                    "\x04\x00\x00"),
         false, "example.org", "h2"},
        {BYTES(V2("\x21\x11", "\x00\x1e") INET_ENDS "\x20\x00\x0f\x01\x00\x00\x00\x00" TLS_VERSION),
         true, "", ""},
        /* A certificate, but the flag of TLS is not there. */
        {BYTES(V2("\x21\x11", "\x00\x14") INET_ENDS "\x20\x00\x05\x06\x00\x00\x00\x01"), false, "",
         ""},
        {BYTES(V2("\x21\x11", "\x00\x17") INET_ENDS "\x20\x00\x05\x07\x00\x00\x00\x01\x02\x00\x00"),
         true, "", ""},
        /* Of LOCAL all is discarded. */
        {BYTES(V2("\x20\x11", "\x00\x14") INET_ENDS "\x20\x00\x05\x01\x00\x00\x00\x00"), false, "",
         ""},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_proxy_header header;
        assert_int_equal(parse(CASES[i].bytes, &header), CASES[i].bytes.n);
        assert_int_equal(header.over_tls, CASES[i].over_tls);
        assert_true(mg_str_eq(header.authority, mg_str_c(CASES[i].authority)));
        assert_true(mg_str_eq(header.alpn, mg_str_c(CASES[i].alpn)));
        check_with_data(CASES[i].bytes, &header);
    }
}

/* --- what is better computed than written down --- */

/* A header of `n` bytes in all, for IPv4 or unix, with vectors that fill it up. */
static struct mg_str fill(char *out, uint8_t family, size_t addresses, size_t n)
{
    memcpy(out, SIGNATURE, 12);
    out[12] = 0x21;
    out[13] = (char)family;
    out[14] = (char)((n - 16) >> 8);
    out[15] = (char)(n - 16);
    memset(out + 16, 7, n - 16);
    size_t at = 16 + addresses;
    if (at < n) {
        out[at] = 4;
        out[at + 1] = (char)((n - at - 3) >> 8);
        out[at + 2] = (char)(n - at - 3);
    }
    return mg_str(out, n);
}

static void headers_up_to_the_limit(void **state)
{
    (void)state;
    static char bytes[MG_PROXY_HEADER_MAX];
    static const struct {
        uint8_t family;
        size_t addresses, n;
        enum mg_proxy_kind kind;
    } CASES[] = {
        {0x11, 12, MG_PROXY_HEADER_MAX, MG_PROXY_TCP},
        {0x31, 216, 232, MG_PROXY_UNKNOWN},
        {0x31, 216, 300, MG_PROXY_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_proxy_header header;
        struct mg_str h = fill(bytes, CASES[i].family, CASES[i].addresses, CASES[i].n);
        assert_int_equal(parse(h, &header), h.n);
        assert_int_equal(header.kind, CASES[i].kind);
        check_with_data(h, &header);
    }
    /* The vectors of unix headers are looked at as well. */
    struct mg_proxy_header header;
    struct mg_str h = fill(bytes, 0x31, 216, 235);
    bytes[234] = 1;
    assert_int_equal(parse(h, &header), -1);
    assert_string_equal(header.reason, "a TLV reaches beyond the header");
}

static void unique_ids_have_a_limit(void **state)
{
    (void)state;
    static char bytes[300];
    for (size_t id = 127; id <= 129; id++) {
        struct mg_proxy_header header;
        struct mg_str h = fill(bytes, 0x11, 12, 16 + 12 + 3 + id);
        bytes[28] = 5;
        assert_int_equal(parse(h, &header), id > 128 ? -1 : (int)h.n);
    }
}

/* The checksum was computed by another program. Whatever bit is wrong, these addresses are no
 * longer believed; without the checksum's own type nobody can tell. */
static void checksums(void **state)
{
    (void)state;
    static const char good[] = V2("\x21\x11", "\x00\x1a") INET_ENDS "\x03\x00\x04\x0b\x66\x2e\xd9"
                                                                    "\x02\x00\x04"
                                                                    "a.io";
    enum { TYPE_AT = 16 + 12 };
    char bytes[sizeof good - 1];
    struct mg_proxy_header header;
    memcpy(bytes, good, sizeof bytes);
    assert_int_equal(parse(mg_str(bytes, sizeof bytes), &header), sizeof bytes);
    assert_true(mg_str_eq(header.authority, MG_STR("a.io")));
    int told = 0;
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        if (bit / 8 == TYPE_AT)
            continue;
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        int length = parse(mg_str(bytes, sizeof bytes), &header);
        assert_true(length <= 0 || header.kind != MG_PROXY_TCP);
        told += length < 0 && strcmp(header.reason, "the checksum is wrong") == 0;
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    /* The addresses, the checksum itself, and the text behind it, at least. */
    assert_true(told >= 8 * (12 + 4 + 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken),
        cmocka_unit_test(refused),
        cmocka_unit_test(says_how_much_is_missing),
        cmocka_unit_test(what_is_known_of_tls),
        cmocka_unit_test(headers_up_to_the_limit),
        cmocka_unit_test(unique_ids_have_a_limit),
        cmocka_unit_test(checksums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
