/*
 * Ephemeral Diffie-Hellman on elliptic curves: a fresh key pair, and the secret that it shares with
 * the other side's public key (SEC 1 3.3.1, RFC 7748 6.1).
 *
 * Keys are plain bytes, of the lengths that curve.h tells: scalars big-endian, those of X25519
 * little-endian and with the bits set that RFC 7748 5 wants. What is done with a secret takes a
 * time that does not depend on it. Secrets are the caller's to wipe. Any thread.
 */
#ifndef MG_CRYPTO_ECDH_H
#define MG_CRYPTO_ECDH_H

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "crypto/curve.h"

/* MG_NOMEM when libcrypto has no memory or no randomness to give; what was written is worth nothing
 * then. */
MG_MUST_CHECK enum mg_rc mg_ecdh_generate(enum mg_curve curve, uint8_t *secret, uint8_t *public);

/* MG_FAIL when `peer` is not a public key on this curve, or one that shares the same secret with
 * everybody; MG_NOMEM as above. `secret` is from mg_ecdh_generate(), or 0 < secret < order. */
MG_MUST_CHECK enum mg_rc mg_ecdh_shared(enum mg_curve curve, const uint8_t *secret,
                                        struct mg_str peer, uint8_t *shared);

#endif
