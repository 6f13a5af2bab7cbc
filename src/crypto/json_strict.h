/*
 * JSON texts in which no object has a key twice, token by token: base/json.h's reader with a memory
 * of the keys. Two readers of such a text cannot understand it differently (RFC 8725 2.4, RFC 7515
 * 4). One thread.
 */
#ifndef MG_CRYPTO_JSON_STRICT_H
#define MG_CRYPTO_JSON_STRICT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

#define MG_JSON_STRICT_DEPTH 32
#define MG_JSON_STRICT_INLINE_KEYS 64

struct mg_json_strict {
    struct mg_json_reader in; /* what the last token says */
    unsigned depth;           /* containers that are open after the last token */
    struct mg_buf _scratch;
    uint64_t *_seen; /* open addressing; 0: free */
    size_t _mask;
    uint64_t _object;                         /* number of the newest object */
    uint64_t _open[MG_JSON_STRICT_DEPTH + 1]; /* the number of the object at each depth */
    uint64_t _few[2 * MG_JSON_STRICT_INLINE_KEYS];
};

/* Borrows `text`. Allocates when the text has more than MG_JSON_STRICT_INLINE_KEYS keys, at most
 * seven times its length. Work is linear in the text, whoever chose the keys. */
void mg_json_strict_init(struct mg_json_strict *s, struct mg_str text);
void mg_json_strict_release(struct mg_json_strict *s);

/* As mg_json_next(); MG_JSON_ERROR also at a key that its object had before. */
enum mg_json_token mg_json_strict_next(struct mg_json_strict *s);

/* Reads past the value that begins with `first`, the token returned last. False after an error. */
bool mg_json_strict_skip(struct mg_json_strict *s, enum mg_json_token first);

#endif
