/*
 * Bytes as text: base64, base64url (RFC 4648 4 and 5) and hex (8).
 *
 * Each byte string has exactly one text and only that is read back: no white space, no other
 * alphabet, no stray bits (RFC 4648 3.5), so that a token cannot be respelt. base64 has its
 * padding, base64url has none (RFC 7515 2). Pure; any thread.
 */
#ifndef MG_CRYPTO_BASE64_H
#define MG_CRYPTO_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Room that encoding `n` bytes takes in either alphabet, and decoding `n` characters. */
#define MG_BASE64_ENCODED_MAX(n) (((n) + 2) / 3 * 4)
#define MG_BASE64_DECODED_MAX(n) (((n) + 3) / 4 * 3)

/* Write at `out`, without a NUL, and return how many characters. `data` and `out` do not overlap.
 */
size_t mg_base64_encode(struct mg_str data, char *out);
size_t mg_base64_url_encode(struct mg_str data, char *out);

/* Write at `out` and set `*n`, or return false when the text is not what encoding would have made;
 * `out` may then hold part of it. `text` and `out` may begin at the same address. */
bool mg_base64_decode(struct mg_str text, void *out, size_t *n);
bool mg_base64_url_decode(struct mg_str text, void *out, size_t *n);

/* Writes 2 * data.n lower-case characters at `out`, without a NUL. */
void mg_base64_hex_encode(struct mg_str data, char *out);

#endif
