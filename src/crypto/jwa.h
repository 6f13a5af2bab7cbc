/*
 * The signature algorithms of JSON Web Tokens (RFC 7518 3.1, RFC 8037 3.1), and sets of them.
 *
 * "none" is not one of them, so nothing can ask for it. Pure; any thread.
 */
#ifndef MG_CRYPTO_JWA_H
#define MG_CRYPTO_JWA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum mg_jwa {
    MG_JWA_HS256,
    MG_JWA_HS384,
    MG_JWA_HS512,
    MG_JWA_RS256,
    MG_JWA_RS384,
    MG_JWA_RS512,
    MG_JWA_PS256,
    MG_JWA_PS384,
    MG_JWA_PS512,
    MG_JWA_ES256, /* with P-256 alone, ES384 with P-384, ES512 with P-521 */
    MG_JWA_ES384,
    MG_JWA_ES512,
    MG_JWA_EDDSA, /* Ed25519 or Ed448, as the key is */
    MG_JWA_COUNT,
};

/* A set of algorithms is an OR of these. */
#define MG_JWA_BIT(alg) (1u << (alg))
#define MG_JWA_ALL_HS (7u << MG_JWA_HS256)
#define MG_JWA_ALL_RS (7u << MG_JWA_RS256)
#define MG_JWA_ALL_PS (7u << MG_JWA_PS256)
#define MG_JWA_ALL ((1u << MG_JWA_COUNT) - 1)

/* Exactly as the RFCs spell it: "ES256", "EdDSA"; static. */
struct mg_str mg_jwa_name(enum mg_jwa alg);

/* False for every other spelling. */
bool mg_jwa_from_name(struct mg_str name, enum mg_jwa *alg);

#endif
