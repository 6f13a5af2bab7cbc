/* ECDH: published answers, fresh pairs against them, and keys that must be refused. */
#include "crypto/ecdh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* libcrypto without randomness, on demand; the program's own definitions come first. */
static bool no_randomness;

int BN_priv_rand_range_ex(BIGNUM *r, const BIGNUM *range, unsigned int strength, BN_CTX *ctx)
{
    int (*real)(BIGNUM *, const BIGNUM *, unsigned int, BN_CTX *);
    *(void **)&real = dlsym(RTLD_NEXT, "BN_priv_rand_range_ex");
    return no_randomness ? 0 : real(r, range, strength, ctx);
}

int EVP_PKEY_get_raw_private_key(const EVP_PKEY *key, unsigned char *out, size_t *n)
{
    int (*real)(const EVP_PKEY *, unsigned char *, size_t *);
    *(void **)&real = dlsym(RTLD_NEXT, "EVP_PKEY_get_raw_private_key");
    return no_randomness ? 0 : real(key, out, n);
}

/* RFC 5903 8.1 to 8.3, RFC 7748 6.1: a, b, their public keys, what they share. */
static const struct answer {
    enum mg_curve curve;
    const char *a, *b, *a_public, *b_public, *shared;
} answers[] = {
    {MG_CURVE_P256, "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
     "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
     "04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252d61f1c456f"
     "a3e59ab1f45b33accf5f58389e0577b8990bb3",
     "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13"
     "c58d6aac23f046ada30f8353e74f33039872ab",
     "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"},
    {MG_CURVE_P384,
     "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783a"
     "b194",
     "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a74"
     "48fc",
     "04667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732aee9"
     "5f41aa9482ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c"
     "634573a81c",
     "04e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d077"
     "4a3571dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad9"
     "6db9e6386c",
     "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f5"
     "9746"},
    {MG_CURVE_P521,
     "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d937ba"
     "9777f5957b2639bab072462f68c27a57382d4a52",
     "0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e9c677d600b343757a3bdbf2a3163"
     "e4c2f869cca7458aa4a4effc311f5cb151685eb9",
     "040015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbee1e3bf42e00b8e380aeae57c2d"
     "107564941885942af5a7f4601723c4195d176ced3e017cae20b6641d2eeb695786d8c946146239d099e18e1d5a51"
     "4c739d7cb4a10ad8a788015ac405d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f9582",
     "0400d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e95bb0352f6"
     "be64a6c2912d4ef2d0433ced2b6171640012d9460f015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c"
     "724d9852077b87220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a",
     "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a3478685981"
     "0c06b3c715a3a8cc3151f2bee417996d19f3ddea"},
    {MG_CURVE_X25519, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
     "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
     "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
     "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
     "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
};

struct octets {
    uint8_t p[160];
    size_t n;
};

static struct octets unhex(const char *text)
{
    struct octets out = {.n = strlen(text) / 2};
    for (size_t i = 0; i < out.n; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        out.p[i] = (uint8_t)byte;
    }
    return out;
}

static struct mg_str str(const struct octets *o)
{
    return mg_str((const char *)o->p, o->n);
}

static void published_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(answers); i++) {
        const struct answer *t = &answers[i];
        struct octets a = unhex(t->a), b = unhex(t->b), shared = unhex(t->shared);
        struct octets a_public = unhex(t->a_public), b_public = unhex(t->b_public);
        uint8_t out[MG_CURVE_BYTES_MAX];
        assert_int_equal(a.n, mg_curve_bytes(t->curve));
        assert_int_equal(a_public.n, mg_curve_public_bytes(t->curve));
        assert_int_equal(mg_ecdh_shared(t->curve, a.p, str(&b_public), out), MG_OK);
        assert_memory_equal(out, shared.p, shared.n);
        assert_int_equal(mg_ecdh_shared(t->curve, b.p, str(&a_public), out), MG_OK);
        assert_memory_equal(out, shared.p, shared.n);
    }
}

static void fresh_pairs_share_with_known_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(answers); i++) {
        const struct answer *t = &answers[i];
        struct octets a = unhex(t->a), a_public = unhex(t->a_public);
        uint8_t last[MG_CURVE_BYTES_MAX] = {0};
        for (int round = 0; round < 5; round++) {
            uint8_t secret[MG_CURVE_BYTES_MAX], one[MG_CURVE_BYTES_MAX], two[MG_CURVE_BYTES_MAX];
            struct octets public = {.n = mg_curve_public_bytes(t->curve)};
            assert_int_equal(mg_ecdh_generate(t->curve, secret, public.p), MG_OK);
            assert_memory_not_equal(secret, last, a.n);
            memcpy(last, secret, a.n);
            assert_int_equal(mg_ecdh_shared(t->curve, secret, str(&a_public), one), MG_OK);
            assert_int_equal(mg_ecdh_shared(t->curve, a.p, str(&public), two), MG_OK);
            assert_memory_equal(one, two, a.n);
            if (t->curve == MG_CURVE_X25519) { /* RFC 7748 5 */
                assert_int_equal(secret[0] & 7, 0);
                assert_int_equal(secret[31] & 192, 64);
            } else {
                assert_int_equal(public.p[0], 4);
            }
        }
    }
}

static void peers_that_are_no_keys_are_refused(void **state)
{
    (void)state;
    uint8_t out[MG_CURVE_BYTES_MAX];
    for (size_t i = 0; i < COUNT(answers); i++) {
        const struct answer *t = &answers[i];
        struct octets a = unhex(t->a), good = unhex(t->b_public), bad = good;
        assert_int_equal(mg_ecdh_shared(t->curve, a.p, MG_STR_NONE, out), MG_FAIL);
        bad.n--;
        assert_int_equal(mg_ecdh_shared(t->curve, a.p, str(&bad), out), MG_FAIL);
        bad.n += 2;
        assert_int_equal(mg_ecdh_shared(t->curve, a.p, str(&bad), out), MG_FAIL);
        if (t->curve == MG_CURVE_X25519)
            continue;
        bad = good;
        bad.p[bad.n - 1] ^= 1; /* not on the curve */
        assert_int_equal(mg_ecdh_shared(t->curve, a.p, str(&bad), out), MG_FAIL);
        bad = good;
        bad.p[0] = (uint8_t)(2 + (good.p[good.n - 1] & 1)); /* compressed, in the wrong length */
        assert_int_equal(mg_ecdh_shared(t->curve, a.p, str(&bad), out), MG_FAIL);
        bad.n = 1 + mg_curve_bytes(t->curve); /* compressed, and good but for that */
        assert_int_equal(mg_ecdh_shared(t->curve, a.p, str(&bad), out), MG_FAIL);
        bad = (struct octets){.n = 1}; /* the point at infinity */
        assert_int_equal(mg_ecdh_shared(t->curve, a.p, str(&bad), out), MG_FAIL);
        memset(bad.p, 0xff, sizeof bad.p); /* coordinates not below the field's prime */
        bad.p[0] = 4;
        bad.n = good.n;
        assert_int_equal(mg_ecdh_shared(t->curve, a.p, str(&bad), out), MG_FAIL);
    }
}

/* RFC 7748 6.1 and the list at cr.yp.to/ecdh.html: whoever they meet, zeros are shared. */
static void x25519_points_of_small_order_are_refused(void **state)
{
    (void)state;
    static const char *const SMALL[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    struct octets a = unhex(answers[3].a);
    uint8_t out[32];
    for (size_t i = 0; i < COUNT(SMALL); i++) {
        struct octets peer = unhex(SMALL[i]);
        assert_int_equal(mg_ecdh_shared(MG_CURVE_X25519, a.p, str(&peer), out), MG_FAIL);
    }
}

static void without_randomness_there_is_no_key(void **state)
{
    (void)state;
    uint8_t secret[MG_CURVE_BYTES_MAX], public[MG_CURVE_PUBLIC_BYTES_MAX];
    no_randomness = true;
    for (size_t i = 0; i < COUNT(answers); i++)
        assert_int_equal(mg_ecdh_generate(answers[i].curve, secret, public), MG_NOMEM);
    no_randomness = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_answers),
        cmocka_unit_test(fresh_pairs_share_with_known_ones),
        cmocka_unit_test(peers_that_are_no_keys_are_refused),
        cmocka_unit_test(x25519_points_of_small_order_are_refused),
        cmocka_unit_test(without_randomness_there_is_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
