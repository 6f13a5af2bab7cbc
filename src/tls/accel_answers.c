/* Known answers of published tests, against the library as it is called here. */
#include "tls/accel_answers.h"

#include "tls/accel.h"

#if MG_TLS_ACCEL_FITS

#include <mbedtls/cipher.h>
#include <mbedtls/ecdh.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/sha256.h>
#include <mbedtls/sha512.h>
#include <string.h>

#include "crypto/aead.h"

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

bool mg_accel_gcm_answers(void)
{
    return aead_answers(&gcm_128_answer) && aead_answers(&gcm_256_answer);
}

bool mg_accel_chachapoly_answers(void)
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

bool mg_accel_ecdh_answers(void)
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

bool mg_accel_ecdsa_answers(void)
{
    for (size_t i = 0; i < sizeof ecdsa_known / sizeof *ecdsa_known; i++)
        if (!signature_answers(&ecdsa_known[i]))
            return false;
    return true;
}

/* FIPS 180-4's examples with two blocks each. */
bool mg_accel_sha2_answers(void)
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

#endif
