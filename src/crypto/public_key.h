/*
 * Keys that verify signatures, parsed once: the public halves of RSA, EC and Edwards keys, and the
 * shared secrets of HMAC.
 *
 * What a key is decides what it can be used for: HMAC never runs over the text of a public key, and
 * an EC key verifies with the one algorithm of its curve (RFC 8725 3.1, RFC 7518 3.4). A key never
 * changes after it is made and is counted, so any threads may use one at the same time; none waits
 * for another. No function takes NULL for a key, but for mg_public_key_unref().
 */
#ifndef MG_CRYPTO_PUBLIC_KEY_H
#define MG_CRYPTO_PUBLIC_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "crypto/jwa.h"

enum mg_public_key_kind {
    MG_PUBLIC_KEY_SECRET, /* shared, "oct" in a JWK */
    MG_PUBLIC_KEY_RSA,
    MG_PUBLIC_KEY_P256,
    MG_PUBLIC_KEY_P384,
    MG_PUBLIC_KEY_P521,
    MG_PUBLIC_KEY_ED25519,
    MG_PUBLIC_KEY_ED448,
};

#define MG_PUBLIC_KEY_RSA_BITS_MIN 2048
#define MG_PUBLIC_KEY_RSA_BITS_MAX 8192
#define MG_PUBLIC_KEY_SECRET_BYTES_MAX 4096

struct mg_public_key;

/* All of these borrow what they read, and return a key that the caller owns; or NULL with a text in
 * `err`, also for a kind, curve or size not named above. */

/* The first public key, certificate or RSA public key (PKCS #1) in a PEM text. A certificate stands
 * for its key alone: nobody looks at its dates or signature. A private key is refused. */
struct mg_public_key *mg_public_key_from_pem(struct mg_str pem, struct mg_error *err);

/* Raw bytes, from 1 to MG_PUBLIC_KEY_SECRET_BYTES_MAX; whether they are too few for their purpose
 * is the caller's to say (RFC 7518 3.2 wants as many as the digest has, mg_public_key_bits()
 * tells). Refuses PEM texts: such a "secret" is a public key in the wrong place. */
struct mg_public_key *mg_public_key_from_secret(struct mg_str secret, struct mg_error *err);

/* Modulus and exponent, big-endian. The exponent is odd, at least 3 and has at most 32 bits: more
 * would only make verifying dear. */
struct mg_public_key *mg_public_key_from_rsa(struct mg_str n, struct mg_str e,
                                             struct mg_error *err);

/* Coordinates, big-endian, each exactly as long as the curve's field (RFC 7518 6.2.1.2); the point
 * must be on the curve. `kind` is one of P256, P384, P521. */
struct mg_public_key *mg_public_key_from_point(enum mg_public_key_kind kind, struct mg_str x,
                                               struct mg_str y, struct mg_error *err);

/* `kind` is ED25519 (32 bytes) or ED448 (57 bytes). */
struct mg_public_key *mg_public_key_from_edwards(enum mg_public_key_kind kind, struct mg_str x,
                                                 struct mg_error *err);

/* Returns `key`. */
struct mg_public_key *mg_public_key_ref(struct mg_public_key *key);
/* NULL is allowed. The last one wipes a secret. */
void mg_public_key_unref(struct mg_public_key *key);

enum mg_public_key_kind mg_public_key_kind(const struct mg_public_key *key);

/* Of the modulus, the curve's field or the secret. */
unsigned mg_public_key_bits(const struct mg_public_key *key);

/* The algorithms that fit this kind of key: MG_JWA_BITs. */
unsigned mg_public_key_algs(const struct mg_public_key *key);

/* Whether `signature` is what this key made of `data` with `alg`, in the forms of RFC 7518 3 and
 * RFC 8037 3.1: ECDSA as r || s, each as long as the curve's order and from 1 to the order - 1; RSA
 * as long as the modulus. Anything else is false: another length, an algorithm that does not fit
 * the key, libcrypto without memory. Takes as long wherever an HMAC differs. */
MG_MUST_CHECK bool mg_public_key_verify(struct mg_public_key *key, enum mg_jwa alg,
                                        struct mg_str data, struct mg_str signature);

#endif
