/* What a configuration may write for a backend, taken apart. Pure; any thread. */
#ifndef MG_UPSTREAM_ADDRESS_H
#define MG_UPSTREAM_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/ip.h"
#include "base/str.h"

enum mg_address_kind {
    MG_ADDRESS_IP,
    MG_ADDRESS_UNIX,
    MG_ADDRESS_NAME, /* to be resolved */
};

struct mg_address {
    enum mg_address_kind kind;
    struct mg_addr addr; /* IP: with its port */
    struct mg_str path;  /* unix: view into the text */
    struct mg_str name;  /* name: view into the text */
    uint16_t port;       /* IP and name; 80 when none was written */
};

/* "10.0.0.1:80", "[::1]:80", "name:80", "unix:/path"; the port may be left out. On failure `out` is
 * undefined. */
enum mg_rc mg_address_parse(struct mg_str text, struct mg_address *out,
                            struct mg_error *err) MG_MUST_CHECK;

/* A host name as DNS and /etc/hosts have it (RFC 1123 2.1, and '_', which people use). Its last
 * label is not all digits, so that a mistyped IPv4 address is not taken for a name. */
bool mg_address_is_name(struct mg_str text);

/* The host in "host:port", "[v6]:port" or "host", without brackets; a view. */
struct mg_str mg_address_host(struct mg_str authority);

#endif
