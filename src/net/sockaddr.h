/* Between `struct mg_addr` and the system's socket addresses. Pure. */
#ifndef MG_NET_SOCKADDR_H
#define MG_NET_SOCKADDR_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/ip.h"

/* Returns the length to pass to bind or connect. */
socklen_t mg_sockaddr_from(const struct mg_addr *addr, struct sockaddr_storage *out);
/* Family 0 when it is neither IPv4 nor IPv6. An IPv4-mapped address becomes IPv4. */
void mg_sockaddr_to(const struct sockaddr_storage *ss, struct mg_addr *out);
/* False when the path does not fit. */
bool mg_sockaddr_unix(const char *path, struct sockaddr_un *out, socklen_t *len);
/* "1.2.3.4:80", "[::1]:80", ":80", "*:80". */
bool mg_sockaddr_parse_listen(const char *text, struct mg_addr *out);

#endif
