/* Options of the policy `cache`. Control thread. */
#include "script/native_cache.h"

#include "gateway/cache_options.h"
#include "net/loop.h"
#include "script/table.h"

/* Seconds; MG_CACHE_UNSET when it is left out. */
static int64_t optional_seconds(struct mg_config_build *b, int conf, const char *key)
{
    lua_getfield(b->L, conf, key);
    bool absent = lua_isnil(b->L, -1);
    lua_pop(b->L, 1);
    return absent ? MG_CACHE_UNSET : (int64_t)(mg_config_ns(b, conf, key) / MG_SECOND);
}

/* "404", "300-308", "5xx". The form was checked. */
static void read_statuses(struct mg_str text, struct mg_cache_ttl *out)
{
    unsigned hundred = (unsigned)(text.p[0] - '0') * 100;
    if (text.p[1] == 'x') {
        out->first = (uint16_t)hundred;
        out->last = (uint16_t)(hundred + 99);
        return;
    }
    uint64_t first = 0, last = 0;
    mg_str_to_u64(mg_str(text.p, 3), 999, &first);
    last = first;
    if (text.n == 7)
        mg_str_to_u64(mg_str(text.p + 4, 3), 999, &last);
    out->first = (uint16_t)first;
    out->last = (uint16_t)last;
}

/* Single statuses before ranges, so that the narrower one counts. */
static void read_ttls(struct mg_config_build *b, int conf, struct mg_cache_settings *out)
{
    mg_config_list(b, conf, "ttl_by_status");
    int map = lua_gettop(b->L);
    mg_table_push_keys(b->L, map);
    size_t count = lua_rawlen(b->L, -1), at = 0;
    struct mg_cache_ttl *v = mg_arena_calloc(&b->gen->arena, count * sizeof *v);
    for (int single = 1; single >= 0; single--) {
        for (size_t i = 1; i <= count; i++) {
            lua_rawgeti(b->L, map + 1, (lua_Integer)i);
            struct mg_str key = mg_config_copy(b, -1);
            lua_pop(b->L, 1);
            if ((key.n == 3 && key.p[1] != 'x') != single)
                continue;
            read_statuses(key, &v[at]);
            v[at++].seconds = (uint32_t)(mg_config_ns(b, map, key.p) / MG_SECOND);
        }
    }
    lua_settop(b->L, map - 1);
    out->ttl_by_status = v;
    out->ttl_by_status_count = count;
}

static struct mg_str joined(struct mg_config_build *b, int conf, const char *key)
{
    size_t count;
    struct mg_str *v = mg_config_texts(b, conf, key, &count), all = MG_STR_NONE;
    for (size_t i = 0; i < count; i++)
        all = i ? mg_arena_printf(&b->gen->arena, "%.*s, %.*s", MG_STR_ARGS(all), MG_STR_ARGS(v[i]))
                : v[i];
    return all;
}

static bool allows_head(struct mg_config_build *b, int conf)
{
    size_t count;
    const struct mg_str *v = mg_config_texts(b, conf, "methods", &count);
    for (size_t i = 0; i < count; i++)
        if (mg_str_eq(v[i], MG_STR("HEAD")))
            return true;
    return false;
}

static void read_rules(struct mg_config_build *b, int conf, struct mg_cache_settings *out)
{
    out->targeted = mg_config_texts(b, conf, "targeted", &out->targeted_count);
    out->ttl = optional_seconds(b, conf, "ttl");
    out->force_ttl = mg_config_flag(b, conf, "force_ttl");
    out->heuristic_max = (uint32_t)(mg_config_ns(b, conf, "heuristic_max") / MG_SECOND);
    out->stale_while_revalidate = optional_seconds(b, conf, "stale_while_revalidate");
    out->stale_if_error = optional_seconds(b, conf, "stale_if_error");
    out->ignore_request_control = !mg_config_flag(b, conf, "client_control");
    out->share_authorized = mg_config_flag(b, conf, "share_authorized");
    out->strict_cookies = mg_config_flag(b, conf, "strict_cookies");
    out->vary = joined(b, conf, "vary");
    read_ttls(b, conf, out);
}

static void free_set(void *arg)
{
    mg_cidr_set_free(arg);
}

/* NULL: the text has no addresses. The schema has checked them. */
static const struct mg_cidr_set *read_addresses(struct mg_config_build *b, int conf)
{
    struct mg_error err;
    size_t count;
    const struct mg_str *v = mg_config_texts(b, conf, "allow", &count);
    struct mg_cidr_set *set = count ? mg_cidr_set_new(v, count, &err) : NULL;
    if (set)
        mg_arena_on_release(&b->gen->arena, free_set, set);
    return set;
}

static const struct mg_cache_purging *read_purging(struct mg_config_build *b, int conf)
{
    struct mg_cache_purging *p = NULL;
    if (lua_getfield(b->L, conf, "purge") == LUA_TTABLE) {
        int purge = lua_gettop(b->L);
        p = mg_arena_calloc(&b->gen->arena, sizeof *p);
        p->method = mg_config_text(b, purge, "method");
        p->allowed = read_addresses(b, purge);
        p->when = mg_config_texts(b, purge, "when", &p->when_count);
    }
    lua_pop(b->L, 1);
    return p;
}

const void *mg_native_cache(struct mg_config_build *b, int conf,
                            const struct mg_config_place *place)
{
    struct mg_cache_options *o = mg_arena_calloc(&b->gen->arena, sizeof *o);
    (void)place;
    o->store = mg_generation_open_cache(b->gen, mg_config_text(b, conf, "store"));
    read_rules(b, conf, &o->rules);
    o->key = mg_config_text(b, conf, "key");
    o->bypass = mg_config_texts(b, conf, "bypass", &o->bypass_count);
    o->tags = mg_config_texts(b, conf, "tags_from", &o->tag_count);
    o->purging = read_purging(b, conf);
    o->answer_head = allows_head(b, conf);
    o->wait_ns = mg_config_ns(b, conf, "wait");
    o->unshared_ns = mg_config_ns(b, conf, "unshared");
    o->keep_ns = mg_config_ns(b, conf, "keep");
    o->status_header = mg_config_flag(b, conf, "status_header");
    o->legacy_headers = mg_config_flag(b, conf, "legacy_headers");
    return o;
}
