/*
 * Request targets, checked and taken apart (RFC 9112 3.2, RFC 3986). Pure; for both codecs. Nothing
 * is decoded or normalised here.
 *
 * In a path every '%' begins a valid triplet; in a query a lone '%' passes, for browsers send it.
 * Which other bytes pass is said at the table in chars.c. A fragment is refused.
 */
#ifndef MG_HTTP_TARGET_H
#define MG_HTTP_TARGET_H

#include <stdbool.h>

#include "base/str.h"

/* "/path?query". `query` gets p NULL when there is no '?'. Both borrow from `target`. False when it
 * is not of that form; the outputs are then undefined. */
bool mg_target_split(struct mg_str target, struct mg_str *path, struct mg_str *query);

/* Can it stand behind the '?' of a target? The empty text can. */
bool mg_target_is_query(struct mg_str query);

/* "http://authority/path?query" or https. `scheme` is one of two static strings in lower case, the
 * others borrow from `target`; the path may be empty. Userinfo is refused (RFC 9110 4.2.4), as is
 * an empty host. */
bool mg_target_split_absolute(struct mg_str target, struct mg_str *scheme, struct mg_str *authority,
                              struct mg_str *path, struct mg_str *query);

#endif
