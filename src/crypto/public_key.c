/*
 * Keys that verify, over libcrypto's EVP. Any thread.
 *
 * Making a verifying context ready costs 2 us and more, beside the 25 of a verification with RSA.
 * So the last ones used wait in the key, in a slot for each of a few threads; a thread that finds
 * its slot taken, or empty, makes its own.
 */
#include "crypto/public_key.h"

#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"
#include "crypto/curve.h"
#include "crypto/digest.h"

#define SPARES 8
#define RSA_EXPONENT_BITS_MAX 32

/* SEQUENCE and two INTEGERs, each with a head of at most 3 bytes and a zero in front. */
#define DER_BYTES_MAX (2 * (MG_CURVE_BYTES_MAX + 4) + 4)

struct verifier {
    EVP_PKEY_CTX *ctx;
    enum mg_jwa alg;
};

struct mg_public_key {
    /* set once */
    enum mg_public_key_kind kind;
    unsigned bits;
    size_t signature_bytes; /* not of a secret */
    EVP_PKEY *pkey;         /* NULL: a secret */
    uint8_t *secret;
    size_t secret_n;
    /* atomic */
    _Atomic unsigned refs;
    _Atomic(struct verifier *) spare[SPARES]; /* NULL: in use, or never made */
};

static const struct kind {
    const char *name, *group; /* libcrypto's; group NULL: not on a curve with a choice */
    unsigned algs;
    size_t half_bytes; /* of an ECDSA signature, and of a coordinate */
} kinds[] = {
    [MG_PUBLIC_KEY_SECRET] = {"", NULL, MG_JWA_ALL_HS, 0},
    [MG_PUBLIC_KEY_RSA] = {"RSA", NULL, MG_JWA_ALL_RS | MG_JWA_ALL_PS, 0},
    [MG_PUBLIC_KEY_P256] = {"EC", "prime256v1", MG_JWA_BIT(MG_JWA_ES256), 32},
    [MG_PUBLIC_KEY_P384] = {"EC", "secp384r1", MG_JWA_BIT(MG_JWA_ES384), 48},
    [MG_PUBLIC_KEY_P521] = {"EC", "secp521r1", MG_JWA_BIT(MG_JWA_ES512), 66},
    [MG_PUBLIC_KEY_ED25519] = {"ED25519", NULL, MG_JWA_BIT(MG_JWA_EDDSA), 0},
    [MG_PUBLIC_KEY_ED448] = {"ED448", NULL, MG_JWA_BIT(MG_JWA_EDDSA), 0},
};

#define KINDS (sizeof kinds / sizeof kinds[0])

/* How `alg` hashes; none for EdDSA, which does by itself. */
static const struct hash {
    void (*digest)(struct mg_str data, uint8_t *out);
    void (*hmac)(struct mg_str key, struct mg_str data, uint8_t *out);
    const EVP_MD *(*md)(void);
    size_t bytes;
} hashes[] = {
    {mg_digest_sha256, mg_digest_hmac_sha256, EVP_sha256, MG_SHA256_BYTES},
    {mg_digest_sha384, mg_digest_hmac_sha384, EVP_sha384, MG_SHA384_BYTES},
    {mg_digest_sha512, mg_digest_hmac_sha512, EVP_sha512, MG_SHA512_BYTES},
};

/* The algorithms stand in groups of 256, 384, 512. */
static const struct hash *hash_of(enum mg_jwa alg)
{
    return &hashes[alg % 3];
}

/* Verifying ------------------------------------------------------------------------------------ */

static void verifier_free(struct verifier *v)
{
    if (v)
        EVP_PKEY_CTX_free(v->ctx);
    free(v);
}

static bool verifier_prepare(struct verifier *v, enum mg_jwa alg)
{
    EVP_PKEY_CTX *ctx = v->ctx;
    bool pss = MG_JWA_BIT(alg) & MG_JWA_ALL_PS;
    v->alg = alg;
    if (EVP_PKEY_verify_init(ctx) != 1)
        return false;
    if (!pss && !(MG_JWA_BIT(alg) & MG_JWA_ALL_RS))
        return true;
    /* RFC 7518 3.5: MGF1 with the same hash, and a salt as long as it. */
    return EVP_PKEY_CTX_set_rsa_padding(ctx, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) ==
               1 &&
           EVP_PKEY_CTX_set_signature_md(ctx, hash_of(alg)->md()) == 1 &&
           (!pss || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static _Atomic(struct verifier *) *own_slot(struct mg_public_key *key)
{
    static _Atomic unsigned threads;
    static _Thread_local unsigned own; /* 0: not numbered yet */
    if (!own)
        own = atomic_fetch_add(&threads, 1) % SPARES + 1;
    return &key->spare[own - 1];
}

/* The one in `slot`, made fit for `alg`, or a new one. */
static struct verifier *verifier_take(struct mg_public_key *key, _Atomic(struct verifier *) *slot,
                                      enum mg_jwa alg)
{
    struct verifier *v = atomic_exchange(slot, NULL);
    if (v && v->alg == alg)
        return v;
    if (!v) {
        v = mg_calloc(1, sizeof *v);
        v->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    }
    if (v->ctx && verifier_prepare(v, alg))
        return v;
    verifier_free(v);
    return NULL;
}

/* Appends an INTEGER (X.690 8.3): the shortest form, never negative. */
static uint8_t *put_integer(uint8_t *out, const uint8_t *number, size_t n)
{
    while (n > 1 && !*number) {
        number++;
        n--;
    }
    size_t zero = *number >> 7;
    *out++ = 0x02;
    *out++ = (uint8_t)(n + zero);
    if (zero)
        *out++ = 0;
    memcpy(out, number, n);
    return out + n;
}

/* r || s as libcrypto wants it (RFC 3279 2.2.3). */
static struct mg_str der_of(struct mg_str raw, uint8_t der[DER_BYTES_MAX])
{
    const uint8_t *r = (const uint8_t *)raw.p;
    size_t half = raw.n / 2;
    uint8_t *body = der + 3, *end = put_integer(put_integer(body, r, half), r + half, half);
    size_t n = (size_t)(end - body);
    uint8_t *head = body;
    *--head = (uint8_t)n;
    if (n > 127) /* only on P-521 */
        *--head = 0x81;
    *--head = 0x30;
    return mg_str((const char *)head, (size_t)(end - head));
}

static bool verify_digest(struct mg_public_key *key, enum mg_jwa alg, struct mg_str data,
                          struct mg_str signature)
{
    uint8_t digest[MG_SHA512_BYTES], der[DER_BYTES_MAX];
    const struct hash *hash = hash_of(alg);
    if (kinds[key->kind].half_bytes)
        signature = der_of(signature, der);
    _Atomic(struct verifier *) *slot = own_slot(key);
    struct verifier *v = verifier_take(key, slot, alg);
    if (!v)
        return false;
    hash->digest(data, digest);
    bool good = EVP_PKEY_verify(v->ctx, (const uint8_t *)signature.p, signature.n, digest,
                                hash->bytes) == 1;
    verifier_free(atomic_exchange(slot, v));
    return good;
}

/* Such a context is good for one message. */
static bool verify_message(struct mg_public_key *key, struct mg_str data, struct mg_str signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
                EVP_DigestVerify(ctx, (const uint8_t *)signature.p, signature.n,
                                 (const uint8_t *)data.p, data.n) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static bool verify_secret(const struct mg_public_key *key, enum mg_jwa alg, struct mg_str data,
                          struct mg_str signature)
{
    uint8_t mac[MG_SHA512_BYTES];
    const struct hash *hash = hash_of(alg);
    hash->hmac(mg_str((const char *)key->secret, key->secret_n), data, mac);
    bool good = mg_digest_equal(mg_str((const char *)mac, hash->bytes), signature);
    OPENSSL_cleanse(mac, sizeof mac);
    return good;
}

bool mg_public_key_verify(struct mg_public_key *key, enum mg_jwa alg, struct mg_str data,
                          struct mg_str signature)
{
    MG_BUG_ON(!key);
    if (alg >= MG_JWA_COUNT || !(mg_public_key_algs(key) & MG_JWA_BIT(alg)))
        return false;
    if (key->kind == MG_PUBLIC_KEY_SECRET)
        return verify_secret(key, alg, data, signature);
    if (signature.n != key->signature_bytes)
        return false;
    bool good = alg == MG_JWA_EDDSA ? verify_message(key, data, signature)
                                    : verify_digest(key, alg, data, signature);
    if (!good)
        ERR_clear_error();
    return good;
}

/* Making --------------------------------------------------------------------------------------- */

static struct mg_public_key *key_new(enum mg_public_key_kind kind)
{
    struct mg_public_key *key = mg_calloc(1, sizeof *key);
    key->kind = kind;
    atomic_init(&key->refs, 1);
    return key;
}

/* An exponent that costs no more than usual, and a modulus that Montgomery's method can take. */
static bool rsa_is_sound(EVP_PKEY *pkey, struct mg_error *err)
{
    BIGNUM *n = NULL, *e = NULL;
    bool read = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
                EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1;
    int bits = read ? BN_num_bits(n) : 0;
    bool sized = bits >= MG_PUBLIC_KEY_RSA_BITS_MIN && bits <= MG_PUBLIC_KEY_RSA_BITS_MAX;
    bool sound = read && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) &&
                 BN_num_bits(e) <= RSA_EXPONENT_BITS_MAX;
    BN_free(n);
    BN_free(e);
    if (!sized)
        mg_error_set(err, "RSA key has %d bits, not %d to %d", bits, MG_PUBLIC_KEY_RSA_BITS_MIN,
                     MG_PUBLIC_KEY_RSA_BITS_MAX);
    else if (!sound)
        mg_error_set(err, "RSA key has an unusual modulus or exponent");
    return sized && sound;
}

/* A named curve by its name alone: parameters in the key itself could be anybody's curve. */
static bool point_is_sound(EVP_PKEY *pkey, struct mg_error *err)
{
    int explicit_curve = 0;
    EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_curve);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool sound = !explicit_curve && ctx && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!sound)
        mg_error_set(err, "EC key is not a point on its curve");
    return sound;
}

static bool kind_of(EVP_PKEY *pkey, enum mg_public_key_kind *kind, struct mg_error *err)
{
    char group[32] = "";
    if (EVP_PKEY_is_a(pkey, "EC"))
        EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL);
    for (size_t i = MG_PUBLIC_KEY_RSA; i < KINDS; i++) {
        *kind = (enum mg_public_key_kind)i;
        if (EVP_PKEY_is_a(pkey, kinds[i].name) &&
            (!kinds[i].group || strcmp(kinds[i].group, group) == 0))
            return true;
    }
    mg_error_set(err, "key is of a kind or on a curve that is not supported; RSA, P-256, P-384, "
                      "P-521, Ed25519 and Ed448 are");
    return false;
}

/* Takes `pkey`, which may be NULL: then libcrypto could not make it. */
static struct mg_public_key *from_pkey(EVP_PKEY *pkey, struct mg_error *err)
{
    enum mg_public_key_kind kind;
    bool good = pkey && kind_of(pkey, &kind, err) &&
                (kind != MG_PUBLIC_KEY_RSA || rsa_is_sound(pkey, err)) &&
                (!kinds[kind].group || point_is_sound(pkey, err));
    if (!pkey)
        mg_error_set(err, "public key cannot be read");
    ERR_clear_error();
    if (!good) {
        EVP_PKEY_free(pkey);
        return NULL;
    }
    struct mg_public_key *key = key_new(kind);
    key->pkey = pkey;
    key->bits = (unsigned)EVP_PKEY_get_bits(pkey);
    key->signature_bytes =
        kinds[kind].half_bytes ? 2 * kinds[kind].half_bytes : (size_t)EVP_PKEY_get_size(pkey);
    return key;
}

static EVP_PKEY *pkey_of_certificate(const unsigned char **p, long n)
{
    X509 *cert = d2i_X509(NULL, p, n);
    EVP_PKEY *pkey = cert ? X509_get_pubkey(cert) : NULL;
    X509_free(cert);
    return pkey;
}

/* A PEM block's. False when it is of no interest. */
static bool read_block(const char *name, const unsigned char *der, long n,
                       struct mg_public_key **key, struct mg_error *err)
{
    const unsigned char *p = der;
    EVP_PKEY *pkey = NULL;
    *key = NULL;
    if (strcmp(name, PEM_STRING_PUBLIC) == 0) {
        pkey = d2i_PUBKEY(NULL, &p, n);
    } else if (strcmp(name, PEM_STRING_RSA_PUBLIC) == 0) {
        pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, n);
    } else if (strcmp(name, PEM_STRING_X509) == 0) {
        pkey = pkey_of_certificate(&p, n);
    } else if (mg_str_ends(mg_str_c(name), MG_STR("PRIVATE KEY"))) {
        mg_error_set(err, "a private key stands where a public key should");
        return true;
    } else {
        return false;
    }
    if (pkey && p != der + n) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    *key = from_pkey(pkey, err);
    return true;
}

struct mg_public_key *mg_public_key_from_pem(struct mg_str pem, struct mg_error *err)
{
    struct mg_public_key *key = NULL;
    bool found = false;
    BIO *bio = pem.n && pem.n <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    while (bio && !found) {
        char *name = NULL, *header = NULL;
        unsigned char *der = NULL;
        long n = 0;
        if (PEM_read_bio(bio, &name, &header, &der, &n) != 1)
            break;
        found = read_block(name, der, n, &key, err);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)n);
    }
    BIO_free(bio);
    if (!found)
        mg_error_set(err, "no public key in PEM");
    ERR_clear_error();
    return key;
}

struct mg_public_key *mg_public_key_from_secret(struct mg_str secret, struct mg_error *err)
{
    if (secret.n == 0 || secret.n > MG_PUBLIC_KEY_SECRET_BYTES_MAX) {
        mg_error_set(err, "secret has %zu bytes, not 1 to %d", secret.n,
                     MG_PUBLIC_KEY_SECRET_BYTES_MAX);
        return NULL;
    }
    /* RFC 8725 2.1: who takes the text of a public key as a secret lets everybody sign. */
    if (memmem(secret.p, secret.n, "-----BEGIN ", 11)) {
        mg_error_set(err, "a PEM text stands where a secret should");
        return NULL;
    }
    struct mg_public_key *key = key_new(MG_PUBLIC_KEY_SECRET);
    key->secret = mg_malloc(secret.n);
    memcpy(key->secret, secret.p, secret.n);
    key->secret_n = secret.n;
    key->bits = (unsigned)secret.n * 8;
    return key;
}

static EVP_PKEY *pkey_from_params(const char *name, OSSL_PARAM *params)
{
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, name, NULL);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

static EVP_PKEY *pkey_from_numbers(const BIGNUM *n, const BIGNUM *e)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (build && n && e && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY *pkey = params ? pkey_from_params("RSA", params) : NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    return pkey;
}

static BIGNUM *number_of(struct mg_str bytes)
{
    if (bytes.n == 0 || bytes.n > MG_PUBLIC_KEY_RSA_BITS_MAX / 8 + 1)
        return NULL;
    return BN_bin2bn((const uint8_t *)bytes.p, (int)bytes.n, NULL);
}

struct mg_public_key *mg_public_key_from_rsa(struct mg_str n, struct mg_str e, struct mg_error *err)
{
    BIGNUM *modulus = number_of(n), *exponent = number_of(e);
    EVP_PKEY *pkey = pkey_from_numbers(modulus, exponent);
    BN_free(modulus);
    BN_free(exponent);
    return from_pkey(pkey, err);
}

struct mg_public_key *mg_public_key_from_point(enum mg_public_key_kind kind, struct mg_str x,
                                               struct mg_str y, struct mg_error *err)
{
    uint8_t point[MG_CURVE_PUBLIC_BYTES_MAX] = {0x04}; /* uncompressed, SEC 1 2.3.3 */
    size_t n = kinds[kind].half_bytes;
    if (n == 0 || x.n != n || y.n != n) {
        mg_error_set(err, "coordinates of EC key have a wrong length");
        return NULL;
    }
    memcpy(point + 1, x.p, n);
    memcpy(point + 1 + n, y.p, n);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)kinds[kind].group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * n),
        OSSL_PARAM_construct_end(),
    };
    return from_pkey(pkey_from_params("EC", params), err);
}

struct mg_public_key *mg_public_key_from_edwards(enum mg_public_key_kind kind, struct mg_str x,
                                                 struct mg_error *err)
{
    if (kind != MG_PUBLIC_KEY_ED25519 && kind != MG_PUBLIC_KEY_ED448) {
        mg_error_set(err, "not a kind of Edwards key");
        return NULL;
    }
    return from_pkey(
        EVP_PKEY_new_raw_public_key_ex(NULL, kinds[kind].name, NULL, (const uint8_t *)x.p, x.n),
        err);
}

struct mg_public_key *mg_public_key_ref(struct mg_public_key *key)
{
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

void mg_public_key_unref(struct mg_public_key *key)
{
    if (!key || atomic_fetch_sub(&key->refs, 1) != 1)
        return;
    for (size_t i = 0; i < SPARES; i++)
        verifier_free(atomic_load(&key->spare[i]));
    EVP_PKEY_free(key->pkey);
    if (key->secret)
        OPENSSL_cleanse(key->secret, key->secret_n);
    free(key->secret);
    free(key);
}

enum mg_public_key_kind mg_public_key_kind(const struct mg_public_key *key)
{
    return key->kind;
}

unsigned mg_public_key_bits(const struct mg_public_key *key)
{
    return key->bits;
}

unsigned mg_public_key_algs(const struct mg_public_key *key)
{
    return kinds[key->kind].algs;
}
