/*
 * ECDH over libcrypto. Any thread.
 *
 * The NIST curves go straight to EC_POINT_mul, which is what lies below EVP's key generation and
 * derivation, is constant-time for one scalar and one point, and saves 20 us of making EVP keys
 * out of bytes for each operation. X25519 is only to be had through EVP.
 */
#include "crypto/ecdh.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/params.h>
#include <pthread.h>

#define X25519_BYTES 32

static EC_GROUP *groups[3]; /* set once; by enum mg_curve */
static pthread_once_t groups_once = PTHREAD_ONCE_INIT;

static void make_groups(void)
{
    static const int IDS[] = {
        [MG_CURVE_P256] = NID_X9_62_prime256v1,
        [MG_CURVE_P384] = NID_secp384r1,
        [MG_CURVE_P521] = NID_secp521r1,
    };
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        groups[i] = EC_GROUP_new_by_curve_name(IDS[i]);
        MG_BUG_ON(!groups[i]);
    }
}

/* What one operation on a NIST curve works with. */
struct work {
    const EC_GROUP *group;
    size_t bytes; /* of a scalar */
    BN_CTX *ctx;
    BIGNUM *scalar, *x;
    EC_POINT *point, *result;
};

static bool begin(struct work *w, enum mg_curve curve)
{
    pthread_once(&groups_once, make_groups);
    const EC_GROUP *group = groups[curve];
    *w = (struct work){
        .group = group,
        .bytes = mg_curve_bytes(curve),
        .ctx = BN_CTX_new(),
        .scalar = BN_new(),
        .x = BN_new(),
        .point = EC_POINT_new(group),
        .result = EC_POINT_new(group),
    };
    if (!w->ctx || !w->scalar || !w->x || !w->point || !w->result)
        return false;
    BN_set_flags(w->scalar, BN_FLG_CONSTTIME);
    return true;
}

static void end(struct work *w)
{
    EC_POINT_clear_free(w->result);
    EC_POINT_free(w->point);
    BN_clear_free(w->x);
    BN_clear_free(w->scalar);
    BN_CTX_free(w->ctx);
}

/* 0 < scalar < order, and result = scalar * G. */
static bool new_scalar(struct work *w)
{
    do {
        if (BN_priv_rand_range_ex(w->scalar, EC_GROUP_get0_order(w->group), 0, w->ctx) != 1)
            return false;
    } while (BN_is_zero(w->scalar));
    return EC_POINT_mul(w->group, w->result, w->scalar, NULL, NULL, w->ctx) == 1;
}

static bool write_pair(struct work *w, uint8_t *secret, uint8_t *public)
{
    size_t n = 1 + 2 * w->bytes;
    return EC_POINT_point2oct(w->group, w->result, POINT_CONVERSION_UNCOMPRESSED, public, n,
                              w->ctx) == n &&
           BN_bn2binpad(w->scalar, secret, (int)w->bytes) == (int)w->bytes;
}

static enum mg_rc nist_generate(enum mg_curve curve, uint8_t *secret, uint8_t *public)
{
    struct work w;
    bool done = begin(&w, curve) && new_scalar(&w) && write_pair(&w, secret, public);
    end(&w);
    return done ? MG_OK : MG_NOMEM;
}

/* EC_POINT_oct2point() takes only points that are on the curve, and these curves have no others of
 * small order. It would also take compressed ones, and the one at infinity. */
static bool read_peer(struct work *w, struct mg_str peer)
{
    return peer.n == 1 + 2 * w->bytes && peer.p[0] == POINT_CONVERSION_UNCOMPRESSED &&
           EC_POINT_oct2point(w->group, w->point, (const uint8_t *)peer.p, peer.n, w->ctx) == 1;
}

static enum mg_rc multiply(struct work *w, const uint8_t *secret, struct mg_str peer,
                           uint8_t *shared)
{
    if (!read_peer(w, peer))
        return MG_FAIL;
    if (BN_bin2bn(secret, (int)w->bytes, w->scalar) &&
        EC_POINT_mul(w->group, w->result, NULL, w->point, w->scalar, w->ctx) == 1 &&
        EC_POINT_get_affine_coordinates(w->group, w->result, w->x, NULL, w->ctx) == 1 &&
        BN_bn2binpad(w->x, shared, (int)w->bytes) == (int)w->bytes)
        return MG_OK;
    return MG_NOMEM;
}

static enum mg_rc nist_shared(enum mg_curve curve, const uint8_t *secret, struct mg_str peer,
                              uint8_t *shared)
{
    struct work w;
    enum mg_rc rc = begin(&w, curve) ? multiply(&w, secret, peer, shared) : MG_NOMEM;
    end(&w);
    return rc;
}

static enum mg_rc x25519_generate(uint8_t *secret, uint8_t *public)
{
    size_t secret_n = X25519_BYTES, public_n = X25519_BYTES;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    bool done = key && EVP_PKEY_get_raw_public_key(key, public, &public_n) == 1 &&
                EVP_PKEY_get_raw_private_key(key, secret, &secret_n) == 1;
    EVP_PKEY_free(key);
    if (!done)
        return MG_NOMEM;
    secret[0] &= 248;
    secret[31] = (uint8_t)((secret[31] & 127) | 64);
    return MG_OK;
}

/* Importing a private key alone computes its public half, which costs as much as the derivation
 * and is not looked at there. So zeros are given for it. */
static EVP_PKEY *x25519_private(const uint8_t *secret)
{
    static const uint8_t UNUSED[X25519_BYTES];
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)secret, X25519_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)UNUSED, X25519_BYTES),
        OSSL_PARAM_construct_end(),
    };
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* libcrypto refuses a shared secret of zeros, as RFC 7748 6.1 asks. */
static enum mg_rc x25519_derive(EVP_PKEY *own, EVP_PKEY *peer, uint8_t *shared)
{
    size_t n = X25519_BYTES;
    enum mg_rc rc = MG_NOMEM;
    EVP_PKEY_CTX *ctx = own && peer ? EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL) : NULL;
    if (ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1)
        rc = EVP_PKEY_derive(ctx, shared, &n) == 1 ? MG_OK : MG_FAIL;
    EVP_PKEY_CTX_free(ctx);
    return rc;
}

static enum mg_rc x25519_shared(const uint8_t *secret, struct mg_str peer, uint8_t *shared)
{
    if (peer.n != X25519_BYTES)
        return MG_FAIL;
    EVP_PKEY *own = x25519_private(secret);
    EVP_PKEY *other =
        EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, (const uint8_t *)peer.p, peer.n);
    enum mg_rc rc = x25519_derive(own, other, shared);
    EVP_PKEY_free(other);
    EVP_PKEY_free(own);
    return rc;
}

enum mg_rc mg_ecdh_generate(enum mg_curve curve, uint8_t *secret, uint8_t *public)
{
    enum mg_rc rc = curve == MG_CURVE_X25519 ? x25519_generate(secret, public)
                                             : nist_generate(curve, secret, public);
    if (rc != MG_OK)
        ERR_clear_error();
    return rc;
}

enum mg_rc mg_ecdh_shared(enum mg_curve curve, const uint8_t *secret, struct mg_str peer,
                          uint8_t *shared)
{
    enum mg_rc rc = curve == MG_CURVE_X25519 ? x25519_shared(secret, peer, shared)
                                             : nist_shared(curve, secret, peer, shared);
    if (rc != MG_OK)
        ERR_clear_error();
    return rc;
}
