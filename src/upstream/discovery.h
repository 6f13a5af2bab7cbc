/*
 * Keeps the members of services that are given by name: resolves, publishes, and resolves again
 * when the answer's time to live ends. The last good answer stays in force while the resolver is
 * down. Control thread.
 */
#ifndef MG_UPSTREAM_DISCOVERY_H
#define MG_UPSTREAM_DISCOVERY_H

#include "net/resolver.h"
#include "upstream/service.h"

struct mg_discovery;

/* Borrows the resolver, which must live longer. */
struct mg_discovery *mg_discovery_new(struct mg_loop *loop, struct mg_resolver *resolver);
/* Services keep the members that they have. Who waits for names to settle is not called. */
void mg_discovery_free(struct mg_discovery *d); /* NULL is fine */

/* Begins to watch a service (takes a ref). Does nothing for one without names. Names that other
 * services are watched for already are known, so a reload adds the new services before it removes
 * the old ones. */
void mg_discovery_add(struct mg_discovery *d, struct mg_service *service);
void mg_discovery_remove(struct mg_discovery *d, struct mg_service *service);

/* Calls back once, when every name added so far has been answered or has failed for the first time;
 * at once from a later turn of the loop when that is already so. */
void mg_discovery_when_settled(struct mg_discovery *d, void (*fn)(void *arg), void *arg);
/* Takes back all that was asked for with these two; nothing when it has been told already. */
void mg_discovery_forget_waiter(struct mg_discovery *d, void (*fn)(void *arg), void *arg);

#endif
