/*
 * mg.url: putting URLs together and taking them apart (base/uri.h).
 *
 *     mg.url(template, params)   "/products/{id}" with params.id percent-encoded as one segment;
 *                                {rest+} keeps its slashes (and a %2F or %25, as a route's
 *                                parameters have them); after a '?' a value is encoded for a query
 *     mg.url.encode(text)        -> all but letters, digits and "-._~" percent-encoded
 *     mg.url.decode(text)        -> text | nil, err
 *     mg.url.parse(url)          -> { scheme, host, port, path, query } | nil, err
 *     mg.url.query(fields)       -> "a=1&b=2", keys in order; a list as value repeats its key
 *     mg.url.parse_query(text, all?) -> { name = first value }, or with `all` { name = { values } }
 *                                | nil, err
 *
 * Values are strings, numbers and, in a query, booleans. mg.url raises where the result would mean
 * another resource than the template says: a missing value, an empty one in a path, one with a
 * "." or ".." segment, a placeholder in the host.
 */
#ifndef MG_SCRIPT_LIB_URL_H
#define MG_SCRIPT_LIB_URL_H

#include <lua.h>

/* Adds the above to the `mg` table on top of the stack. May raise a Lua memory error. */
void mg_lib_url_open(lua_State *L);

#endif
