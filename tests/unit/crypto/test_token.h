/*
 * Signatures and tokens for tests, made by libcrypto and base64.h alone: with any header, also one
 * that says something else than what was done. What cannot be made ends the program. free() texts.
 */
#ifndef TEST_TOKEN_H
#define TEST_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "crypto/jwa.h"
#include "tls/test_ca.h"

#define TEST_SIGNATURE_MAX 1024

/* One of the two, as `alg` wants it. */
struct test_signing_key {
    const struct test_cert *cert;
    struct mg_str secret;
};

/* In the form of RFC 7518 3. Returns its length. */
size_t test_sign(enum mg_jwa alg, const struct test_signing_key *key, struct mg_str data,
                 uint8_t out[TEST_SIGNATURE_MAX]);

/* base64url(header).base64url(payload).signature */
char *test_token(enum mg_jwa alg, const struct test_signing_key *key, struct mg_str header,
                 struct mg_str payload);

/* first.second.base64url(signature) of a text first.second; or with bytes that are no signature. */
char *test_token_signed(enum mg_jwa alg, const struct test_signing_key *key, struct mg_str text);
char *test_token_with(struct mg_str text, struct mg_str signature);

char *test_base64_url(struct mg_str bytes);

/* "PUBLIC KEY", as PEM. */
char *test_public_pem(const struct test_cert *cert);

/* A JWK of the public half, without braces: "\"kty\":...". */
char *test_public_jwk(const struct test_cert *cert);

#endif
