/* A JSON body that is edited while it streams (base/json_edit.h). One thread. */
#ifndef MG_HTTP_BODY_EDIT_H
#define MG_HTTP_BODY_EDIT_H

#include "base/json_edit.h"
#include "http/body.h"

/* Reads `inner` and becomes its reader; borrows it, the rules (which must not look ahead) and the
 * values as long as it lives: in the arena. Takes the memory of one piece and what becomes of it,
 * whatever the length of the body. From where that is no JSON on, it passes as it is. */
struct mg_body *mg_body_edit(struct mg_arena *arena, struct mg_body *inner,
                             const struct mg_json_rules *rules, struct mg_str *values);

#endif
