/*
 * The PROXY protocol, versions 1 and 2: a header in front of a connection's bytes, in which a proxy
 * says whose connection it passes on. The receiving side.
 *
 * "PP 2.1" in comments is a section of the specification, doc/proxy-protocol.txt of HAProxy. Where
 * it leaves a choice we take the stricter one: what is not exactly a header is refused. Pure; any
 * thread.
 */
#ifndef MG_NET_PROXY_PROTOCOL_H
#define MG_NET_PROXY_PROTOCOL_H

#include <stdbool.h>

#include "base/ip.h"

/* PP 2.1: the longest line of version 1, CRLF included. */
#define MG_PROXY_LINE_MAX 107
/* The longest header that is taken. The specification wants a header to fit in one segment of 536
 * bytes; what proxies add to it about TLS may be longer. Its own limit would be 65551. */
#define MG_PROXY_HEADER_MAX 4096

enum mg_proxy_kind {
    MG_PROXY_LOCAL,   /* the proxy's own connection, such as a health check */
    MG_PROXY_UNKNOWN, /* passed on, without addresses that are of use: unknown, or unix sockets */
    MG_PROXY_TCP,     /* passed on; source and destination are set */
};

struct mg_proxy_header {
    /* Of a whole header. */
    enum mg_proxy_kind kind;
    struct mg_addr source, destination; /* family 0 unless MG_PROXY_TCP; IPv4-mapped is IPv4 */
    bool over_tls;                      /* the client spoke TLS to the proxy */
    struct mg_str authority; /* the name that the client asked for, as in SNI; unchecked bytes */
    struct mg_str alpn;      /* the protocol that was negotiated; unchecked bytes */
    /* Otherwise. */
    size_t missing_bytes; /* of a part: at most so many belong to the header still */
    const char *reason;   /* of what is bad: a text that lives for ever */
};

/* Looks at the first `n` bytes of a connection. Returns the header's length, 0 when it is not there
 * as a whole, or -1 when this is not a header. More bytes do not change an answer other than 0, and
 * a call with part of a header costs the same however much of version 2 is there. The texts of
 * `out` borrow from `p`. */
int mg_proxy_protocol_parse(const char *p, size_t n, struct mg_proxy_header *out);

#endif
