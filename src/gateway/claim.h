/*
 * Claims: what is known of the client that somebody has identified, as text for a header field.
 *
 * Which of them there are is known to row 6 alone (mg_script_hooks.request_claims). Pure.
 */
#ifndef MG_GATEWAY_CLAIM_H
#define MG_GATEWAY_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* Which claim: the one of that very name, as names may have dots in them; where there is none, that
 * inside of others; "sub" is the identity's subject at last. */
struct mg_claim_name {
    struct mg_str text;
    const struct mg_str *path; /* the parts between the dots, without empty ones */
    size_t path_count;         /* below 2: it does not lie inside of others */
};

/* Views of the text, the list in the arena. */
struct mg_claim_name mg_claim_name(struct mg_str text, struct mg_arena *arena);

enum mg_claim_kind {
    MG_CLAIM_NONE, /* it is not there, or null */
    MG_CLAIM_ONE,
    MG_CLAIM_LIST,
    MG_CLAIM_OTHER, /* an object, or a list with more than texts, numbers and booleans in it */
};

struct mg_claim {
    enum mg_claim_kind kind;
    const struct mg_str *items; /* texts: one, or those of the list */
    size_t count;
};

/* The text that says this in a header field; empty where there is nothing to say. In the arena, or
 * a view. False: no field can say it, or whoever reads that would understand something else: a
 * control character, blanks at the ends, which get lost; in a list an item with a comma, or none.
 */
bool mg_claim_text(const struct mg_claim *claim, struct mg_arena *arena, struct mg_str *text);

#endif
