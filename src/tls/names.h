/*
 * Which certificates answer for which host name: a table that is looked up with what a client put
 * into its server_name extension (RFC 6066 3). Pure.
 *
 * An exact name wins over a wildcard. A wildcard "*.example.com" stands for exactly one label
 * (RFC 9525 6.3); it may only be a whole left-most label. Names compare without regard to case; one
 * dot at the end is ignored.
 */
#ifndef MG_TLS_NAMES_H
#define MG_TLS_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* For one name: an RSA and an EC certificate may stand side by side. */
#define MG_TLS_NAME_VALUES 4

struct mg_tls_names;

struct mg_tls_name_entry {
    uint32_t count;
    uint32_t values[MG_TLS_NAME_VALUES]; /* in the order in which they were added */
};

struct mg_tls_names *mg_tls_names_new(void);
void mg_tls_names_free(struct mg_tls_names *t);

/* Is it a DNS name (LDH labels and underscores, at most 253 bytes) or a wildcard of one? */
bool mg_tls_name_is_valid(struct mg_str name);

/* False: not a valid name, or it has all the values that it can have. Adding a value twice for one
 * name changes nothing. */
bool mg_tls_names_add(struct mg_tls_names *t, struct mg_str name, uint32_t value);

/* NULL: nobody answers for it. `name` is what came from the network: any bytes, any length. */
const struct mg_tls_name_entry *mg_tls_names_find(const struct mg_tls_names *t, struct mg_str name);

/* Does a certificate for `pattern` answer for `host`? The rule of the table, for one pair. */
bool mg_tls_name_matches(struct mg_str pattern, struct mg_str host);

#endif
