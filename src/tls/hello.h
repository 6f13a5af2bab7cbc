/*
 * A look at a client's first bytes before any state is made for it: whether this is a TLS
 * ClientHello at all, and which ciphers it likes. Pure; the real parsing, with its alerts, is the
 * library's.
 */
#ifndef MG_TLS_HELLO_H
#define MG_TLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mg_tls_hello_state {
    MG_TLS_HELLO_MORE,    /* nothing can be said yet */
    MG_TLS_HELLO_KNOWN,   /* `out` is filled in */
    MG_TLS_HELLO_NOT_TLS, /* plain HTTP or garbage: not a handshake record of any TLS version */
};

struct mg_tls_hello {
    /* The client's first AEAD suite (of TLS 1.2 or 1.3) is ChaCha20-Poly1305: it has no hardware
     * for AES, so ChaCha20 should be ours as well. GREASE values (RFC 8701) are skipped. */
    bool prefers_chacha20;
};

/* `p` holds what has come so far. Says KNOWN as soon as the list of ciphers is there; also for a
 * hello that is malformed behind its first bytes or in several records (then with nothing
 * preferred): the library answers that. Never MORE for 16 KiB or more. */
enum mg_tls_hello_state mg_tls_hello_look(const uint8_t *p, size_t n, struct mg_tls_hello *out);

#endif
