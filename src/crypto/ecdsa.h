/*
 * ECDSA signatures checked against a public key of plain bytes (FIPS 186-5 6.4.2). Any thread.
 * private_key.h signs.
 */
#ifndef MG_CRYPTO_ECDSA_H
#define MG_CRYPTO_ECDSA_H

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "crypto/curve.h"

/* `public` has mg_curve_public_bytes(), `r` and `s` have mg_curve_bytes() each, big-endian; of
 * `digest` as many bits count as the curve has. MG_FAIL when the signature is not this key's, or
 * the key is not on the curve (which is never X25519); MG_NOMEM when memory is out. */
MG_MUST_CHECK enum mg_rc mg_ecdsa_verify(enum mg_curve curve, const uint8_t *public,
                                         struct mg_str digest, const uint8_t *r, const uint8_t *s);

#endif
