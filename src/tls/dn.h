/*
 * Distinguished names as text. From the DER of a Name (RFC 5280 4.1.2.4), since the library's own
 * text differs between its versions and cuts and masks what it does not like. Pure.
 */
#ifndef MG_TLS_DN_H
#define MG_TLS_DN_H

#include <mbedtls/x509.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

/* As RFC 4514 says: the last RDN first, "CN=ann,OU=a+UID=7,O=Example \"x\"". UTF-8; control
 * characters are escaped as bytes, "\00". Values of attributes that have no name here, and those
 * that are not the text that they say they are, are their BER in hex, "1.2.3=#0401ff". In the
 * arena; empty for an empty name. False: not a Name. */
bool mg_tls_dn_format(const mbedtls_x509_buf *name, struct mg_arena *a, struct mg_str *out);

/* The last common name, unescaped, UTF-8. Empty when there is none, or when it has control
 * characters or is not text. In the arena. */
struct mg_str mg_tls_dn_common_name(const mbedtls_x509_buf *name, struct mg_arena *a);

/* The bytes of the last common name, when it has one in an encoding that has ASCII in it. They lie
 * in the name; anything may be among them. */
bool mg_tls_dn_common_name_bytes(const mbedtls_x509_buf *name, struct mg_str *bytes);

#endif
