/*
 * The head of a stored response as the store keeps it: one block of bytes that a hit reads in
 * place. Pure; any thread.
 *
 * Instead of a response there may be a note at a key: that the responses vary, and by what; or that
 * the last one could not be shared, so that nobody waits for the next; or which part is the widest.
 */
#ifndef MG_GATEWAY_CACHE_HEAD_H
#define MG_GATEWAY_CACHE_HEAD_H

#include "http/cache_rules.h"
#include "http/message.h"

enum mg_cache_head_kind {
    MG_CACHE_HEAD_RESPONSE,
    MG_CACHE_HEAD_VARIES,
    MG_CACHE_HEAD_UNSHARED,
    MG_CACHE_HEAD_WIDEST,
};

/* In the arena, at a multiple of 8. `fields` are those to be kept. */
struct mg_str mg_cache_head_pack(const struct mg_message *response, const struct mg_fields *fields,
                                 const struct mg_cache_record *record, struct mg_arena *arena);
/* `names`: those of Vary, normalised, for MG_CACHE_HEAD_VARIES; for MG_CACHE_HEAD_WIDEST the range
 * that was asked for. */
struct mg_str mg_cache_head_note(enum mg_cache_head_kind kind, struct mg_str names,
                                 struct mg_arena *arena);

/* These borrow from `head`, which came from the two above. */
enum mg_cache_head_kind mg_cache_head_kind(struct mg_str head);
struct mg_str mg_cache_head_names(struct mg_str head);
const struct mg_cache_record *mg_cache_head_record(struct mg_str head);
/* The response as a message: the list of its fields is in the arena, their bytes are borrowed. */
void mg_cache_head_read(struct mg_str head, struct mg_arena *arena, struct mg_message *out);

#endif
