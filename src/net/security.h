/*
 * What is known of the security of a stream: made by TLS once its handshake is done, looked at by
 * everyone above. Immutable, counted; requests keep it longer than their connection lives. One
 * thread.
 */
#ifndef MG_NET_SECURITY_H
#define MG_NET_SECURITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct mg_security {
    uint32_t refs;
    const char *version;       /* "TLSv1.2"; static */
    const char *cipher;        /* IANA's name: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"; static */
    struct mg_str server_name; /* as the client sent it; empty: it sent none */
    struct mg_str protocol;    /* chosen by ALPN (RFC 7301); empty: none was */
    struct mg_str peer_der;    /* the peer's certificate, verified; empty: it showed none */
    bool resumed;
};

/* Copies all that is not static. One reference. */
struct mg_security *mg_security_new(const struct mg_security *values);
struct mg_security *mg_security_ref(struct mg_security *s); /* NULL: NULL */
void mg_security_unref(struct mg_security *s);

#endif
