/*
 * What a peer's certificate says, for policies. From its DER form, so that it can be asked for
 * long after the handshake, and only by those who want it.
 */
#ifndef MG_TLS_PEER_H
#define MG_TLS_PEER_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "tls/san.h"

/* More does not fit into a record, which is where the library wants a whole message. */
#define MG_TLS_PEER_DER_MAX (16u * 1024)

struct mg_tls_san {
    enum mg_tls_san_kind kind;
    struct mg_str value; /* IP addresses as text */
};

struct mg_tls_peer_info {
    struct mg_str subject;     /* RFC 4514 order and escapes: "CN=ann,O=Example" */
    struct mg_str common_name; /* empty: none */
    struct mg_str issuer;
    struct mg_str serial;         /* lower-case hex, without leading zeros */
    struct mg_str fingerprint;    /* SHA-256 of the DER, lower-case hex */
    double not_before, not_after; /* seconds since 1970 */
    struct mg_tls_san *sans;
    size_t san_count;
    struct mg_str pem;
};

/* Everything lies in the arena; every text is UTF-8 with a NUL behind it. MG_FAIL: not a
 * certificate, or larger than MG_TLS_PEER_DER_MAX. So that no text can pretend to be another,
 * control characters are escaped in subject and issuer, and other values that have them are left
 * out. */
enum mg_rc mg_tls_peer_describe(struct mg_str der, struct mg_arena *a, struct mg_tls_peer_info *out,
                                struct mg_error *err) MG_MUST_CHECK;

#endif
