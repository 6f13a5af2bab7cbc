/*
 * Acceleration: the same calls with and without it must have the same results; whole connections in
 * memory; and a libcrypto that lies must be found out at the start.
 *
 * Where the build or the library has no acceleration, what is left is tested "off" only.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Transform, for a lie */
#include "tls/accel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <string.h>

#if MBEDTLS_VERSION_NUMBER < 0x03000000

#include <mbedtls/chachapoly.h>
#include <mbedtls/ecdh.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/gcm.h>
#include <mbedtls/platform.h>
#include <mbedtls/sha256.h>
#include <mbedtls/sha512.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "crypto/random.h"
#include "tls/test_ca.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static bool available; /* there is acceleration here */

static int any_bytes(void *arg, unsigned char *out, size_t n)
{
    (void)arg;
    mg_random_bytes(out, n);
    return 0;
}

/* A libcrypto that lies ------------------------------------------------------------------------
 * The program's definitions come before those of the shared library.
 */

static enum lie {
    TRUTH,
    WRONG_TAG,
    ANY_TAG,
    WRONG_SECRET,
    NO_RANDOMNESS,
    ANY_SIGNATURE,
    WRONG_HASH,
    WRONG_SIGNATURE,
    NO_SIGNATURE
} lie;

#define REAL(name)                                                                                 \
    __typeof__(name) *real;                                                                        \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *ctx, int type, int arg, void *ptr)
{
    REAL(EVP_CIPHER_CTX_ctrl);
    int done = real(ctx, type, arg, ptr);
    if (lie == WRONG_TAG && type == EVP_CTRL_AEAD_GET_TAG)
        ((unsigned char *)ptr)[3] ^= 1;
    return done;
}

int EVP_CipherFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *out, int *n)
{
    REAL(EVP_CipherFinal_ex);
    int done = real(ctx, out, n);
    return lie == ANY_TAG ? 1 : done;
}

int EVP_PKEY_derive(EVP_PKEY_CTX *ctx, unsigned char *secret, size_t *n)
{
    REAL(EVP_PKEY_derive);
    int done = real(ctx, secret, n);
    if (lie == WRONG_SECRET)
        secret[0] ^= 1;
    return done;
}

int BN_priv_rand_range_ex(BIGNUM *r, const BIGNUM *range, unsigned int strength, BN_CTX *ctx)
{
    REAL(BN_priv_rand_range_ex);
    return lie == NO_RANDOMNESS ? 0 : real(r, range, strength, ctx);
}

int EVP_PKEY_verify(EVP_PKEY_CTX *ctx, const unsigned char *sig, size_t n,
                    const unsigned char *digest, size_t digest_n)
{
    REAL(EVP_PKEY_verify);
    int done = real(ctx, sig, n, digest, digest_n);
    return lie == ANY_SIGNATURE ? 1 : done;
}

int EVP_PKEY_sign(EVP_PKEY_CTX *ctx, unsigned char *sig, size_t *n, const unsigned char *digest,
                  size_t digest_n)
{
    REAL(EVP_PKEY_sign);
    int done = lie == NO_SIGNATURE ? 0 : real(ctx, sig, n, digest, digest_n);
    if (lie == WRONG_SIGNATURE)
        sig[*n - 1] ^= 1;
    return done;
}

void SHA256_Transform(SHA256_CTX *ctx, const unsigned char *block)
{
    REAL(SHA256_Transform);
    real(ctx, block);
    if (lie == WRONG_HASH)
        *(unsigned char *)ctx ^= 1;
}

/* Start ---------------------------------------------------------------------------------------- */

static char log_text[4096];
static int log_lines;

static void on_log(void *arg, enum mg_log_level level, struct mg_str line)
{
    (void)arg;
    (void)level;
    size_t n = strlen(log_text);
    snprintf(log_text + n, sizeof log_text - n, "%.*s", MG_STR_ARGS(line));
    log_lines++;
}

static void start(bool on)
{
    lie = TRUTH;
    mg_tls_accel_start(on ? NULL : "off");
}

#define ALL "gcm, chachapoly, ecdh, ecdsa, sha2, keys"

static void the_start_decides(void **state)
{
    (void)state;
    start(true);
    assert_string_equal(mg_tls_accel_summary(), ALL);
    start(false);
    assert_string_equal(mg_tls_accel_summary(), "off (MOONGATE_TLS_ACCEL=off)");
    mg_tls_accel_start("on");
    assert_string_equal(mg_tls_accel_summary(), ALL);
}

/* Once a process: the other tests decide for themselves, before and after. */
static void what_is_put_off_is_done_once(void **state)
{
    (void)state;
    start(true);
    mg_tls_accel_catch_up();
    mg_tls_accel_put_off("off");
    assert_string_equal(mg_tls_accel_summary(), ALL);
    mg_tls_accel_catch_up();
    assert_string_equal(mg_tls_accel_summary(), "off (MOONGATE_TLS_ACCEL=off)");
    start(true);
    mg_tls_accel_catch_up();
    assert_string_equal(mg_tls_accel_summary(), ALL);
}

static void lies_are_found_out(void **state)
{
    (void)state;
    static const struct {
        enum lie lie;
        const char *summary, *logged;
        int lines;
    } CASES[] = {
        {TRUTH, ALL, "", 0},
        {WRONG_TAG, "ecdh, ecdsa, sha2, keys", "gcm", 2},
        {ANY_TAG, "ecdh, ecdsa, sha2, keys", "chachapoly", 2},
        {WRONG_SECRET, "gcm, chachapoly, ecdsa, sha2, keys", "ecdh", 1},
        {NO_RANDOMNESS, "gcm, chachapoly, ecdsa, sha2, keys", "ecdh", 1},
        {ANY_SIGNATURE, "gcm, chachapoly, ecdh, sha2, keys", "ecdsa", 1},
        {WRONG_HASH, "gcm, chachapoly, ecdh, ecdsa, keys", "sha2", 1},
    };
    mg_log_set_sink(on_log, NULL);
    for (size_t i = 0; i < COUNT(CASES); i++) {
        log_text[0] = '\0';
        log_lines = 0;
        lie = CASES[i].lie;
        mg_tls_accel_start(NULL);
        lie = TRUTH;
        assert_string_equal(mg_tls_accel_summary(), CASES[i].summary);
        assert_int_equal(log_lines, CASES[i].lines);
        assert_non_null(strstr(log_text, CASES[i].logged));
    }
    mg_log_set_sink(NULL, NULL);
}

/* AEAD ----------------------------------------------------------------------------------------- */

#define LENGTH 300

struct sealed {
    int ret, open_ret;
    unsigned char text[LENGTH], tag[16], back[LENGTH];
};

/* One message through GCM, with whatever is odd about it. */
static void through_gcm(struct sealed *out, unsigned keybits, size_t iv_len, size_t tag_len,
                        size_t length, bool streamed)
{
    static const unsigned char KEY[32] = {1, 2, 3}, IV[60] = {4, 5}, AAD[20] = {6};
    unsigned char text[LENGTH];
    memset(out, 0, sizeof *out);
    memset(text, 'x', sizeof text);
    mbedtls_gcm_context ctx;
    mbedtls_gcm_init(&ctx);
    out->ret = mbedtls_gcm_setkey(&ctx, MBEDTLS_CIPHER_ID_AES, KEY, keybits);
    if (out->ret == 0 && streamed) {
        out->ret = mbedtls_gcm_starts(&ctx, MBEDTLS_GCM_ENCRYPT, IV, iv_len, AAD, sizeof AAD);
        if (out->ret == 0)
            out->ret = mbedtls_gcm_update(&ctx, length, text, out->text);
        if (out->ret == 0)
            out->ret = mbedtls_gcm_finish(&ctx, out->tag, tag_len);
    } else if (out->ret == 0) {
        out->ret = mbedtls_gcm_crypt_and_tag(&ctx, MBEDTLS_GCM_ENCRYPT, length, IV, iv_len, AAD,
                                             sizeof AAD, text, out->text, tag_len, out->tag);
    }
    if (out->ret == 0)
        out->open_ret = mbedtls_gcm_auth_decrypt(&ctx, length, IV, iv_len, AAD, sizeof AAD,
                                                 out->tag, tag_len, out->text, out->back);
    mbedtls_gcm_free(&ctx);
    mbedtls_gcm_free(&ctx); /* of what is zero now */
}

static void gcm_is_the_same_both_ways(void **state)
{
    (void)state;
    static const struct {
        unsigned keybits;
        size_t iv_len, tag_len, length;
        bool streamed;
    } CASES[] = {
        {128, 12, 16, LENGTH, false}, {256, 12, 16, LENGTH, false}, {128, 12, 16, 0, false},
        {128, 12, 16, 1, false},      {192, 12, 16, LENGTH, false}, {128, 8, 16, LENGTH, false},
        {128, 60, 16, LENGTH, false}, {128, 12, 12, LENGTH, false}, {128, 12, 17, LENGTH, false},
        {128, 12, 3, LENGTH, false},  {128, 0, 16, LENGTH, false},  {100, 12, 16, LENGTH, false},
        {0, 12, 16, LENGTH, false},   {128, 12, 16, LENGTH, true},  {256, 12, 16, LENGTH, true},
        {128, 8, 16, LENGTH, true},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct sealed with, without;
        start(true);
        through_gcm(&with, CASES[i].keybits, CASES[i].iv_len, CASES[i].tag_len, CASES[i].length,
                    CASES[i].streamed);
        start(false);
        through_gcm(&without, CASES[i].keybits, CASES[i].iv_len, CASES[i].tag_len, CASES[i].length,
                    CASES[i].streamed);
        assert_memory_equal(&with, &without, sizeof with);
        assert_int_equal(with.open_ret, 0);
    }
}

static void through_chachapoly(struct sealed *out, size_t length, bool streamed)
{
    static const unsigned char KEY[32] = {1, 2, 3}, NONCE[12] = {4, 5}, AAD[20] = {6};
    unsigned char text[LENGTH];
    memset(out, 0, sizeof *out);
    memset(text, 'x', sizeof text);
    mbedtls_chachapoly_context ctx;
    mbedtls_chachapoly_init(&ctx);
    out->ret = mbedtls_chachapoly_setkey(&ctx, KEY);
    if (streamed) {
        out->ret |= mbedtls_chachapoly_starts(&ctx, NONCE, MBEDTLS_CHACHAPOLY_ENCRYPT);
        out->ret |= mbedtls_chachapoly_update_aad(&ctx, AAD, sizeof AAD);
        out->ret |= mbedtls_chachapoly_update(&ctx, length, text, out->text);
        out->ret |= mbedtls_chachapoly_finish(&ctx, out->tag);
    } else {
        out->ret |= mbedtls_chachapoly_encrypt_and_tag(&ctx, length, NONCE, AAD, sizeof AAD, text,
                                                       out->text, out->tag);
    }
    out->open_ret = mbedtls_chachapoly_auth_decrypt(&ctx, length, NONCE, AAD, sizeof AAD, out->tag,
                                                    out->text, out->back);
    assert_int_equal(mbedtls_chachapoly_setkey(&ctx, KEY), 0); /* once more on a used one */
    mbedtls_chachapoly_free(&ctx);
    mbedtls_chachapoly_free(&ctx);
}

static void chachapoly_is_the_same_both_ways(void **state)
{
    (void)state;
    static const size_t LENGTHS[] = {0, 1, 15, 64, 255, LENGTH};
    for (size_t i = 0; i < 2 * COUNT(LENGTHS); i++) {
        struct sealed with, without;
        start(true);
        through_chachapoly(&with, LENGTHS[i / 2], i % 2);
        start(false);
        through_chachapoly(&without, LENGTHS[i / 2], i % 2);
        assert_memory_equal(&with, &without, sizeof with);
        assert_int_equal(with.ret, 0);
        assert_int_equal(with.open_ret, 0);
    }
}

/* Streaming throws our half of a ChaCha20 context away: it must be gone, not forgotten (a leak) and
 * not taken for one again when the queue is full of a message. */
static void a_streamed_context_is_the_library_s(void **state)
{
    (void)state;
    static const unsigned char KEY[32] = {7}, NONCE[12] = {8};
    unsigned char text[100] = "text", one[100], two[100], tag_one[16], tag_two[16];
    mbedtls_chachapoly_context ctx;
    start(true);
    mbedtls_chachapoly_init(&ctx);
    assert_int_equal(mbedtls_chachapoly_setkey(&ctx, KEY), 0);
    assert_int_equal(
        mbedtls_chachapoly_encrypt_and_tag(&ctx, 100, NONCE, NULL, 0, text, one, tag_one), 0);
    assert_int_equal(mbedtls_chachapoly_starts(&ctx, NONCE, MBEDTLS_CHACHAPOLY_ENCRYPT), 0);
    assert_int_equal(mbedtls_chachapoly_update(&ctx, 71, text, two), 0); /* and not finished */
    assert_int_equal(
        mbedtls_chachapoly_encrypt_and_tag(&ctx, 100, NONCE, NULL, 0, text, two, tag_two), 0);
    assert_memory_equal(one, two, 100);
    assert_memory_equal(tag_one, tag_two, 16);
    mbedtls_chachapoly_free(&ctx);
}

/* Whoever set a context up, whichever is on later: it goes on, and leaves nothing behind. */
static void contexts_outlive_a_change(void **state)
{
    (void)state;
    static const unsigned char KEY[32] = {1}, IV[12] = {2};
    unsigned char text[64] = "text", out[2][64], tag[2][16];
    for (int first = 0; first < 2; first++) {
        mbedtls_gcm_context gcm, copy;
        mbedtls_chachapoly_context chachapoly;
        mbedtls_gcm_init(&gcm);
        mbedtls_chachapoly_init(&chachapoly);
        start(first);
        assert_int_equal(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, KEY, 256), 0);
        assert_int_equal(mbedtls_chachapoly_setkey(&chachapoly, KEY), 0);
        for (int second = 0; second < 2; second++) {
            start(second);
            assert_int_equal(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, 64, IV, 12, NULL,
                                                       0, text, out[second], 16, tag[second]),
                             0);
        }
        assert_memory_equal(out[0], out[1], 64);
        assert_memory_equal(tag[0], tag[1], 16);
        /* A copy made by hand has the library's half alone (which no lie reaches), and is not
         * freed. */
        memcpy(&copy, &gcm, sizeof copy);
        lie = WRONG_TAG;
        assert_int_equal(mbedtls_gcm_crypt_and_tag(&copy, MBEDTLS_GCM_ENCRYPT, 64, IV, 12, NULL, 0,
                                                   text, out[1], 16, tag[1]),
                         0);
        lie = TRUTH;
        assert_memory_equal(out[0], out[1], 64);
        assert_memory_equal(tag[0], tag[1], 16);
        for (int second = 0; second < 2; second++) {
            start(second);
            assert_int_equal(mbedtls_chachapoly_encrypt_and_tag(&chachapoly, 64, IV, NULL, 0, text,
                                                                out[second], tag[second]),
                             0);
            assert_int_equal(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, KEY, 128), 0);
        }
        assert_memory_equal(out[0], out[1], 64);
        start(!first);
        mbedtls_gcm_free(&gcm);
        mbedtls_chachapoly_free(&chachapoly);
    }
}

/* crypt_and_tag to decrypt: the caller compares tags himself. */
static void decryption_without_a_check_is_the_same_both_ways(void **state)
{
    (void)state;
    static const unsigned char KEY[32] = {1}, IV[12] = {2}, TEXT[40] = "sealed";
    unsigned char out[2][40], tag[2][16];
    for (int on = 0; on < 2; on++) {
        mbedtls_gcm_context gcm;
        mbedtls_gcm_init(&gcm);
        start(on);
        assert_int_equal(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, KEY, 128), 0);
        assert_int_equal(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_DECRYPT, 40, IV, 12, NULL, 0,
                                                   TEXT, out[on], 16, tag[on]),
                         0);
        mbedtls_gcm_free(&gcm);
    }
    assert_memory_equal(out[0], out[1], 40);
    assert_memory_equal(tag[0], tag[1], 16);
}

static void overlaps_go_to_the_library(void **state)
{
    (void)state;
    static const unsigned char KEY[32] = {1}, IV[12] = {2};
    unsigned char with[80], without[80], tag[16];
    for (int on = 0; on < 2; on++) {
        unsigned char *buf = on ? with : without;
        memset(buf, 'y', 80);
        mbedtls_gcm_context gcm;
        mbedtls_gcm_init(&gcm);
        start(on);
        assert_int_equal(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, KEY, 128), 0);
        assert_int_equal(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, 64, IV, 12, NULL, 0,
                                                   buf, buf + 8, 16, tag),
                         MBEDTLS_ERR_GCM_BAD_INPUT);
        assert_int_equal(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, 64, IV, 12, NULL, 0,
                                                   buf + 8, buf, 16, tag),
                         0);
        mbedtls_gcm_free(&gcm);
    }
    assert_memory_equal(with, without, 80);
}

/* Elliptic curves ------------------------------------------------------------------------------ */

static const mbedtls_ecp_group_id curves[] = {
    MBEDTLS_ECP_DP_SECP256R1,  MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_SECP521R1,
    MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP256K1, MBEDTLS_ECP_DP_BP256R1,
    MBEDTLS_ECP_DP_CURVE448,
};

/* A pair made either way shares the same with a pair made the other way, computed either way. */
static void ecdh_is_the_same_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(curves); i++) {
        mbedtls_ecp_group grp;
        mbedtls_mpi d[2], z[4];
        mbedtls_ecp_point Q[2];
        mbedtls_ecp_group_init(&grp);
        assert_int_equal(mbedtls_ecp_group_load(&grp, curves[i]), 0);
        for (int on = 0; on < 2; on++) {
            start(on);
            mbedtls_mpi_init(&d[on]);
            mbedtls_ecp_point_init(&Q[on]);
            assert_int_equal(mbedtls_ecdh_gen_public(&grp, &d[on], &Q[on], any_bytes, NULL), 0);
            assert_int_equal(mbedtls_ecp_check_privkey(&grp, &d[on]), 0);
            assert_int_equal(mbedtls_ecp_check_pubkey(&grp, &Q[on]), 0);
        }
        for (int way = 0; way < 4; way++) {
            start(way / 2);
            mbedtls_mpi_init(&z[way]);
            assert_int_equal(mbedtls_ecdh_compute_shared(&grp, &z[way], &Q[way % 2],
                                                         &d[1 - way % 2], any_bytes, NULL),
                             0);
            assert_int_equal(mbedtls_mpi_cmp_mpi(&z[0], &z[way]), 0);
        }
        for (int way = 0; way < 4; way++)
            mbedtls_mpi_free(&z[way]);
        for (int on = 0; on < 2; on++) {
            mbedtls_mpi_free(&d[on]);
            mbedtls_ecp_point_free(&Q[on]);
        }
        mbedtls_ecp_group_free(&grp);
    }
}

/* What the library refuses is refused. */
static void bad_keys_are_refused_both_ways(void **state)
{
    (void)state;
    enum { ZERO_SCALAR, ORDER, NOT_AFFINE, INFINITY_POINT, OFF_CURVE, CASES };
    for (size_t i = 0; i < 4; i++) {
        bool montgomery = curves[i] == MBEDTLS_ECP_DP_CURVE25519;
        for (int on = 0; on < 2; on++) {
            for (int wrong = 0; wrong < CASES; wrong++) {
                mbedtls_ecp_group grp;
                mbedtls_mpi d, z;
                mbedtls_ecp_point Q;
                mbedtls_ecp_group_init(&grp);
                mbedtls_mpi_init(&d);
                mbedtls_mpi_init(&z);
                mbedtls_ecp_point_init(&Q);
                start(true);
                assert_int_equal(mbedtls_ecp_group_load(&grp, curves[i]), 0);
                assert_int_equal(mbedtls_ecdh_gen_public(&grp, &d, &Q, any_bytes, NULL), 0);
                if (wrong == ZERO_SCALAR)
                    mbedtls_mpi_lset(&d, 0);
                else if (wrong == ORDER)
                    mbedtls_mpi_copy(&d, &grp.N);
                else if (wrong == NOT_AFFINE)
                    mbedtls_mpi_lset(&Q.Z, 2);
                else if (wrong == INFINITY_POINT)
                    mbedtls_ecp_set_zero(&Q);
                else if (montgomery)
                    mbedtls_mpi_lset(&Q.X, 0);
                else
                    mbedtls_mpi_add_int(&Q.Y, &Q.Y, 1);
                start(on);
                int ret = mbedtls_ecdh_compute_shared(&grp, &z, &Q, &d, any_bytes, NULL);
                assert_int_not_equal(ret, 0);
                /* 2.28 calls X25519's zero bad input, and does so late. */
                if (!(montgomery && wrong == OFF_CURVE) && !(montgomery && wrong == NOT_AFFINE))
                    assert_int_equal(ret, MBEDTLS_ERR_ECP_INVALID_KEY);
                mbedtls_ecp_point_free(&Q);
                mbedtls_mpi_free(&z);
                mbedtls_mpi_free(&d);
                mbedtls_ecp_group_free(&grp);
            }
        }
    }
}

static void no_randomness_is_an_error(void **state)
{
    (void)state;
    mbedtls_ecp_group grp;
    mbedtls_mpi d;
    mbedtls_ecp_point Q;
    mbedtls_ecp_group_init(&grp);
    mbedtls_mpi_init(&d);
    mbedtls_ecp_point_init(&Q);
    start(true);
    assert_int_equal(mbedtls_ecp_group_load(&grp, MBEDTLS_ECP_DP_SECP256R1), 0);
    lie = NO_RANDOMNESS;
    assert_int_equal(mbedtls_ecdh_gen_public(&grp, &d, &Q, any_bytes, NULL),
                     MBEDTLS_ERR_ECP_RANDOM_FAILED);
    lie = TRUTH;
    mbedtls_ecp_point_free(&Q);
    mbedtls_mpi_free(&d);
    mbedtls_ecp_group_free(&grp);
}

/* Signatures, good and otherwise: same answer, by the number. */
static void ecdsa_answers_the_same_both_ways(void **state)
{
    (void)state;
    enum { GOOD, HASH, R, TRAILING, CUT, NO_SEQUENCE, ZERO_R, EMPTY, LONG_HASH, LONG_R, CASES };
    for (size_t i = 0; i < COUNT(curves); i++) {
        if (curves[i] == MBEDTLS_ECP_DP_CURVE25519 || curves[i] == MBEDTLS_ECP_DP_CURVE448)
            continue;
        unsigned char hash[64] = {1, 2, 3}, good[MBEDTLS_ECDSA_MAX_LEN];
        size_t good_n;
        mbedtls_ecdsa_context key;
        mbedtls_ecdsa_init(&key);
        assert_int_equal(mbedtls_ecdsa_genkey(&key, curves[i], any_bytes, NULL), 0);
        assert_int_equal(mbedtls_ecdsa_write_signature(&key, MBEDTLS_MD_SHA256, hash, 32, good,
                                                       &good_n, any_bytes, NULL),
                         0);
        for (int wrong = 0; wrong < CASES; wrong++) {
            unsigned char sig[MBEDTLS_ECDSA_MAX_LEN + 4] = {0};
            size_t n = good_n, hash_n = 32;
            int ret[2];
            memcpy(sig, good, n);
            hash[0] = wrong == HASH ? 9 : 1;
            size_t first = sig[1] & 0x80 ? 5 : 4; /* of r's bytes */
            if (wrong == R)
                sig[first + 3] ^= 1;
            if (wrong == TRAILING) {
                n++;
                sig[first - 3]++;
            }
            if (wrong == CUT)
                n--;
            if (wrong == NO_SEQUENCE)
                sig[0] = 0x31;
            if (wrong == ZERO_R)
                memset(sig + first, 0, sig[first - 1]);
            if (wrong == EMPTY)
                n = 0;
            if (wrong == LONG_HASH)
                hash_n = 64;
            if (wrong == LONG_R) { /* more bytes than the curve has; s is 1 */
                static const unsigned char DER[] = {0x30, 76, 2, 71, 1, [75] = 2, 1, 1};
                memcpy(sig, DER, n = sizeof DER);
            }
            for (int on = 0; on < 2; on++) {
                start(on);
                ret[on] = mbedtls_ecdsa_read_signature(&key, hash, hash_n, sig, n);
            }
            assert_int_equal(ret[0], ret[1]);
            if (wrong == GOOD)
                assert_int_equal(ret[1], 0);
            else if (wrong == HASH || wrong == R || wrong == ZERO_R || wrong == LONG_R)
                assert_int_equal(ret[1], MBEDTLS_ERR_ECP_VERIFY_FAILED);
            else if (wrong == TRAILING)
                assert_int_equal(ret[1], MBEDTLS_ERR_ECP_SIG_LEN_MISMATCH);
        }
        mbedtls_ecdsa_free(&key);
    }
}

static void hashes_are_the_same_both_ways(void **state)
{
    (void)state;
    static unsigned char text[1000];
    for (size_t n = 0; n < sizeof text; n += 37) {
        unsigned char sha256[2][32], sha512[2][64], sha384[2][64] = {{0}};
        for (int on = 0; on < 2; on++) {
            start(on);
            assert_int_equal(mbedtls_sha256_ret(text, n, sha256[on], 0), 0);
            assert_int_equal(mbedtls_sha512_ret(text, n, sha512[on], 0), 0);
            assert_int_equal(mbedtls_sha512_ret(text, n, sha384[on], 1), 0);
        }
        assert_memory_equal(sha256[0], sha256[1], 32);
        assert_memory_equal(sha512[0], sha512[1], 64);
        assert_memory_equal(sha384[0], sha384[1], 48);
    }
}

/* Keys ----------------------------------------------------------------------------------------- */

static const struct {
    enum test_key test;
    bool ours;
} key_kinds[] = {
    {TEST_KEY_P256, true},    {TEST_KEY_P384, true},    {TEST_KEY_P521, true},
    {TEST_KEY_RSA2048, true}, {TEST_KEY_RSA1024, true}, {TEST_KEY_SECP256K1, false},
};

static struct test_cert *ca, *leaves[COUNT(key_kinds)];

static int make_certificates(void **state)
{
    (void)state;
    ca = test_ca_new("Test CA");
    for (size_t i = 0; i < COUNT(key_kinds); i++)
        leaves[i] = test_leaf_new(ca, key_kinds[i].test, "DNS:a.example");
    mg_tls_accel_start(NULL);
    available = strncmp(mg_tls_accel_summary(), "off", 3) != 0;
    return 0;
}

static int drop_certificates(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(key_kinds); i++)
        test_cert_free(leaves[i]);
    test_cert_free(ca);
    return 0;
}

static void parse_key(mbedtls_pk_context *pk, const struct test_cert *cert)
{
    mbedtls_pk_init(pk);
    assert_int_equal(mbedtls_pk_parse_key(pk, (const unsigned char *)cert->key_pem,
                                          strlen(cert->key_pem) + 1, NULL, 0),
                     0);
}

static const mbedtls_md_type_t digests[] = {MBEDTLS_MD_SHA1, MBEDTLS_MD_SHA224, MBEDTLS_MD_SHA256,
                                            MBEDTLS_MD_SHA384, MBEDTLS_MD_SHA512};

static void keys_sign_what_the_library_finds_good(void **state)
{
    (void)state;
    unsigned char hash[64] = {1, 2, 3}, sig[MBEDTLS_PK_SIGNATURE_MAX_SIZE];
    for (size_t i = 0; i < COUNT(key_kinds); i++) {
        mbedtls_pk_context pk, public;
        parse_key(&pk, leaves[i]);
        parse_key(&public, leaves[i]);
        size_t bits = mbedtls_pk_get_bitlen(&pk), n;
        start(true);
        assert_int_equal(mg_tls_accel_key(&pk), key_kinds[i].ours);
        assert_false(mg_tls_accel_key(&pk)); /* it is already */
        assert_int_equal(mbedtls_pk_get_bitlen(&pk), bits);
        mbedtls_pk_context other;
        parse_key(&other, leaves[(i + 1) % COUNT(key_kinds)]);
        assert_int_equal(mbedtls_pk_check_pair(&public, &pk), 0);
        assert_int_not_equal(mbedtls_pk_check_pair(&other, &pk), 0);
        mbedtls_pk_free(&other);
        assert_int_equal(mbedtls_pk_get_type(&pk), mbedtls_pk_get_type(&public));
        for (size_t h = 0; h < COUNT(digests); h++) {
            size_t hash_n = mbedtls_md_get_size(mbedtls_md_info_from_type(digests[h]));
            assert_int_equal(mbedtls_pk_sign(&pk, digests[h], hash, 0, sig, &n, any_bytes, NULL),
                             0);
            assert_int_equal(mbedtls_pk_verify(&public, digests[h], hash, hash_n, sig, n), 0);
            assert_int_equal(mbedtls_pk_verify(&pk, digests[h], hash, hash_n, sig, n), 0);
        }
        if (key_kinds[i].ours) {
            assert_int_equal(
                mbedtls_pk_sign(&pk, MBEDTLS_MD_NONE, hash, 36, sig, &n, any_bytes, NULL),
                MBEDTLS_ERR_PK_FEATURE_UNAVAILABLE);
            lie = NO_SIGNATURE;
            assert_int_equal(
                mbedtls_pk_sign(&pk, MBEDTLS_MD_SHA256, hash, 32, sig, &n, any_bytes, NULL),
                MBEDTLS_ERR_PLATFORM_HW_ACCEL_FAILED);
        }
        start(false); /* a key is what it was made */
        assert_int_equal(
            mbedtls_pk_sign(&pk, MBEDTLS_MD_SHA256, hash, 32, sig, &n, any_bytes, NULL), 0);
        assert_int_equal(mbedtls_pk_verify(&public, MBEDTLS_MD_SHA256, hash, 32, sig, n), 0);
        mbedtls_pk_free(&public);
        mbedtls_pk_free(&pk);
    }
}

static void keys_that_cannot_be_ours_stay(void **state)
{
    (void)state;
    mbedtls_pk_context pk;
    mbedtls_pk_init(&pk);
    start(true);
    log_lines = 0;
    mg_log_set_sink(on_log, NULL);
    assert_false(mg_tls_accel_key(&pk)); /* none */
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    assert_int_equal(mbedtls_x509_crt_parse(&crt, (const unsigned char *)leaves[0]->cert_pem,
                                            strlen(leaves[0]->cert_pem) + 1),
                     0);
    assert_false(mg_tls_accel_key(&crt.pk)); /* a public one */
    mbedtls_x509_crt_free(&crt);

    for (size_t i = 0; i < 4; i++) {
        static const enum lie LIES[] = {WRONG_SIGNATURE, NO_SIGNATURE};
        for (size_t l = 0; l < COUNT(LIES); l++) {
            parse_key(&pk, leaves[i]);
            lie = LIES[l];
            assert_false(mg_tls_accel_key(&pk));
            lie = TRUTH;
            assert_true(mg_tls_accel_key(&pk));
            mbedtls_pk_free(&pk);
        }
    }
    mg_log_set_sink(NULL, NULL);
    assert_int_equal(log_lines, 1 + 8);

    parse_key(&pk, leaves[0]);
    start(false);
    assert_false(mg_tls_accel_key(&pk));
    mbedtls_pk_free(&pk);
}

/* Connections ---------------------------------------------------------------------------------- */

struct pipe {
    unsigned char bytes[256 * 1024];
    size_t from, to;
    bool ended;
};

static struct pipe to_server, to_client;

static int pipe_write(void *arg, const unsigned char *p, size_t n)
{
    struct pipe *pipe = arg;
    assert_true(pipe->to + n <= sizeof pipe->bytes);
    memcpy(pipe->bytes + pipe->to, p, n);
    pipe->to += n;
    return (int)n;
}

static int pipe_read(void *arg, unsigned char *p, size_t n)
{
    struct pipe *pipe = arg;
    size_t left = pipe->to - pipe->from;
    if (left == 0)
        return pipe->ended ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
    n = n < left ? n : left;
    memcpy(p, pipe->bytes + pipe->from, n);
    pipe->from += n;
    if (pipe->from == pipe->to)
        pipe->from = pipe->to = 0;
    return (int)n;
}

struct end {
    mbedtls_ssl_config conf;
    mbedtls_ssl_context ssl;
    mbedtls_x509_crt chain, trusted;
    mbedtls_pk_context key;
    int suites[2];
    mbedtls_ecp_group_id groups[3];
};

struct connection {
    struct end server, client;
    SSL_CTX *ctx; /* the client instead, when it is libssl */
    SSL *ssl;
};

static const struct {
    int ecdsa, rsa;
    const char *libssl;
} suites[] = {
    {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
     "ECDHE+AES128+AESGCM"},
    {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
     "ECDHE+AES256+AESGCM"},
    {MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
     MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE+CHACHA20"},
};

static const struct {
    mbedtls_ecp_group_id id;
    const char *libssl;
} shared_groups[] = {
    {MBEDTLS_ECP_DP_CURVE25519, "X25519:P-256"}, /* P-256 for the certificate's sake */
    {MBEDTLS_ECP_DP_SECP256R1, "P-256"},
    {MBEDTLS_ECP_DP_SECP384R1, "P-384:P-256"},
};

static void end_init(struct end *e, int endpoint, const struct test_cert *cert, size_t suite,
                     size_t group)
{
    bool rsa = cert == leaves[3];
    mbedtls_ssl_config_init(&e->conf);
    mbedtls_ssl_init(&e->ssl);
    mbedtls_x509_crt_init(&e->chain);
    mbedtls_x509_crt_init(&e->trusted);
    assert_int_equal(mbedtls_ssl_config_defaults(&e->conf, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                                 MBEDTLS_SSL_PRESET_DEFAULT),
                     0);
    mbedtls_ssl_conf_min_version(&e->conf, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_rng(&e->conf, any_bytes, NULL);
    e->suites[0] = rsa ? suites[suite].rsa : suites[suite].ecdsa;
    e->suites[1] = 0;
    mbedtls_ssl_conf_ciphersuites(&e->conf, e->suites);
    e->groups[0] = shared_groups[group].id;
    e->groups[1] = MBEDTLS_ECP_DP_SECP256R1;
    e->groups[2] = MBEDTLS_ECP_DP_NONE;
    mbedtls_ssl_conf_curves(&e->conf, e->groups);
    parse_key(&e->key, cert);
    mg_tls_accel_key(&e->key);
    assert_int_equal(mbedtls_x509_crt_parse(&e->chain, (const unsigned char *)cert->chain_pem,
                                            strlen(cert->chain_pem) + 1),
                     0);
    assert_int_equal(mbedtls_x509_crt_parse(&e->trusted, (const unsigned char *)ca->cert_pem,
                                            strlen(ca->cert_pem) + 1),
                     0);
    assert_int_equal(mbedtls_ssl_conf_own_cert(&e->conf, &e->chain, &e->key), 0);
    mbedtls_ssl_conf_ca_chain(&e->conf, &e->trusted, NULL);
    mbedtls_ssl_conf_authmode(&e->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
    assert_int_equal(mbedtls_ssl_setup(&e->ssl, &e->conf), 0);
}

static void end_release(struct end *e)
{
    mbedtls_ssl_free(&e->ssl);
    mbedtls_ssl_config_free(&e->conf);
    mbedtls_pk_free(&e->key);
    mbedtls_x509_crt_free(&e->trusted);
    mbedtls_x509_crt_free(&e->chain);
}

/* Both sides show certificates, so that signing and checking happens on both. */
static void connection_init(struct connection *c, size_t leaf, size_t suite, size_t group,
                            bool libssl)
{
    to_server = to_client = (struct pipe){.from = 0};
    *c = (struct connection){.ctx = NULL};
    end_init(&c->server, MBEDTLS_SSL_IS_SERVER, leaves[leaf], suite, group);
    if (!libssl) {
        end_init(&c->client, MBEDTLS_SSL_IS_CLIENT, leaves[leaf], suite, group);
        assert_int_equal(mbedtls_ssl_set_hostname(&c->client.ssl, "a.example"), 0);
        return;
    }
    c->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(c->ctx, TLS1_2_VERSION);
    assert_int_equal(SSL_CTX_set_cipher_list(c->ctx, suites[suite].libssl), 1);
    assert_int_equal(SSL_CTX_set1_groups_list(c->ctx, shared_groups[group].libssl), 1);
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(c->ctx), ca->x509);
    SSL_CTX_use_certificate(c->ctx, leaves[leaf]->x509);
    SSL_CTX_use_PrivateKey(c->ctx, leaves[leaf]->pkey);
    c->ssl = SSL_new(c->ctx);
    SSL_set_bio(c->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(c->ssl);
}

/* Each end reads one pipe and writes the other; mbedTLS has one argument for both directions. */
static int server_send(void *arg, const unsigned char *p, size_t n)
{
    (void)arg;
    return pipe_write(&to_client, p, n);
}

static int server_recv(void *arg, unsigned char *p, size_t n)
{
    (void)arg;
    return pipe_read(&to_server, p, n);
}

static int client_send(void *arg, const unsigned char *p, size_t n)
{
    (void)arg;
    return pipe_write(&to_server, p, n);
}

static int client_recv(void *arg, unsigned char *p, size_t n)
{
    (void)arg;
    return pipe_read(&to_client, p, n);
}

static void connection_join(struct connection *c)
{
    mbedtls_ssl_set_bio(&c->server.ssl, c, server_send, server_recv, NULL);
    if (!c->ssl)
        mbedtls_ssl_set_bio(&c->client.ssl, c, client_send, client_recv, NULL);
}

static void connection_release(struct connection *c)
{
    end_release(&c->server);
    if (!c->ssl)
        end_release(&c->client);
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
}

/* libssl's memory to and from the pipes. */
static void shovel(struct connection *c)
{
    unsigned char buf[4096];
    int n;
    if (!c->ssl)
        return;
    while ((n = BIO_read(SSL_get_wbio(c->ssl), buf, sizeof buf)) > 0)
        pipe_write(&to_server, buf, (size_t)n);
    while ((n = pipe_read(&to_client, buf, sizeof buf)) > 0)
        BIO_write(SSL_get_rbio(c->ssl), buf, n);
}

static bool going_on(int ret)
{
    return ret == MBEDTLS_ERR_SSL_WANT_READ || ret == MBEDTLS_ERR_SSL_WANT_WRITE;
}

static void shake_hands(struct connection *c)
{
    int server = MBEDTLS_ERR_SSL_WANT_READ, client = server;
    for (int i = 0; i < 20 && (server || client); i++) {
        if (client)
            client = c->ssl ? (SSL_do_handshake(c->ssl) == 1 ? 0 : MBEDTLS_ERR_SSL_WANT_READ)
                            : mbedtls_ssl_handshake(&c->client.ssl);
        shovel(c);
        if (server)
            server = mbedtls_ssl_handshake(&c->server.ssl);
        shovel(c);
        assert_true(server == 0 || going_on(server));
        assert_true(client == 0 || going_on(client));
    }
    assert_int_equal(server, 0);
    assert_int_equal(client, 0);
}

#define MESSAGE 40000

static int client_write(struct connection *c, const unsigned char *p, size_t n)
{
    return c->ssl ? SSL_write(c->ssl, p, (int)n) : mbedtls_ssl_write(&c->client.ssl, p, n);
}

static int client_read(struct connection *c, unsigned char *p, size_t n)
{
    return c->ssl ? SSL_read(c->ssl, p, (int)n) : mbedtls_ssl_read(&c->client.ssl, p, n);
}

/* Forty thousand bytes each way, in pieces of many sizes. */
static void talk(struct connection *c)
{
    static unsigned char sent[MESSAGE], got[MESSAGE];
    for (size_t i = 0; i < MESSAGE; i++)
        sent[i] = (unsigned char)(i * 31 + i / 256);
    for (int from_client = 0; from_client < 2; from_client++) {
        for (size_t n = 0, piece = 1; n < MESSAGE; piece = piece * 3 + 1) {
            size_t left = MESSAGE - n < piece ? MESSAGE - n : piece;
            int written = from_client ? client_write(c, sent + n, left)
                                      : mbedtls_ssl_write(&c->server.ssl, sent + n, left);
            assert_true(written > 0);
            n += (size_t)written;
        }
        shovel(c);
        memset(got, 0, sizeof got);
        for (size_t n = 0; n < MESSAGE;) {
            int read = from_client ? mbedtls_ssl_read(&c->server.ssl, got + n, MESSAGE - n)
                                   : client_read(c, got + n, MESSAGE - n);
            assert_true(read > 0);
            n += (size_t)read;
        }
        assert_memory_equal(got, sent, MESSAGE);
    }
}

static void every_suite_group_and_key(void **state)
{
    (void)state;
    static const size_t LEAVES[] = {0, 3};
    for (int way = 0; way < 4; way++) { /* on or off; mbedTLS or libssl as client */
        for (size_t l = 0; l < COUNT(LEAVES); l++) {
            for (size_t g = 0; g < COUNT(shared_groups); g++) {
                for (size_t s = 0; s < COUNT(suites); s++) {
                    struct connection c;
                    start(way % 2);
                    connection_init(&c, LEAVES[l], s, g, way / 2);
                    connection_join(&c);
                    shake_hands(&c);
                    assert_int_equal(mbedtls_ssl_get_verify_result(&c.server.ssl), 0);
                    talk(&c);
                    connection_release(&c);
                }
            }
        }
    }
}

/* In the middle of a connection the other way is taken. */
static void connections_outlive_a_change(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(suites); s++) {
        for (int on = 0; on < 2; on++) {
            struct connection c;
            start(on);
            connection_init(&c, 0, s, s, false);
            connection_join(&c);
            start(!on);
            shake_hands(&c);
            start(on);
            talk(&c);
            start(!on);
            talk(&c);
            connection_release(&c);
        }
    }
}

/* One bit of a record: of its head, its nonce, its text, its tag. */
static void changed_records_are_refused(void **state)
{
    (void)state;
    unsigned char buf[1000] = {1};
    for (int on = 0; on < 2; on++) {
        for (size_t s = 0; s < COUNT(suites); s++) {
            for (int where = 0; where < 4; where++) {
                struct connection c;
                start(on);
                connection_init(&c, 0, s, 1, false);
                connection_join(&c);
                shake_hands(&c);
                assert_int_equal(mbedtls_ssl_write(&c.client.ssl, buf, sizeof buf), sizeof buf);
                size_t n = to_server.to;
                to_server.bytes[where == 0 ? 5 : where == 1 ? 14 : where == 2 ? 500 : n - 1] ^= 4;
                assert_int_equal(mbedtls_ssl_read(&c.server.ssl, buf, sizeof buf),
                                 MBEDTLS_ERR_SSL_INVALID_MAC);
                connection_release(&c);
            }
        }
    }
}

static void cut_records_are_refused(void **state)
{
    (void)state;
    unsigned char buf[100] = {1};
    for (int on = 0; on < 2; on++) {
        for (size_t cut = 1; cut < 100; cut += 24) {
            struct connection c;
            start(on);
            connection_init(&c, 0, 0, 1, false);
            connection_join(&c);
            shake_hands(&c);
            assert_int_equal(mbedtls_ssl_write(&c.client.ssl, buf, sizeof buf), sizeof buf);
            to_server.to -= cut;
            assert_int_equal(mbedtls_ssl_read(&c.server.ssl, buf, sizeof buf),
                             MBEDTLS_ERR_SSL_WANT_READ);
            to_server.ended = true;
            /* An end without close_notify: 0. */
            assert_int_equal(mbedtls_ssl_read(&c.server.ssl, buf, sizeof buf), 0);
            connection_release(&c);
        }
    }
}

/* libcrypto that fails in the middle of a handshake ends it; nothing goes out unprotected. */
static void failures_end_the_handshake(void **state)
{
    (void)state;
    static const struct {
        enum lie lie;
        int ret;
    } CASES[] = {
        {NO_RANDOMNESS, MBEDTLS_ERR_ECP_RANDOM_FAILED},
        {NO_SIGNATURE, MBEDTLS_ERR_PLATFORM_HW_ACCEL_FAILED},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct connection c;
        start(true);
        connection_init(&c, 0, 0, 1, false);
        connection_join(&c);
        assert_int_equal(mbedtls_ssl_handshake(&c.client.ssl), MBEDTLS_ERR_SSL_WANT_READ);
        lie = CASES[i].lie;
        assert_int_equal(mbedtls_ssl_handshake(&c.server.ssl), CASES[i].ret);
        lie = TRUTH;
        connection_release(&c);
    }
}

#define ACCELERATED(f)                                                                             \
    static void f##_if_there_is_any(void **state)                                                  \
    {                                                                                              \
        if (!available)                                                                            \
            skip();                                                                                \
        f(state);                                                                                  \
    }
ACCELERATED(the_start_decides)
ACCELERATED(what_is_put_off_is_done_once)
ACCELERATED(lies_are_found_out)
ACCELERATED(no_randomness_is_an_error)
ACCELERATED(keys_sign_what_the_library_finds_good)
ACCELERATED(keys_that_cannot_be_ours_stay)
ACCELERATED(failures_end_the_handshake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_start_decides_if_there_is_any),
        cmocka_unit_test(what_is_put_off_is_done_once_if_there_is_any),
        cmocka_unit_test(lies_are_found_out_if_there_is_any),
        cmocka_unit_test(gcm_is_the_same_both_ways),
        cmocka_unit_test(chachapoly_is_the_same_both_ways),
        cmocka_unit_test(a_streamed_context_is_the_library_s),
        cmocka_unit_test(contexts_outlive_a_change),
        cmocka_unit_test(decryption_without_a_check_is_the_same_both_ways),
        cmocka_unit_test(overlaps_go_to_the_library),
        cmocka_unit_test(ecdh_is_the_same_both_ways),
        cmocka_unit_test(bad_keys_are_refused_both_ways),
        cmocka_unit_test(no_randomness_is_an_error_if_there_is_any),
        cmocka_unit_test(ecdsa_answers_the_same_both_ways),
        cmocka_unit_test(hashes_are_the_same_both_ways),
        cmocka_unit_test(keys_sign_what_the_library_finds_good_if_there_is_any),
        cmocka_unit_test(keys_that_cannot_be_ours_stay_if_there_is_any),
        cmocka_unit_test(every_suite_group_and_key),
        cmocka_unit_test(connections_outlive_a_change),
        cmocka_unit_test(changed_records_are_refused),
        cmocka_unit_test(cut_records_are_refused),
        cmocka_unit_test(failures_end_the_handshake_if_there_is_any),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}

#else /* Mbed TLS 3 has nothing that is taken over */

static void nothing_is_accelerated(void **state)
{
    (void)state;
    mg_tls_accel_start(NULL);
    assert_string_equal(mg_tls_accel_summary(), "off (not for this Mbed TLS)");
    mbedtls_pk_context pk;
    mbedtls_pk_init(&pk);
    assert_false(mg_tls_accel_key(&pk));
    mbedtls_pk_free(&pk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_accelerated)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
