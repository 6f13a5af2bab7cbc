/*
 * A stored response as gateways give it to each other: bytes that say what they are, how long they
 * are and whether they are whole. What does not read exactly as one was written is none; so whoever
 * can write where they are kept can make a gateway miss, but not send what HTTP forbids. Pure; any
 * thread.
 *
 * At a key there may be a note instead: that its responses vary, and by which request fields.
 *
 *     | "MGC1" | stamp, 16 hex digits | checksum | numbers | primary variant tags phrase fields |
 *     | body |
 *
 * The stamp stands at a fixed place and compares as text, so a server that knows nothing else of
 * the format can tell which of two is newer. Numbers are little-endian, whatever the machine.
 */
#ifndef MG_HTTP_CACHE_WIRE_H
#define MG_HTTP_CACHE_WIRE_H

#include "base/buf.h"
#include "base/error.h"
#include "http/cache_rules.h"
#include "http/message.h"

#define MG_CACHE_WIRE_STAMP_AT 4
#define MG_CACHE_WIRE_STAMP 16

struct mg_cache_wire {
    struct mg_cache_record record; /* of a note: stored_at alone counts */
    /* The newest purge that was known when the response was asked for (shared/purge_log.h). */
    uint64_t known;
    struct mg_str primary, variant; /* the key that it is kept under; n 0: no variant */
    struct mg_str names;            /* of Vary, normalised. n > 0: a note, and no response */
    struct mg_str tags;             /* separated by blanks */
    uint16_t status;
    uint8_t version; /* of HTTP: 10, 11, 20; 0: no wire's, a step made it */
    struct mg_str phrase;
    struct mg_fields fields;
    struct mg_str body;
};

/* The stamp of what was stored at that time. */
void mg_cache_wire_stamp(int64_t stored_at, char out[MG_CACHE_WIRE_STAMP]);
/* The stamp of what somebody has written, of whatever form. False: it is too short to have one. */
bool mg_cache_wire_stamp_of(struct mg_str bytes, struct mg_str *stamp);

/* Appends all but the body, of which `body_bytes` follow: the caller appends them, and seals. The
 * buffer holds nothing else. */
void mg_cache_wire_begin(struct mg_buf *out, const struct mg_cache_wire *wire, uint64_t body_bytes);
/* It is complete. False: the buffer was too small for it. */
bool mg_cache_wire_seal(struct mg_buf *out) MG_MUST_CHECK;

/* False: it is not one. The list of fields is in the arena; all bytes are borrowed. */
bool mg_cache_wire_read(struct mg_str bytes, struct mg_arena *arena,
                        struct mg_cache_wire *out) MG_MUST_CHECK;

#endif
