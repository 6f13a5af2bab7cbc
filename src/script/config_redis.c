/* The Redises of a config: each is settings for commands, and a service that says where it is. */
#include "script/config_build.h"
#include "script/table.h"

/* What one reply may take. */
#define REPLY_BYTES ((size_t)64 << 20)
#define REPLY_ITEMS ((size_t)1 << 20)

static void fail_at(struct mg_config_build *b, struct mg_str path, const char *message)
{
    mg_config_error(b, &(struct mg_config_place){.path = path}, "%s", message);
}

/* Where it is; the stack's top is its table. */
static struct mg_service *build_place(struct mg_config_build *b, struct mg_str name)
{
    int table = lua_gettop(b->L);
    struct mg_arena *arena = &b->gen->arena;
    struct mg_str path = mg_arena_printf(arena, "redis.%s", name.p);
    struct mg_backend_config backend = {.address = mg_config_text(b, table, "address"),
                                        .weight = 1};
    struct mg_error err;
    struct mg_service_config c = {
        .name = mg_arena_printf(arena, "redis:%s", name.p),
        .backends = &backend,
        .backend_count = 1,
        .connect_ns = mg_config_ns(b, table, "connect_timeout"),
        .tls = mg_config_build_client_tls(b, table, path),
    };
    if (c.tls)
        c.tls->protocols = NULL; /* no HTTP is spoken there */
    struct mg_service *s = mg_service_new(&c, &err);
    mg_tls_client_settings_unref(c.tls);
    if (!s)
        fail_at(b, mg_arena_printf(arena, "%s.address", path.p), err.text);
    return s;
}

static void read_settings(struct mg_config_build *b, struct mg_redis_settings *s)
{
    int table = lua_gettop(b->L);
    struct mg_str password = mg_config_text(b, table, "password");
    *s = (struct mg_redis_settings){
        .username = mg_config_text(b, table, "username"),
        .password = password.n ? mg_config_secret(b, password) : MG_STR_NONE,
        .database = (uint32_t)mg_config_integer(b, table, "database"),
        .timeout_ns = mg_config_ns(b, table, "timeout"),
        .connect_timeout_ns = mg_config_ns(b, table, "connect_timeout"),
        .pool = (uint32_t)mg_config_integer(b, table, "pool"),
        .limits = {.reply_bytes = REPLY_BYTES, .items = REPLY_ITEMS},
    };
}

/* The Redis at the stack's top. */
static void build_redis(struct mg_config_build *b, struct mg_str name)
{
    struct mg_generation *g = b->gen;
    struct mg_service *place = build_place(b, name);
    if (!place)
        return;
    g->services[g->service_count] = place;
    g->redises[g->redis_count].name = name;
    g->redises[g->redis_count].service = g->service_count;
    read_settings(b, &g->redises[g->redis_count].settings);
    g->service_count++;
    g->redis_count++;
}

void mg_config_build_redises(struct mg_config_build *b)
{
    struct mg_generation *g = b->gen;
    mg_config_list(b, b->config, "redis");
    mg_table_push_keys(b->L, -1);
    uint32_t count = (uint32_t)lua_rawlen(b->L, -1);
    g->redises = mg_arena_calloc(&g->arena, count * sizeof *g->redises);
    g->services = mg_arena_grow(&g->arena, g->services, g->service_count * sizeof *g->services,
                                (g->service_count + count) * sizeof *g->services);
    for (uint32_t i = 0; i < count; i++) {
        lua_rawgeti(b->L, -1, i + 1);
        struct mg_str name = mg_config_copy(b, -1);
        lua_rawget(b->L, -3);
        build_redis(b, name);
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 2);
}
