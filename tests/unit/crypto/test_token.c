/* Tokens for tests. */
#include "crypto/test_token.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "crypto/base64.h"

static const EVP_MD *hash_of(enum mg_jwa alg)
{
    return alg == MG_JWA_EDDSA ? NULL
           : alg % 3 == 0      ? EVP_sha256()
           : alg % 3 == 1      ? EVP_sha384()
                               : EVP_sha512();
}

static size_t der_to_raw(EVP_PKEY *pkey, const uint8_t *der, size_t n, uint8_t *out)
{
    size_t half = ((size_t)EVP_PKEY_get_bits(pkey) + 7) / 8;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)n);
    MG_BUG_ON(!signature ||
              BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, (int)half) != (int)half ||
              BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + half, (int)half) != (int)half);
    ECDSA_SIG_free(signature);
    return 2 * half;
}

size_t test_sign(enum mg_jwa alg, const struct test_signing_key *key, struct mg_str data,
                 uint8_t out[TEST_SIGNATURE_MAX])
{
    const uint8_t *bytes = (const uint8_t *)data.p;
    if (MG_JWA_BIT(alg) & MG_JWA_ALL_HS) {
        unsigned n;
        MG_BUG_ON(!HMAC(hash_of(alg), key->secret.n ? key->secret.p : "", (int)key->secret.n, bytes,
                        data.n, out, &n));
        return n;
    }
    uint8_t made[TEST_SIGNATURE_MAX];
    size_t n = sizeof made;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *how;
    MG_BUG_ON(EVP_DigestSignInit(ctx, &how, hash_of(alg), NULL, key->cert->pkey) != 1);
    if (MG_JWA_BIT(alg) & MG_JWA_ALL_PS)
        MG_BUG_ON(EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) != 1 ||
                  EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) != 1);
    MG_BUG_ON(EVP_DigestSign(ctx, made, &n, bytes, data.n) != 1);
    EVP_MD_CTX_free(ctx);
    if (EVP_PKEY_is_a(key->cert->pkey, "EC"))
        return der_to_raw(key->cert->pkey, made, n, out);
    memcpy(out, made, n);
    return n;
}

char *test_base64_url(struct mg_str bytes)
{
    char *text = malloc(MG_BASE64_ENCODED_MAX(bytes.n) + 1);
    MG_BUG_ON(!text);
    text[mg_base64_url_encode(bytes, text)] = '\0';
    return text;
}

char *test_token_with(struct mg_str text, struct mg_str signature)
{
    char *token, *third = test_base64_url(signature);
    MG_BUG_ON(asprintf(&token, "%.*s.%s", MG_STR_ARGS(text), third) < 0);
    free(third);
    return token;
}

char *test_token_signed(enum mg_jwa alg, const struct test_signing_key *key, struct mg_str text)
{
    uint8_t signature[TEST_SIGNATURE_MAX];
    size_t n = test_sign(alg, key, text, signature);
    return test_token_with(text, mg_str((const char *)signature, n));
}

char *test_token(enum mg_jwa alg, const struct test_signing_key *key, struct mg_str header,
                 struct mg_str payload)
{
    char *text, *first = test_base64_url(header), *second = test_base64_url(payload);
    MG_BUG_ON(asprintf(&text, "%s.%s", first, second) < 0);
    char *token = test_token_signed(alg, key, mg_str_c(text));
    free(first);
    free(second);
    free(text);
    return token;
}

char *test_public_pem(const struct test_cert *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    MG_BUG_ON(!bio || PEM_write_bio_PUBKEY(bio, cert->pkey) != 1);
    long n = BIO_get_mem_data(bio, &p);
    char *text = mg_strdup(mg_str(p, (size_t)n)); /* it ends without a NUL */
    BIO_free(bio);
    return text;
}

static char *number_text(EVP_PKEY *pkey, const char *name, size_t n)
{
    uint8_t bytes[TEST_SIGNATURE_MAX];
    BIGNUM *number = NULL;
    MG_BUG_ON(EVP_PKEY_get_bn_param(pkey, name, &number) != 1);
    if (n == 0)
        n = (size_t)BN_num_bytes(number);
    MG_BUG_ON(BN_bn2binpad(number, bytes, (int)n) != (int)n);
    BN_free(number);
    return test_base64_url(mg_str((const char *)bytes, n));
}

char *test_public_jwk(const struct test_cert *cert)
{
    EVP_PKEY *pkey = cert->pkey;
    uint8_t raw[64];
    size_t n = sizeof raw, half = ((size_t)EVP_PKEY_get_bits(pkey) + 7) / 8;
    char *text, *a, *b = NULL;
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        a = number_text(pkey, OSSL_PKEY_PARAM_RSA_N, 0);
        b = number_text(pkey, OSSL_PKEY_PARAM_RSA_E, 0);
        MG_BUG_ON(asprintf(&text, "\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"", a, b) < 0);
    } else if (EVP_PKEY_is_a(pkey, "EC")) {
        a = number_text(pkey, OSSL_PKEY_PARAM_EC_PUB_X, half);
        b = number_text(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, half);
        MG_BUG_ON(asprintf(&text, "\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"%s\",\"y\":\"%s\"",
                           EVP_PKEY_get_bits(pkey), a, b) < 0);
    } else {
        MG_BUG_ON(EVP_PKEY_get_raw_public_key(pkey, raw, &n) != 1);
        a = test_base64_url(mg_str((const char *)raw, n));
        MG_BUG_ON(asprintf(&text, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"", a) < 0);
    }
    free(a);
    free(b);
    return text;
}
