/* A list that grows in an arena. */
#include "script/shadows.h"

void mg_shadows_note(void *arg, const struct mg_route_shadow *shadow)
{
    struct mg_shadows *s = arg;
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 16;
        s->v = mg_arena_grow(s->arena, s->v, s->room * sizeof *s->v, room * sizeof *s->v);
        s->room = room;
    }
    struct mg_route_shadow *noted = &s->v[s->count++];
    *noted = *shadow;
    noted->host = mg_arena_str(s->arena, shadow->host);
    noted->pattern = mg_arena_str(s->arena, shadow->pattern);
}
