/*
 * Notes which routes can never match, as the router tells of them: it does so while it has memory
 * of its own, where neither Lua's errors nor a report may come in between.
 */
#ifndef MG_SCRIPT_SHADOWS_H
#define MG_SCRIPT_SHADOWS_H

#include "gateway/router.h"

/* Begins with the arena alone. */
struct mg_shadows {
    struct mg_route_shadow *v;
    size_t count, room;
    struct mg_arena *arena; /* of the list and its texts */
};

/* For mg_router_finish and mg_router_shadows; `arg` is the list. Copies the texts. */
void mg_shadows_note(void *arg, const struct mg_route_shadow *shadow);

#endif
