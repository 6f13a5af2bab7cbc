/*
 * The compression functions of SHA-256 and SHA-512 (FIPS 180-4 6.2.2, 6.4.2), for code that has its
 * own padding and counts. Whoever wants a digest takes digest.h. Any thread.
 */
#ifndef MG_CRYPTO_SHA2_H
#define MG_CRYPTO_SHA2_H

#include <stdint.h>

#define MG_SHA2_256_BLOCK_BYTES 64
#define MG_SHA2_512_BLOCK_BYTES 128

/* `state` is in the processor's byte order. These cannot fail. */
void mg_sha2_256_block(uint32_t state[8], const uint8_t block[MG_SHA2_256_BLOCK_BYTES]);
void mg_sha2_512_block(uint64_t state[8], const uint8_t block[MG_SHA2_512_BLOCK_BYTES]);

#endif
