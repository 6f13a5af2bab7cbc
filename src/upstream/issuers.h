/*
 * Keeps keyrings fresh: asks issuers for their keys (RFC 7517), by way of OpenID Connect Discovery
 * where only the issuer is known, at once and then again and again. The last good keys stay in
 * force while the issuer is down; keys that it has taken back are gone with the next good answer.
 * Control thread.
 */
#ifndef MG_UPSTREAM_ISSUERS_H
#define MG_UPSTREAM_ISSUERS_H

#include "upstream/agent.h"
#include "upstream/key_memory.h"
#include "upstream/keyring.h"

struct mg_issuers;

/* Borrows both, which live longer. */
struct mg_issuers *mg_issuers_new(struct mg_loop *loop, struct mg_agent *agent);
/* Keyrings keep the keys that they have. To be called when no loop runs that keys are asked for
 * from. NULL is fine. */
void mg_issuers_free(struct mg_issuers *all);

/* From now on good keys are kept there, and a keyring that is watched begins with those that are.
 * Borrowed; before anything is watched. */
void mg_issuers_remember(struct mg_issuers *all, struct mg_key_memory *memory);

/* The keyring that is watched already and is the same as this one; borrowed; NULL: none. */
struct mg_keyring *mg_issuers_find(struct mg_issuers *all, const struct mg_keyring *ring);
/* Begins to watch a keyring (takes a ref), or counts one more who wants it watched. Does nothing
 * for one that never changes. */
void mg_issuers_watch(struct mg_issuers *all, struct mg_keyring *ring);
void mg_issuers_unwatch(struct mg_issuers *all, struct mg_keyring *ring);

/* True when every keyring that is watched has got keys, or has failed to, for the first time. */
bool mg_issuers_are_settled(const struct mg_issuers *all);
/* Called whenever that becomes true; it must not free `all`. */
void mg_issuers_on_settled(struct mg_issuers *all, void (*fn)(void *arg), void *arg);

#endif
