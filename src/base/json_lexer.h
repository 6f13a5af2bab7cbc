/*
 * Where the parts of a JSON text (RFC 8259) begin and end, for texts that come in pieces: cut
 * anywhere, within a number or a character too.
 *
 * It is as strict as the reader of base/json.h in all but three things, which are for whoever takes
 * values out of the text: numbers may be of any size, \u may be half a surrogate pair, and a key
 * may come twice. It keeps no bytes, so a text of any length needs the memory of this struct.
 */
#ifndef MG_BASE_JSON_LEXER_H
#define MG_BASE_JSON_LEXER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

/* Those that begin something have just had its first byte read, the quote of a string included. */
enum mg_json_event {
    MG_JSON_LEX_MORE, /* the piece is used up */
    MG_JSON_LEX_BAD,  /* no JSON, from the byte at hand on; and so for every call that follows */
    MG_JSON_LEX_OBJECT,
    MG_JSON_LEX_ARRAY,
    MG_JSON_LEX_CLOSE, /* of either */
    MG_JSON_LEX_KEY,
    MG_JSON_LEX_KEY_END,
    MG_JSON_LEX_SCALAR,
    MG_JSON_LEX_SCALAR_END,
};

struct mg_json_lexer {
    unsigned depth; /* of open objects and arrays */
    unsigned char _state;
    unsigned char _left;       /* hexadecimal digits, or bytes of a character, still to come */
    unsigned char _low, _high; /* bounds of the next byte of a character */
    bool _in_key;
    const char *_word;                           /* what is left of true, false, null */
    uint64_t _is_object[MG_JSON_DEPTH_MAX / 64]; /* a bit for each open container */
};

void mg_json_lexer_init(struct mg_json_lexer *l);

/* Reads from `p` up to the next event, and returns how far. `end` is where the piece ends. */
const unsigned char *mg_json_lex(struct mg_json_lexer *l, const unsigned char *p,
                                 const unsigned char *end, enum mg_json_event *event);

/* The text ends here: SCALAR_END when that ends a number, which nothing else could tell; MORE when
 * all of it was one value; else BAD. */
enum mg_json_event mg_json_lex_end(struct mg_json_lexer *l);

/* The one value has been read to its end; only space may follow. */
bool mg_json_lexer_is_done(const struct mg_json_lexer *l);

/* Is it all of one number, as JSON writes them? */
bool mg_json_is_number(struct mg_str s);

#endif
