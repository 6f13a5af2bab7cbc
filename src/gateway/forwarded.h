/*
 * Who the client is behind proxies, and what we tell the backend of it: Forwarded (RFC 7239),
 * X-Forwarded-*, Via (RFC 9110 7.6.3). Worker thread.
 */
#ifndef MG_GATEWAY_FORWARDED_H
#define MG_GATEWAY_FORWARDED_H

#include "gateway/exchange.h"

/* Sets req->client, req->scheme and req->peer_trusted. The client is the last address in Forwarded
 * or X-Forwarded-For that is not a trusted proxy, read from the end, and the scheme is the one that
 * was seen there; without a trusted peer they are those of the connection. */
void mg_forwarded_find_client(struct mg_request *req);

/* Removes what the backend must not believe (from a peer that is not trusted: both families), takes
 * what is to be extended, and returns the field lines to add to the upstream request. In the arena.
 */
struct mg_str mg_forwarded_lines(struct mg_request *req);

/* What a proxy that we trust says of the client's request, beside addresses, and backends get to
 * see. Two requests that differ in it may get different answers. Empty when there is no such proxy.
 * In the arena. */
struct mg_str mg_forwarded_relayed(struct mg_request *req);

#endif
