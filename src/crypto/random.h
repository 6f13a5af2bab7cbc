/*
 * Random bytes and names that nobody can guess.
 *
 * From the kernel's generator, by way of a small buffer in each thread, so that a request id does
 * not cost a system call. Bytes are wiped from the buffer as they are handed out. After fork(2) the
 * child starts with an empty buffer and repeats nothing of its parent's; a child made by raw
 * clone(2) without libc's fork handlers would, and must exec before it asks. Any thread. Dies when
 * the kernel has no randomness to give.
 */
#ifndef MG_CRYPTO_RANDOM_H
#define MG_CRYPTO_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#define MG_RANDOM_UUID_CHARS 36

void mg_random_bytes(void *out, size_t n);

/* For simulations: from now on this thread's bytes come from a plain generator whose state is
 * `*state` (not 0; borrowed until the next call), the same in each run. NULL: from the kernel
 * again. */
void mg_random_simulate(uint64_t *state);

/* A version 4 UUID in lower case (RFC 9562 5.4), without a NUL. */
void mg_random_uuid(char out[MG_RANDOM_UUID_CHARS]);

#endif
