/*
 * Digests over libcrypto. Any thread.
 *
 * Algorithms are fetched once: looking them up by name costs more than hashing a short text. HMAC
 * is put together here from the fetched digests, because EVP_MAC needs 1.2 us a call against 0.5.
 */
#include "crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "base/error.h"

#define BLOCK_MAX 128 /* SHA-512's */

struct algorithms {
    EVP_MD *sha1, *sha256, *sha384, *sha512; /* set once */
};

static struct algorithms algorithms;
static pthread_once_t algorithms_once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
    algorithms.sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    algorithms.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    algorithms.sha384 = EVP_MD_fetch(NULL, "SHA384", NULL);
    algorithms.sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    MG_BUG_ON(!algorithms.sha1 || !algorithms.sha256 || !algorithms.sha384 || !algorithms.sha512);
}

static const struct algorithms *fetched(void)
{
    pthread_once(&algorithms_once, fetch);
    return &algorithms;
}

static void digest(const EVP_MD *md, struct mg_str data, uint8_t *out)
{
    MG_BUG_ON(EVP_Digest(data.p, data.n, out, NULL, md, NULL) != 1);
}

/* out = H(pad || data), where pad is the key with every byte changed by `change`. */
static void keyed_pass(EVP_MD_CTX *ctx, const EVP_MD *md, const uint8_t key[BLOCK_MAX],
                       uint8_t change, struct mg_str data, uint8_t *out)
{
    size_t block = (size_t)EVP_MD_get_block_size(md);
    uint8_t pad[BLOCK_MAX];
    for (size_t i = 0; i < block; i++)
        pad[i] = key[i] ^ change;
    MG_BUG_ON(EVP_DigestInit_ex2(ctx, md, NULL) != 1 || EVP_DigestUpdate(ctx, pad, block) != 1 ||
              EVP_DigestUpdate(ctx, data.p, data.n) != 1 ||
              EVP_DigestFinal_ex(ctx, out, NULL) != 1);
    OPENSSL_cleanse(pad, sizeof pad);
}

static void hmac(const EVP_MD *md, struct mg_str key, struct mg_str data, uint8_t *out)
{
    uint8_t block_key[BLOCK_MAX] = {0};
    if (key.n > (size_t)EVP_MD_get_block_size(md))
        digest(md, key, block_key);
    else if (key.n)
        memcpy(block_key, key.p, key.n);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    MG_BUG_ON(!ctx);
    keyed_pass(ctx, md, block_key, 0x36, data, out);
    struct mg_str inner = mg_str((const char *)out, (size_t)EVP_MD_get_size(md));
    keyed_pass(ctx, md, block_key, 0x5c, inner, out);
    EVP_MD_CTX_free(ctx);
    OPENSSL_cleanse(block_key, sizeof block_key);
}

void mg_digest_sha1(struct mg_str data, uint8_t out[MG_SHA1_BYTES])
{
    digest(fetched()->sha1, data, out);
}

void mg_digest_sha256(struct mg_str data, uint8_t out[MG_SHA256_BYTES])
{
    digest(fetched()->sha256, data, out);
}

void mg_digest_sha384(struct mg_str data, uint8_t out[MG_SHA384_BYTES])
{
    digest(fetched()->sha384, data, out);
}

void mg_digest_sha512(struct mg_str data, uint8_t out[MG_SHA512_BYTES])
{
    digest(fetched()->sha512, data, out);
}

void mg_digest_hmac_sha256(struct mg_str key, struct mg_str data, uint8_t out[MG_SHA256_BYTES])
{
    hmac(fetched()->sha256, key, data, out);
}

void mg_digest_hmac_sha384(struct mg_str key, struct mg_str data, uint8_t out[MG_SHA384_BYTES])
{
    hmac(fetched()->sha384, key, data, out);
}

void mg_digest_hmac_sha512(struct mg_str key, struct mg_str data, uint8_t out[MG_SHA512_BYTES])
{
    hmac(fetched()->sha512, key, data, out);
}

bool mg_digest_equal(struct mg_str a, struct mg_str b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
