/* ECDSA verification over libcrypto's EVP. All is public here. Any thread. */
#include "crypto/ecdsa.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

/* SEQUENCE and two INTEGERs, each with a head of at most 3 bytes and a zero in front. */
#define DER_BYTES_MAX (2 * (MG_CURVE_BYTES_MAX + 4) + 4)

static EVP_PKEY *import(enum mg_curve curve, const uint8_t *public)
{
    static const char *const NAMES[] = {
        [MG_CURVE_P256] = "P-256", [MG_CURVE_P384] = "P-384", [MG_CURVE_P521] = "P-521"};
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)NAMES[curve], 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)public,
                                          mg_curve_public_bytes(curve)),
        OSSL_PARAM_construct_end(),
    };
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* libcrypto wants a signature as DER (RFC 3279 2.2.3). 0 when memory is out. */
static size_t encode(const uint8_t *r, const uint8_t *s, size_t n, uint8_t der[DER_BYTES_MAX])
{
    int written = 0;
    BIGNUM *r_number = BN_bin2bn(r, (int)n, NULL), *s_number = BN_bin2bn(s, (int)n, NULL);
    ECDSA_SIG *signature = ECDSA_SIG_new();
    if (r_number && s_number && signature && ECDSA_SIG_set0(signature, r_number, s_number) == 1) {
        r_number = s_number = NULL; /* the signature's now */
        written = i2d_ECDSA_SIG(signature, &der);
    }
    ECDSA_SIG_free(signature);
    BN_free(s_number);
    BN_free(r_number);
    return written > 0 ? (size_t)written : 0;
}

static enum mg_rc verify(EVP_PKEY *key, struct mg_str digest, const uint8_t *der, size_t n)
{
    enum mg_rc rc = MG_NOMEM;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (ctx && EVP_PKEY_verify_init(ctx) == 1)
        rc = EVP_PKEY_verify(ctx, der, n, (const uint8_t *)digest.p, digest.n) == 1 ? MG_OK
                                                                                    : MG_FAIL;
    EVP_PKEY_CTX_free(ctx);
    return rc;
}

enum mg_rc mg_ecdsa_verify(enum mg_curve curve, const uint8_t *public, struct mg_str digest,
                           const uint8_t *r, const uint8_t *s)
{
    uint8_t der[DER_BYTES_MAX];
    if (curve == MG_CURVE_X25519)
        return MG_FAIL;
    EVP_PKEY *key = import(curve, public);
    size_t n = encode(r, s, mg_curve_bytes(curve), der);
    enum mg_rc rc = !key ? MG_FAIL : !n ? MG_NOMEM : verify(key, digest, der, n);
    EVP_PKEY_free(key);
    if (rc != MG_OK)
        ERR_clear_error();
    return rc;
}
