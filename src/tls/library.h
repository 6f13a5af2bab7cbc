/*
 * Where Mbed TLS 2.28 and 3.6 differ, for all that only uses what they offer to everybody. What
 * reaches into their insides (accel.h, shelf.h) asks for the version itself.
 */
#ifndef MG_TLS_LIBRARY_H
#define MG_TLS_LIBRARY_H

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

/* What a handshake ends with when the peer's certificate cannot be used. */
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
#define MG_TLS_BAD_CERTIFICATE MBEDTLS_ERR_SSL_BAD_CERTIFICATE
#else
#define MG_TLS_BAD_CERTIFICATE MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE
#endif

/* "2.28.3". Static. */
const char *mg_tls_library_version(void);
/* Once, before all else in this folder: what the library wants to be called first. Any number of
 * times. */
void mg_tls_library_start(void);

/* The library's random source: bytes from mg_random_bytes. Never fails. */
int mg_tls_random(void *unused, unsigned char *out, size_t n);

/* A library error as a short text, "X509 - The CRT/CRL/CSR format is invalid". In `buf`. */
const char *mg_tls_library_error(int code, char *buf, size_t size);

/* Seconds since 1970. */
double mg_tls_library_time(const mbedtls_x509_time *t);

/* Private keys; results are the library's. `bytes` is PEM with its NUL counted, or DER. */
int mg_tls_library_parse_key(mbedtls_pk_context *key, struct mg_str bytes, struct mg_str password);
int mg_tls_library_check_pair(const mbedtls_pk_context *public_half, const mbedtls_pk_context *key);
/* MBEDTLS_ECP_DP_NONE for what is no EC key. */
mbedtls_ecp_group_id mg_tls_library_curve(const mbedtls_pk_context *key);

/* The least and the greatest protocol version: 12 or 13 for TLS 1.2 and 1.3. Greater ones than the
 * library has are cut to what it has. */
int mg_tls_library_max_version(void);
void mg_tls_library_versions(mbedtls_ssl_config *conf, int min, int max);
/* X25519, P-256, P-384, in this order: both libraries' own lists begin with slow ones or hold more.
 * `p521` adds P-521 as the last one: 2.28 holds certificates of peers to this list as well. */
void mg_tls_library_groups(mbedtls_ssl_config *conf, bool p521);
/* Forward-secret AEAD suites: ECDSA before RSA, AES-128-GCM, AES-256-GCM, ChaCha20, or with
 * ChaCha20 first. */
void mg_tls_library_suites(mbedtls_ssl_config *conf, bool chacha20_first);

/* What a peer said that ended a handshake with MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE: "the peer says:
 * unknown ca" (RFC 5246 7.2, RFC 8446 6). Static. */
const char *mg_tls_library_alert(const mbedtls_ssl_context *ssl);

/* IANA's name of the suite in use: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256". Static. */
const char *mg_tls_library_suite(const mbedtls_ssl_context *ssl);

#endif
