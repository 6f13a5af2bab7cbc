/*
 * Sets of keys that tokens are verified with: read from JWK Set texts (RFC 7517), or made around
 * one key from elsewhere.
 *
 * A set never changes after it is made and is counted: workers keep a ref while they use it, and
 * the next version of it is another set.
 */
#ifndef MG_CRYPTO_JWK_H
#define MG_CRYPTO_JWK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "crypto/public_key.h"

#define MG_JWK_TEXT_BYTES_MAX (1024 * 1024)
#define MG_JWK_KEYS_MAX 100
#define MG_JWK_KID_BYTES_MAX 256

struct mg_jwk {
    struct mg_str kid; /* NULL p: it has none, and any `kid` of a token may mean it */
    unsigned algs; /* MG_JWA_BITs it verifies with: its kind's, less by its own "alg"; never 0 */
    struct mg_public_key *key; /* never NULL */
};

struct mg_jwk_set {
    const struct mg_jwk *keys;
    size_t count;   /* may be 0 */
    size_t skipped; /* entries of the text that cannot be used; not an error (RFC 7517 5) */
    uint64_t id;    /* no other set of this process has it, nor had it; from 1 */
    _Atomic unsigned _refs;
};

struct mg_jwk_options {
    bool secrets;  /* take "oct" keys; false where the text comes from a network */
    unsigned algs; /* no key verifies with others; 0: all */
};

/* A JWK Set, or one JWK alone. Skipped are keys of an unknown "kty" or "crv", keys whose members
 * are missing or wrong, keys "use"d for encryption or without the "key_ops" verify, an "alg" that
 * we lack or that does not fit the key, "oct" keys unless `options->secrets`. Of a private key only
 * the public half is taken. An "oct" key counts only when it names its "alg" or `options->algs`
 * does.
 *
 * NULL with a text in `err` when the text is not a JSON object of that form, has a key twice
 * anywhere, is longer than MG_JWK_TEXT_BYTES_MAX or has more than MG_JWK_KEYS_MAX keys. Borrows all
 * for the call; `options` may be NULL. The caller owns the ref. */
struct mg_jwk_set *mg_jwk_set_parse(struct mg_str text, const struct mg_jwk_options *options,
                                    struct mg_error *err);

/* A set of one key that has no `kid`, limited to `algs` (0: all that fit the key). Keeps a ref to
 * `key`. NULL with a text in `err` when none of `algs` fits it. */
struct mg_jwk_set *mg_jwk_set_of(struct mg_public_key *key, unsigned algs, struct mg_error *err);

/* Returns `set`. */
struct mg_jwk_set *mg_jwk_set_ref(struct mg_jwk_set *set);
/* NULL is allowed. */
void mg_jwk_set_unref(struct mg_jwk_set *set);

/* Whether a key has this kid (any, when some key has none). For "unknown kid: fetch again". */
bool mg_jwk_set_knows(const struct mg_jwk_set *set, struct mg_str kid);

#endif
