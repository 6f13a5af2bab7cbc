/* Small changes of JSON text: a scalar of another type, a name of another case. */
#ifndef MG_BASE_JSON_CAST_H
#define MG_BASE_JSON_CAST_H

#include "base/json.h"

enum mg_json_cast {
    MG_JSON_CAST_NONE,
    MG_JSON_CAST_NUMBER,
    MG_JSON_CAST_INTEGER,
    MG_JSON_CAST_STRING,
    MG_JSON_CAST_BOOLEAN,
};

enum mg_json_case {
    MG_JSON_CASE_NONE,
    MG_JSON_CASE_SNAKE, /* order_items */
    MG_JSON_CASE_CAMEL, /* orderItems */
    MG_JSON_CASE_KEBAB, /* order-items */
};

/* Appends the scalar (its JSON text) as the other type, digit by digit as it was written. What has
 * no meaning there, and null, is appended as it is:
 * - number: strings that are one, true and false as 1 and 0;
 * - integer: the same, if they are whole; 12.0 becomes 12;
 * - string: numbers, true and false in quotes;
 * - boolean: "true", "false", and 1 and 0 as strings or numbers. */
void mg_json_cast(enum mg_json_cast cast, struct mg_str scalar, struct mg_buf *out);

/* Appends the name in the other case; `name` has no escapes. Only ASCII letters have cases; what
 * stands between words is '_', '-', or a capital letter. Several capitals are one word
 * ("parseURLNow" is parse, url, now); signs at both ends stay. */
void mg_json_write_case(enum mg_json_case to, struct mg_str name, struct mg_buf *out);

#endif
