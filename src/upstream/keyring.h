/*
 * A keyring: the keys that tokens of one kind are verified with, as all workers see them. Those of
 * a file or a secret never change; those of an issuer are replaced while serving, by the control
 * thread (upstream/issuers.h), each time as one immutable set.
 *
 * A worker keeps a ref to the set it works with and renews it when the version has changed; that
 * costs one atomic load. Counted. Any thread, where nothing else is said.
 */
#ifndef MG_UPSTREAM_KEYRING_H
#define MG_UPSTREAM_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/jwk.h"
#include "net/loop.h"
#include "tls/client.h"

struct mg_keyring;

/* Where an issuer's keys come from. */
struct mg_keyring_source {
    struct mg_str name;   /* in the config; for the log */
    struct mg_str url;    /* of the JWK Set; empty: the issuer's own document names it */
    struct mg_str issuer; /* `iss` of its tokens; empty: any */
    uint64_t refresh_ns;  /* they are asked for again after it, or a little earlier */
    unsigned algs;        /* MG_JWA_BITs; 0: all */
    bool insecure;        /* http is as good as https, also to places far away */
    struct mg_tls_client_settings *tls; /* NULL: the authorities that the system trusts */
};

/* May keys be fetched from there? By https, and by http from this host or when `insecure`. */
enum mg_rc mg_keyring_check_url(struct mg_str url, bool insecure,
                                struct mg_error *err) MG_MUST_CHECK;

/* Copies the source, keeps a ref to its `tls`. Has no keys yet. */
struct mg_keyring *mg_keyring_new(const struct mg_keyring_source *source);
/* One that never changes. Takes the set. */
struct mg_keyring *mg_keyring_of(struct mg_jwk_set *set);
struct mg_keyring *mg_keyring_ref(struct mg_keyring *r);
void mg_keyring_unref(struct mg_keyring *r); /* NULL is fine */

/* NULL: it never changes. Lives as long as the keyring. */
const struct mg_keyring_source *mg_keyring_source(const struct mg_keyring *r);
/* Do both get their keys from the same place, by the same rules? */
bool mg_keyring_is_same(const struct mg_keyring *a, const struct mg_keyring *b);

/* --- for those who verify --- */

/* Changes with each set; 0: no keys have been got yet. */
uint64_t mg_keyring_version(const struct mg_keyring *r);
/* The set in force, with a ref for the caller, and its version. NULL and 0: none yet. */
struct mg_jwk_set *mg_keyring_set(struct mg_keyring *r, uint64_t *version);

/* A token names a key that is not in the set of version `seen`: have it fetched again. True: there
 * is a newer set, or one is on its way, and then mg_keyring_tries will change, whether the try
 * brings keys or not. False: it was done a moment ago, or cannot be done, so it is no use to wait.
 * `now_ns` is loop time. */
bool mg_keyring_want(struct mg_keyring *r, uint64_t seen, uint64_t now_ns);
uint64_t mg_keyring_tries(const struct mg_keyring *r);

/* --- for who fetches them; control thread --- */

/* From now on `on_wanted` is posted to the loop when keys are wanted; `arg` must live as long as
 * the loop runs. `loop` NULL: nobody fetches them any more. */
void mg_keyring_listen(struct mg_keyring *r, struct mg_loop *loop, void (*on_wanted)(void *arg),
                       void *arg);
/* Was it wanted since the last try began? */
bool mg_keyring_is_wanted(struct mg_keyring *r);
/* A try begins. */
void mg_keyring_begin(struct mg_keyring *r);
/* It is over. Takes the new set; NULL: the old one stays. */
void mg_keyring_end(struct mg_keyring *r, struct mg_jwk_set *set);

#endif
