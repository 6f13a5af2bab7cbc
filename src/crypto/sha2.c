/*
 * SHA-2 blocks over libcrypto. Any thread.
 *
 * The functions are among those that OpenSSL 3 would rather see unused; it offers no other way to
 * one block. They know the processor's SHA instructions, which is why they are here.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/sha2.h"

#include <openssl/sha.h>
#include <string.h>

_Static_assert(sizeof(((SHA256_CTX *)NULL)->h) == 8 * sizeof(uint32_t), "state of SHA-256");
_Static_assert(sizeof(((SHA512_CTX *)NULL)->h) == 8 * sizeof(uint64_t), "state of SHA-512");

void mg_sha2_256_block(uint32_t state[8], const uint8_t block[MG_SHA2_256_BLOCK_BYTES])
{
    SHA256_CTX ctx;
    memcpy(ctx.h, state, sizeof ctx.h);
    SHA256_Transform(&ctx, block); /* reads and writes `h` alone */
    memcpy(state, ctx.h, sizeof ctx.h);
    explicit_bzero(ctx.h, sizeof ctx.h);
}

void mg_sha2_512_block(uint64_t state[8], const uint8_t block[MG_SHA2_512_BLOCK_BYTES])
{
    SHA512_CTX ctx;
    memcpy(ctx.h, state, sizeof ctx.h);
    SHA512_Transform(&ctx, block);
    memcpy(state, ctx.h, sizeof ctx.h);
    explicit_bzero(ctx.h, sizeof ctx.h);
}
