/*
 * A certificate that vouches for itself, for development: `moongate run --dev`. Any thread.
 */
#ifndef MG_CRYPTO_SELF_SIGNED_H
#define MG_CRYPTO_SELF_SIGNED_H

#include "base/buf.h"
#include "base/error.h"

/* For localhost and the loopback addresses, on a new P-256 key, valid from an hour ago for 30 days.
 * Appends PEM texts. MG_FAIL: libcrypto refuses. */
enum mg_rc mg_self_signed_make(struct mg_buf *cert_pem, struct mg_buf *key_pem,
                               struct mg_error *err) MG_MUST_CHECK;

#endif
