/*
 * mg.crypto: digests, random values and bytes as text.
 *
 *     sha1, sha256, sha512(data, form?)      -> lower-case hex; the bytes when form is "raw"
 *     hmac_sha256, hmac_sha512(key, data, form?)
 *     random(n)                              -> n bytes, 0 to 65536, that nobody can guess
 *     uuid()                                 -> a version 4 UUID
 *     equal(a, b)                            -> whether they are the same, in the same time
 *     base64.encode(data), base64url.encode(data), hex.encode(data)
 *     base64.decode(text), base64url.decode(text), hex.decode(text) -> bytes | nil, err
 *     base64(data), base64url(data), hex(data)  the same as their encode
 *
 * base64 has its padding, base64url has none. Decoding takes only what encoding makes; hex also
 * upper case.
 */
#ifndef MG_SCRIPT_LIB_CRYPTO_H
#define MG_SCRIPT_LIB_CRYPTO_H

#include <lua.h>

/* Adds the above to the `mg` table on top of the stack. May raise a Lua memory error. */
void mg_lib_crypto_open(lua_State *L);

#endif
