/*
 * Private keys, parsed once, that sign digests: RSA and ECDSA on P-256, P-384, P-521.
 *
 * A key does not change after it is made, so any threads may sign with one at the same time; none
 * waits for another. Its secret is wiped when it is freed, and what it signs with takes a time that
 * does not depend on it.
 */
#ifndef MG_CRYPTO_PRIVATE_KEY_H
#define MG_CRYPTO_PRIVATE_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum mg_key_kind { MG_KEY_RSA, MG_KEY_EC_P256, MG_KEY_EC_P384, MG_KEY_EC_P521 };
enum mg_key_hash { MG_KEY_SHA1, MG_KEY_SHA224, MG_KEY_SHA256, MG_KEY_SHA384, MG_KEY_SHA512 };

enum mg_key_scheme {
    MG_KEY_PKCS1, /* RSASSA-PKCS1-v1_5, RFC 8017 8.2 */
    MG_KEY_PSS,   /* RSASSA-PSS with MGF1 and a salt as long as the digest, RFC 8017 8.1 */
    MG_KEY_ECDSA, /* DER, RFC 3279 2.2.3 */
};

#define MG_KEY_RSA_BITS_MIN 1024
#define MG_KEY_RSA_BITS_MAX 8192

struct mg_private_key;

/* The first private key in a PEM text: PKCS #8, plain or encrypted, or the older forms of RSA and
 * EC. `password` (NULL: none) is used when the key is encrypted. All is borrowed for the call. NULL
 * with a text in `err` when there is none, or it cannot be read, or is not of a kind that we know.
 */
struct mg_private_key *mg_private_key_from_pem(struct mg_str pem, const char *password,
                                               struct mg_error *err);

/* The same from DER, never encrypted. */
struct mg_private_key *mg_private_key_from_der(struct mg_str der, struct mg_error *err);

/* NULL is allowed. No thread may be signing. */
void mg_private_key_free(struct mg_private_key *key);

enum mg_key_kind mg_private_key_kind(const struct mg_private_key *key);

/* Of the modulus, or of the curve. */
unsigned mg_private_key_bits(const struct mg_private_key *key);

/* Room for a signature of this key; those of ECDSA may be some bytes shorter. */
size_t mg_private_key_signature_bytes(const struct mg_private_key *key);

/* Signs `digest`, which must be as long as `hash` makes it; writes at `out`, which has
 * mg_private_key_signature_bytes(), and sets `*n`. MG_FAIL, and what was written is worth nothing,
 * when scheme and key do not go together, the digest has another length, or libcrypto fails, as it
 * does when it gets no randomness. */
MG_MUST_CHECK enum mg_rc mg_private_key_sign(struct mg_private_key *key, enum mg_key_scheme scheme,
                                             enum mg_key_hash hash, struct mg_str digest,
                                             uint8_t *out, size_t *n);

#endif
