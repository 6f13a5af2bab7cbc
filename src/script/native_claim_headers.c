/* Options of the policy `claim-to-header`. Control thread. */
#include "script/native_claim_headers.h"

#include "gateway/claim_headers.h"

/* The one on top of the stack. */
static void read_one(struct mg_config_build *b, struct mg_claim_name *claim,
                     struct mg_claim_header *header)
{
    int table = lua_gettop(b->L);
    struct mg_str name = mg_config_text(b, table, "header");
    *claim = mg_claim_name(mg_config_text(b, table, "claim"), &b->gen->arena);
    header->id = mg_field_id(name);
    header->name = header->id == MG_FIELD_OTHER ? name : mg_field_name(header->id);
    header->required = mg_config_flag(b, table, "required");
}

const void *mg_native_claim_headers(struct mg_config_build *b, int conf,
                                    const struct mg_config_place *place)
{
    struct mg_arena *arena = &b->gen->arena;
    struct mg_claim_headers *o = mg_arena_calloc(arena, sizeof *o);
    (void)place;
    o->needs_identity = mg_config_flag(b, conf, "needs_identity");
    o->count = mg_config_list(b, conf, "claims"); /* the schema lets no more in */
    int list = lua_gettop(b->L);
    struct mg_claim_name *claims = mg_arena_calloc(arena, o->count * sizeof *claims);
    struct mg_claim_header *headers = mg_arena_calloc(arena, o->count * sizeof *headers);
    for (size_t i = 0; i < o->count; i++) {
        lua_rawgeti(b->L, list, (lua_Integer)i + 1);
        read_one(b, &claims[i], &headers[i]);
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 1);
    o->claims = claims;
    o->headers = headers;
    return o;
}
