/* The access log of a config. */
#include "gateway/access_log.h"
#include "script/config_build.h"
#include "script/table.h"

static struct mg_line_target read_target(struct mg_config_build *b, int access)
{
    struct mg_str to = mg_config_text(b, access, "to");
    if (mg_str_eq(to, MG_STR("stdout")))
        return (struct mg_line_target){.to = MG_LINE_TO_STDOUT};
    if (mg_str_eq(to, MG_STR("stderr")))
        return (struct mg_line_target){.to = MG_LINE_TO_STDERR};
    if (mg_str_eq(to, MG_STR("syslog")))
        return (struct mg_line_target){.to = MG_LINE_TO_SYSLOG};
    return (struct mg_line_target){.to = MG_LINE_TO_FILE, .file = mg_config_path(b, to)};
}

struct mg_redact mg_config_redact(struct mg_config_build *b, int log)
{
    struct mg_redact redact;
    redact.names = mg_config_texts(b, log, "redact", &redact.count);
    return redact;
}

static const struct mg_access_format *read_json(struct mg_config_build *b, int access,
                                                const struct mg_redact *redact)
{
    struct mg_arena *arena = &b->gen->arena;
    mg_config_list(b, access, "fields");
    int fields = lua_gettop(b->L);
    mg_table_push_keys(b->L, fields);
    size_t count = (size_t)lua_rawlen(b->L, -1);
    struct mg_access_field *v = mg_arena_calloc(arena, count * sizeof *v);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(b->L, -1, (lua_Integer)i + 1);
        v[i].name = mg_config_copy(b, -1);
        v[i].text = mg_config_text(b, fields, v[i].name.p);
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 2);
    return mg_access_format_json(arena, v, count, redact);
}

static void read_access(struct mg_config_build *b, int access, const struct mg_redact *redact)
{
    struct mg_access_settings *s = &b->gen->access;
    struct mg_str format = mg_config_text(b, access, "format");
    if (mg_str_eq(format, MG_STR("off")) || b->source->simulated || !b->source->stores)
        return;
    s->log = b->source->stores->access;
    s->target = read_target(b, access);
    if (mg_str_eq(format, MG_STR("json")))
        s->format = read_json(b, access, redact);
    else
        s->format = mg_access_format_template(
            &b->gen->arena, mg_str_eq(format, MG_STR("combined")) ? mg_access_combined : format,
            redact);
}

void mg_config_build_access(struct mg_config_build *b)
{
    mg_config_list(b, b->config, "log");
    int log = lua_gettop(b->L);
    const struct mg_redact redact = mg_config_redact(b, log);
    mg_config_list(b, log, "access");
    read_access(b, log + 1, &redact);
    lua_settop(b->L, log - 1);
}
