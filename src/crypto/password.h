/*
 * Hashes of passwords, as text that carries all that checking needs (the PHC string format):
 *
 *     $scrypt$ln=14,r=8,p=1$<salt>$<hash>       RFC 7914; wants 128 * r * 2^ln bytes of memory
 *     $pbkdf2-sha256$i=600000$<salt>$<hash>     RFC 8018 5.2
 *
 * Salt and hash are base64 without padding. Argon2 is not here: libcrypto has it from 3.2 on.
 *
 * Checking is slow, as it should be for whoever has stolen a hash, and it holds the thread
 * meanwhile: some 25 ms for what mg_password_hash() makes, and never more than about 200, for no
 * text that asks for more than MG_PASSWORD_SCRYPT_WORK_MAX or MG_PASSWORD_ITERATIONS_MAX is taken.
 * Whoever checks the same password again and again keeps the answer for a while. Any thread.
 */
#ifndef MG_CRYPTO_PASSWORD_H
#define MG_CRYPTO_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum mg_password_kind { MG_PASSWORD_SCRYPT, MG_PASSWORD_PBKDF2_SHA256 };

#define MG_PASSWORD_LN_MAX 15
#define MG_PASSWORD_SCRYPT_WORK_MAX ((uint64_t)1 << 18) /* 2^ln * r * p */
#define MG_PASSWORD_ITERATIONS_MAX 600000
#define MG_PASSWORD_SALT_MAX 64 /* bytes; at least 8 */
#define MG_PASSWORD_HASH_MAX 64 /* bytes; at least 16 */
#define MG_PASSWORD_BYTES_MAX 1024
#define MG_PASSWORD_TEXT_MAX 256

struct mg_password_cost {
    enum mg_password_kind kind;
    uint32_t ln, r, p;   /* of scrypt */
    uint32_t iterations; /* of PBKDF2 */
};

/* What mg_password_hash() is asked for unless somebody knows better: scrypt with ln 13, r 8, p 1 in
 * 8 MiB, or 100,000 rounds. */
struct mg_password_cost mg_password_cost_default(enum mg_password_kind kind);

/* Whether it is within the limits; else MG_FAIL, with a text that names the bad one. */
MG_MUST_CHECK enum mg_rc mg_password_cost_check(const struct mg_password_cost *cost,
                                                struct mg_error *err);

/* Whether the text is a hash that mg_password_verify() would check. The cost is put into `cost`
 * unless that is NULL. */
MG_MUST_CHECK enum mg_rc mg_password_parse(struct mg_str text, struct mg_password_cost *cost,
                                           struct mg_error *err);

/* Writes the hash of the password under a new salt of 16 bytes at `out`, without a NUL, and returns
 * its length; 0 with a text in `err` when the cost is out of limits, the password is longer than
 * MG_PASSWORD_BYTES_MAX or has a NUL (which HMAC below would not see at its end), or libcrypto
 * fails, as it does without memory. */
size_t mg_password_hash(struct mg_str password, const struct mg_password_cost *cost,
                        char out[MG_PASSWORD_TEXT_MAX], struct mg_error *err);

/* Whether the password is the one of the hash. The time depends on the hash's cost alone: not on
 * where they differ, and a password that is too long, which is never right, takes as long. MG_FAIL:
 * no; or the text is no such hash, or libcrypto fails. */
MG_MUST_CHECK enum mg_rc mg_password_verify(struct mg_str text, struct mg_str password);

#endif
