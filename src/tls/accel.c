/*
 * What libmbedcrypto's hot functions do here instead: the same, with libcrypto.
 *
 * A symbol that the program defines comes before the same one of a shared library, also for the
 * library's own calls (ELF symbol interposition). So the functions marked TAKEN replace those of
 * libmbedcrypto, inside it too; the library's own are reached by dlsym(RTLD_NEXT).
 *
 * Always true here: whatever is odd about a call (another curve, nonce, length, overlap) goes to
 * the library's own function; and a context is good for both, whenever and by whichever it was set
 * up, because the library's half of it is always there and ours hangs on it, marked.
 *
 * `groups` is written by mg_tls_accel_start() before other threads are in Mbed TLS, and read by
 * all.
 */
#include "tls/accel.h"

#include <pthread.h>

#if MG_TLS_ACCEL_FITS

#include <dlfcn.h>
#include <limits.h>
#include <mbedtls/asn1.h>
#include <mbedtls/chachapoly.h>
#include <mbedtls/cipher.h>
#include <mbedtls/ecdh.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/gcm.h>
#include <mbedtls/pk_internal.h>
#include <mbedtls/platform.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/rsa.h>
#include <mbedtls/sha256.h>
#include <mbedtls/sha512.h>
#include <mbedtls/version.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/str.h"
#include "crypto/aead.h"
#include "crypto/ecdh.h"
#include "crypto/ecdsa.h"
#include "crypto/private_key.h"
#include "crypto/sha2.h"
#include "tls/accel_answers.h"

/* Seen from outside the program, and kept though nothing inside it calls it. */
#define TAKEN __attribute__((visibility("default"), used))

/* The library's own functions ---------------------------------------------------------------- */

#define EACH_TAKEN(X)                                                                              \
    X(gcm_setkey)                                                                                  \
    X(gcm_crypt_and_tag)                                                                           \
    X(gcm_auth_decrypt)                                                                            \
    X(gcm_free)                                                                                    \
    X(chachapoly_setkey)                                                                           \
    X(chachapoly_starts)                                                                           \
    X(chachapoly_encrypt_and_tag)                                                                  \
    X(chachapoly_auth_decrypt)                                                                     \
    X(chachapoly_free)                                                                             \
    X(ecdh_gen_public)                                                                             \
    X(ecdh_compute_shared)                                                                         \
    X(ecdsa_read_signature_restartable)                                                            \
    X(internal_sha256_process)                                                                     \
    X(internal_sha512_process)                                                                     \
    X(pk_check_pair)

/* set once, by find_stock() */
static struct {
#define X(name) __typeof__(mbedtls_##name) *name;
    EACH_TAKEN(X)
#undef X
} stock_functions;
static pthread_once_t stock_once = PTHREAD_ONCE_INIT;

static void find_stock(void)
{
#define X(name)                                                                                    \
    *(void **)&stock_functions.name = dlsym(RTLD_NEXT, "mbedtls_" #name);                          \
    MG_BUG_ON(!stock_functions.name);
    EACH_TAKEN(X)
#undef X
}

static __typeof__(stock_functions) *stock(void)
{
    pthread_once(&stock_once, find_stock);
    return &stock_functions;
}

/* Groups -------------------------------------------------------------------------------------- */

enum group { GCM, CHACHAPOLY, ECDH, ECDSA, SHA2, GROUPS };

/* One bit for each function of a group. */
enum function {
    SETKEY = 1,
    SEAL = 2,
    OPEN = 4,
    FREE = 8,
    STARTS = 16,
    GEN_PUBLIC = 1,
    COMPUTE_SHARED = 2,
    READ_SIGNATURE = 1,
    SHA256_BLOCK = 1,
    SHA512_BLOCK = 2,
};

/* A group is taken over as a whole, or not. */
static struct {
    const char *name;
    bool (*answers)(void); /* known answers, asked through the library's own callers */
    unsigned functions;    /* bits of all its functions */
    enum { OFF, TRIED, ON } mode;
    unsigned seen; /* bits of those that were called while it was TRIED */
} groups[GROUPS] = {
    [GCM] = {"gcm", mg_accel_gcm_answers, SETKEY | SEAL | OPEN | FREE, OFF, 0},
    [CHACHAPOLY] = {"chachapoly", mg_accel_chachapoly_answers, SETKEY | SEAL | OPEN | FREE | STARTS,
                    OFF, 0},
    [ECDH] = {"ecdh", mg_accel_ecdh_answers, GEN_PUBLIC | COMPUTE_SHARED, OFF, 0},
    [ECDSA] = {"ecdsa", mg_accel_ecdsa_answers, READ_SIGNATURE, OFF, 0},
    [SHA2] = {"sha2", mg_accel_sha2_answers, SHA256_BLOCK | SHA512_BLOCK, OFF, 0},
};

/* Every taken function begins with this question. */
static bool ours(enum group group, enum function function)
{
    if (__builtin_expect(groups[group].mode == ON, 1))
        return true;
    if (groups[group].mode == OFF)
        return false;
    groups[group].seen |= function;
    return true;
}

/* AEAD: a key of ours on a context of the library's --------------------------------------------
 *
 * The library's setkey always runs, so that streaming (starts, update, finish), odd nonces and tags
 * stay possible with its own code. Our key's address is kept in a place of 16 bytes that the
 * library sets to zero and never uses between setkey and free: the first word holds it, the second
 * one marks it as ours in this very context. A copy made by memcpy is therefore one of the
 * library's alone, and frees nothing of ours.
 */

#define SLOT_MARK                                                                                  \
    ((uintptr_t)0x6d67746c73616363) /* cut to the word's size where that is smaller                \
                                     */

_Static_assert(sizeof(((mbedtls_gcm_context *)NULL)->cipher_ctx.iv) >= 2 * sizeof(uintptr_t) &&
                   sizeof(((mbedtls_chachapoly_context *)NULL)->poly1305_ctx.queue) >=
                       2 * sizeof(uintptr_t),
               "room for a slot");

static struct mg_aead *slot_get(const unsigned char *slot)
{
    uintptr_t words[2];
    memcpy(words, slot, sizeof words);
    return words[1] == (words[0] ^ (uintptr_t)slot ^ SLOT_MARK) ? (struct mg_aead *)words[0] : NULL;
}

static void slot_set(unsigned char *slot, struct mg_aead *aead)
{
    uintptr_t words[2] = {(uintptr_t)aead, (uintptr_t)aead ^ (uintptr_t)slot ^ SLOT_MARK};
    if (aead)
        memcpy(slot, words, sizeof words);
}

static void slot_clear(unsigned char *slot)
{
    struct mg_aead *aead = slot_get(slot);
    if (aead)
        memset(slot, 0, 2 * sizeof(uintptr_t));
    mg_aead_free(aead);
}

/* In place, or apart. */
static bool no_overlap(const unsigned char *input, const unsigned char *output, size_t n)
{
    uintptr_t in = (uintptr_t)input, out = (uintptr_t)output;
    return in == out || in + n <= out || out + n <= in;
}

static bool one_piece(size_t length, size_t add_len, const unsigned char *input,
                      const unsigned char *output)
{
    return length <= INT_MAX && add_len <= INT_MAX && no_overlap(input, output, length);
}

static struct mg_str bytes(const unsigned char *p, size_t n)
{
    return mg_str((const char *)p, n);
}

/* GCM keeps a cipher context for single blocks (ECB), which has no use for an `iv`. */
static unsigned char *gcm_slot(mbedtls_gcm_context *ctx)
{
    return ctx->cipher_ctx.iv;
}

static struct mg_aead *gcm_key(mbedtls_gcm_context *ctx)
{
    return ctx->cipher_ctx.cipher_info ? slot_get(gcm_slot(ctx)) : NULL;
}

TAKEN int mbedtls_gcm_setkey(mbedtls_gcm_context *ctx, mbedtls_cipher_id_t cipher,
                             const unsigned char *key, unsigned int keybits)
{
    slot_clear(gcm_slot(ctx));
    int ret = stock()->gcm_setkey(ctx, cipher, key, keybits);
    if (ret == 0 && ours(GCM, SETKEY) && cipher == MBEDTLS_CIPHER_ID_AES &&
        (keybits == 128 || keybits == 256))
        slot_set(gcm_slot(ctx),
                 mg_aead_new(keybits == 128 ? MG_AEAD_AES_128_GCM : MG_AEAD_AES_256_GCM, key));
    return ret;
}

TAKEN void mbedtls_gcm_free(mbedtls_gcm_context *ctx)
{
    ours(GCM, FREE);
    if (ctx)
        slot_clear(gcm_slot(ctx));
    stock()->gcm_free(ctx);
}

TAKEN int mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t length,
                                    const unsigned char *iv, size_t iv_len,
                                    const unsigned char *add, size_t add_len,
                                    const unsigned char *input, unsigned char *output,
                                    size_t tag_len, unsigned char *tag)
{
    struct mg_aead *aead = gcm_key(ctx);
    if (!aead || mode != MBEDTLS_GCM_ENCRYPT || iv_len != MG_AEAD_NONCE_BYTES ||
        tag_len != MG_AEAD_TAG_BYTES || !one_piece(length, add_len, input, output))
        return stock()->gcm_crypt_and_tag(ctx, mode, length, iv, iv_len, add, add_len, input,
                                          output, tag_len, tag);
    ours(GCM, SEAL);
    return mg_aead_seal(aead, iv, bytes(add, add_len), bytes(input, length), output, tag) == MG_OK
               ? 0
               : MBEDTLS_ERR_PLATFORM_HW_ACCEL_FAILED;
}

TAKEN int mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t length, const unsigned char *iv,
                                   size_t iv_len, const unsigned char *add, size_t add_len,
                                   const unsigned char *tag, size_t tag_len,
                                   const unsigned char *input, unsigned char *output)
{
    struct mg_aead *aead = gcm_key(ctx);
    if (!aead || iv_len != MG_AEAD_NONCE_BYTES || tag_len != MG_AEAD_TAG_BYTES ||
        !one_piece(length, add_len, input, output))
        return stock()->gcm_auth_decrypt(ctx, length, iv, iv_len, add, add_len, tag, tag_len, input,
                                         output);
    ours(GCM, OPEN);
    return mg_aead_open(aead, iv, bytes(add, add_len), bytes(input, length), tag, output) == MG_OK
               ? 0
               : MBEDTLS_ERR_GCM_AUTH_FAILED;
}

/* Poly1305's queue is zero from init on until starts, which is also when the state leaves 0. Then
 * the slot is gone, and the context the library's alone. */
#define CHACHAPOLY_FRESH 0

static unsigned char *chachapoly_slot(mbedtls_chachapoly_context *ctx)
{
    return ctx->poly1305_ctx.queue;
}

static struct mg_aead *chachapoly_key(mbedtls_chachapoly_context *ctx)
{
    return ctx->state == CHACHAPOLY_FRESH ? slot_get(chachapoly_slot(ctx)) : NULL;
}

static void chachapoly_drop(mbedtls_chachapoly_context *ctx)
{
    if (ctx->state == CHACHAPOLY_FRESH)
        slot_clear(chachapoly_slot(ctx));
}

TAKEN int mbedtls_chachapoly_setkey(mbedtls_chachapoly_context *ctx, const unsigned char key[32])
{
    chachapoly_drop(ctx);
    int ret = stock()->chachapoly_setkey(ctx, key);
    if (ret == 0 && ours(CHACHAPOLY, SETKEY) && ctx->state == CHACHAPOLY_FRESH)
        slot_set(chachapoly_slot(ctx), mg_aead_new(MG_AEAD_CHACHA20_POLY1305, key));
    return ret;
}

TAKEN void mbedtls_chachapoly_free(mbedtls_chachapoly_context *ctx)
{
    ours(CHACHAPOLY, FREE);
    if (ctx)
        chachapoly_drop(ctx);
    stock()->chachapoly_free(ctx);
}

TAKEN int mbedtls_chachapoly_starts(mbedtls_chachapoly_context *ctx, const unsigned char nonce[12],
                                    mbedtls_chachapoly_mode_t mode)
{
    ours(CHACHAPOLY, STARTS);
    chachapoly_drop(ctx);
    return stock()->chachapoly_starts(ctx, nonce, mode);
}

TAKEN int mbedtls_chachapoly_encrypt_and_tag(mbedtls_chachapoly_context *ctx, size_t length,
                                             const unsigned char nonce[12],
                                             const unsigned char *aad, size_t aad_len,
                                             const unsigned char *input, unsigned char *output,
                                             unsigned char tag[16])
{
    struct mg_aead *aead = chachapoly_key(ctx);
    if (!aead || !one_piece(length, aad_len, input, output))
        return stock()->chachapoly_encrypt_and_tag(ctx, length, nonce, aad, aad_len, input, output,
                                                   tag);
    ours(CHACHAPOLY, SEAL);
    return mg_aead_seal(aead, nonce, bytes(aad, aad_len), bytes(input, length), output, tag) ==
                   MG_OK
               ? 0
               : MBEDTLS_ERR_PLATFORM_HW_ACCEL_FAILED;
}

TAKEN int mbedtls_chachapoly_auth_decrypt(mbedtls_chachapoly_context *ctx, size_t length,
                                          const unsigned char nonce[12], const unsigned char *aad,
                                          size_t aad_len, const unsigned char tag[16],
                                          const unsigned char *input, unsigned char *output)
{
    struct mg_aead *aead = chachapoly_key(ctx);
    if (!aead || !one_piece(length, aad_len, input, output))
        return stock()->chachapoly_auth_decrypt(ctx, length, nonce, aad, aad_len, tag, input,
                                                output);
    ours(CHACHAPOLY, OPEN);
    return mg_aead_open(aead, nonce, bytes(aad, aad_len), bytes(input, length), tag, output) ==
                   MG_OK
               ? 0
               : MBEDTLS_ERR_CHACHAPOLY_AUTH_FAILED;
}

/* Elliptic curves: numbers to bytes and back --------------------------------------------------- */

static bool curve_of(const mbedtls_ecp_group *grp, enum mg_curve *curve)
{
    switch (grp->id) {
    case MBEDTLS_ECP_DP_SECP256R1:
        *curve = MG_CURVE_P256;
        return true;
    case MBEDTLS_ECP_DP_SECP384R1:
        *curve = MG_CURVE_P384;
        return true;
    case MBEDTLS_ECP_DP_SECP521R1:
        *curve = MG_CURVE_P521;
        return true;
    case MBEDTLS_ECP_DP_CURVE25519:
        *curve = MG_CURVE_X25519;
        return true;
    default:
        return false;
    }
}

static int write_number(enum mg_curve curve, const mbedtls_mpi *number, uint8_t *out)
{
    size_t n = mg_curve_bytes(curve);
    return curve == MG_CURVE_X25519 ? mbedtls_mpi_write_binary_le(number, out, n)
                                    : mbedtls_mpi_write_binary(number, out, n);
}

static int read_number(enum mg_curve curve, mbedtls_mpi *number, const uint8_t *in)
{
    size_t n = mg_curve_bytes(curve);
    return curve == MG_CURVE_X25519 ? mbedtls_mpi_read_binary_le(number, in, n)
                                    : mbedtls_mpi_read_binary(number, in, n);
}

/* Whether the point is on the curve is seen where the bytes are used. */
static int write_point(mbedtls_ecp_group *grp, enum mg_curve curve, const mbedtls_ecp_point *point,
                       uint8_t *out)
{
    size_t n = 0, wanted = mg_curve_public_bytes(curve);
    if (mbedtls_mpi_cmp_int(&point->Z, 1) != 0 ||
        mbedtls_ecp_point_write_binary(grp, point, MBEDTLS_ECP_PF_UNCOMPRESSED, &n, out, wanted) !=
            0 ||
        n != wanted)
        return MBEDTLS_ERR_ECP_INVALID_KEY;
    return 0;
}

static int generate(mbedtls_ecp_group *grp, enum mg_curve curve, mbedtls_mpi *d,
                    mbedtls_ecp_point *Q)
{
    uint8_t secret[MG_CURVE_BYTES_MAX], public[MG_CURVE_PUBLIC_BYTES_MAX];
    int ret = mg_ecdh_generate(curve, secret, public) == MG_OK ? 0 : MBEDTLS_ERR_ECP_RANDOM_FAILED;
    if (ret == 0)
        ret = read_number(curve, d, secret);
    if (ret == 0)
        ret = mbedtls_ecp_point_read_binary(grp, Q, public, mg_curve_public_bytes(curve));
    mbedtls_platform_zeroize(secret, sizeof secret);
    return ret;
}

static int share(mbedtls_ecp_group *grp, enum mg_curve curve, mbedtls_mpi *z,
                 const mbedtls_ecp_point *Q, const mbedtls_mpi *d)
{
    uint8_t secret[MG_CURVE_BYTES_MAX], shared[MG_CURVE_BYTES_MAX];
    uint8_t peer[MG_CURVE_PUBLIC_BYTES_MAX];
    int ret = mbedtls_ecp_check_privkey(grp, d);
    if (ret == 0)
        ret = write_point(grp, curve, Q, peer);
    if (ret == 0)
        ret = write_number(curve, d, secret);
    if (ret == 0) {
        enum mg_rc rc =
            mg_ecdh_shared(curve, secret, bytes(peer, mg_curve_public_bytes(curve)), shared);
        ret = rc == MG_OK     ? read_number(curve, z, shared)
              : rc == MG_FAIL ? MBEDTLS_ERR_ECP_INVALID_KEY
                              : MBEDTLS_ERR_ECP_ALLOC_FAILED;
    }
    mbedtls_platform_zeroize(secret, sizeof secret);
    mbedtls_platform_zeroize(shared, sizeof shared);
    return ret;
}

TAKEN int mbedtls_ecdh_gen_public(mbedtls_ecp_group *grp, mbedtls_mpi *d, mbedtls_ecp_point *Q,
                                  int (*f_rng)(void *, unsigned char *, size_t), void *p_rng)
{
    enum mg_curve curve;
    if (!curve_of(grp, &curve) || !ours(ECDH, GEN_PUBLIC))
        return stock()->ecdh_gen_public(grp, d, Q, f_rng, p_rng);
    return generate(grp, curve, d, Q);
}

TAKEN int mbedtls_ecdh_compute_shared(mbedtls_ecp_group *grp, mbedtls_mpi *z,
                                      const mbedtls_ecp_point *Q, const mbedtls_mpi *d,
                                      int (*f_rng)(void *, unsigned char *, size_t), void *p_rng)
{
    enum mg_curve curve;
    if (!curve_of(grp, &curve) || !ours(ECDH, COMPUTE_SHARED))
        return stock()->ecdh_compute_shared(grp, z, Q, d, f_rng, p_rng);
    return share(grp, curve, z, Q, d);
}

/* ECDSA verification --------------------------------------------------------------------------- */

/* SEQUENCE { INTEGER r, INTEGER s } (RFC 3279 2.2.3), and nothing after it. */
static bool read_signature(const unsigned char *sig, size_t slen, mbedtls_mpi *r, mbedtls_mpi *s)
{
    unsigned char *p = (unsigned char *)sig;
    const unsigned char *end = sig + slen;
    size_t n;
    return mbedtls_asn1_get_tag(&p, end, &n, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) ==
               0 &&
           p + n == end && mbedtls_asn1_get_mpi(&p, end, r) == 0 &&
           mbedtls_asn1_get_mpi(&p, end, s) == 0 && p == end;
}

/* The library's own function has the answer to these. */
static bool odd_signature(mbedtls_ecp_keypair *key, enum mg_curve curve, const mbedtls_mpi *r,
                          const mbedtls_mpi *s)
{
    return curve == MG_CURVE_X25519 || mbedtls_mpi_cmp_int(r, 1) < 0 ||
           mbedtls_mpi_cmp_mpi(r, &key->grp.N) >= 0 || mbedtls_mpi_cmp_int(s, 1) < 0 ||
           mbedtls_mpi_cmp_mpi(s, &key->grp.N) >= 0;
}

static int verify(mbedtls_ecp_keypair *key, enum mg_curve curve, struct mg_str digest,
                  const mbedtls_mpi *r, const mbedtls_mpi *s)
{
    uint8_t public[MG_CURVE_PUBLIC_BYTES_MAX];
    uint8_t r_bytes[MG_CURVE_BYTES_MAX], s_bytes[MG_CURVE_BYTES_MAX];
    int ret = write_point(&key->grp, curve, &key->Q, public);
    if (ret == 0)
        ret = write_number(curve, r, r_bytes);
    if (ret == 0)
        ret = write_number(curve, s, s_bytes);
    if (ret != 0)
        return ret;
    enum mg_rc rc = mg_ecdsa_verify(curve, public, digest, r_bytes, s_bytes);
    return rc == MG_OK     ? 0
           : rc == MG_FAIL ? MBEDTLS_ERR_ECP_VERIFY_FAILED
                           : MBEDTLS_ERR_ECP_ALLOC_FAILED;
}

TAKEN int mbedtls_ecdsa_read_signature_restartable(mbedtls_ecdsa_context *ctx,
                                                   const unsigned char *hash, size_t hlen,
                                                   const unsigned char *sig, size_t slen,
                                                   mbedtls_ecdsa_restart_ctx *rs_ctx)
{
    enum mg_curve curve;
    mbedtls_mpi r, s;
    if (!curve_of(&ctx->grp, &curve) || !ours(ECDSA, READ_SIGNATURE))
        return stock()->ecdsa_read_signature_restartable(ctx, hash, hlen, sig, slen, rs_ctx);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    int ret = read_signature(sig, slen, &r, &s) && !odd_signature(ctx, curve, &r, &s)
                  ? verify(ctx, curve, bytes(hash, hlen), &r, &s)
                  : stock()->ecdsa_read_signature_restartable(ctx, hash, hlen, sig, slen, rs_ctx);
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    return ret;
}

/* SHA-2 ---------------------------------------------------------------------------------------- */

_Static_assert(sizeof(((mbedtls_sha256_context *)NULL)->state) == 8 * sizeof(uint32_t) &&
                   sizeof(((mbedtls_sha512_context *)NULL)->state) == 8 * sizeof(uint64_t),
               "states of SHA-2");

TAKEN int mbedtls_internal_sha256_process(mbedtls_sha256_context *ctx, const unsigned char data[64])
{
    if (!ours(SHA2, SHA256_BLOCK))
        return stock()->internal_sha256_process(ctx, data);
    mg_sha2_256_block(ctx->state, data);
    return 0;
}

TAKEN int mbedtls_internal_sha512_process(mbedtls_sha512_context *ctx,
                                          const unsigned char data[128])
{
    if (!ours(SHA2, SHA512_BLOCK))
        return stock()->internal_sha512_process(ctx, data);
    mg_sha2_512_block(ctx->state, data);
    return 0;
}

/* Keys ------------------------------------------------------------------------------------------
 *
 * A key's context is made anew with our key behind it; the library sees its own structure at the
 * same address. The table of functions (`pk_info`) is a copy of the library's with two replaced.
 */

struct ec_key {
    mbedtls_ecp_keypair stock; /* first: mbedtls_pk_ec() casts to it */
    struct mg_private_key *key;
};

struct rsa_key {
    mbedtls_rsa_context stock; /* first: mbedtls_pk_rsa() casts to it */
    struct mg_private_key *key;
};

_Static_assert(offsetof(struct ec_key, stock) == 0 && offsetof(struct rsa_key, stock) == 0,
               "the library's structure comes first");

/* set once, by mg_tls_accel_start() */
static mbedtls_pk_info_t ec_info, rsa_info;
static bool keys_on;

static bool hash_of(mbedtls_md_type_t md_alg, enum mg_key_hash *hash)
{
    switch (md_alg) {
    case MBEDTLS_MD_SHA1:
        *hash = MG_KEY_SHA1;
        return true;
    case MBEDTLS_MD_SHA224:
        *hash = MG_KEY_SHA224;
        return true;
    case MBEDTLS_MD_SHA256:
        *hash = MG_KEY_SHA256;
        return true;
    case MBEDTLS_MD_SHA384:
        *hash = MG_KEY_SHA384;
        return true;
    case MBEDTLS_MD_SHA512:
        *hash = MG_KEY_SHA512;
        return true;
    default:
        return false;
    }
}

/* Other digests than these are those of TLS 1.1 and before, and are refused: the library's own code
 * would not be safe with threads. */
static int sign(struct mg_private_key *key, enum mg_key_scheme scheme, mbedtls_md_type_t md_alg,
                struct mg_str digest, unsigned char *sig, size_t *sig_len)
{
    enum mg_key_hash hash;
    if (!hash_of(md_alg, &hash))
        return MBEDTLS_ERR_PK_FEATURE_UNAVAILABLE;
    return mg_private_key_sign(key, scheme, hash, digest, sig, sig_len) == MG_OK
               ? 0
               : MBEDTLS_ERR_PLATFORM_HW_ACCEL_FAILED;
}

static int ec_sign(void *ctx, mbedtls_md_type_t md_alg, const unsigned char *hash, size_t hash_len,
                   unsigned char *sig, size_t *sig_len,
                   int (*f_rng)(void *, unsigned char *, size_t), void *p_rng)
{
    (void)f_rng;
    (void)p_rng;
    struct ec_key *ec = ctx;
    return sign(ec->key, MG_KEY_ECDSA, md_alg, bytes(hash, hash_len), sig, sig_len);
}

static int rsa_sign(void *ctx, mbedtls_md_type_t md_alg, const unsigned char *hash, size_t hash_len,
                    unsigned char *sig, size_t *sig_len,
                    int (*f_rng)(void *, unsigned char *, size_t), void *p_rng)
{
    (void)f_rng;
    (void)p_rng;
    struct rsa_key *rsa = ctx;
    return sign(rsa->key, MG_KEY_PKCS1, md_alg, bytes(hash, hash_len), sig, sig_len);
}

static void ec_free(void *ctx)
{
    struct ec_key *ec = ctx;
    mg_private_key_free(ec->key);
    mbedtls_ecp_keypair_free(&ec->stock);
    mbedtls_free(ec);
}

static void rsa_free(void *ctx)
{
    struct rsa_key *rsa = ctx;
    mg_private_key_free(rsa->key);
    mbedtls_rsa_free(&rsa->stock);
    mbedtls_free(rsa);
}

static void prepare_keys(void)
{
    ec_info = *mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY);
    ec_info.sign_func = ec_sign;
    ec_info.ctx_free_func = ec_free;
    rsa_info = *mbedtls_pk_info_from_type(MBEDTLS_PK_RSA);
    rsa_info.sign_func = rsa_sign;
    rsa_info.ctx_free_func = rsa_free;
}

/* The same key with the library's own table. */
static mbedtls_pk_context plain(const mbedtls_pk_context *pk)
{
    mbedtls_pk_context out = *pk;
    if (pk->pk_info == &ec_info)
        out.pk_info = mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY);
    else if (pk->pk_info == &rsa_info)
        out.pk_info = mbedtls_pk_info_from_type(MBEDTLS_PK_RSA);
    return out;
}

/* The library compares the tables before it looks at the keys. */
TAKEN int mbedtls_pk_check_pair(const mbedtls_pk_context *pub, const mbedtls_pk_context *prv)
{
    mbedtls_pk_context plain_pub = plain(pub), plain_prv = plain(prv);
    return stock()->pk_check_pair(&plain_pub, &plain_prv);
}

/* DER of 8192 bits of RSA is the longest, with 4.6 KB. */
#define DER_BYTES_MAX 6144

static struct mg_private_key *import(mbedtls_pk_context *pk)
{
    unsigned char der[DER_BYTES_MAX];
    int n = mbedtls_pk_write_key_der(pk, der, sizeof der); /* at the end of `der` */
    struct mg_private_key *key =
        n > 0 ? mg_private_key_from_der(bytes(der + sizeof der - n, (size_t)n), NULL) : NULL;
    mbedtls_platform_zeroize(der, sizeof der);
    return key;
}

/* What our key signs, the library must find good. */
static bool agree(struct mg_private_key *key, mbedtls_pk_context *pk)
{
    static const unsigned char DIGEST[32] = "a digest of nothing in particula";
    unsigned char sig[MG_KEY_RSA_BITS_MAX / 8];
    size_t n;
    enum mg_key_scheme scheme =
        mg_private_key_kind(key) == MG_KEY_RSA ? MG_KEY_PKCS1 : MG_KEY_ECDSA;
    return mg_private_key_signature_bytes(key) <= sizeof sig &&
           mg_private_key_sign(key, scheme, MG_KEY_SHA256, bytes(DIGEST, sizeof DIGEST), sig, &n) ==
               MG_OK &&
           mbedtls_pk_verify(pk, MBEDTLS_MD_SHA256, DIGEST, sizeof DIGEST, sig, n) == 0;
}

static void *ec_wrap(const mbedtls_ecp_keypair *from, struct mg_private_key *key)
{
    struct ec_key *ec = mbedtls_calloc(1, sizeof *ec);
    if (!ec)
        return NULL;
    mbedtls_ecp_keypair_init(&ec->stock);
    if (mbedtls_ecp_group_copy(&ec->stock.grp, &from->grp) != 0 ||
        mbedtls_mpi_copy(&ec->stock.d, &from->d) != 0 ||
        mbedtls_ecp_copy(&ec->stock.Q, &from->Q) != 0) {
        ec_free(ec);
        return NULL;
    }
    ec->key = key;
    return ec;
}

static void *rsa_wrap(const mbedtls_rsa_context *from, struct mg_private_key *key)
{
    struct rsa_key *rsa = mbedtls_calloc(1, sizeof *rsa);
    if (!rsa)
        return NULL;
    mbedtls_rsa_init(&rsa->stock, MBEDTLS_RSA_PKCS_V15, 0);
    if (mbedtls_rsa_copy(&rsa->stock, from) != 0) {
        rsa_free(rsa);
        return NULL;
    }
    rsa->key = key;
    return rsa;
}

/* Takes `key` when it succeeds. */
static bool install(mbedtls_pk_context *pk, struct mg_private_key *key)
{
    bool is_rsa = mg_private_key_kind(key) == MG_KEY_RSA;
    void *ctx = is_rsa ? rsa_wrap(mbedtls_pk_rsa(*pk), key) : ec_wrap(mbedtls_pk_ec(*pk), key);
    if (!ctx)
        return false;
    mbedtls_pk_free(pk);
    pk->pk_info = is_rsa ? &rsa_info : &ec_info;
    pk->pk_ctx = ctx;
    return true;
}

bool mg_tls_accel_key(mbedtls_pk_context *pk)
{
    const mbedtls_pk_info_t *info = pk->pk_info;
    if (!keys_on || !info ||
        (info != mbedtls_pk_info_from_type(MBEDTLS_PK_RSA) &&
         info != mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)))
        return false;
    struct mg_private_key *key = import(pk);
    if (!key)
        return false;
    if (!agree(key, pk)) {
        mg_log_warn("tls key is not accelerated: a trial signature was not good",
                    MG_LOG_C("key", mbedtls_pk_get_name(pk)));
    } else if (install(pk, key)) {
        return true;
    }
    mg_private_key_free(key);
    return false;
}

/* Start ---------------------------------------------------------------------------------------- */

#define NOT_BOUND "the library does not call the program's functions"

static char summary[128] = "off (not started)";

/* Why the group stays off, or NULL. */
static const char *try_group(enum group group)
{
    groups[group].seen = 0;
    groups[group].mode = TRIED;
    bool right = groups[group].answers();
    bool bound = groups[group].seen == groups[group].functions;
    groups[group].mode = bound && right ? ON : OFF;
    return groups[group].seen == 0 ? NOT_BOUND
           : !right                ? "a known answer came out wrong"
           : !bound                ? "the library does not call all of its functions"
                                   : NULL;
}

static void stay_off(const char *reason)
{
    snprintf(summary, sizeof summary, "off (%s)", reason);
}

/* Why nothing is on, when that is so. */
static const char *common_reason(const char *const reasons[GROUPS])
{
    for (int i = 1; i < GROUPS; i++)
        if (strcmp(reasons[0], reasons[i]) != 0)
            return "self-test failed";
    return reasons[0];
}

/* One line for each group that stays off, or one for all. */
static void log_off(const char *const reasons[GROUPS])
{
    if (!keys_on) {
        mg_log_warn("tls is not accelerated", MG_LOG_C("reason", common_reason(reasons)));
        return;
    }
    for (int i = 0; i < GROUPS; i++)
        if (reasons[i])
            mg_log_warn("tls is not accelerated in one part", MG_LOG_C("part", groups[i].name),
                        MG_LOG_C("reason", reasons[i]));
}

static void sum_up(const char *const reasons[GROUPS])
{
    size_t n = 0;
    if (!keys_on) {
        stay_off(common_reason(reasons));
        return;
    }
    for (int i = 0; i < GROUPS; i++)
        if (groups[i].mode == ON)
            n += (size_t)snprintf(summary + n, sizeof summary - n, "%s, ", groups[i].name);
    snprintf(summary + n, sizeof summary - n, "keys");
}

/* Structures are those of the headers in every 2.28.x; another library is another matter. */
static bool library_fits(void)
{
    return mbedtls_version_get_number() >> 16 == MBEDTLS_VERSION_NUMBER >> 16;
}

void mg_tls_accel_start(const char *setting)
{
    const char *reasons[GROUPS];
    for (int i = 0; i < GROUPS; i++)
        groups[i].mode = OFF;
    keys_on = false;
    if (setting && strcmp(setting, "off") == 0) {
        stay_off("MOONGATE_TLS_ACCEL=off");
        return;
    }
    if (!library_fits()) {
        stay_off("the library is not Mbed TLS 2.28");
        mg_log_warn("tls is not accelerated", MG_LOG_C("reason", "library is not 2.28"));
        return;
    }
    for (int i = 0; i < GROUPS; i++) {
        reasons[i] = try_group((enum group)i);
        keys_on = keys_on || !reasons[i];
    }
    if (keys_on)
        prepare_keys();
    sum_up(reasons);
    log_off(reasons);
}

const char *mg_tls_accel_summary(void)
{
    return summary;
}

#else /* !MG_TLS_ACCEL_FITS */

void mg_tls_accel_start(const char *setting)
{
    (void)setting;
}

const char *mg_tls_accel_summary(void)
{
    return MG_TLS_ACCEL ? "off (not for this Mbed TLS)" : "off (built without)";
}

bool mg_tls_accel_key(mbedtls_pk_context *pk)
{
    (void)pk;
    return false;
}

#endif

/* ---- when ---- */

/* Set once, before there are other threads. */
static struct {
    bool is;
    const char *setting;
} put_off;

static void start_late(void)
{
    mg_tls_accel_start(put_off.setting);
}

void mg_tls_accel_put_off(const char *setting)
{
    put_off.is = true;
    put_off.setting = setting;
}

void mg_tls_accel_catch_up(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (put_off.is)
        pthread_once(&once, start_late);
}
