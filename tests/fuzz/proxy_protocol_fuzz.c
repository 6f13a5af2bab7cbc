/*
 * PROXY headers. Given byte by byte the answer must be the one to the whole; what is read as
 * addresses is written as a header of the other version and read back as the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "net/proxy_protocol.h"

#define CHECK(condition) MG_BUG_ON(!(condition))

static bool lies_in(struct mg_str text, const char *block, int n)
{
    return text.n == 0 || (text.p > block && text.p + text.n <= block + n);
}

/* From a block of its own size, so that reading beyond it is seen. */
static int parse(const char *p, size_t n, struct mg_proxy_header *out)
{
    char *exact = malloc(n ? n : 1);
    memcpy(exact, p, n);
    int length = mg_proxy_protocol_parse(exact, n, out);
    if (length > 0)
        CHECK(lies_in(out->alpn, exact, length) && lies_in(out->authority, exact, length));
    free(exact);
    out->alpn.p = out->authority.p = NULL;
    return length;
}

static bool is_same(const struct mg_proxy_header *a, const struct mg_proxy_header *b)
{
    return a->kind == b->kind && mg_ip_eq(&a->source, &b->source) &&
           mg_ip_eq(&a->destination, &b->destination) && a->source.port == b->source.port &&
           a->destination.port == b->destination.port && a->over_tls == b->over_tls &&
           a->alpn.n == b->alpn.n && a->authority.n == b->authority.n;
}

/* Longer ones need no more steps than a header can have, and a few. */
static void check_parts(const char *p, size_t n, int length, const struct mg_proxy_header *whole)
{
    struct mg_proxy_header part;
    for (size_t i = 0; i <= n && i <= MG_PROXY_HEADER_MAX + 1; i++) {
        int answer = parse(p, i, &part);
        if (answer == 0) {
            CHECK(part.missing_bytes > 0 && i + part.missing_bytes <= MG_PROXY_HEADER_MAX);
            CHECK(length <= 0 || (size_t)length <= i + part.missing_bytes);
            continue;
        }
        CHECK(answer == length);
        CHECK(answer < 0 ? part.reason == whole->reason : is_same(&part, whole));
        CHECK(answer < 0 || (size_t)answer == i);
        return;
    }
    CHECK(length == 0);
}

static size_t write_v1(const struct mg_proxy_header *h, char out[MG_PROXY_LINE_MAX + 1])
{
    char source[MG_IP_TEXT_MAX], destination[MG_IP_TEXT_MAX];
    mg_ip_format(&h->source, source);
    mg_ip_format(&h->destination, destination);
    return (size_t)snprintf(out, MG_PROXY_LINE_MAX + 1, "PROXY TCP%d %s %s %u %u\r\n",
                            h->source.family, source, destination, h->source.port,
                            h->destination.port);
}

static size_t write_v2(const struct mg_proxy_header *h, char out[64])
{
    size_t width = h->source.family == 4 ? 4 : 16, at = 16;
    memcpy(out, "\r\n\r\n\0\r\nQUIT\n\x21", 13);
    out[13] = width == 4 ? 0x11 : 0x21;
    out[14] = 0;
    out[15] = (char)(2 * width + 4);
    memcpy(out + at, h->source.bytes, width);
    memcpy(out + at + width, h->destination.bytes, width);
    at += 2 * width;
    out[at++] = (char)(h->source.port >> 8);
    out[at++] = (char)h->source.port;
    out[at++] = (char)(h->destination.port >> 8);
    out[at++] = (char)h->destination.port;
    return at;
}

static void check_written(const struct mg_proxy_header *h, const char *bytes, size_t n)
{
    struct mg_proxy_header again;
    CHECK(parse(bytes, n, &again) == (int)n);
    again.over_tls = h->over_tls;
    again.alpn = h->alpn;
    again.authority = h->authority;
    CHECK(is_same(h, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_proxy_header header;
    char bytes[MG_PROXY_LINE_MAX + 1];
    int length = parse((const char *)data, size, &header);
    CHECK(length >= -1 && length <= (int)size && length <= MG_PROXY_HEADER_MAX);
    CHECK((length < 0) == (header.reason != NULL));
    check_parts((const char *)data, size, length, &header);
    if (length <= 0)
        return 0;
    CHECK((header.kind == MG_PROXY_TCP) == (header.source.family != 0));
    CHECK((header.kind == MG_PROXY_TCP) == (header.destination.family != 0));
    /* One end may be IPv4-mapped alone: no header can be written of the two. */
    if (header.kind == MG_PROXY_TCP && header.source.family == header.destination.family) {
        check_written(&header, bytes, write_v1(&header, bytes));
        check_written(&header, bytes, write_v2(&header, bytes));
    }
    return 0;
}
