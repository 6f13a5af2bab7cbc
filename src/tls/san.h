/*
 * subjectAltName, straight from the certificate's bytes (RFC 5280 4.2.1.6): the library gives its
 * entries differently from version to version, and not all kinds. Pure.
 */
#ifndef MG_TLS_SAN_H
#define MG_TLS_SAN_H

#include <mbedtls/x509_crt.h>
#include <stdbool.h>

#include "base/ip.h"
#include "base/str.h"

enum mg_tls_san_kind { MG_TLS_SAN_DNS, MG_TLS_SAN_EMAIL, MG_TLS_SAN_URI, MG_TLS_SAN_IP };

struct mg_tls_san_walk {
    unsigned char *_at, *_end;
    bool present; /* has the extension at all */
};

/* Borrows the certificate, which the library has parsed. */
void mg_tls_san_begin(struct mg_tls_san_walk *walk, const mbedtls_x509_crt *crt);

/* The next entry of a kind that we know; false after the last. Names are printable ASCII, and
 * addresses are the 4 or 16 bytes themselves; entries that are otherwise are passed over, so that a
 * name with a NUL in it is no name (CVE-2009-2408) rather than a shorter one. `value` lies in the
 * certificate. */
bool mg_tls_san_next(struct mg_tls_san_walk *walk, enum mg_tls_san_kind *kind,
                     struct mg_str *value);

/* The value of an entry of kind MG_TLS_SAN_IP. */
struct mg_addr mg_tls_san_address(struct mg_str value);

/* Is the certificate for `host`, a DNS name, or an IP address as text? Only subjectAltName counts;
 * a certificate without that extension may have the DNS name as its common name, as private
 * authorities still make them (RFC 9525 appendix A drops it, the library does not). An address
 * matches addresses alone, never a name that looks like one. */
bool mg_tls_san_answers_for(const mbedtls_x509_crt *crt, struct mg_str host);

#endif
