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

/* Where it is, or those who know; or some of a cluster. */
static struct mg_backend_config *read_addresses(struct mg_config_build *b, int table, size_t *count)
{
    struct mg_str address = mg_config_text(b, table, "address"), *texts = &address;
    *count = 1;
    if (!address.n)
        texts = mg_config_texts(b, table, "sentinels", count);
    if (!address.n && *count == 0)
        texts = mg_config_texts(b, table, "cluster", count);
    struct mg_backend_config *v = mg_arena_calloc(&b->gen->arena, *count * sizeof *v);
    for (size_t i = 0; i < *count; i++)
        v[i] = (struct mg_backend_config){.address = texts[i], .weight = 1};
    return v;
}

/* The service for it; the stack's top is its table. */
static struct mg_service *build_place(struct mg_config_build *b, struct mg_str name)
{
    int table = lua_gettop(b->L);
    struct mg_arena *arena = &b->gen->arena;
    struct mg_str path = mg_arena_printf(arena, "redis.%s", name.p);
    struct mg_error err;
    struct mg_service_config c = {
        .name = mg_arena_printf(arena, "redis:%s", name.p),
        .connect_ns = mg_config_ns(b, table, "connect_timeout"),
        .tls = mg_config_build_client_tls(b, table, path),
    };
    c.backends = read_addresses(b, table, &c.backend_count);
    if (c.tls)
        c.tls->protocols = NULL; /* no HTTP is spoken there */
    struct mg_service *s = mg_service_new(&c, &err);
    mg_tls_client_settings_unref(c.tls);
    if (!s)
        fail_at(b, path, err.text);
    return s;
}

static struct mg_str read_secret(struct mg_config_build *b, int table, const char *key)
{
    struct mg_str name = mg_config_text(b, table, key);
    return name.n ? mg_config_secret(b, name) : MG_STR_NONE;
}

static bool has_list(struct mg_config_build *b, int table, const char *key)
{
    size_t count = mg_config_list(b, table, key);
    lua_pop(b->L, 1);
    return count > 0;
}

static void read_settings(struct mg_config_build *b, struct mg_redis_definition *d)
{
    int table = lua_gettop(b->L);
    d->master = mg_config_text(b, table, "master");
    d->settings = (struct mg_redis_settings){
        .username = mg_config_text(b, table, "username"),
        .password = read_secret(b, table, "password"),
        .database = (uint32_t)mg_config_integer(b, table, "database"),
        .timeout_ns = mg_config_ns(b, table, "timeout"),
        .connect_timeout_ns = mg_config_ns(b, table, "connect_timeout"),
        .pool = (uint32_t)mg_config_integer(b, table, "pool"),
        .master = d->master.n > 0,
        .cluster = has_list(b, table, "cluster"),
        .limits = {.reply_bytes = REPLY_BYTES, .items = REPLY_ITEMS},
    };
    d->sentinel = d->settings;
    d->sentinel.username = MG_STR_NONE;
    d->sentinel.password = read_secret(b, table, "sentinel_password");
    d->sentinel.database = 0;
    d->sentinel.master = false;
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
    read_settings(b, &g->redises[g->redis_count]);
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
