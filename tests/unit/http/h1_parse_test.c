/* HTTP/1 heads: what is refused and with which word, and what comes out of the others. Every head
 * is given to the search for its end as a whole and byte by byte, and parsed from a block of its
 * exact size. */
#include "http/h1_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/test_arena.h"

static const struct mg_h1_limits limits = {
    .head_bytes = 4096,
    .field_count = 20,
    .target_bytes = 1000,
};

/* ---- feeding ---- */

/* One byte more each time, each time in a block of that size, as a connection might deliver it. */
static int end_bytewise(struct mg_str head, bool is_request, uint32_t *skip,
                        struct mg_h1_fault *fault)
{
    struct mg_h1_scan scan = {0};
    for (size_t n = 0; n <= head.n; n++) {
        char *copy = malloc(n + 1);
        memcpy(copy + 1, head.p, n);
        int size = mg_h1_head_end(&scan, copy + 1, n, &limits, is_request, skip, fault);
        free(copy);
        if (size)
            return size;
    }
    return 0;
}

/* Size of the head, after both ways to feed it were compared. */
static int find_end(struct mg_str head, bool is_request, uint32_t *skip, struct mg_h1_fault *fault)
{
    struct mg_h1_scan scan = {0};
    struct mg_h1_fault bytewise_fault = {0};
    uint32_t bytewise_skip;
    int size = mg_h1_head_end(&scan, head.p, head.n, &limits, is_request, skip, fault);
    int bytewise = end_bytewise(head, is_request, &bytewise_skip, &bytewise_fault);
    assert_int_equal(size, bytewise);
    if (size < 0) {
        assert_int_equal(fault->status, bytewise_fault.status);
        assert_string_equal(fault->reason, bytewise_fault.reason);
    } else if (size > 0) {
        assert_int_equal(*skip, bytewise_skip);
    }
    return size;
}

struct outcome {
    int rc;
    int size;
    struct mg_message m;
    struct mg_h1_framing framing;
    struct mg_h1_fault fault;
};

/* The whole way of a head. The message borrows from `head`. */
static struct outcome read_head(struct mg_str head, bool is_request, enum mg_method asked)
{
    struct outcome o = {0};
    uint32_t skip = 0;
    mg_message_init(&o.m, &arena);
    o.rc = o.size = find_end(head, is_request, &skip, &o.fault);
    if (o.size <= 0)
        return o;
    struct mg_str rest = mg_str(head.p + skip, (size_t)o.size - skip);
    char *exact = malloc(rest.n);
    memcpy(exact, rest.p, rest.n);
    struct mg_message scratch;
    struct mg_h1_framing framing;
    mg_message_init(&scratch, &arena);
    int rc = is_request ? mg_h1_parse_request(exact, rest.n, &limits, &scratch, &framing, &o.fault)
                        : mg_h1_parse_response(exact, rest.n, &limits, asked, &scratch, &framing,
                                               &o.fault);
    free(exact);
    o.rc = is_request
               ? mg_h1_parse_request(rest.p, rest.n, &limits, &o.m, &o.framing, &o.fault)
               : mg_h1_parse_response(rest.p, rest.n, &limits, asked, &o.m, &o.framing, &o.fault);
    assert_int_equal(rc, o.rc);
    return o;
}

/* ---- refused ---- */

struct refused {
    struct mg_str head;
    int status;
    const char *reason;
};

#define REFUSED(head, status, reason)                                                              \
    {                                                                                              \
        {head, sizeof(head) - 1}, status, reason                                                   \
    }
/* A whole request around one part. */
#define LINE(line, status, reason) REFUSED(line "\r\nHost: a\r\n\r\n", status, reason)
#define FIELDS(fields, status, reason)                                                             \
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n\r\n", status, reason)
#define TARGET(target, reason) LINE("GET " target " HTTP/1.1", 400, reason)
#define HOST(host) REFUSED("GET / HTTP/1.1\r\nHost:" host "\r\n\r\n", 400, "host")

static const struct refused refused_requests[] = {
    /* lines */
    REFUSED("\n", 400, "bare-lf"),
    REFUSED("\r\r\n", 400, "bare-cr"),
    REFUSED("\r\n\n", 400, "bare-lf"),
    REFUSED("\r\n\r\n\r\n\r\n\r\n", 400, "blank-lines"),
    REFUSED("GET / HTTP/1.1\n", 400, "bare-lf"),
    REFUSED("GET / HTTP/1.1\nHost: a\n\n", 400, "bare-lf"),
    REFUSED("GET / HTTP/1.1\r\nHost: a\n", 400, "bare-lf"),
    REFUSED("GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bare-lf"),
    REFUSED("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n", 400, "bare-cr"),
    REFUSED("GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "bare-cr"),
    REFUSED("GET / HTTP/1.1\r\nHost: a\r\n\rX: 1\r\n\r\n", 400, "bare-cr"),
    FIELDS("X: 1\rY: 2", 400, "bare-cr"),
    FIELDS("X: 1\r", 400, "bare-cr"),
    FIELDS("X:\rY: 2", 400, "bare-cr"),
    FIELDS("X\rY: 2", 400, "bare-cr"),
    FIELDS("X: 1\nY: 2", 400, "bare-lf"),
    FIELDS("X:\nY: 2", 400, "bare-lf"),

    /* request line */
    REFUSED("\0", 400, "method"),
    REFUSED("\x16\x03\x01\x02", 400, "method"),
    REFUSED(" GET / HTTP/1.1\r\n", 400, "method"),
    REFUSED("(", 400, "method"),
    LINE("G\0T / HTTP/1.1", 400, "method"),
    LINE("G@T / HTTP/1.1", 400, "method"),
    LINE("GET\t/ HTTP/1.1", 400, "method"),
    LINE("G\xc3\x89T / HTTP/1.1", 400, "method"),
    LINE("abcdefghijklmnopqrstuvwxyz0123456 / HTTP/1.1", 501, "method-too-long"),
    LINE("GET", 400, "request-line"),
    LINE("GET  / HTTP/1.1", 400, "request-line"),
    LINE("GET  HTTP/1.1", 400, "request-line"),
    LINE("GET ", 400, "version"),
    LINE("GET /", 400, "version"),
    LINE("GET / ", 400, "version"),
    REFUSED("GET /\r\n\r\n", 400, "version"),
    REFUSED("GET / \r\n\r\n", 400, "version"),
    REFUSED("GET / HTTP/1.\r\n\r\n", 400, "version"),
    LINE("GET /  HTTP/1.1", 400, "version"),
    LINE("GET / x HTTP/1.1", 400, "version"),
    LINE("GET / http/1.1", 400, "version"),
    LINE("GET / HTTP/1", 400, "version"),
    LINE("GET / HTTP/1.", 400, "version"),
    LINE("GET / HTTP/1.1x", 400, "version"),
    LINE("GET / HTTP/1.10", 400, "version"),
    LINE("GET / HTTP/1.1 ", 400, "version"),
    LINE("GET / HTTP/11.1", 400, "version"),
    LINE("GET / HTTP/1,1", 400, "version"),
    LINE("GET / HTTP/.1", 400, "version"),
    LINE("GET / HTTP/+1.1", 400, "version"),
    LINE("GET / HTTP/0.9", 400, "version"),
    LINE("GET / HTTP/a.1", 400, "version"),
    LINE("GET / HTCPCP/1.0", 400, "version"),
    LINE("GET / RTSP/1.0", 400, "version"),
    LINE("GET / HTTP/2.0", 505, "version-unsupported"),
    LINE("GET / HTTP/9.9", 505, "version-unsupported"),
    LINE("PRI * HTTP/2.0", 400, "target"),
    LINE("CONNECT a:443 HTTP/1.1", 501, "connect"),
    LINE("CONNECT / HTTP/1.1", 501, "connect"),

    /* target */
    TARGET("x", "target"),
    TARGET("a/b", "target"),
    TARGET("?a", "target"),
    TARGET("*", "target"),
    TARGET("a:443", "target"),
    TARGET("/a#b", "target-fragment"),
    TARGET("/a?b#", "target-fragment"),
    TARGET("/\0", "target"),
    TARGET("/\t", "target"),
    TARGET("/\x7f", "target"),
    TARGET("/\xc3\xa9", "target"),
    TARGET("/?\x80", "target"),
    TARGET("/?\x01", "target"),
    TARGET("/\"", "target"),
    TARGET("/<", "target"),
    TARGET("/>", "target"),
    TARGET("/\\", "target"),
    TARGET("/^", "target"),
    TARGET("/`", "target"),
    TARGET("/{", "target"),
    TARGET("/}", "target"),
    TARGET("/?\"", "target"),
    TARGET("/?<", "target"),
    TARGET("/?>", "target"),
    TARGET("/%", "target"),
    TARGET("/%4", "target"),
    TARGET("/%4g", "target"),
    TARGET("/%?41", "target"),
    TARGET("/\rx", "version"),
    TARGET("http://", "target"),
    TARGET("http:///x", "target"),
    TARGET("http://:80/", "target"),
    TARGET("http:/a/", "target"),
    TARGET("http:a", "target"),
    TARGET("ftp://a/", "target"),
    TARGET("ws://a/", "target"),
    TARGET("http://u@a/", "target"),
    TARGET("http://u:p@a/", "target"),
    TARGET("http://a:x/", "target"),
    TARGET("http://a:65536/", "target"),
    TARGET("http://[::1/", "target"),
    TARGET("http://a/%zz", "target"),
    TARGET("http://a?\"", "target"),
    TARGET("http://a#x", "target-fragment"),
    TARGET("http://b/", "host-mismatch"),
    TARGET("http://a:80/", "host-mismatch"),
    REFUSED("OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    REFUSED("GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", 400, "host-mismatch"),
    REFUSED("GET http://a/ HTTP/1.1\r\n\r\n", 400, "host-missing"),
    REFUSED("GET http://a/ HTTP/1.0\r\nHost: b\r\n\r\n", 400, "host-mismatch"),

    /* Host */
    REFUSED("GET / HTTP/1.1\r\n\r\n", 400, "host-missing"),
    REFUSED("GET / HTTP/1.1\r\nX: 1\r\n\r\n", 400, "host-missing"),
    REFUSED("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host-twice"),
    REFUSED("GET / HTTP/1.1\r\nHost:\r\nhost:\r\n\r\n", 400, "host-twice"),
    REFUSED("GET / HTTP/1.0\r\nHost: a\r\nhOST: b\r\n\r\n", 400, "host-twice"),
    HOST("a b"),
    HOST("a,b c"),
    HOST("a/b"),
    HOST("u@a"),
    HOST("http://a"),
    HOST(":80"),
    HOST("a:b"),
    HOST("a:80:80"),
    HOST("a:-1"),
    HOST("a:+80"),
    HOST("a:65536"),
    HOST("a:8 0"),
    HOST("a?b"),
    HOST("a#b"),
    HOST("a\\b"),
    HOST("a\"b"),
    HOST("<a>"),
    HOST("a%"),
    HOST("a%4"),
    HOST("\xc3\xa9"),
    HOST("[::1"),
    HOST("::1"),
    HOST("[]"),
    HOST("[a]"),
    HOST("[::1]x"),
    HOST("[::1]:x"),
    HOST("[127.0.0.1]"),
    HOST("[fe80::1%25eth0]"),
    HOST("[v1.a]"),
    HOST("[1:2:3:4:5:6:7:8:9]"),

    /* field lines */
    FIELDS(" X: 1", 400, "line-folding"),
    FIELDS("\tX: 1", 400, "line-folding"),
    FIELDS("X: 1\r\n 2", 400, "line-folding"),
    FIELDS("X: 1\r\n\t", 400, "line-folding"),
    FIELDS(" ", 400, "line-folding"),
    REFUSED("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "line-folding"),
    FIELDS("X : 1", 400, "space-before-colon"),
    FIELDS("X\t: 1", 400, "space-before-colon"),
    FIELDS("Content-Length : 1", 400, "space-before-colon"),
    FIELDS("Transfer-Encoding : chunked", 400, "space-before-colon"),
    FIELDS("X", 400, "field-name"),
    FIELDS("X\r\nY: 1", 400, "field-name"),
    FIELDS(": 1", 400, "field-name"),
    FIELDS(":", 400, "field-name"),
    FIELDS("X[]: 1", 400, "field-name"),
    FIELDS("X\0: 1", 400, "field-name"),
    FIELDS("\0Content-Length: 1", 400, "field-name"),
    FIELDS("X@: 1", 400, "field-name"),
    FIELDS("\xc3\xa9: 1", 400, "field-name"),
    FIELDS("\"X\": 1", 400, "field-name"),
    FIELDS("X: \0", 400, "field-value"),
    FIELDS("X: a\0b", 400, "field-value"),
    FIELDS("X: a\x01", 400, "field-value"),
    FIELDS("X:\x0b"
           "1",
           400, "field-value"),
    FIELDS("X: 0123456789abcdef0123456789abcdef\x0c", 400, "field-value"),
    FIELDS("X: \x1f", 400, "field-value"),
    FIELDS("X: \x7f", 400, "field-value"),

    /* Content-Length */
    FIELDS("Content-Length:", 400, "content-length"),
    FIELDS("Content-Length: -1", 400, "content-length"),
    FIELDS("Content-Length: +1", 400, "content-length"),
    FIELDS("Content-Length: 1 2", 400, "content-length"),
    FIELDS("Content-Length: 1,1", 400, "content-length"),
    FIELDS("Content-Length: 0x1", 400, "content-length"),
    FIELDS("Content-Length: 1.0", 400, "content-length"),
    FIELDS("Content-Length: 1;", 400, "content-length"),
    FIELDS("Content-Length: a", 400, "content-length"),
    FIELDS("Content-Length: \xd9\xa1", 400, "content-length"),
    FIELDS("Content-Length: 9223372036854775808", 400, "content-length"),
    FIELDS("Content-Length: 18446744073709551617", 400, "content-length"),
    FIELDS("Content-Length: 00000000000000000001", 400, "content-length"),
    FIELDS("Content-Length: 1\r\nContent-Length: 1", 400, "content-length-twice"),
    FIELDS("Content-Length: 1\r\ncontent-length: 2", 400, "content-length-twice"),
    FIELDS("Content-Length: 0\r\nX: 1\r\nCONTENT-LENGTH: 0", 400, "content-length-twice"),

    /* Transfer-Encoding */
    FIELDS("Transfer-Encoding:", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: ,", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: gzip", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: identity", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: xchunked", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: chunkedx", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: chunked,", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: ,chunked", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: \"chunked\"", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: chunked;a=b", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: chunked, gzip", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: chunked, identity", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: chunked, chunked", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: chunked chunked", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: gzip chunked", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: @, chunked", 400, "transfer-encoding"),
    FIELDS("Transfer-Encoding: \x0b"
           "chunked",
           400, "field-value"),
    FIELDS("Transfer-Encoding: gzip, chunked", 501, "transfer-coding-unknown"),
    FIELDS("Transfer-Encoding: gzip;q=1 ,\tCHUNKED", 501, "transfer-coding-unknown"),
    FIELDS("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400,
           "transfer-encoding-twice"),
    FIELDS("Transfer-Encoding: gzip\r\ntransfer-encoding: chunked", 400, "transfer-encoding-twice"),
    FIELDS("Transfer-Encoding: chunked\r\nTransfer-Encoding:", 400, "transfer-encoding-twice"),
    FIELDS("Transfer-Encoding: chunked\r\nContent-Length: 0", 400, "length-and-transfer-encoding"),
    FIELDS("content-length: 5\r\ntransfer-encoding: chunked", 400, "length-and-transfer-encoding"),
    FIELDS("Content-Length: 5\r\nTransfer-Encoding: x", 400, "length-and-transfer-encoding"),
    /* Naming them in Connection does not make them go away. */
    FIELDS("Connection: content-length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", 400,
           "length-and-transfer-encoding"),
    REFUSED("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
            "transfer-encoding-in-1.0"),
    FIELDS("Transfer_Encoding: chunked", 400, "framing-lookalike"),
    FIELDS("transfer--encoding: x", 400, "framing-lookalike"),
    FIELDS("_Transfer-Encoding: chunked", 400, "framing-lookalike"),
    FIELDS("Transfer-Encoding1: chunked", 400, "framing-lookalike"),
    FIELDS("TransferEncoding: chunked", 400, "framing-lookalike"),
    FIELDS("CONTENT_LENGTH: 1", 400, "framing-lookalike"),
    FIELDS("Content.Length: 1", 400, "framing-lookalike"),

    /* Connection and Expect */
    FIELDS("Connection: a b", 400, "connection"),
    FIELDS("Connection: close;x", 400, "connection"),
    FIELDS("Connection: \"close\"", 400, "connection"),
    FIELDS("Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,0,1,2,3,4,5,6", 400,
           "connection"),
    FIELDS("Expect: 200-ok", 417, "expectation"),
    FIELDS("Expect: 100-continue, x", 417, "expectation"),
    FIELDS("Expect: 100-continue;a=b", 417, "expectation"),
    FIELDS("Expect: 100-continue\r\nExpect: y", 417, "expectation"),
};

static void check_refused(const struct refused *r, bool is_request)
{
    struct outcome o = read_head(r->head, is_request, MG_METHOD_GET);
    if (o.rc != -1)
        fail_msg("not refused (%d), want %s: %s", o.rc, r->reason, r->head.p);
    if (o.fault.status != r->status || strcmp(o.fault.reason, r->reason) != 0)
        fail_msg("got %d %s, want %d %s: %s", o.fault.status, o.fault.reason, r->status, r->reason,
                 r->head.p);
}

static void requests_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused_requests / sizeof *refused_requests; i++)
        check_refused(&refused_requests[i], true);
}

/* ---- read ---- */

struct request {
    const char *head;
    const char *line; /* "METHOD SCHEME AUTHORITY PATH QUERY VERSION", '-' for none */
    const char *framing;
    const char *fields;
};

static const struct request requests[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET - a / - 11", "none keep", ""},
    {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET - a / - 11", "none keep", ""},
    {"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET - a / - 11", "none keep", ""},
    {"GET / HTTP/1.0\r\n\r\n", "GET - - / - 10", "none close", ""},
    {"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", "GET - a / - 10", "none keep",
     ""},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET - - / - 10", "none close", ""},
    {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", "GET - a / - 11", "none keep", ""},
    {"GET / HTTP/1.9\r\nHost: a\r\nConnection: close\r\n\r\n", "GET - a / - 11", "none close", ""},
    {"GET / HTTP/1.1\r\nhOsT:\ta\t \r\nempty:\r\nblank: \t \r\n\r\n", "GET - a / - 11", "none keep",
     "empty: |blank: "},
    {"!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\nHost: a\r\n\r\n", "!#$%&'*+-.^_`|~09azAZ - a / - 11",
     "none keep", ""},
    {"get / HTTP/1.1\r\nHost: a\r\n\r\n", "get - a / - 11", "none keep", ""},
    {"abcdefghijklmnopqrstuvwxyz012345 / HTTP/1.1\r\nHost: a\r\n\r\n",
     "abcdefghijklmnopqrstuvwxyz012345 - a / - 11", "none keep", ""},

    /* targets */
    {"GET /a/b;c=d,e:f@g!$&'()*+-._~|[]%20%aF HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET - a /a/b;c=d,e:f@g!$&'()*+-._~|[]%20%aF - 11", "none keep", ""},
    {"GET /?/?:@!$&'()*+,;=-._~[]|{}^`\\%zz%&a=1 HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET - a / /?:@!$&'()*+,;=-._~[]|{}^`\\%zz%&a=1 11", "none keep", ""},
    {"GET /x? HTTP/1.1\r\nHost: a\r\n\r\n", "GET - a /x  11", "none keep", ""},
    {"GET //a/../b HTTP/1.1\r\nHost: a\r\n\r\n", "GET - a //a/../b - 11", "none keep", ""},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS - a * - 11", "none keep", ""},
    {"OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS - a / - 11", "none keep", ""},
    {"GET http://a.b:81/c?d HTTP/1.1\r\nHost: A.B:81\r\n\r\n", "GET http A.B:81 /c d 11",
     "none keep", ""},
    {"GET HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET https a / - 11", "none keep", ""},
    {"GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n", "GET http a / b 11", "none keep", ""},
    {"GET http://a? HTTP/1.1\r\nHost: a\r\n\r\n", "GET http a /  11", "none keep", ""},
    {"GET http://a/ HTTP/1.0\r\n\r\n", "GET http a / - 10", "none close", ""},
    {"GET http://[::1]:8/x HTTP/1.1\r\nHost: [::1]:8\r\n\r\n", "GET http [::1]:8 /x - 11",
     "none keep", ""},
    {"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS http a * - 11", "none keep", ""},
    {"OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS http a / - 11", "none keep", ""},
    {"OPTIONS http://a?q HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS http a / q 11", "none keep", ""},

    /* Host */
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET - - / - 11", "none keep", ""},
    {"GET / HTTP/1.1\r\nHost: a-b_c.example:65535\r\n\r\n", "GET - a-b_c.example:65535 / - 11",
     "none keep", ""},
    {"GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", "GET - 127.0.0.1:1 / - 11", "none keep", ""},
    {"GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n", "GET - [2001:db8::1] / - 11", "none keep",
     ""},
    {"GET / HTTP/1.1\r\nHost: a%41!$&'()*+,;=~\r\n\r\n", "GET - a%41!$&'()*+,;=~ / - 11",
     "none keep", ""},

    /* values */
    {"GET / HTTP/1.1\r\nHost: a\r\nX:1\r\nX: a \t b \r\nY: \xc3\xa9\x80\xff\r\nZ: :\r\n\r\n",
     "GET - a / - 11", "none keep", "X: 1|X: a \t b|Y: \xc3\xa9\x80\xff|Z: :"},

    /* bodies */
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST - a / - 11", "0 keep", ""},
    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \t00012 \r\n\r\n", "GET - a / - 11", "12 keep",
     ""},
    {"PUT / HTTP/1.0\r\nContent-Length: 9223372036854775807\r\n\r\n", "PUT - - / - 10",
     "9223372036854775807 close", ""},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "POST - a / - 11",
     "chunked keep", ""},
    {"POST / HTTP/1.1\r\ntransfer-encoding:\tChUnKeD \r\nHost: a\r\n\r\n", "POST - a / - 11",
     "chunked keep", ""},

    /* the connection's own fields */
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n"
     "HTTP2-Settings: y\r\nTE: gzip\r\nUpgrade: z\r\nVia: v\r\n\r\n",
     "GET - a / - 11", "none close", "Via: v"},
    {"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nConnection: x-A , ,via,X-Gone\r\nX-a: 2\r\nVia: 3\r\n"
     "X-B: 4\r\nConnection:x-b\r\nX-C: 5\r\n\r\n",
     "GET - a / - 11", "none keep", "X-C: 5"},
    {"POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, expect\r\nContent-Length: "
     "3\r\n"
     "Expect: 100-continue\r\n\r\n",
     "POST - a / - 11", "3 keep expect", ""},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection:\r\nConnection: CLOSE\r\n\r\n", "GET - a / - 11",
     "none close", ""},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: gzip;q=0.5, Trailers;x\r\n\r\n",
     "GET - a / - 11", "none keep te", ""},
    {"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", "GET - a / - 11", "none keep", ""},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: gzip\r\n\r\n", "GET - a / - 11",
     "none keep", ""},
    {"GET / HTTP/1.0\r\nConnection: TE\r\nTE: trailers\r\n\r\n", "GET - - / - 10", "none close",
     ""},

    /* upgrade */
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
     "GET - a / - 11", "none keep upgrade=websocket", ""},
    {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", "GET - a / - 11", "none keep", ""},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n", "GET - a / - 11", "none keep", ""},
    {"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "GET - - / - 10",
     "none close", ""},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n",
     "GET - a / - 11", "none keep", ""},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings\r\nUpgrade: H2C\r\n"
     "HTTP2-Settings: x\r\n\r\n",
     "GET - a / - 11", "none keep", ""},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
     "GET - a / - 11", "none keep", ""},

    /* Expect */
    {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
     "POST - a / - 11", "1 keep expect", ""},
    {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
     "POST - a / - 11", "chunked keep expect", ""},
    {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
     "POST - a / - 11", "0 keep", ""},
    {"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "GET - a / - 11", "none keep",
     ""},
    {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", "POST - - / - 10",
     "1 close", ""},
};

static const char *text(struct mg_str s, char *room, size_t n)
{
    snprintf(room, n, "%.*s", MG_STR_ARGS(s));
    return s.p ? room : "-";
}

static const char *or_dash(struct mg_str s, char *room, size_t n)
{
    return s.n ? text(s, room, n) : "-";
}

static void check_framing(const struct outcome *o, const char *head, const char *want)
{
    char got[200], length[32];
    snprintf(length, sizeof length, "%llu", (unsigned long long)o->framing.length);
    const char *kinds[] = {"none", length, "chunked", "until-close"};
    snprintf(got, sizeof got, "%s %s%s%s%s%.*s", kinds[o->framing.kind],
             o->framing.keep_alive ? "keep" : "close", o->m.te_trailers ? " te" : "",
             o->m.expect_continue ? " expect" : "", o->m.upgrade.n ? " upgrade=" : "",
             MG_STR_ARGS(o->m.upgrade));
    if (strcmp(got, want) != 0)
        fail_msg("framing '%s', want '%s': %s", got, want, head);
}

static void check_fields(const struct mg_fields *fields, const char *head, const char *want)
{
    char got[1024] = "";
    size_t n = 0;
    for (unsigned i = 0; i < fields->n; i++) {
        const struct mg_field *f = &fields->v[i];
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%.*s: %.*s", i ? "|" : "", f->name_len,
                              f->name, (int)f->value_len, f->value);
        assert_int_equal(f->id, mg_field_id(mg_str(f->name, f->name_len)));
    }
    if (strcmp(got, want) != 0)
        fail_msg("fields '%s', want '%s': %s", got, want, head);
}

static void check_request(const struct request *r)
{
    struct outcome o = read_head(mg_str_c(r->head), true, 0);
    if (o.rc)
        fail_msg("refused with %d %s: %s", o.fault.status, o.fault.reason, r->head);
    assert_int_equal(o.size, strlen(r->head));
    char got[512], room[5][100];
    snprintf(got, sizeof got, "%s %s %s %s %s %d", text(o.m.method, room[0], 100),
             or_dash(o.m.scheme, room[1], 100), or_dash(o.m.authority, room[2], 100),
             text(o.m.path, room[3], 100), text(o.m.query, room[4], 100), o.m.version);
    if (strcmp(got, r->line) != 0)
        fail_msg("line '%s', want '%s': %s", got, r->line, r->head);
    assert_int_equal(o.m.method_id, mg_method_id(o.m.method));
    assert_int_equal(o.m.content_length,
                     o.framing.kind == MG_H1_LENGTH ? (int64_t)o.framing.length : -1);
    check_framing(&o, r->head, r->framing);
    check_fields(&o.m.fields, r->head, r->fields);
}

static void requests_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        check_request(&requests[i]);
}

/* ---- responses ---- */

#define STATUS(line, reason) REFUSED(line "\r\n\r\n", 502, reason)
#define ANSWER(fields, reason) REFUSED("HTTP/1.1 200 OK\r\n" fields "\r\n\r\n", 502, reason)

static const struct refused refused_responses[] = {
    REFUSED("\r\n", 400, "status-line"),
    REFUSED("HTTP/1.1 200 OK\n", 400, "bare-lf"),
    STATUS("HTTP/1.1", "status-line"),
    STATUS("HTTP/1.", "version"),
    STATUS("HTTP/1.1 ", "status-line"),
    STATUS("HTTP/1.1 20", "status-line"),
    STATUS("HTTP/1.1 20x", "status-line"),
    STATUS("HTTP/1.1  200", "status-line"),
    STATUS("HTTP/1.1 2000", "status-line"),
    STATUS("HTTP/1.1 200OK", "status-line"),
    STATUS("HTTP/1.1 200\tOK", "status-line"),
    STATUS("HTTP/1.1\t200 OK", "status-line"),
    STATUS("HTTP/1.1 +20 OK", "status-line"),
    STATUS("HTTP/1.1 200 O\0K", "status-line"),
    STATUS("HTTP/1.1 200 O\x7fK", "status-line"),
    STATUS("HTTP/1.1 200 OK\rX: 1", "bare-cr"),
    STATUS("HTTP/1.1 099 x", "status"),
    STATUS("HTTP/1.1 000 x", "status"),
    STATUS("HTTP/1.1 600 x", "status"),
    STATUS("HTTP/1.1 999 x", "status"),
    STATUS(" HTTP/1.1 200 OK", "version"),
    STATUS("http/1.1 200 OK", "version"),
    STATUS("HTTP/0.9 200 OK", "version"),
    STATUS("HTTP/2.0 200 OK", "version-unsupported"),
    STATUS("ICY 200 OK, and so on", "version"),
    ANSWER("X : 1", "space-before-colon"),
    ANSWER(" X: 1", "line-folding"),
    ANSWER("X: 1\r\n 2", "line-folding"),
    ANSWER("X", "field-name"),
    ANSWER("X: \0", "field-value"),
    ANSWER("X: a\rb", "bare-cr"),
    ANSWER("Content-Length: x", "content-length"),
    ANSWER("Content-Length: 1, 1", "content-length"),
    ANSWER("Content-Length: 1\r\nContent-Length: 1", "content-length-twice"),
    ANSWER("Content-Length: 1\r\nTransfer-Encoding: chunked", "length-and-transfer-encoding"),
    ANSWER("Transfer-Encoding: gzip", "transfer-encoding"),
    ANSWER("Transfer-Encoding: gzip, chunked", "transfer-coding-unknown"),
    ANSWER("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "transfer-encoding-twice"),
    ANSWER("Transfer_Encoding: chunked", "framing-lookalike"),
    REFUSED("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 502,
            "transfer-encoding-in-1.0"),
    REFUSED("HTTP/1.0 200 OK\r\nTransfer-Encoding: x\r\n\r\n", 502, "transfer-encoding-in-1.0"),
    REFUSED("HTTP/1.1 304 x\r\nTransfer-Encoding: gzip\r\n\r\n", 502, "transfer-encoding"),
    ANSWER("Transfer-Encoding: chunked, x", "transfer-encoding"),
    ANSWER("Transfer-Encoding: x, chunked", "transfer-coding-unknown"),
    ANSWER("Transfer-Encoding: x;chunked", "transfer-encoding"),
    ANSWER("Transfer-Encoding: x y", "transfer-encoding"),
    ANSWER("Transfer-Encoding: X-Gzip", "transfer-encoding"),
    ANSWER("Transfer-Encoding: trailers", "transfer-encoding"),
    ANSWER("Transfer-Encoding: x\r\nContent-Length: 5", "length-and-transfer-encoding"),
    ANSWER("Transfer-Encoding: x\r\nTransfer-Encoding: chunked", "transfer-encoding-twice"),
    REFUSED("HTTP/1.1 103 x\r\nTransfer-Encoding: x\r\n\r\n", 502, "transfer-encoding"),
    REFUSED("HTTP/1.1 100 x\r\nContent-Length: 1\r\n\r\n", 502, "framing-in-1xx"),
    REFUSED("HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n", 502, "framing-in-1xx"),
    REFUSED("HTTP/1.1 101 x\r\n\r\n", 502, "upgrade-missing"),
    REFUSED("HTTP/1.1 101 x\r\nUpgrade: a\r\n\r\n", 502, "upgrade-missing"),
    REFUSED("HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n", 502, "upgrade-missing"),
    REFUSED("HTTP/1.0 101 x\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n", 502, "upgrade-missing"),
};

static void responses_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused_responses / sizeof *refused_responses; i++)
        check_refused(&refused_responses[i], false);
}

struct response {
    const char *head;
    enum mg_method asked;
    int status;
    const char *phrase;
    const char *framing;
    int64_t declared;
    const char *fields;
};

#define GET MG_METHOD_GET
#define HEAD MG_METHOD_HEAD

static const struct response responses[] = {
    {"HTTP/1.1 200 OK\r\n\r\n", GET, 200, "OK", "until-close close", -1, ""},
    {"HTTP/1.1 200\r\n\r\n", GET, 200, "-", "until-close close", -1, ""},
    {"HTTP/1.1 200 \r\n\r\n", GET, 200, "", "until-close close", -1, ""},
    {"HTTP/1.1 599 Caf\xc3\xa9 \t zu\r\n\r\n", GET, 599, "Caf\xc3\xa9 \t zu", "until-close close",
     -1, ""},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", GET, 200, "OK", "5 close", 5, ""},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", GET, 200, "OK",
     "5 keep", 5, ""},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", GET, 200, "OK", "until-close close", -1,
     ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", GET, 200, "OK", "0 keep", 0, ""},
    {"HTTP/1.5 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", GET, 200, "OK", "5 close",
     5, ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", GET, 200, "OK", "chunked keep", -1,
     ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: a b\r\n\r\n", GET, 200, "OK", "5 close",
     5, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: X-A\r\nX-A: 1\r\nX-B: \xff\r\nHost: h\r\n"
     "Expect: y\r\nUpgrade: h2c\r\nKeep-Alive: z\r\n\r\n",
     GET, 200, "OK", "5 keep", 5, "X-B: \xff"},

    /* with a transfer coding that is none */
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nX: 1\r\n\r\n", GET, 200, "OK",
     "until-close close", -1, "X: 1"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n", HEAD, 200, "OK", "none close", -1, ""},
    {"HTTP/1.1 304 x\r\nTransfer-Encoding: x\r\n\r\n", GET, 304, "x", "none close", -1, ""},
    {"HTTP/1.1 204 x\r\nTransfer-Encoding: x\r\n\r\n", GET, 204, "x", "none close", -1, ""},

    /* to HEAD */
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HEAD, 200, "OK", "none keep", 5, ""},
    {"HTTP/1.1 200 OK\r\n\r\n", HEAD, 200, "OK", "none keep", -1, ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD, 200, "OK", "none keep", -1, ""},
    {"HTTP/1.0 200 OK\r\n\r\n", HEAD, 200, "OK", "none close", -1, ""},

    /* without a body by their status */
    {"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", GET, 304, "x", "none keep", 5, ""},
    {"HTTP/1.1 304 x\r\n\r\n", GET, 304, "x", "none keep", -1, ""},
    {"HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n", GET, 304, "x", "none keep", -1, ""},
    {"HTTP/1.1 204 x\r\n\r\n", GET, 204, "x", "none keep", -1, ""},
    {"HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", GET, 204, "x", "none keep", -1, ""},
    {"HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", GET, 204, "x", "none close", -1, ""},
    {"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", GET, 204, "x", "none close", -1, ""},
    {"HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n", GET, 205, "x", "0 keep", 0, ""},
    {"HTTP/1.1 100 Continue\r\n\r\n", GET, 100, "Continue", "none keep", -1, ""},
    {"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n", GET, 100, "Continue", "none keep", -1,
     ""},
    {"HTTP/1.1 103 x\r\nLink: </a>\r\n\r\n", GET, 103, "x", "none keep", -1, "Link: </a>"},
    {"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: 1\r\n\r\n", GET, 101, "x",
     "none keep upgrade=websocket", -1, "X: 1"},
};

static void responses_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof responses / sizeof *responses; i++) {
        const struct response *r = &responses[i];
        struct outcome o = read_head(mg_str_c(r->head), false, r->asked);
        if (o.rc)
            fail_msg("refused with %d %s: %s", o.fault.status, o.fault.reason, r->head);
        char room[100];
        assert_int_equal(o.m.status, r->status);
        assert_string_equal(text(o.m.phrase, room, sizeof room), r->phrase);
        assert_int_equal(o.m.content_length, r->declared);
        check_framing(&o, r->head, r->framing);
        check_fields(&o.m.fields, r->head, r->fields);
    }
}

/* ---- where a head ends ---- */

static void what_follows_is_left_alone(void **state)
{
    (void)state;
    static const char bytes[] = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\nGET /\r\n\r\n";
    struct mg_h1_fault fault;
    uint32_t skip;
    assert_int_equal(find_end(mg_str(bytes, sizeof bytes - 1), true, &skip, &fault), 29);
    assert_int_equal(skip, 2);
}

/* Half a head is no head, whatever its beginning looks like. */
static void half_a_head_waits(void **state)
{
    (void)state;
    static const char *const halves[] = {"",
                                         "\r",
                                         "\r\n",
                                         "\r\n\r",
                                         "G",
                                         "GET ",
                                         "GET /",
                                         "GET / HTTP/1.1",
                                         "GET / HTTP/1.1\r",
                                         "GET / HTTP/1.1\r\n",
                                         "GET / HTTP/1.1\r\nHos",
                                         "GET / HTTP/1.1\r\nHost: a\r\n\r"};
    struct mg_h1_fault fault;
    uint32_t skip;
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++)
        assert_int_equal(find_end(mg_str_c(halves[i]), true, &skip, &fault), 0);
}

/* `line` bytes of request line in a head of `n` bytes, with a body after it. */
static char *long_request(size_t line, size_t n, size_t *total)
{
    static const char tail[] = "\r\nHost: a\r\nX: ";
    *total = n + 100000;
    char *p = malloc(*total);
    memset(p, 'x', *total);
    memcpy(p, "GET /", 5);
    memcpy(p + line - 9, " HTTP/1.1", 9);
    memcpy(p + line, tail, sizeof tail - 1);
    memcpy(p + n - 4, "\r\n\r\n", 4);
    return p;
}

static void heads_have_limits(void **state)
{
    (void)state;
    static const struct {
        size_t line, head;
        int status;
        const char *reason;
    } cases[] = {
        {100, 4096, 0, NULL},
        {100, 4097, 431, "head-too-large"},
        {100, 9000, 431, "head-too-large"},
        {4 + 1000 + 9, 2000, 0, NULL},
        {4 + 1001 + 9, 2000, 414, "target-too-long"},
        {4 + 1100 + 9, 2000, 414, "target-too-long"},
        {5000, 6000, 414, "target-too-long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t total;
        char *p = long_request(cases[i].line, cases[i].head, &total);
        struct outcome o = read_head(mg_str(p, total), true, 0);
        if (cases[i].status) {
            assert_int_equal(o.rc, -1);
            assert_int_equal(o.fault.status, cases[i].status);
            assert_string_equal(o.fault.reason, cases[i].reason);
        } else {
            assert_int_equal(o.rc, 0);
            assert_int_equal(o.size, cases[i].head);
        }
        free(p);
    }
}

/* A line without end is refused before it fills the head, and a response head has its limit too. */
static void endless_lines_are_refused(void **state)
{
    (void)state;
    char *p = malloc(4096);
    memset(p, 'x', 4096);
    struct mg_h1_fault fault;
    uint32_t skip;
    assert_int_equal(find_end(mg_str(p, 1044), true, &skip, &fault), 0);
    assert_int_equal(find_end(mg_str(p, 1045), true, &skip, &fault), -1);
    assert_int_equal(fault.status, 414);
    assert_int_equal(find_end(mg_str(p, 4095), false, &skip, &fault), 0);
    assert_int_equal(find_end(mg_str(p, 4096), false, &skip, &fault), -1);
    assert_string_equal(fault.reason, "head-too-large");
    free(p);
}

static void fields_are_counted(void **state)
{
    (void)state;
    for (unsigned fields = 19; fields <= 21; fields++) {
        char head[512];
        size_t n = (size_t)snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (unsigned i = 1; i < fields; i++)
            n += (size_t)snprintf(head + n, sizeof head - n, "%s: x\r\n",
                                  i % 2 ? "X" : "Connection");
        snprintf(head + n, sizeof head - n, "\r\n");
        struct outcome o = read_head(mg_str_c(head), true, 0);
        assert_int_equal(o.rc, fields > 20 ? -1 : 0);
        if (fields > 20) {
            assert_int_equal(o.fault.status, 431);
            assert_string_equal(o.fault.reason, "too-many-fields");
        }
    }
}

static void long_names_are_refused(void **state)
{
    (void)state;
    const struct mg_h1_limits wide = {1 << 20, 100, 1000};
    for (size_t n = 65535; n <= 65536; n++) {
        static char head[70000];
        int begin = snprintf(head, sizeof head, "GET / HTTP/1.0\r\n");
        memset(head + begin, 'x', n);
        memcpy(head + begin + n, ":\r\n\r\n", 5);
        struct mg_message m;
        struct mg_h1_framing framing;
        struct mg_h1_fault fault;
        mg_message_init(&m, &arena);
        int rc = mg_h1_parse_request(head, (size_t)begin + n + 5, &wide, &m, &framing, &fault);
        assert_int_equal(rc, n == 65535 ? 0 : -1);
        if (rc)
            assert_string_equal(fault.reason, "field-name-too-long");
    }
}

/* The parsers stand on their own: what is not one whole head is refused, and nothing beyond it
 * read. */
static void parts_of_heads_are_refused(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";
    static const char response[] = "HTTP/1.1 200 OK\r\nX: 1\r\n\r\n";
    struct mg_message m;
    struct mg_h1_framing framing;
    struct mg_h1_fault fault;
    for (size_t n = 0; n < sizeof request - 1; n++) {
        char *part = malloc(n ? n : 1);
        memcpy(part, request, n);
        mg_message_init(&m, &arena);
        assert_int_equal(mg_h1_parse_request(part, n, &limits, &m, &framing, &fault), -1);
        if (n < sizeof response - 1) {
            memcpy(part, response, n);
            mg_message_init(&m, &arena);
            assert_int_equal(mg_h1_parse_response(part, n, &limits, GET, &m, &framing, &fault), -1);
        }
        free(part);
    }
    static const char two[] = "GET / HTTP/1.0\r\n\r\nX: 1\r\n\r\n";
    mg_message_init(&m, &arena);
    assert_int_equal(mg_h1_parse_request(two, sizeof two - 1, &limits, &m, &framing, &fault), -1);
    assert_string_equal(fault.reason, "head-incomplete");
}

/* ---- trailers ---- */

static void trailers(void **state)
{
    (void)state;
    static const struct {
        const char *block, *fields, *reason;
    } cases[] = {
        {"\r\n", "", NULL},
        {"X-Sum: 1\r\nETag: \"a\"\r\n\r\n", "X-Sum: 1|ETag: \"a\"", NULL},
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: x\r\nAuthorization: y\r\n"
         "If-Match: z\r\nTransfer_Encoding: chunked\r\nX: 1\r\n\r\n",
         "X: 1", NULL},
        {"", NULL, "trailers-incomplete"},
        {"\n", NULL, "trailers-incomplete"},
        {"X: 1\r\n", NULL, "trailers-incomplete"},
        {"X: 1\n\n", NULL, "trailers-incomplete"},
        {"X: 1\nY: 2\r\n\r\n", NULL, "bare-lf"},
        {"X: 1\r\r\n\r\n", NULL, "bare-cr"},
        {" X: 1\r\n\r\n", NULL, "line-folding"},
        {"X : 1\r\n\r\n", NULL, "space-before-colon"},
        {"X\r\n\r\n", NULL, "field-name"},
        {"X: 1\r\n\r\nY: 2\r\n\r\n", NULL, "head-incomplete"},
        {"a:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:"
         "\r\n"
         "a:\r\na:\r\na:\r\na:\r\na:\r\na:\r\n\r\n",
         NULL, "too-many-fields"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].block);
        char *block = malloc(n ? n : 1);
        memcpy(block, cases[i].block, n);
        struct mg_fields fields = {0};
        struct mg_h1_fault fault = {0};
        int rc = mg_h1_parse_trailers(block, n, &limits, &fields, &arena, &fault);
        struct mg_h1_fault again = {0};
        assert_int_equal(mg_h1_parse_trailers(block, n, &limits, NULL, NULL, &again), rc);
        free(block); /* they were copied */
        assert_int_equal(rc, cases[i].reason ? -1 : 0);
        if (rc)
            assert_string_equal(fault.reason, cases[i].reason);
        else
            check_fields(&fields, cases[i].block, cases[i].fields);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(requests_are_refused),   TEST(requests_are_read),          TEST(responses_are_refused),
        TEST(responses_are_read),     TEST(what_follows_is_left_alone), TEST(half_a_head_waits),
        TEST(heads_have_limits),      TEST(endless_lines_are_refused),  TEST(fields_are_counted),
        TEST(long_names_are_refused), TEST(parts_of_heads_are_refused), TEST(trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
