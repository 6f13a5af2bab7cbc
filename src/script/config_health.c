/* How the backends of a service are checked, from the checked config. Control thread. */
#include "script/config_build.h"
#include "script/table.h"
#include "upstream/checker.h"

/* "200" or "200-299". */
static void read_expect(struct mg_str text, struct mg_check *c)
{
    uint64_t from = 0, to = 0;
    struct mg_str first = MG_STR_NONE;
    mg_str_split(&text, '-', &first);
    if (!mg_str_to_u64(first, MG_CHECK_STATUS_MAX, &from))
        return; /* the shape lets none pass */
    if (!text.n || !mg_str_to_u64(text, MG_CHECK_STATUS_MAX, &to))
        to = from;
    for (uint64_t status = from; status <= to; status++)
        c->expect[status / 8] |= (uint8_t)(1u << status % 8);
}

static void read_fields(struct mg_config_build *b, int health, struct mg_check *c)
{
    mg_config_list(b, health, "headers");
    int headers = lua_gettop(b->L);
    mg_table_push_keys(b->L, headers);
    c->field_count = lua_rawlen(b->L, -1);
    struct mg_agent_field *v = mg_arena_calloc(&b->gen->arena, c->field_count * sizeof *v);
    for (size_t i = 0; i < c->field_count; i++) {
        lua_rawgeti(b->L, headers + 1, (lua_Integer)i + 1);
        v[i].name = mg_config_copy(b, -1);
        v[i].value = mg_config_text(b, headers, v[i].name.p);
        lua_pop(b->L, 1);
    }
    c->fields = v;
    lua_pop(b->L, 2);
}

const struct mg_check *mg_config_build_check(struct mg_config_build *b, int service)
{
    size_t count;
    if (lua_getfield(b->L, service, "health") != LUA_TTABLE) {
        lua_pop(b->L, 1);
        return NULL;
    }
    int health = lua_gettop(b->L);
    struct mg_check *c = mg_arena_calloc(&b->gen->arena, sizeof *c);
    c->tcp = mg_config_is(b, health, "type", "tcp");
    c->every_ns = mg_config_ns(b, health, "every");
    c->timeout_ns = mg_config_ns(b, health, "timeout");
    c->healthy = (uint32_t)mg_config_integer(b, health, "healthy");
    c->unhealthy = (uint32_t)mg_config_integer(b, health, "unhealthy");
    c->path = mg_config_text(b, health, "path");
    c->host = mg_config_text(b, health, "host");
    c->body = mg_config_text(b, health, "body");
    struct mg_str *expect = mg_config_texts(b, health, "expect", &count);
    for (size_t i = 0; i < count; i++)
        read_expect(expect[i], c);
    read_fields(b, health, c);
    lua_pop(b->L, 1);
    return c;
}
