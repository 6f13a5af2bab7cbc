/* The elliptic curves that ecdh.h and ecdsa.h know. */
#ifndef MG_CRYPTO_CURVE_H
#define MG_CRYPTO_CURVE_H

#include <stddef.h>

enum mg_curve { MG_CURVE_P256, MG_CURVE_P384, MG_CURVE_P521, MG_CURVE_X25519 };

/* A scalar, a coordinate, a shared secret. */
static inline size_t mg_curve_bytes(enum mg_curve curve)
{
    return curve == MG_CURVE_P384 ? 48 : curve == MG_CURVE_P521 ? 66 : 32;
}

/* A public key: 0x04, X, Y (SEC 1 2.3.3), both big-endian; X25519: 32 bytes (RFC 7748 5). */
static inline size_t mg_curve_public_bytes(enum mg_curve curve)
{
    return curve == MG_CURVE_X25519 ? 32 : 1 + 2 * mg_curve_bytes(curve);
}

#define MG_CURVE_BYTES_MAX 66
#define MG_CURVE_PUBLIC_BYTES_MAX 133

#endif
