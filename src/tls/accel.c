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
 * `groups` is written by mg_tls_accel_start() before there are other threads, and read by all.
 */
#include "tls/accel.h"

#include <mbedtls/version.h>

/* 2.28 is the last with these calls inside; 3.x goes other ways (PSA) for TLS 1.3. The rest are
 * settings under which the library's structures or calls differ. */
#if MG_TLS_ACCEL && MBEDTLS_VERSION_NUMBER >= 0x021c0000 && MBEDTLS_VERSION_NUMBER < 0x021d0000 && \
    defined(MBEDTLS_CHACHAPOLY_C) && defined(MBEDTLS_ECDH_C) && defined(MBEDTLS_ECDSA_C) &&        \
    defined(MBEDTLS_GCM_C) && defined(MBEDTLS_PK_WRITE_C) && defined(MBEDTLS_RSA_C) &&             \
    defined(MBEDTLS_SHA256_C) && defined(MBEDTLS_SHA512_C) && !defined(MBEDTLS_ECP_RESTARTABLE) && \
    !defined(MBEDTLS_USE_PSA_CRYPTO) && !defined(MBEDTLS_GCM_ALT) &&                               \
    !defined(MBEDTLS_CHACHAPOLY_ALT) && !defined(MBEDTLS_SHA256_ALT) &&                            \
    !defined(MBEDTLS_SHA512_ALT)
#define FITS 1
#else
#define FITS 0
#endif

#if FITS

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
#include <pthread.h>
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

static bool gcm_answers(void);
static bool chachapoly_answers(void);
static bool ecdh_answers(void);
static bool ecdsa_answers(void);
static bool sha2_answers(void);

/* A group is taken over as a whole, or not. */
static struct {
    const char *name;
    bool (*answers)(void); /* known answers, asked through the library's own callers */
    unsigned functions;    /* bits of all its functions */
    enum { OFF, TRIED, ON } mode;
    unsigned seen; /* bits of those that were called while it was TRIED */
} groups[GROUPS] = {
    [GCM] = {"gcm", gcm_answers, SETKEY | SEAL | OPEN | FREE, OFF, 0},
    [CHACHAPOLY] = {"chachapoly", chachapoly_answers, SETKEY | SEAL | OPEN | FREE | STARTS, OFF, 0},
    [ECDH] = {"ecdh", ecdh_answers, GEN_PUBLIC | COMPUTE_SHARED, OFF, 0},
    [ECDSA] = {"ecdsa", ecdsa_answers, READ_SIGNATURE, OFF, 0},
    [SHA2] = {"sha2", sha2_answers, SHA256_BLOCK | SHA512_BLOCK, OFF, 0},
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

/* Known answers --------------------------------------------------------------------------------
 *
 * Asked through functions of the library that we do not replace, so that they also tell whether
 * the library calls ours at all.
 */

struct octets {
    unsigned char p[256];
    size_t n;
};

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* `text` is one of the constants below. */
static struct octets unhex(const char *text)
{
    struct octets out = {.n = strlen(text) / 2};
    for (size_t i = 0; i < out.n; i++)
        out.p[i] = (unsigned char)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
    return out;
}

static bool equal(const unsigned char *p, size_t n, const struct octets *expected)
{
    return n == expected->n && memcmp(p, expected->p, n) == 0;
}

struct aead_answer {
    mbedtls_cipher_type_t type;
    int refused; /* what the library says of a wrong tag */
    const char *key, *nonce, *aad, *text, *sealed;
};

#define GCM_TEXT                                                                                   \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                             \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 4 and 16; NIST took them
 * over. */
static const struct aead_answer gcm_128_answer = {
    MBEDTLS_CIPHER_AES_128_GCM,
    MBEDTLS_ERR_CIPHER_AUTH_FAILED,
    "feffe9928665731c6d6a8f9467308308",
    "cafebabefacedbaddecaf888",
    "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    GCM_TEXT,
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
    "5bc94fbc3221a5db94fae95ae7121a47",
};
static const struct aead_answer gcm_256_answer = {
    MBEDTLS_CIPHER_AES_256_GCM,
    MBEDTLS_ERR_CIPHER_AUTH_FAILED,
    "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
    "cafebabefacedbaddecaf888",
    "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    GCM_TEXT,
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
    "76fc6ece0f4e1768cddf8853bb2d551b",
};

/* RFC 8439 2.8.2 */
static const struct aead_answer chachapoly_answer = {
    MBEDTLS_CIPHER_CHACHA20_POLY1305,
    MBEDTLS_ERR_CIPHER_AUTH_FAILED,
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
    "070000004041424344454647",
    "50515253c0c1c2c3c4c5c6c7",
    "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
    "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
    "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
    "637265656e20776f756c642062652069742e",
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
    "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
    "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
    "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
};

#define TAG MG_AEAD_TAG_BYTES

static bool seals(mbedtls_cipher_context_t *ctx, const struct octets *nonce,
                  const struct octets *aad, const struct octets *text, const struct octets *sealed)
{
    struct octets out = *text; /* in place */
    return mbedtls_cipher_auth_encrypt_ext(ctx, nonce->p, nonce->n, aad->p, aad->n, out.p, out.n,
                                           out.p, sizeof out.p, &out.n, TAG) == 0 &&
           equal(out.p, out.n, sealed);
}

static bool opens(mbedtls_cipher_context_t *ctx, const struct octets *nonce,
                  const struct octets *aad, const struct octets *text, const struct octets *sealed)
{
    struct octets out;
    return mbedtls_cipher_auth_decrypt_ext(ctx, nonce->p, nonce->n, aad->p, aad->n, sealed->p,
                                           sealed->n, out.p, sizeof out.p, &out.n, TAG) == 0 &&
           equal(out.p, out.n, text);
}

/* Each of text, aad and tag changed by one bit, and nothing of the text given away. */
static bool refuses(mbedtls_cipher_context_t *ctx, const struct octets *nonce,
                    const struct octets *aad, const struct octets *sealed, int error)
{
    static const struct octets ZEROS;
    for (int change = 0; change < 3; change++) {
        struct octets other_aad = *aad, other = *sealed, out = {.n = 0};
        *(change == 0 ? other_aad.p : change == 1 ? other.p : other.p + other.n - 1) ^= 1;
        if (mbedtls_cipher_auth_decrypt_ext(ctx, nonce->p, nonce->n, other_aad.p, other_aad.n,
                                            other.p, other.n, out.p, sizeof out.p, &out.n,
                                            TAG) != error ||
            memcmp(out.p, ZEROS.p, other.n - TAG) != 0)
            return false;
    }
    return true;
}

/* A text of some pages, which libcrypto has other code for, and streamed, which is always the
 * library's own: both must say the same. */
static bool streams(mbedtls_cipher_context_t *ctx, const struct octets *nonce,
                    const struct octets *aad)
{
    unsigned char text[4099] = {1, 2, 3}, once[sizeof text + TAG], out[sizeof text + TAG];
    size_t n;
    return mbedtls_cipher_auth_encrypt_ext(ctx, nonce->p, nonce->n, aad->p, aad->n, text,
                                           sizeof text, once, sizeof once, &n, TAG) == 0 &&
           mbedtls_cipher_set_iv(ctx, nonce->p, nonce->n) == 0 && mbedtls_cipher_reset(ctx) == 0 &&
           mbedtls_cipher_update_ad(ctx, aad->p, aad->n) == 0 &&
           mbedtls_cipher_update(ctx, text, sizeof text, out, &n) == 0 &&
           mbedtls_cipher_write_tag(ctx, out + sizeof text, TAG) == 0 &&
           memcmp(once, out, sizeof once) == 0;
}

static bool set_up(mbedtls_cipher_context_t *ctx, mbedtls_cipher_type_t type,
                   const struct octets *key, mbedtls_operation_t operation)
{
    return mbedtls_cipher_setup(ctx, mbedtls_cipher_info_from_type(type)) == 0 &&
           mbedtls_cipher_setkey(ctx, key->p, (int)key->n * 8, operation) == 0;
}

static bool aead_answers(const struct aead_answer *answer)
{
    struct octets key = unhex(answer->key), nonce = unhex(answer->nonce), aad = unhex(answer->aad);
    struct octets text = unhex(answer->text), sealed = unhex(answer->sealed);
    mbedtls_cipher_context_t sealing, opening;
    mbedtls_cipher_init(&sealing);
    mbedtls_cipher_init(&opening);
    bool right = set_up(&sealing, answer->type, &key, MBEDTLS_ENCRYPT) &&
                 set_up(&opening, answer->type, &key, MBEDTLS_DECRYPT) &&
                 seals(&sealing, &nonce, &aad, &text, &sealed) &&
                 opens(&opening, &nonce, &aad, &text, &sealed) &&
                 refuses(&opening, &nonce, &aad, &sealed, answer->refused) &&
                 opens(&opening, &nonce, &aad, &text, &sealed) && streams(&sealing, &nonce, &aad) &&
                 seals(&sealing, &nonce, &aad, &text, &sealed);
    mbedtls_cipher_free(&opening);
    mbedtls_cipher_free(&sealing);
    return right;
}

static bool gcm_answers(void)
{
    return aead_answers(&gcm_128_answer) && aead_answers(&gcm_256_answer);
}

static bool chachapoly_answers(void)
{
    return aead_answers(&chachapoly_answer);
}

static const struct ecdh_answer {
    mbedtls_ecp_group_id id;
    const char *secret, *public, *peer, *shared;
} ecdh_known[] = {
    {MBEDTLS_ECP_DP_SECP256R1, /* RFC 5903 8.1 */
     "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
     "04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252d61f1c456f"
     "a3e59ab1f45b33accf5f58389e0577b8990bb3",
     "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13"
     "c58d6aac23f046ada30f8353e74f33039872ab",
     "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"},
    {MBEDTLS_ECP_DP_SECP384R1, /* RFC 5903 8.2 */
     "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783a"
     "b194",
     "04667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732aee9"
     "5f41aa9482ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c"
     "634573a81c",
     "04e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d077"
     "4a3571dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad9"
     "6db9e6386c",
     "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f5"
     "9746"},
    {MBEDTLS_ECP_DP_SECP521R1, /* RFC 5903 8.3 */
     "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d937ba"
     "9777f5957b2639bab072462f68c27a57382d4a52",
     "040015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbee1e3bf42e00b8e380aeae57c2d"
     "107564941885942af5a7f4601723c4195d176ced3e017cae20b6641d2eeb695786d8c946146239d099e18e1d5a51"
     "4c739d7cb4a10ad8a788015ac405d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f9582",
     "0400d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e95bb0352f6"
     "be64a6c2912d4ef2d0433ced2b6171640012d9460f015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c"
     "724d9852077b87220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a",
     "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a3478685981"
     "0c06b3c715a3a8cc3151f2bee417996d19f3ddea"},
    {MBEDTLS_ECP_DP_CURVE25519, /* RFC 7748 6.1 */
     "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
     "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
     "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
     "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
};

/* Ours asks for none here; the library's own, not replaced, fails at once instead of trying. */
static int no_randomness(void *arg, unsigned char *out, size_t n)
{
    (void)arg;
    memset(out, 0, n);
    return MBEDTLS_ERR_ECP_RANDOM_FAILED;
}

/* z = what `ecdh`'s private key shares with `peer`. */
static bool shares(mbedtls_ecdh_context *ecdh, const struct octets *peer, struct octets *z)
{
    unsigned char point[1 + sizeof peer->p]; /* as TLS sends it, RFC 8422 5.4 */
    point[0] = (unsigned char)peer->n;
    memcpy(point + 1, peer->p, peer->n);
    return mbedtls_ecdh_read_public(ecdh, point, 1 + peer->n) == 0 &&
           mbedtls_ecdh_calc_secret(ecdh, &z->n, z->p, sizeof z->p, no_randomness, NULL) == 0;
}

/* The same with the private key of the table. */
static bool known_shares(const struct ecdh_answer *answer, const struct octets *peer,
                         struct octets *z)
{
    struct octets secret = unhex(answer->secret);
    mbedtls_ecdh_context ecdh;
    mbedtls_ecp_keypair key;
    mbedtls_ecdh_init(&ecdh);
    mbedtls_ecp_keypair_init(&key);
    bool done = mbedtls_ecp_read_key(answer->id, &key, secret.p, secret.n) == 0 &&
                mbedtls_ecdh_setup(&ecdh, answer->id) == 0 &&
                mbedtls_ecdh_get_params(&ecdh, &key, MBEDTLS_ECDH_OURS) == 0 &&
                shares(&ecdh, peer, z);
    mbedtls_ecp_keypair_free(&key);
    mbedtls_ecdh_free(&ecdh);
    return done;
}

/* A fresh pair has no known answer, but a * (b G) = b * (a G). */
static bool fresh_pair_shares(const struct ecdh_answer *answer)
{
    struct octets public = unhex(answer->public), fresh, z_fresh, z_known;
    unsigned char point[1 + sizeof fresh.p];
    mbedtls_ecdh_context ecdh;
    mbedtls_ecdh_init(&ecdh);
    bool done =
        mbedtls_ecdh_setup(&ecdh, answer->id) == 0 &&
        mbedtls_ecdh_make_public(&ecdh, &fresh.n, point, sizeof point, no_randomness, NULL) == 0 &&
        fresh.n == 1 + public.n && shares(&ecdh, &public, &z_fresh);
    mbedtls_ecdh_free(&ecdh);
    if (!done)
        return false;
    memcpy(fresh.p, point + 1, --fresh.n);
    return known_shares(answer, &fresh, &z_known) && equal(z_fresh.p, z_fresh.n, &z_known);
}

static bool curve_answers(const struct ecdh_answer *answer)
{
    struct octets peer = unhex(answer->peer), shared = unhex(answer->shared), z;
    if (!known_shares(answer, &peer, &z) || !equal(z.p, z.n, &shared) || !fresh_pair_shares(answer))
        return false;
    if (answer->id == MBEDTLS_ECP_DP_CURVE25519)
        memset(peer.p, 0, peer.n); /* of small order */
    else
        peer.p[peer.n - 1] ^= 1; /* not on the curve */
    return !known_shares(answer, &peer, &z);
}

static bool ecdh_answers(void)
{
    for (size_t i = 0; i < sizeof ecdh_known / sizeof *ecdh_known; i++)
        if (!curve_answers(&ecdh_known[i]))
            return false;
    return true;
}

/* RFC 6979 A.2.5, A.2.6 and A.2.7, message "sample". */
static const struct ecdsa_answer {
    mbedtls_ecp_group_id id;
    const char *public, *digest, *signature;
} ecdsa_known[] = {
    {MBEDTLS_ECP_DP_SECP256R1,
     "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e956"
     "28bc64f2f1b20c2d7e9f5177a3c294d4462299",
     "af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf",
     "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716022100f7cb1c942d65"
     "7c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"},
    {MBEDTLS_ECP_DP_SECP384R1,
     "04ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a2545154"
     "80bc138015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd"
     "2533264720",
     "9a9083505bc92276aec4be312696ef7bf3bf603f4bbd381196a029f340585312313bca4a9b5b890efee42c77b1ee"
     "25fe",
     "306602310094edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e"
     "36dd1e80fabe4602310099ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145"
     "786e679e7b82c71a38628ac8"},
    {MBEDTLS_ECP_DP_SECP521R1,
     "0401894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b5d5370a7f2"
     "0fb633155d38ffa16d2bd761dcac474b9a2f5023a400493101c962cd4d2fddf782285e64584139c2f91b47f87ff8"
     "2354d6630f746a28a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfdfcf5",
     "39a5e04aaff7455d9850c605364f514c11324ce64016960d23d5dc57d3ffd8f49a739468ab8049bf18eef820cdb1"
     "ad6c9015f838556bc7fad4138b23fdf986c7",
     "308187024200c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d4"
     "50606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa0241617cce7cf5064806c467f678d3b4080d6f1cc5"
     "0af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67"
     "a"},
};

static bool signature_answers(const struct ecdsa_answer *answer)
{
    struct octets public = unhex(answer->public), digest = unhex(answer->digest);
    struct octets signature = unhex(answer->signature);
    mbedtls_ecdsa_context key;
    mbedtls_ecdsa_init(&key);
    bool right =
        mbedtls_ecp_group_load(&key.grp, answer->id) == 0 &&
        mbedtls_ecp_point_read_binary(&key.grp, &key.Q, public.p, public.n) == 0 &&
        mbedtls_ecdsa_read_signature(&key, digest.p, digest.n, signature.p, signature.n) == 0;
    digest.p[0] ^= 1;
    right = right && mbedtls_ecdsa_read_signature(&key, digest.p, digest.n, signature.p,
                                                  signature.n) == MBEDTLS_ERR_ECP_VERIFY_FAILED;
    mbedtls_ecdsa_free(&key);
    return right;
}

static bool ecdsa_answers(void)
{
    for (size_t i = 0; i < sizeof ecdsa_known / sizeof *ecdsa_known; i++)
        if (!signature_answers(&ecdsa_known[i]))
            return false;
    return true;
}

/* FIPS 180-4's examples with two blocks each. */
static bool sha2_answers(void)
{
    static const char TEXT_256[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    static const char TEXT_512[] =
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
        "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";
    struct octets sha256 =
        unhex("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    struct octets sha512 =
        unhex("8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018501d289e4900f7e43"
              "31b99dec4b5433ac7d329eeb6dd26545e96e55b874be909");
    unsigned char out[64];
    return mbedtls_sha256_ret((const unsigned char *)TEXT_256, sizeof TEXT_256 - 1, out, 0) == 0 &&
           equal(out, 32, &sha256) &&
           mbedtls_sha512_ret((const unsigned char *)TEXT_512, sizeof TEXT_512 - 1, out, 0) == 0 &&
           equal(out, 64, &sha512);
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

#else /* !FITS */

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
