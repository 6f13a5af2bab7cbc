/*
 * Options of the policies `rate-limit` and `quota`. Control thread.
 *
 * The table is what lua/moongate/limits/set.lua makes of a conf; its fields are told there.
 */
#include "script/native_rate_limit.h"

#include "crypto/base64.h"
#include "crypto/digest.h"
#include "gateway/rate_limit_options.h"
#include "http/rate_limit_field.h"
#include "script/native_options.h"

static double number(struct mg_config_build *b, int table, const char *key)
{
    lua_getfield(b->L, table, key);
    double value = lua_tonumber(b->L, -1);
    lua_pop(b->L, 1);
    return value;
}

/* --- one limit --- */

static struct mg_str head_of(struct mg_config_build *b, struct mg_str name)
{
    char *text = mg_arena_alloc(&b->gen->arena, 2 * name.n + 5);
    return mg_str(text, mg_rate_limit_field_head(name, text));
}

/* The one on top of the stack. */
static void read_limit(struct mg_config_build *b, struct mg_rate_limit *out)
{
    int table = lua_gettop(b->L);
    mg_limiter_algorithm_find(mg_config_text(b, table, "algorithm"), &out->rule.algorithm);
    out->rule.limit = number(b, table, "limit");
    out->rule.seconds = number(b, table, "window");
    out->rule.burst = number(b, table, "burst");
    out->rule.queue = number(b, table, "queue");
    out->name = mg_config_text(b, table, "name");
    out->prefix = mg_config_text(b, table, "prefix");
    out->members = mg_config_text(b, table, "members");
    out->head = head_of(b, out->name);
    out->redis_head = mg_config_text(b, table, "redis_head");
    out->redis_client = mg_config_text(b, table, "redis_client");
    mg_native_client_key(b, table, &out->by);
}

/* --- sets --- */

/* The one on top of the stack. */
static void read_set(struct mg_config_build *b, struct mg_rate_limit_set *out)
{
    int table = lua_gettop(b->L);
    out->tier = mg_config_text(b, table, "tier");
    out->policy = mg_config_text(b, table, "policy");
    out->one_key = mg_config_flag(b, table, "one_key");
    out->redis_args = mg_config_texts(b, table, "redis_args", &out->redis_arg_count);
    out->count = mg_config_list(b, table, "limits"); /* the schema lets no more in */
    struct mg_rate_limit *limits = mg_arena_calloc(&b->gen->arena, out->count * sizeof *limits);
    for (uint32_t i = 0; i < out->count; i++) {
        lua_rawgeti(b->L, table + 1, (lua_Integer)i + 1);
        read_limit(b, &limits[i]);
        lua_pop(b->L, 1);
        out->field_room += limits[i].head.n + MG_RATE_LIMIT_FIELD_MORE;
    }
    lua_pop(b->L, 1);
    out->limits = limits;
}

static void read_sets(struct mg_config_build *b, int conf, struct mg_rate_limit_options *out)
{
    out->set_count = mg_config_list(b, conf, "sets");
    int list = lua_gettop(b->L);
    struct mg_rate_limit_set *sets = mg_arena_calloc(&b->gen->arena, out->set_count * sizeof *sets);
    for (uint32_t i = 0; i < out->set_count; i++) {
        lua_rawgeti(b->L, list, (lua_Integer)i + 1);
        read_set(b, &sets[i]);
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 1);
    out->sets = sets;
}

/* --- Redis --- */

static uint32_t find_redis(const struct mg_generation *gen, struct mg_str name)
{
    uint32_t i = 0;
    while (i < gen->redis_count && !mg_str_eq(gen->redises[i].name, name))
        i++;
    return i; /* the schema lets no name in that is not there */
}

static struct mg_str sha1_of(struct mg_config_build *b, struct mg_str script)
{
    uint8_t digest[MG_SHA1_BYTES];
    char *hex = mg_arena_alloc(&b->gen->arena, 2 * sizeof digest);
    mg_digest_sha1(script, digest);
    mg_base64_hex_encode(mg_str((const char *)digest, sizeof digest), hex);
    return mg_str(hex, 2 * sizeof digest);
}

/* NULL: it counts here. */
static const struct mg_rate_limit_redis *read_redis(struct mg_config_build *b, int conf)
{
    struct mg_str name = mg_config_text(b, conf, "redis");
    if (name.n == 0)
        return NULL;
    struct mg_rate_limit_redis *r = mg_arena_calloc(&b->gen->arena, sizeof *r);
    r->name = name;
    r->index = find_redis(b->gen, name);
    r->script = mg_config_text(b, conf, "script");
    r->sha1 = sha1_of(b, r->script);
    r->batch = number(b, conf, "batch");
    r->is_down = mg_arena_alloc(&b->gen->arena, sizeof *r->is_down);
    atomic_init(r->is_down, false);
    return r;
}

/* --- the step --- */

static enum mg_calendar calendar_of(struct mg_config_build *b, int conf)
{
    static const char *const names[] = {[MG_CALENDAR_HOUR] = "hour",
                                        [MG_CALENDAR_DAY] = "day",
                                        [MG_CALENDAR_WEEK] = "week",
                                        [MG_CALENDAR_MONTH] = "month"};
    for (int i = MG_CALENDAR_HOUR; i <= MG_CALENDAR_MONTH; i++)
        if (mg_config_is(b, conf, "calendar", names[i]))
            return (enum mg_calendar)i;
    return MG_CALENDAR_NONE;
}

static enum mg_rate_limit_legacy legacy_of(struct mg_config_build *b, int conf)
{
    if (mg_config_is(b, conf, "legacy_headers", "refused"))
        return MG_RATE_LIMIT_LEGACY_REFUSED;
    return mg_config_flag(b, conf, "legacy_headers") ? MG_RATE_LIMIT_LEGACY_ALWAYS
                                                     : MG_RATE_LIMIT_LEGACY_NEVER;
}

static enum mg_rate_limit_reset reset_of(struct mg_config_build *b, int conf)
{
    if (mg_config_is(b, conf, "legacy_reset", "date"))
        return MG_RATE_LIMIT_RESET_DATE;
    return mg_config_is(b, conf, "legacy_reset", "seconds") ? MG_RATE_LIMIT_RESET_SECONDS
                                                            : MG_RATE_LIMIT_RESET_EPOCH;
}

static enum mg_rate_limit_when_down when_down_of(struct mg_config_build *b, int conf)
{
    if (mg_config_is(b, conf, "when_down", "allow"))
        return MG_RATE_LIMIT_DOWN_ALLOW;
    return mg_config_is(b, conf, "when_down", "deny") ? MG_RATE_LIMIT_DOWN_DENY
                                                      : MG_RATE_LIMIT_DOWN_LOCAL;
}

const void *mg_native_rate_limit(struct mg_config_build *b, int conf,
                                 const struct mg_config_place *place)
{
    struct mg_rate_limit_options *o = mg_arena_calloc(&b->gen->arena, sizeof *o);
    (void)place;
    o->dict = mg_native_dict(b, conf);
    o->calendar = calendar_of(b, conf);
    o->redis = read_redis(b, conf);
    o->when_down = when_down_of(b, conf);
    read_sets(b, conf, o);
    o->tier = mg_config_text(b, conf, "tier");
    o->cost = number(b, conf, "cost");
    o->cost_expr = mg_config_text(b, conf, "cost_expr");
    o->cost_max = number(b, conf, "cost_max");
    o->headers = mg_config_flag(b, conf, "headers");
    o->legacy = legacy_of(b, conf);
    o->reset = reset_of(b, conf);
    o->status = (uint16_t)mg_config_integer(b, conf, "status");
    o->body = mg_config_text(b, conf, "message");
    o->type = mg_config_text(b, conf, "message_type");
    o->dry_run = mg_config_flag(b, conf, "dry_run");
    return o;
}
