/* What workers need to build their Lua states, but for the steps: where policies lie, secrets,
 * consumers, dictionaries. */
#include <stdlib.h>

#include "base/file.h"
#include "script/config_build.h"
#include "script/config_files.h"
#include "script/pack.h"
#include "script/table.h"

#define SECRET_MAX ((size_t)64 << 10)

static struct mg_str secret_path(struct mg_config_build *b, struct mg_str name)
{
    return mg_arena_printf(&b->gen->arena, "secrets.%s", name.p);
}

/* Whoever serves needs it. A check warns; of variables the Lua side does that, with the line. */
static void miss_secret(struct mg_config_build *b, struct mg_str name, const char *message)
{
    struct mg_config_place place = {.path = secret_path(b, name)};
    if (b->source->check_only)
        mg_config_warning(b, &place, "%s", message);
    else
        mg_config_error(b, &place, "%s", message);
}

/* Random bytes nearly always have one that no text has. */
static bool is_text(struct mg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' && c != '\t' && c != '\n' && c != '\r')
            return false;
    }
    return true;
}

/* Editors and `echo` end a file with a newline that is no part of the secret. */
static struct mg_str without_line_end(struct mg_str s)
{
    if (!mg_str_ends(s, MG_STR("\n")) || !is_text(s))
        return s;
    s.n--;
    if (mg_str_ends(s, MG_STR("\r")))
        s.n--;
    return s;
}

static struct mg_str read_secret_file(struct mg_config_build *b, struct mg_str name,
                                      struct mg_str file)
{
    struct mg_buf text;
    struct mg_error err;
    struct mg_str value = MG_STR_NONE, path = mg_config_path(b, file);
    mg_buf_init(&text, SECRET_MAX);
    mg_config_files_add(b->source->files, path);
    if (mg_file_read(path.p, &text, &err) != MG_OK)
        miss_secret(b, name, err.text);
    else if ((value = without_line_end(mg_buf_str(&text))).n == 0)
        miss_secret(b, name, "the file is empty");
    value = mg_arena_str(&b->gen->arena, value);
    mg_config_drop_file(&text);
    return value;
}

static struct mg_str read_secret_variable(struct mg_config_build *b, struct mg_str name,
                                          struct mg_str variable)
{
    struct mg_error text;
    const char *value = getenv(variable.p);
    if (!value || !*value) {
        mg_error_set(&text, "environment variable '%s' is %s", variable.p,
                     value ? "empty" : "not set");
        if (value || !b->source->check_only)
            miss_secret(b, name, text.text);
    }
    return mg_arena_str(&b->gen->arena, mg_str_c(value));
}

static void read_secret(struct mg_config_build *b, struct mg_plan_secret *out)
{
    int secret = lua_gettop(b->L);
    struct mg_str variable = mg_config_text(b, secret, "env");
    struct mg_str file = mg_config_text(b, secret, "file");
    out->limited = lua_getfield(b->L, secret, "policies") != LUA_TNIL;
    lua_pop(b->L, 1);
    out->policies = mg_config_texts(b, secret, "policies", &out->policy_count);
    if (b->source->check_only && !b->source->tries_secrets)
        return;
    out->value = variable.n ? read_secret_variable(b, out->name, variable)
                            : read_secret_file(b, out->name, file);
}

void mg_config_build_secrets(struct mg_config_build *b)
{
    struct mg_plan *plan = b->plan;
    mg_config_list(b, b->config, "secrets");
    mg_table_push_keys(b->L, -1);
    uint32_t count = (uint32_t)lua_rawlen(b->L, -1);
    plan->secrets = mg_arena_calloc(&b->gen->arena, count * sizeof *plan->secrets);
    plan->secrets_optional = b->source->check_only;
    while (plan->secret_count < count) {
        struct mg_plan_secret *s = &plan->secrets[plan->secret_count++];
        lua_rawgeti(b->L, -1, plan->secret_count);
        s->name = mg_config_copy(b, -1);
        lua_rawget(b->L, -3);
        read_secret(b, s);
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 2);
}

struct mg_str mg_config_secret(const struct mg_config_build *b, struct mg_str name)
{
    for (uint32_t i = 0; i < b->plan->secret_count; i++)
        if (mg_str_eq(b->plan->secrets[i].name, name))
            return b->plan->secrets[i].value;
    return MG_STR_NONE;
}

static void build_dicts(struct mg_config_build *b)
{
    struct mg_plan *plan = b->plan;
    mg_config_list(b, b->config, "shared");
    mg_table_push_keys(b->L, -1);
    plan->dict_count = (uint32_t)lua_rawlen(b->L, -1);
    plan->dict_sizes = mg_arena_calloc(&b->gen->arena, plan->dict_count * sizeof *plan->dict_sizes);
    for (uint32_t i = 0; i < plan->dict_count; i++) {
        struct mg_plan_dict *dict = &plan->dict_sizes[i];
        lua_rawgeti(b->L, -1, i + 1);
        dict->name = mg_config_copy(b, -1);
        dict->bytes = (size_t)mg_config_integer(b, lua_gettop(b->L) - 2, dict->name.p);
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 2);
}

void mg_config_build_caches(struct mg_config_build *b)
{
    struct mg_generation *gen = b->gen;
    gen->cache_registry = b->source->stores ? b->source->stores->caches : NULL;
    mg_config_list(b, b->config, "caches");
    mg_table_push_keys(b->L, -1);
    gen->cache_count = (uint32_t)lua_rawlen(b->L, -1);
    gen->caches = mg_arena_calloc(&gen->arena, gen->cache_count * sizeof *gen->caches);
    for (uint32_t i = 0; i < gen->cache_count; i++) {
        struct mg_generation_cache *c = &gen->caches[i];
        lua_rawgeti(b->L, -1, i + 1);
        c->name = mg_config_copy(b, -1);
        lua_gettable(b->L, -3);
        c->bytes = (size_t)mg_config_integer(b, lua_gettop(b->L), "size");
        c->object_bytes = (size_t)mg_config_integer(b, lua_gettop(b->L), "max_object");
        c->redis = mg_config_text(b, lua_gettop(b->L), "redis");
        c->tier_object_bytes = (size_t)mg_config_integer(b, lua_gettop(b->L), "redis_max_object");
        if (c->redis.n) /* whoever uses it: purges of other gateways are for all of it */
            mg_generation_open_cache(gen, c->name);
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 2);
}

static void build_paths(struct mg_config_build *b)
{
    size_t count;
    mg_config_list(b, b->config, "lua");
    b->plan->paths = mg_config_texts(b, lua_gettop(b->L), "path", &count);
    b->plan->path_count = (uint32_t)count;
    lua_pop(b->L, 1);
    for (size_t i = 0; i < count; i++)
        b->plan->paths[i] = mg_config_path(b, b->plan->paths[i]);
}

static void build_consumers(struct mg_config_build *b)
{
    struct mg_error err;
    if (mg_config_list(b, b->config, "consumers")) {
        mg_buf_reset(&b->scratch);
        if (mg_pack(b->L, -1, &b->scratch, &err)) {
            b->plan->consumers = mg_arena_str(&b->gen->arena, mg_buf_str(&b->scratch));
        } else {
            struct mg_config_place place = {.path = MG_STR("consumers")};
            mg_config_error(b, &place, "%s", err.text);
        }
    }
    lua_pop(b->L, 1);
}

static void build_redact(struct mg_config_build *b)
{
    mg_config_list(b, b->config, "log");
    b->plan->redact = mg_config_redact(b, lua_gettop(b->L));
    lua_pop(b->L, 1);
}

/* A .lua config is run again where its functions are wanted. */
static void keep_text(struct mg_config_build *b)
{
    struct mg_arena *arena = &b->gen->arena;
    b->plan->config_file = mg_arena_str(arena, mg_str_c(b->source->file));
    if (mg_str_ends(b->plan->config_file, MG_STR(".lua")) && b->source->text)
        b->plan->config_text = mg_arena_str(arena, *b->source->text);
}

void mg_config_build_plan(struct mg_config_build *b)
{
    keep_text(b);
    build_paths(b);
    build_dicts(b);
    build_redact(b);
    build_consumers(b);
}
