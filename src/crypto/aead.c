/*
 * AEAD over libcrypto's EVP. Algorithms are fetched once; a key's schedule is computed once and
 * serves both directions. One thread at a time for each key.
 */
#include "crypto/aead.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>

struct algorithm {
    const char *name;
    EVP_CIPHER *cipher; /* set once, by fetch(); NULL when libcrypto lacks it */
};

static struct algorithm algorithms[] = {
    [MG_AEAD_AES_128_GCM] = {"AES-128-GCM", NULL},
    [MG_AEAD_AES_256_GCM] = {"AES-256-GCM", NULL},
    [MG_AEAD_CHACHA20_POLY1305] = {"ChaCha20-Poly1305", NULL},
};
static pthread_once_t algorithms_once = PTHREAD_ONCE_INIT;

/* A `struct mg_aead` is libcrypto's context itself, so that nothing has to be followed twice. */
static EVP_CIPHER_CTX *context(struct mg_aead *aead)
{
    return (EVP_CIPHER_CTX *)aead;
}

static void fetch(void)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        algorithms[i].cipher = EVP_CIPHER_fetch(NULL, algorithms[i].name, NULL);
    ERR_clear_error();
}

/* Text after the aad, in one piece; `out` NULL means that `data` is aad. No piece, no call: GCM
 * takes an empty one with NULL addresses for the end. */
static bool feed(EVP_CIPHER_CTX *ctx, struct mg_str data, uint8_t *out)
{
    int n;
    return data.n == 0 || EVP_CipherUpdate(ctx, out, &n, (const uint8_t *)data.p, (int)data.n) == 1;
}

static bool finish(EVP_CIPHER_CTX *ctx)
{
    uint8_t none[EVP_MAX_BLOCK_LENGTH];
    int n;
    return EVP_CipherFinal_ex(ctx, none, &n) == 1;
}

static bool in_range(struct mg_str aad, struct mg_str text)
{
    return aad.n <= INT_MAX && text.n <= INT_MAX;
}

struct mg_aead *mg_aead_new(enum mg_aead_kind kind, const uint8_t *key)
{
    pthread_once(&algorithms_once, fetch);
    const struct algorithm *algorithm = &algorithms[kind];
    EVP_CIPHER_CTX *ctx = algorithm->cipher ? EVP_CIPHER_CTX_new() : NULL;
    if (ctx && EVP_CipherInit_ex2(ctx, algorithm->cipher, key, NULL, 1, NULL) == 1)
        return (struct mg_aead *)ctx;
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    return NULL;
}

void mg_aead_free(struct mg_aead *aead)
{
    EVP_CIPHER_CTX_free(context(aead)); /* the provider wipes its part */
}

enum mg_rc mg_aead_seal(struct mg_aead *aead, const uint8_t nonce[MG_AEAD_NONCE_BYTES],
                        struct mg_str aad, struct mg_str text, uint8_t *out,
                        uint8_t tag[MG_AEAD_TAG_BYTES])
{
    EVP_CIPHER_CTX *ctx = context(aead);
    if (in_range(aad, text) && EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, 1, NULL) == 1 &&
        feed(ctx, aad, NULL) && feed(ctx, text, out) && finish(ctx) &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, MG_AEAD_TAG_BYTES, tag) == 1)
        return MG_OK;
    ERR_clear_error();
    return MG_FAIL;
}

enum mg_rc mg_aead_open(struct mg_aead *aead, const uint8_t nonce[MG_AEAD_NONCE_BYTES],
                        struct mg_str aad, struct mg_str text, const uint8_t tag[MG_AEAD_TAG_BYTES],
                        uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = context(aead);
    if (in_range(aad, text) && EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, 0, NULL) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, MG_AEAD_TAG_BYTES, (void *)tag) == 1 &&
        feed(ctx, aad, NULL) && feed(ctx, text, out) && finish(ctx))
        return MG_OK;
    if (text.n)
        OPENSSL_cleanse(out, text.n);
    ERR_clear_error();
    return MG_FAIL;
}
