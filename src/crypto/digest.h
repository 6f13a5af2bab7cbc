/*
 * Digests and keyed digests of bytes at hand, and comparison that gives nothing away.
 *
 * Any thread; each keeps its own contexts. None of these fail: running out of memory, or a
 * libcrypto without these algorithms, ends the process.
 */
#ifndef MG_CRYPTO_DIGEST_H
#define MG_CRYPTO_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define MG_SHA1_BYTES 20
#define MG_SHA256_BYTES 32
#define MG_SHA384_BYTES 48
#define MG_SHA512_BYTES 64

/* SHA-1 is for protocols that demand it (RFC 6455 4.2.2); it protects nothing. */
void mg_digest_sha1(struct mg_str data, uint8_t out[MG_SHA1_BYTES]);
void mg_digest_sha256(struct mg_str data, uint8_t out[MG_SHA256_BYTES]);
void mg_digest_sha384(struct mg_str data, uint8_t out[MG_SHA384_BYTES]);
void mg_digest_sha512(struct mg_str data, uint8_t out[MG_SHA512_BYTES]);

/* RFC 2104. The key may have any length, also none. */
void mg_digest_hmac_sha256(struct mg_str key, struct mg_str data, uint8_t out[MG_SHA256_BYTES]);
void mg_digest_hmac_sha384(struct mg_str key, struct mg_str data, uint8_t out[MG_SHA384_BYTES]);
void mg_digest_hmac_sha512(struct mg_str key, struct mg_str data, uint8_t out[MG_SHA512_BYTES]);

/* Takes as long whether and wherever the bytes differ. Lengths are not secret: compare digests when
 * they should be. */
bool mg_digest_equal(struct mg_str a, struct mg_str b);

#endif
