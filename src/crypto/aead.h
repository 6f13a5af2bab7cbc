/*
 * Authenticated encryption (RFC 5116): AES-GCM and ChaCha20-Poly1305, one call for each message.
 *
 * A `struct mg_aead` is a key made ready: no call after mg_aead_new() allocates. It belongs to one
 * thread at a time. Nonces are the caller's: one that comes twice under a key gives both messages
 * away.
 */
#ifndef MG_CRYPTO_AEAD_H
#define MG_CRYPTO_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

#define MG_AEAD_NONCE_BYTES 12
#define MG_AEAD_TAG_BYTES 16

enum mg_aead_kind { MG_AEAD_AES_128_GCM, MG_AEAD_AES_256_GCM, MG_AEAD_CHACHA20_POLY1305 };

struct mg_aead;

/* `key` is borrowed for the call; it has 16 bytes for AES-128, else 32. NULL when memory is out or
 * libcrypto does not have the algorithm. */
struct mg_aead *mg_aead_new(enum mg_aead_kind kind, const uint8_t *key);

/* Wipes the key. NULL is allowed. */
void mg_aead_free(struct mg_aead *aead);

/* Writes the ciphertext, text.n bytes, at `out`, and the tag. `out` is where `text` begins, or does
 * not overlap it. MG_FAIL when libcrypto fails, or text or aad has 2^31 bytes or more; `out` and
 * `tag` are worth nothing then. */
MG_MUST_CHECK enum mg_rc mg_aead_seal(struct mg_aead *aead,
                                      const uint8_t nonce[MG_AEAD_NONCE_BYTES], struct mg_str aad,
                                      struct mg_str text, uint8_t *out,
                                      uint8_t tag[MG_AEAD_TAG_BYTES]);

/* The way back. MG_FAIL when key, nonce, aad, text and tag do not belong together, found in a time
 * that does not depend on where they differ; text.n bytes at `out` are zero then. */
MG_MUST_CHECK enum mg_rc mg_aead_open(struct mg_aead *aead,
                                      const uint8_t nonce[MG_AEAD_NONCE_BYTES], struct mg_str aad,
                                      struct mg_str text, const uint8_t tag[MG_AEAD_TAG_BYTES],
                                      uint8_t *out);

#endif
