/* Options of policies that C runs. Control thread. */
#include "script/native_options.h"

void mg_native_client_key(struct mg_config_build *b, int table, struct mg_client_key *out)
{
    size_t count;
    const struct mg_str *names = mg_config_texts(b, table, "by", &count);
    struct mg_client_key_part *parts = mg_arena_calloc(&b->gen->arena, count * sizeof *parts);
    for (size_t i = 0; i < count; i++)
        parts[i] = mg_client_key_part(names[i]);
    *out = (struct mg_client_key){parts, (uint32_t)count};
}

struct mg_dict *mg_native_dict(struct mg_config_build *b, int conf)
{
    struct mg_str name = mg_config_text(b, conf, "dictionary");
    mg_config_list(b, b->config, "shared");
    size_t bytes = (size_t)mg_config_integer(b, lua_gettop(b->L), name.p);
    lua_pop(b->L, 1);
    return mg_generation_open_dict(b->gen, name, bytes ? bytes : MG_DICTS_BYTES);
}
