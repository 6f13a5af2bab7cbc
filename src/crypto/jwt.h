/*
 * JSON Web Tokens in the compact form (RFC 7515, 7519), as strict as RFC 8725 asks: verified,
 * their claims checked, and made.
 *
 * A token has one spelling, its key says which algorithm, and nothing in it can bring a key along:
 * `jwk`, `jku`, `x5c` and `x5u` are not read, `kid` only chooses among the keys given. All state is
 * the caller's; any thread.
 */
#ifndef MG_CRYPTO_JWT_H
#define MG_CRYPTO_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "crypto/jwa.h"
#include "crypto/jwk.h"
#include "crypto/private_key.h"

#define MG_JWT_BYTES_MAX 8192 /* of a token, unless told otherwise */
#define MG_JWT_LEEWAY_MAX_S 60
#define MG_JWT_REQUIRED_MAX 32
/* Keys tried for a token whose `kid` and `alg` leave more than one: each costs a verification. */
#define MG_JWT_TRIES_MAX 4

enum mg_jwt_reason {
    MG_JWT_OK,
    /* of mg_jwt_verify() */
    MG_JWT_TOO_LONG,
    MG_JWT_MALFORMED, /* not the one spelling of three parts, or of its header */
    MG_JWT_CRITICAL,  /* `crit` or `b64`: it wants what we do not do */
    MG_JWT_NESTED,    /* `cty` says JWT, and the caller takes none */
    MG_JWT_ALGORITHM, /* none that we know, that the caller allows, and that the key meant is for */
    MG_JWT_NO_KEY,    /* `kid` is of none of the keys; or there is none, and too many keys fit */
    MG_JWT_SIGNATURE,
    /* of mg_jwt_check_claims() */
    MG_JWT_PAYLOAD,       /* not a JSON object, or one with a key twice */
    MG_JWT_CLAIM_FORM,    /* a claim that we look at is of a wrong type or out of range */
    MG_JWT_CLAIM_MISSING, /* a required one */
    MG_JWT_EXPIRED,
    MG_JWT_NOT_YET, /* before `nbf`, or `iat` is in the future */
    MG_JWT_TOO_OLD, /* `iat` is further back than `max_age_s` */
    MG_JWT_ISSUER,
    MG_JWT_AUDIENCE,
    MG_JWT_SUBJECT,
    MG_JWT_TYP,
    MG_JWT_REASON_COUNT,
};

/* A word for logs and metrics such as "no_key"; static. */
const char *mg_jwt_reason_word(enum mg_jwt_reason reason);

/* For error_description of RFC 6750 3, such as "the token has expired"; tells nothing about keys;
 * static. */
const char *mg_jwt_reason_text(enum mg_jwt_reason reason);

struct mg_jwt_options {
    size_t bytes_max; /* 0: MG_JWT_BYTES_MAX. Nothing is done with a longer token */
    unsigned algs;    /* MG_JWA_BITs that the caller allows; 0: whatever the keys do */
    bool nested;      /* accept `cty: JWT`; the payload is then a token */
};

/* All in the arena. */
struct mg_jwt {
    struct mg_str header;  /* JSON text, decoded */
    struct mg_str payload; /* decoded; after MG_JWT_OK alone, and nobody has looked whether it is
                            * JSON: mg_jwt_check_claims() does */
    struct mg_str kid;     /* NULL p: none */
    struct mg_str typ;     /* NULL p: none; as the token spells it */
    enum mg_jwa alg;
    const struct mg_jwk *key; /* of the set, the one that verified it; NULL before that */
};

/* Verifies the signature of a token, and nothing else: claims are for mg_jwt_check_claims().
 * Borrows token, keys and options (may be NULL) for the call. Fills `out` as far as it gets: after
 * MG_JWT_NO_KEY and MG_JWT_SIGNATURE there are header, kid, typ and alg, so that the caller can
 * look for newer keys; believe none of them. */
MG_MUST_CHECK enum mg_jwt_reason mg_jwt_verify(struct mg_str token, const struct mg_jwk_set *keys,
                                               const struct mg_jwt_options *options,
                                               struct mg_arena *arena, struct mg_jwt *out);

enum mg_jwt_profile {
    MG_JWT_PLAIN,
    /* RFC 9068: typ at+jwt, and iss exp aud sub client_id iat jti required. */
    MG_JWT_ACCESS_TOKEN,
};

/* What the claims must say. Zero bytes make the plainest rules: `exp` required and in the future.
 * Lists are borrowed; a NULL or empty one asks nothing. */
struct mg_jwt_rules {
    const struct mg_str *issuers; /* `iss` is one of them */
    size_t issuer_count;
    const struct mg_str *audiences; /* `aud`, or one of its items, is one of them */
    size_t audience_count;
    const struct mg_str *subjects; /* `sub` is one of them */
    size_t subject_count;
    const struct mg_str *types; /* `typ` is one of them, "application/" and case aside (RFC 7515
                                 * 4.1.9) */
    size_t type_count;
    const struct mg_str *required; /* claims that are there and not null; at most
                                    * MG_JWT_REQUIRED_MAX, more is refused with CLAIM_MISSING */
    size_t required_count;
    enum mg_jwt_profile profile;
    unsigned leeway_s;   /* for exp, nbf and max_age_s; above MG_JWT_LEEWAY_MAX_S counts as that */
    int64_t max_age_s;   /* since `iat`, which is then required; 0: any */
    bool without_expiry; /* `exp` may be missing */
};

struct mg_jwt_facts {
    int64_t exp_ms;      /* since 1970, without the leeway; INT64_MAX: no `exp` */
    int64_t iat_ms;      /* INT64_MIN: no `iat` */
    struct mg_str claim; /* after a refusal, the name of the claim at fault, static or borrowed from
                          * the rules; NULL p: no one claim */
};

/* Whether a verified payload and its header's `typ` obey the rules. `now_ms` is wall-clock time
 * since 1970. `exp`, `nbf` and `iat` are JSON numbers within 2^53 of 1970 (RFC 7519 2); `iss`,
 * `sub`, `jti` and `client_id` strings; `aud` a string or an array of strings; refused otherwise,
 * also where no rule asks for them. An `iat` more than MG_JWT_LEEWAY_MAX_S ahead is refused. */
MG_MUST_CHECK enum mg_jwt_reason mg_jwt_check_claims(struct mg_str payload, struct mg_str typ,
                                                     const struct mg_jwt_rules *rules,
                                                     int64_t now_ms, struct mg_jwt_facts *facts);

/* What a token is signed with: one of the two. */
struct mg_jwt_signer {
    enum mg_jwa alg;
    struct mg_str secret;               /* of HS */
    struct mg_private_key *private_key; /* of RS, PS (2048 bits or more) and ES */
    struct mg_str kid;                  /* NULL p: none */
    struct mg_str typ;                  /* NULL p: none */
};

/* What a private key signs by when nobody says: RS256, or the one of its curve. */
enum mg_jwa mg_jwt_algorithm_of(const struct mg_private_key *key);

/* Appends a token with this payload, a JSON object without a key twice, to `out`. Borrows all.
 * MG_FAIL with a text in `err`, and nothing appended, when algorithm and key do not go together,
 * the payload is not such an object, `kid` or `typ` is not UTF-8, or libcrypto fails. EdDSA is only
 * verified. */
MG_MUST_CHECK enum mg_rc mg_jwt_sign(const struct mg_jwt_signer *signer, struct mg_str payload,
                                     struct mg_buf *out, struct mg_error *err);

#endif
