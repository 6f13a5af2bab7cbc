/*
 * Internet addresses as values: reading, writing, comparing, and sets of networks.
 *
 * An IPv4 address that comes wrapped in IPv6 (`::ffff:10.0.0.1`, RFC 4291 2.5.5.2) is read as the
 * IPv4 address it is, so a rule about 10.0.0.0/8 also holds on a dual-stack listener. Names, zone
 * ids and the old octal, hex and short forms of IPv4 are refused. Pure; any thread.
 */
#ifndef MG_BASE_IP_H
#define MG_BASE_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct mg_addr {
    uint8_t family;    /* 4, 6, or 0 for none */
    uint8_t bytes[16]; /* network order; IPv4 uses the first four, the others are 0 */
    uint16_t port;     /* host order; 0 when there is none */
};

/* Room for the longest text, port and brackets and NUL included. */
#define MG_IP_TEXT_MAX 56

/* "10.0.0.1" or "2001:db8::1", nothing around it. `out->port` becomes 0. On false `out` is
 * untouched. */
bool mg_ip_parse(struct mg_str text, struct mg_addr *out);

/* An address with an optional port: "10.0.0.1:80", "[::1]:80", "[::1]", and what mg_ip_parse takes.
 */
bool mg_ip_parse_port(struct mg_str text, struct mg_addr *out);

/* Sixteen bytes as IPv6 carries them; v4-mapped ones become family 4. Port 0. */
struct mg_addr mg_ip_from_v6(const uint8_t bytes[16]);
struct mg_addr mg_ip_from_v4(const uint8_t bytes[4]);

/* Writes the address without its port, as RFC 5952 says, and a NUL; returns the length without the
 * NUL. Family 0 gives "". */
size_t mg_ip_format(const struct mg_addr *addr, char out[MG_IP_TEXT_MAX]);
/* The same with ":port", IPv6 in brackets, also when the port is 0. */
size_t mg_ip_format_port(const struct mg_addr *addr, char out[MG_IP_TEXT_MAX]);

/* Same address, whatever the ports. Family 0 equals only family 0. */
bool mg_ip_eq(const struct mg_addr *a, const struct mg_addr *b);

struct mg_cidr {
    struct mg_addr net; /* bits after the prefix are 0 */
    uint8_t bits;       /* prefix length within the family: 0 to 32, or 0 to 128 */
};

/* "10.0.0.0/8", or an address alone for itself. Bits set after the prefix are refused, for they are
 * a slip of the pen; the error says what may have been meant. `::ffff:10.0.0.0/104` is 10.0.0.0/8.
 */
enum mg_rc mg_cidr_parse(struct mg_str text, struct mg_cidr *out,
                         struct mg_error *err) MG_MUST_CHECK;

bool mg_cidr_has(const struct mg_cidr *cidr, const struct mg_addr *addr);

/*
 * A set of networks. Immutable once built: any number of threads may ask. A question costs a binary
 * search over disjoint ranges. IPv6 networks hold no IPv4 address, not even `::/0`.
 */
struct mg_cidr_set;

/* Borrows the texts for the call. NULL, with an error that quotes the offending item, when one is
 * bad. An empty list gives a set that holds nothing. */
struct mg_cidr_set *mg_cidr_set_new(const struct mg_str *items, size_t count,
                                    struct mg_error *err) MG_MUST_CHECK;
void mg_cidr_set_free(struct mg_cidr_set *set); /* NULL is fine */

bool mg_cidr_set_has(const struct mg_cidr_set *set, const struct mg_addr *addr);

#endif
