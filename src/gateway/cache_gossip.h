/*
 * How gateways that share a second tier tell each other of purges: in Redis lies a table of the
 * newest purges (shared/purge_log.h), and a list of the latest ones in their order.
 *
 * One worker of each gateway tells what its gateway has purged, at once, and asks what others have,
 * four times a second. So a purge is done everywhere within that time and a round trip. Who cannot
 * reach Redis hears of it when that can be reached again; what this gateway holds lives no longer
 * than it is fresh. One who has missed more than the list holds drops everything.
 *
 * Not by publish and subscribe: who is not listening at that moment would miss it, and would not
 * know. Worker thread.
 */
#ifndef MG_GATEWAY_CACHE_GOSSIP_H
#define MG_GATEWAY_CACHE_GOSSIP_H

#include "gateway/cache_tier.h"

struct mg_cache_gossip *mg_cache_gossip_new(struct mg_cache_tier *tier);
void mg_cache_gossip_free(struct mg_cache_gossip *g); /* NULL is fine */

/* Asks now, unless it is being asked already. False: that is in vain for the moment. */
bool mg_cache_gossip_listen(struct mg_cache_gossip *g);

#endif
