/* Keys that verify: every kind in every form, and every signature that is not one. */
#include "crypto/public_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/base64.h"
#include "crypto/test_token.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define DATA MG_STR("what was signed")

static const char SECRET[] = "thirty-two bytes of a secret ...";

enum { P256, P384, P521, RSA2048, ED25519, MADE };

static const struct {
    enum test_key test;
    enum mg_public_key_kind kind;
    unsigned bits, algs;
} kinds[MADE] = {
    {TEST_KEY_P256, MG_PUBLIC_KEY_P256, 256, MG_JWA_BIT(MG_JWA_ES256)},
    {TEST_KEY_P384, MG_PUBLIC_KEY_P384, 384, MG_JWA_BIT(MG_JWA_ES384)},
    {TEST_KEY_P521, MG_PUBLIC_KEY_P521, 521, MG_JWA_BIT(MG_JWA_ES512)},
    {TEST_KEY_RSA2048, MG_PUBLIC_KEY_RSA, 2048, MG_JWA_ALL_RS | MG_JWA_ALL_PS},
    {TEST_KEY_ED25519, MG_PUBLIC_KEY_ED25519, 256, MG_JWA_BIT(MG_JWA_EDDSA)},
};

static struct test_cert *certs[MADE];
static struct mg_public_key *keys[MADE + 1]; /* and a secret */

static struct mg_public_key *key_of(const struct test_cert *cert)
{
    char *pem = test_public_pem(cert);
    struct mg_error err;
    struct mg_public_key *key = mg_public_key_from_pem(mg_str_c(pem), &err);
    if (!key)
        fail_msg("%s", err.text);
    free(pem);
    return key;
}

static int make_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < MADE; i++) {
        certs[i] = test_leaf_new(NULL, kinds[i].test, NULL);
        keys[i] = key_of(certs[i]);
    }
    keys[MADE] = mg_public_key_from_secret(MG_STR(SECRET), NULL);
    return 0;
}

static int drop_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i <= MADE; i++)
        mg_public_key_unref(keys[i]);
    for (size_t i = 0; i < MADE; i++)
        test_cert_free(certs[i]);
    return 0;
}

static struct mg_str sign_with(size_t which, enum mg_jwa alg, uint8_t out[TEST_SIGNATURE_MAX])
{
    struct test_signing_key key = {which < MADE ? certs[which] : NULL, MG_STR(SECRET)};
    return mg_str((const char *)out, test_sign(alg, &key, DATA, out));
}

static void tells_what_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < MADE; i++) {
        struct mg_public_key *other = mg_public_key_from_pem(mg_str_c(certs[i]->cert_pem), NULL);
        assert_non_null(other); /* the certificate stands for its key */
        for (int n = 0; n < 2; n++) {
            const struct mg_public_key *key = n ? other : keys[i];
            assert_int_equal(mg_public_key_kind(key), kinds[i].kind);
            assert_int_equal(mg_public_key_bits(key), kinds[i].bits);
            assert_int_equal(mg_public_key_algs(key), kinds[i].algs);
        }
        mg_public_key_unref(other);
    }
    assert_int_equal(mg_public_key_kind(keys[MADE]), MG_PUBLIC_KEY_SECRET);
    assert_int_equal(mg_public_key_bits(keys[MADE]), 256);
    assert_int_equal(mg_public_key_algs(keys[MADE]), MG_JWA_ALL_HS);
}

static bool can_sign(size_t which, enum mg_jwa alg)
{
    return MG_JWA_BIT(alg) & (which == MADE ? MG_JWA_ALL_HS : kinds[which].algs);
}

/* Each signature is good for its key, its algorithm and its data, and for nothing else. */
static void only_what_belongs_together(void **state)
{
    (void)state;
    uint8_t made[TEST_SIGNATURE_MAX];
    for (size_t i = 0; i <= MADE; i++) {
        for (enum mg_jwa alg = 0; alg < MG_JWA_COUNT; alg++) {
            if (!can_sign(i, alg))
                continue;
            struct mg_str signature = sign_with(i, alg, made);
            for (size_t k = 0; k <= MADE; k++)
                for (int a = 0; a <= MG_JWA_COUNT; a++)
                    assert_int_equal(mg_public_key_verify(keys[k], (enum mg_jwa)a, DATA, signature),
                                     k == i && a == (int)alg);
            assert_false(mg_public_key_verify(keys[i], alg, MG_STR("what was not"), signature));
            assert_false(mg_public_key_verify(keys[i], alg, MG_STR_NONE, signature));
        }
    }
}

/* Any bit changed, a byte less, a byte more, in front and behind. */
static void spoilt_signatures(void **state)
{
    (void)state;
    uint8_t made[TEST_SIGNATURE_MAX], spoilt[TEST_SIGNATURE_MAX + 1];
    for (size_t i = 0; i <= MADE; i++) {
        for (enum mg_jwa alg = 0; alg < MG_JWA_COUNT; alg++) {
            if (!can_sign(i, alg))
                continue;
            struct mg_str good = sign_with(i, alg, made);
            size_t step = i == P521 || i == P384 ? 37 : 3;
            for (size_t at = 0; at < good.n; at += step) {
                memcpy(spoilt, good.p, good.n);
                spoilt[at] ^= (uint8_t)(1u << at % 8);
                assert_false(
                    mg_public_key_verify(keys[i], alg, DATA, mg_str((const char *)spoilt, good.n)));
            }
            memset(spoilt, 0, sizeof spoilt);
            memcpy(spoilt, good.p, good.n);
            const struct mg_str WRONG[] = {
                MG_STR_NONE,
                mg_str((const char *)spoilt, 1),
                mg_str((const char *)spoilt, good.n - 1),
                mg_str((const char *)spoilt + 1, good.n - 1),
                mg_str((const char *)spoilt, good.n + 1),
                mg_str((const char *)spoilt, good.n / 2),
            };
            for (size_t w = 0; w < COUNT(WRONG); w++)
                assert_false(mg_public_key_verify(keys[i], alg, DATA, WRONG[w]));
            memmove(spoilt + 1, good.p, good.n);
            spoilt[0] = 0;
            assert_false(
                mg_public_key_verify(keys[i], alg, DATA, mg_str((const char *)spoilt, good.n + 1)));
            assert_true(mg_public_key_verify(keys[i], alg, DATA, good));
        }
    }
}

/* The orders of P-256, P-384 and P-521 (FIPS 186-5, SP 800-186 3.2.1). */
static const char *const ORDERS[] = {
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc529"
    "73",
    "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc"
    "0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
};

static void from_hex(const char *hex, uint8_t *out, size_t n)
{
    char room[140];
    size_t digits = strlen(hex);
    memset(room, '0', sizeof room);
    memcpy(room + 2 * n - digits, hex, digits);
    for (size_t i = 0; i < n; i++) {
        const char byte[] = {room[2 * i], room[2 * i + 1], '\0'};
        out[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
}

/* RFC 7518 3.4 wants both numbers from 1 to the order - 1 (CVE-2022-21449 and its kin). */
static void ecdsa_out_of_range(void **state)
{
    (void)state;
    for (size_t i = P256; i <= P521; i++) {
        enum mg_jwa alg = (enum mg_jwa)(MG_JWA_ES256 + i);
        uint8_t made[TEST_SIGNATURE_MAX], bad[140], order[66], zero[66] = {0}, ones[66];
        struct mg_str good = sign_with(i, alg, made);
        size_t half = good.n / 2;
        memset(ones, 0xff, sizeof ones);
        from_hex(ORDERS[i], order, half);
        const uint8_t *r = made, *s = made + half;
        const uint8_t *const WRONG[][2] = {
            {zero, zero}, {zero, s}, {r, zero},    {order, order}, {order, s}, {r, order},
            {ones, s},    {r, ones}, {ones, ones}, {s, r},         {r, r},
        };
        for (size_t w = 0; w < COUNT(WRONG); w++) {
            memcpy(bad, WRONG[w][0], half);
            memcpy(bad + half, WRONG[w][1], half);
            assert_false(
                mg_public_key_verify(keys[i], alg, DATA, mg_str((const char *)bad, good.n)));
        }
        assert_true(mg_public_key_verify(keys[i], alg, DATA, good));
    }
}

/* In DER, as other protocols have it, also when its length happens to be right. */
static void ecdsa_in_der(void **state)
{
    (void)state;
    uint8_t der[TEST_SIGNATURE_MAX];
    for (int tries = 0; tries < 16; tries++) {
        size_t n = sizeof der;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, certs[P256]->pkey), 1);
        assert_int_equal(EVP_DigestSign(ctx, der, &n, (const uint8_t *)DATA.p, DATA.n), 1);
        EVP_MD_CTX_free(ctx);
        struct mg_str whole = mg_str((const char *)der, n), cut = mg_str((const char *)der, 64);
        assert_false(mg_public_key_verify(keys[P256], MG_JWA_ES256, DATA, whole));
        assert_false(mg_public_key_verify(keys[P256], MG_JWA_ES256, DATA, cut));
    }
}

/* Numbers with zeros in front, and with a high bit, all lengths of DER: enough of them that the
 * rarer ones (one in 256) come. */
static void ecdsa_of_all_shapes(void **state)
{
    (void)state;
    uint8_t made[TEST_SIGNATURE_MAX];
    bool short_number = false;
    for (int i = 0; i < 2000 && !(short_number && i > 300); i++) {
        struct mg_str signature = sign_with(P256, MG_JWA_ES256, made);
        short_number |= !made[0] || !made[32];
        assert_true(mg_public_key_verify(keys[P256], MG_JWA_ES256, DATA, signature));
    }
    assert_true(short_number);
    for (int i = 0; i < 20; i++)
        assert_true(mg_public_key_verify(keys[P521], MG_JWA_ES512, DATA,
                                         sign_with(P521, MG_JWA_ES512, made)));
}

/* s + n has the length of the modulus only if it is smaller; it is the same signature modulo n. */
static void rsa_beyond_the_modulus(void **state)
{
    (void)state;
    uint8_t made[TEST_SIGNATURE_MAX], one[256] = {0};
    struct mg_str good = sign_with(RSA2048, MG_JWA_RS256, made);
    one[255] = 1;
    assert_false(
        mg_public_key_verify(keys[RSA2048], MG_JWA_RS256, DATA, mg_str((const char *)one, 256)));
    BIGNUM *n = NULL, *s = BN_bin2bn(made, (int)good.n, NULL);
    assert_int_equal(EVP_PKEY_get_bn_param(certs[RSA2048]->pkey, "n", &n), 1);
    assert_int_equal(BN_add(s, s, n), 1);
    int bytes = BN_num_bytes(s);
    BN_bn2bin(s, made);
    assert_false(mg_public_key_verify(keys[RSA2048], MG_JWA_RS256, DATA,
                                      mg_str((const char *)made, (size_t)bytes)));
    BN_free(n);
    BN_free(s);
}

static void secrets(void **state)
{
    (void)state;
    char *pem = test_public_pem(certs[RSA2048]), long_one[MG_PUBLIC_KEY_SECRET_BYTES_MAX + 1];
    char *behind;
    assert_true(asprintf(&behind, "\n  %s", certs[P256]->cert_pem) > 0);
    memset(long_one, 'x', sizeof long_one);
    const struct {
        struct mg_str secret;
        bool good;
    } CASES[] = {
        {MG_STR_NONE, false},
        {MG_STR("x"), true},
        {MG_STR("\0"), true},
        {mg_str(long_one, MG_PUBLIC_KEY_SECRET_BYTES_MAX), true},
        {mg_str(long_one, sizeof long_one), false},
        {mg_str_c(pem), false},
        {mg_str_c(behind), false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_error err = {""};
        struct mg_public_key *key = mg_public_key_from_secret(CASES[i].secret, &err);
        assert_int_equal(key != NULL, CASES[i].good);
        assert_int_equal(err.text[0] == '\0', CASES[i].good);
        mg_public_key_unref(key);
    }
    free(pem);
    free(behind);
}

static void pem_that_is_refused(void **state)
{
    (void)state;
    static const enum test_key KINDS[] = {TEST_KEY_RSA1024, TEST_KEY_SECP256K1};
    for (size_t i = 0; i < COUNT(KINDS); i++) {
        struct test_cert *cert = test_leaf_new(NULL, KINDS[i], NULL);
        assert_null(mg_public_key_from_pem(mg_str_c(cert->cert_pem), NULL));
        test_cert_free(cert);
    }
    char *good = test_public_pem(certs[P256]);
    const struct {
        struct mg_str pem;
        const char *fault;
    } CASES[] = {
        {MG_STR_NONE, "no public key"},
        {MG_STR("not a PEM"), "no public key"},
        {mg_str(good, strlen(good) / 2), "no public key"},
        {mg_str_c(certs[P256]->key_pem), "private key"},
        {MG_STR("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), "cannot be read"},
        {MG_STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
         "cannot be read"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_error err = {""};
        assert_null(mg_public_key_from_pem(CASES[i].pem, &err));
        if (!strstr(err.text, CASES[i].fault))
            fail_msg("%zu: %s", i, err.text);
    }
    free(good);
}

static void rsa_numbers(void **state)
{
    (void)state;
    uint8_t n[257] = {0}, even[256];
    BIGNUM *modulus = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(certs[RSA2048]->pkey, "n", &modulus), 1);
    assert_int_equal(BN_bn2binpad(modulus, n, 257), 257);
    BN_free(modulus);
    memcpy(even, n + 1, 256);
    even[255] &= 0xfe;
    struct mg_str right = mg_str((const char *)n + 1, 256);
    const struct {
        struct mg_str n, e;
        bool good;
    } CASES[] = {
        {right, MG_STR("\x01\x00\x01"), true},
        {right, MG_STR("\x03"), true},
        {mg_str((const char *)n, 257), MG_STR("\x01\x00\x01"), true}, /* a zero in front */
        {right, MG_STR("\x01"), false},
        {right, MG_STR("\x00"), false},
        {right, MG_STR("\x02"), false},
        {right, MG_STR_NONE, false},
        {MG_STR_NONE, MG_STR("\x03"), false},
        {right, right, false}, /* verifying would cost as much as signing */
        {right, MG_STR("\x01\x00\x00\x00\x01"), false},
        {mg_str((const char *)even, 256), MG_STR("\x03"), false},
        {mg_str((const char *)n + 1 + 128, 128), MG_STR("\x03"), false},
        {mg_str((const char *)n + 2, 255), MG_STR("\x03"), false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_public_key *key = mg_public_key_from_rsa(CASES[i].n, CASES[i].e, NULL);
        if ((key != NULL) != CASES[i].good)
            fail_msg("case %zu", i);
        mg_public_key_unref(key);
    }
}

static void points(void **state)
{
    (void)state;
    uint8_t point[133], zero[66] = {0};
    size_t n;
    assert_int_equal(
        EVP_PKEY_get_octet_string_param(certs[P256]->pkey, "pub", point, sizeof point, &n), 1);
    assert_int_equal(n, 65);
    struct mg_str x = mg_str((const char *)point + 1, 32), y = mg_str((const char *)point + 33, 32);
    const struct {
        enum mg_public_key_kind kind;
        struct mg_str x, y;
        bool good;
    } CASES[] = {
        {MG_PUBLIC_KEY_P256, x, y, true},
        {MG_PUBLIC_KEY_P256, y, x, false},
        {MG_PUBLIC_KEY_P256, mg_str(x.p, 31), y, false},
        {MG_PUBLIC_KEY_P256, x, mg_str(y.p, 31), false},
        {MG_PUBLIC_KEY_P256, mg_str((const char *)zero, 32), mg_str((const char *)zero, 32), false},
        {MG_PUBLIC_KEY_P256, MG_STR_NONE, MG_STR_NONE, false},
        {MG_PUBLIC_KEY_P384, x, y, false},
        {MG_PUBLIC_KEY_RSA, x, y, false},
        {MG_PUBLIC_KEY_SECRET, MG_STR_NONE, MG_STR_NONE, false},
        {MG_PUBLIC_KEY_ED25519, x, y, false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_public_key *key =
            mg_public_key_from_point(CASES[i].kind, CASES[i].x, CASES[i].y, NULL);
        if ((key != NULL) != CASES[i].good)
            fail_msg("case %zu", i);
        mg_public_key_unref(key);
    }
    assert_null(mg_public_key_from_edwards(MG_PUBLIC_KEY_P256, x, NULL));
    assert_null(mg_public_key_from_edwards(MG_PUBLIC_KEY_ED25519, mg_str(x.p, 31), NULL));
    assert_null(mg_public_key_from_edwards(MG_PUBLIC_KEY_ED25519, MG_STR_NONE, NULL));
    assert_null(mg_public_key_from_edwards(MG_PUBLIC_KEY_ED448, x, NULL));
}

/* RFC 8032 7.4, "-----Blank". */
static void ed448(void **state)
{
    (void)state;
    uint8_t public[57], signature[114];
    from_hex("5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778"
             "edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180",
             public, 57);
    static const char *const HALVES[] = {
        "533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f"
        "2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd3980",
        "ff0d2028d4b18a9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda"
        "8530a113a0f4dbb61149f05a7363268c71d95808ff2e652600",
    };
    for (size_t i = 0; i < 2; i++)
        from_hex(HALVES[i], signature + 57 * i, 57);
    struct mg_public_key *key =
        mg_public_key_from_edwards(MG_PUBLIC_KEY_ED448, mg_str((const char *)public, 57), NULL);
    assert_non_null(key);
    struct mg_str made = mg_str((const char *)signature, 114);
    assert_true(mg_public_key_verify(key, MG_JWA_EDDSA, MG_STR(""), made));
    assert_false(mg_public_key_verify(key, MG_JWA_EDDSA, MG_STR("x"), made));
    assert_false(mg_public_key_verify(keys[ED25519], MG_JWA_EDDSA, MG_STR(""), made));
    mg_public_key_unref(key);
}

struct job {
    struct mg_str signatures[4];
    bool failed;
};

static const enum mg_jwa JOB_ALGS[4] = {MG_JWA_RS256, MG_JWA_PS256, MG_JWA_RS512, MG_JWA_PS384};

static void *verify_much(void *arg)
{
    struct job *job = arg;
    for (int i = 0; i < 400; i++) {
        size_t a = (size_t)i * 7 % 4, b = (a + 1) % 4;
        job->failed |= !mg_public_key_verify(keys[RSA2048], JOB_ALGS[a], DATA, job->signatures[a]);
        job->failed |= mg_public_key_verify(keys[RSA2048], JOB_ALGS[a], DATA, job->signatures[b]);
    }
    return NULL;
}

/* More threads than slots, and algorithms that take turns in them. */
static void many_threads(void **state)
{
    (void)state;
    pthread_t threads[12];
    static uint8_t made[4][TEST_SIGNATURE_MAX];
    struct job jobs[COUNT(threads)] = {0};
    for (size_t i = 0; i < COUNT(threads); i++) {
        for (size_t a = 0; a < 4; a++)
            jobs[i].signatures[a] =
                i ? jobs[0].signatures[a] : sign_with(RSA2048, JOB_ALGS[a], made[a]);
    }
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_much, &jobs[i]), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(jobs[i].failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_it_is),
        cmocka_unit_test(only_what_belongs_together),
        cmocka_unit_test(spoilt_signatures),
        cmocka_unit_test(ecdsa_out_of_range),
        cmocka_unit_test(ecdsa_in_der),
        cmocka_unit_test(ecdsa_of_all_shapes),
        cmocka_unit_test(rsa_beyond_the_modulus),
        cmocka_unit_test(secrets),
        cmocka_unit_test(pem_that_is_refused),
        cmocka_unit_test(rsa_numbers),
        cmocka_unit_test(points),
        cmocka_unit_test(ed448),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
