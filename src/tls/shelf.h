/*
 * Memory of idle connections. The library gives each connection two record buffers of 17 KB, for
 * good. Between records nothing of them matters but the read sequence number and where the
 * library's pointers point, so idle connections share a few.
 *
 * Knows the insides of Mbed TLS 2.28; with another version nothing is ever shelved.
 */
#ifndef MG_TLS_SHELF_H
#define MG_TLS_SHELF_H

#include <mbedtls/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/pool.h"

/* Buffers of one worker. */
struct mg_tls_shelf {
    struct mg_pool buffers;
};

/* What a connection without buffers remembers. */
struct mg_tls_shelved {
    bool on;
    uint8_t sequence[8]; /* number of the next record to be read */
};

void mg_tls_shelf_init(struct mg_tls_shelf *shelf);
void mg_tls_shelf_release(struct mg_tls_shelf *shelf);
/* Frees spare buffers that were not needed since the last call. */
void mg_tls_shelf_trim(struct mg_tls_shelf *shelf);

/* After mbedtls_ssl_setup: a connection gets buffers of ours in place of the library's, which would
 * lie between things that live longer, and leave holes there. */
void mg_tls_shelf_adopt(struct mg_tls_shelf *shelf, mbedtls_ssl_context *ssl);

/* Takes the buffers from a connection that is idle: nothing half read, nothing half written, no
 * handshake under way. Does nothing when it is not, or has none. Until mg_tls_shelf_return nothing
 * may be called on it but mbedtls_ssl_free. */
void mg_tls_shelf_take(struct mg_tls_shelf *shelf, mbedtls_ssl_context *ssl,
                       struct mg_tls_shelved *out);
/* Gives it buffers again. */
void mg_tls_shelf_return(struct mg_tls_shelf *shelf, mbedtls_ssl_context *ssl,
                         struct mg_tls_shelved *shelved);
/* Before mbedtls_ssl_free: takes the buffers, when they are there. */
void mg_tls_shelf_strip(struct mg_tls_shelf *shelf, mbedtls_ssl_context *ssl);

#endif
