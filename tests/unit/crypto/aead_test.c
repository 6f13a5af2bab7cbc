/* AEAD: published vectors both ways, every length around a block, and what must be refused. */
#include "crypto/aead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <openssl/evp.h>
#include <stdio.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* libcrypto's function, failing on demand; the program's own definition comes first. */
static bool final_fails;

int EVP_CipherFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *out, int *n)
{
    int (*real)(EVP_CIPHER_CTX *, unsigned char *, int *);
    *(void **)&real = dlsym(RTLD_NEXT, "EVP_CipherFinal_ex");
    return final_fails ? 0 : real(ctx, out, n);
}

static const struct vector {
    enum mg_aead_kind kind;
    const char *key, *nonce, *aad, *text, *sealed, *tag; /* hex */
} vectors[] = {
    /* McGrew and Viega, test cases 1, 2, 3, 4 and 13, 14, 16 */
    {MG_AEAD_AES_128_GCM, "00000000000000000000000000000000", "000000000000000000000000", "", "",
     "", "58e2fccefa7e3061367f1d57a4e7455a"},
    {MG_AEAD_AES_128_GCM, "00000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
     "ab6e47d42cec13bdf53a67b21257bddf"},
    {MG_AEAD_AES_128_GCM, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
     "b525b16aedf5aa0de657ba637b391aafd255",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84"
     "aa051ba30b396a0aac973d58e091473f5985",
     "4d5c2af327cd64a62cf35abd2ba6fab4"},
    {MG_AEAD_AES_128_GCM, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
     "b525b16aedf5aa0de657ba637b39",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84"
     "aa051ba30b396a0aac973d58e091",
     "5bc94fbc3221a5db94fae95ae7121a47"},
    {MG_AEAD_AES_256_GCM, "0000000000000000000000000000000000000000000000000000000000000000",
     "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {MG_AEAD_AES_256_GCM, "0000000000000000000000000000000000000000000000000000000000000000",
     "000000000000000000000000", "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {MG_AEAD_AES_256_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
     "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
     "b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105682"
     "8838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    /* RFC 8439 2.8.2 */
    {MG_AEAD_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
     "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
     "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a2049662049"
     "20636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c20"
     "73756e73637265656e20776f756c642062652069742e",
     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92"
     "728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b"
     "4831d7bc3ff4def08e4b7a9de576d26586cec64b6116",
     "1ae10b594f09e26a7e902ecbd0600691"},
};

/* Bytes of hex text, and how many. */
static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = 0;
    for (; text[0]; text += 2, n++) {
        unsigned byte;
        assert_int_equal(sscanf(text, "%2x", &byte), 1);
        out[n] = (uint8_t)byte;
    }
    return n;
}

static struct mg_str bytes(const uint8_t *p, size_t n)
{
    return mg_str((const char *)p, n);
}

static void published_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        const struct vector *v = &vectors[i];
        uint8_t key[32], nonce[12], aad[64], text[128], sealed[128], expected_tag[16];
        assert_int_equal(unhex(v->key, key), v->kind == MG_AEAD_AES_128_GCM ? 16 : 32);
        assert_int_equal(unhex(v->nonce, nonce), MG_AEAD_NONCE_BYTES);
        size_t aad_n = unhex(v->aad, aad), n = unhex(v->text, text);
        assert_int_equal(unhex(v->sealed, sealed), n);
        unhex(v->tag, expected_tag);

        struct mg_aead *aead = mg_aead_new(v->kind, key);
        assert_non_null(aead);
        for (int in_place = 0; in_place < 2; in_place++) {
            uint8_t buf[128], tag[16], *out = buf;
            memcpy(buf, text, sizeof buf);
            assert_int_equal(mg_aead_seal(aead, nonce, bytes(aad, aad_n),
                                          bytes(in_place ? buf : text, n), out, tag),
                             MG_OK);
            assert_memory_equal(out, sealed, n);
            assert_memory_equal(tag, expected_tag, sizeof tag);
            memcpy(buf, sealed, sizeof buf);
            assert_int_equal(mg_aead_open(aead, nonce, bytes(aad, aad_n),
                                          bytes(in_place ? buf : sealed, n), expected_tag, out),
                             MG_OK);
            assert_memory_equal(out, text, n);
        }
        mg_aead_free(aead);
    }
}

static const enum mg_aead_kind kinds[] = {MG_AEAD_AES_128_GCM, MG_AEAD_AES_256_GCM,
                                          MG_AEAD_CHACHA20_POLY1305};

#define LONGEST 16384

static void every_length_comes_back(void **state)
{
    (void)state;
    static uint8_t text[LONGEST], sealed[LONGEST], back[LONGEST];
    static const size_t LONG_ONES[] = {1023, 1024, 4095, 4099, 8192, 16383, 16384};
    const uint8_t key[32] = {1, 2, 3}, aad[13] = {4, 5};
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct mg_aead *aead = mg_aead_new(kinds[k], key);
        for (size_t i = 0; i < 300 + COUNT(LONG_ONES); i++) {
            size_t n = i < 300 ? i : LONG_ONES[i - 300];
            uint8_t nonce[12] = {(uint8_t)i, (uint8_t)(i >> 8)}, tag[16];
            struct mg_str more = bytes(aad, i % 14);
            assert_int_equal(mg_aead_seal(aead, nonce, more, bytes(text, n), sealed, tag), MG_OK);
            assert_int_equal(mg_aead_open(aead, nonce, more, bytes(sealed, n), tag, back), MG_OK);
            assert_memory_equal(back, text, n);
        }
        mg_aead_free(aead);
    }
}

/* One bit at a time: key, nonce, aad, text, tag; and a text cut short. */
static void what_does_not_belong_together_is_refused(void **state)
{
    (void)state;
    static const uint8_t ZEROS[40];
    const uint8_t text[40] = "the text that is to be kept for us only";
    for (size_t k = 0; k < COUNT(kinds); k++) {
        for (int change = 0; change < 7; change++) {
            uint8_t key[32] = {9}, nonce[12] = {8}, aad[5] = {7}, sealed[40], tag[16], back[40];
            size_t n = sizeof sealed, aad_n = sizeof aad;
            struct mg_aead *aead = mg_aead_new(kinds[k], key);
            assert_int_equal(mg_aead_seal(aead, nonce, bytes(aad, 5), bytes(text, 40), sealed, tag),
                             MG_OK);
            key[15] ^= change == 1;
            nonce[11] ^= change == 2;
            aad[0] ^= change == 3;
            sealed[39] ^= change == 4 ? 0x80 : 0;
            tag[15] ^= change == 5;
            n -= change == 6;
            struct mg_aead *other = mg_aead_new(kinds[k], key);
            memset(back, 0xff, sizeof back);
            enum mg_rc rc =
                mg_aead_open(other, nonce, bytes(aad, aad_n), bytes(sealed, n), tag, back);
            assert_int_equal(rc, change ? MG_FAIL : MG_OK);
            assert_memory_equal(back, change ? ZEROS : text, n);
            if (change == 6)
                assert_int_equal(back[39], 0xff);
            mg_aead_free(other);
            mg_aead_free(aead);
        }
    }
}

static void one_key_does_both_after_a_refusal(void **state)
{
    (void)state;
    const uint8_t key[32] = {1}, nonce[12] = {2}, text[20] = "a little of text";
    for (size_t k = 0; k < COUNT(kinds); k++) {
        uint8_t sealed[20], again[20], back[20], tag[16], tag_again[16], wrong[16] = {0};
        struct mg_aead *aead = mg_aead_new(kinds[k], key);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(mg_aead_seal(aead, nonce, MG_STR_NONE, bytes(text, 20), sealed, tag),
                             MG_OK);
            assert_int_equal(mg_aead_open(aead, nonce, MG_STR_NONE, bytes(sealed, 20), wrong, back),
                             MG_FAIL);
            assert_int_equal(
                mg_aead_seal(aead, nonce, MG_STR_NONE, bytes(text, 20), again, tag_again), MG_OK);
            assert_memory_equal(again, sealed, 20);
            assert_memory_equal(tag_again, tag, 16);
            assert_int_equal(mg_aead_open(aead, nonce, MG_STR_NONE, bytes(sealed, 20), tag, back),
                             MG_OK);
            assert_memory_equal(back, text, 20);
        }
        mg_aead_free(aead);
    }
}

static void too_long_is_refused(void **state)
{
    (void)state;
    const uint8_t key[32] = {1}, nonce[12] = {2};
    uint8_t out[1], tag[16];
    struct mg_aead *aead = mg_aead_new(MG_AEAD_AES_128_GCM, key);
    static const size_t SIZES[] = {(size_t)1 << 31, ((size_t)1 << 32) + 1};
    for (size_t i = 0; i < COUNT(SIZES); i++) {
        struct mg_str huge = mg_str("", SIZES[i]);
        assert_int_equal(mg_aead_seal(aead, nonce, huge, MG_STR_NONE, out, tag), MG_FAIL);
        assert_int_equal(mg_aead_seal(aead, nonce, MG_STR_NONE, huge, out, tag), MG_FAIL);
    }
    mg_aead_free(aead);
}

static void failures_of_libcrypto_are_told(void **state)
{
    (void)state;
    const uint8_t key[32] = {1}, nonce[12] = {2}, text[3] = "abc";
    uint8_t out[3], tag[16];
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct mg_aead *aead = mg_aead_new(kinds[k], key);
        final_fails = true;
        assert_int_equal(mg_aead_seal(aead, nonce, MG_STR_NONE, bytes(text, 3), out, tag), MG_FAIL);
        final_fails = false;
        assert_int_equal(mg_aead_seal(aead, nonce, MG_STR_NONE, bytes(text, 3), out, tag), MG_OK);
        final_fails = true;
        assert_int_equal(mg_aead_open(aead, nonce, MG_STR_NONE, bytes(out, 3), tag, out), MG_FAIL);
        final_fails = false;
        mg_aead_free(aead);
    }
    mg_aead_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(what_does_not_belong_together_is_refused),
        cmocka_unit_test(one_key_does_both_after_a_refusal),
        cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test(failures_of_libcrypto_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
