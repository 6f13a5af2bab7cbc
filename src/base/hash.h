/*
 * Keyed hashing for tables whose keys come from clients.
 *
 * SipHash-1-3 under a random key: a client that does not know the key cannot choose names that land
 * in one bucket. Not a message authentication code; the value means nothing outside this process.
 * Pure; any thread.
 */
#ifndef MG_BASE_HASH_H
#define MG_BASE_HASH_H

#include <stdint.h>

#include "base/str.h"

#define MG_HASH_KEY_BYTES 16

uint64_t mg_hash(const uint8_t key[MG_HASH_KEY_BYTES], struct mg_str s);

/* Fresh random bytes from the kernel; dies when it has none to give. For start-up, not for hot
 * paths. */
void mg_hash_random_key(uint8_t key[MG_HASH_KEY_BYTES]);

#endif
