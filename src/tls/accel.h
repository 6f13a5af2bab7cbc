/*
 * Mbed TLS at libcrypto's speed: groups of libmbedcrypto's functions that the program defines
 * itself, and private keys that sign with libcrypto. README.md, "Acceleration", has the design.
 *
 * Nothing is taken over before mg_tls_accel_start() has seen known answers come out right through
 * the library's own callers; what does not fit stays the library's own. Compiled to next to nothing
 * with MG_TLS_ACCEL=0, and beside any Mbed TLS but 2.28.
 */
#ifndef MG_TLS_ACCEL_H
#define MG_TLS_ACCEL_H

#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <stdbool.h>

/* Build switch: `make TLS_ACCEL=0`. */
#ifndef MG_TLS_ACCEL
#define MG_TLS_ACCEL 1
#endif

/* 2.28 is the last with these calls inside; 3.x goes other ways (PSA) for TLS 1.3. The rest are
 * settings under which the library's structures or calls differ. */
#if MG_TLS_ACCEL && MBEDTLS_VERSION_NUMBER >= 0x021c0000 && MBEDTLS_VERSION_NUMBER < 0x021d0000 && \
    defined(MBEDTLS_CHACHAPOLY_C) && defined(MBEDTLS_ECDH_C) && defined(MBEDTLS_ECDSA_C) &&        \
    defined(MBEDTLS_GCM_C) && defined(MBEDTLS_PK_WRITE_C) && defined(MBEDTLS_RSA_C) &&             \
    defined(MBEDTLS_SHA256_C) && defined(MBEDTLS_SHA512_C) && !defined(MBEDTLS_ECP_RESTARTABLE) && \
    !defined(MBEDTLS_USE_PSA_CRYPTO) && !defined(MBEDTLS_GCM_ALT) &&                               \
    !defined(MBEDTLS_CHACHAPOLY_ALT) && !defined(MBEDTLS_SHA256_ALT) &&                            \
    !defined(MBEDTLS_SHA512_ALT)
#define MG_TLS_ACCEL_FITS 1
#else
#define MG_TLS_ACCEL_FITS 0
#endif

/* Environment variable with the setting, for those who run the program. */
#define MG_TLS_ACCEL_VARIABLE "MOONGATE_TLS_ACCEL"

/* Decides, once, before there are other threads and before any other use of Mbed TLS: each group of
 * functions is tried with known vectors and switched on when all of them match; otherwise one line
 * is logged and the library's own functions serve. Takes some ten milliseconds. `setting` is the
 * value of MOONGATE_TLS_ACCEL: "off" leaves all off, NULL and anything else is on. May be called
 * again by tests, while no other thread is in Mbed TLS; contexts and keys made before stay good. */
void mg_tls_accel_start(const char *setting);

/* The same, but when TLS is first needed: a gateway without it starts sooner. Once, before there
 * are other threads; keeps `setting`. */
void mg_tls_accel_put_off(const char *setting);
/* Does now what was put off. Whoever makes the first contexts of Mbed TLS calls it before; while
 * one thread is at it the others wait. Any number of times; nothing when nothing was put off. */
void mg_tls_accel_catch_up(void);

/* For `moongate version`: "off (reason)", or what is on, such as "gcm, chachapoly, ecdh, keys".
 * Static; good until the next start. Before the first start: "off (not started)". */
const char *mg_tls_accel_summary(void);

/* From now on the private key in `pk` signs with libcrypto. The key stays whole and is freed by
 * mbedtls_pk_free() as ever. Any thread may sign at the same time as others: unlike the library's
 * own RSA keys it has no lock. False when nothing was changed: off, not an RSA or EC key, a curve
 * or size that is not ours, or a trial signature that did not verify (that one is logged). */
bool mg_tls_accel_key(mbedtls_pk_context *pk);

#endif
