/* Compiled limiters. The first user value of each is its dictionary's handle. */
#include "script/lib_limiter.h"

#include <lauxlib.h>
#include <math.h>

#include "base/str.h"
#include "http/rate_limit_field.h"
#include "script/lib_shared.h"
#include "shared/adaptive.h"
#include "shared/limiter.h"

#define LIMITER "moongate.Limiter"
#define ADAPTIVE "moongate.AdaptiveLimiter"
#define NAME_MAX_BYTES 64
#define PREFIX_MAX_BYTES 512
#define KEYS_MAX_BYTES (2 * MG_DICT_KEY_MAX) /* of one call, together */
#define FIELD_ITEM_MAX_BYTES (2 * NAME_MAX_BYTES + 5 + MG_RATE_LIMIT_FIELD_MORE)

struct part {
    struct mg_limiter_rule rule;
    struct mg_str prefix; /* both lie in Lua strings, kept by the limiter's table */
    struct mg_str head;   /* `"name";r=`, or empty */
};

struct limiter {
    const struct mg_lib_shared *dictionary; /* the first user value */
    size_t count;
    bool has_names;
    struct part parts[];
};

struct adaptive {
    const struct mg_lib_shared *dictionary; /* the first user value */
    struct mg_adaptive_rule rule;
};

/* User values. */
enum { DICTIONARY_HANDLE = 1, STRINGS = 2 };

/* Making one
 * ---------------------------------------------------------------------------------------------- */

static void refuse_unknown(lua_State *L, int index, const char *const known[], const char *what)
{
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        bool found = false;
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        for (size_t i = 0; name && known[i]; i++)
            found = found || strcmp(known[i], name) == 0;
        if (!found)
            luaL_error(L, "%s: unknown option '%s'", what,
                       name ? name : luaL_tolstring(L, -2, NULL));
    }
}

static double number_option(lua_State *L, int index, const char *name, double standard)
{
    double value = standard;
    int type = lua_getfield(L, index, name);
    if (type == LUA_TNUMBER)
        value = lua_tonumber(L, -1);
    else if (type != LUA_TNIL || isnan(standard))
        luaL_error(L, "option '%s': expected a number, got %s", name, luaL_typename(L, -1));
    lua_pop(L, 1);
    return value;
}

/* An option that is a string, empty when it is not there; anchored in the table at `strings`. */
static struct mg_str string_option(lua_State *L, int index, const char *name, size_t max,
                                   int strings)
{
    struct mg_str s = MG_STR_NONE;
    int type = lua_getfield(L, index, name);
    if (type == LUA_TSTRING)
        s.p = lua_tolstring(L, -1, &s.n);
    else if (type != LUA_TNIL)
        luaL_error(L, "option '%s': expected a string, got %s", name, luaL_typename(L, -1));
    if (s.n > max)
        luaL_error(L, "option '%s': longer than %d bytes", name, (int)max);
    lua_rawseti(L, strings, (lua_Integer)lua_rawlen(L, strings) + 1);
    return s;
}

/* What the name's item of the field begins with. */
static struct mg_str push_head(lua_State *L, struct mg_str name)
{
    struct mg_str head;
    char text[2 * NAME_MAX_BYTES + 5];
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] < ' ' || name.p[i] > '~')
            luaL_error(L, "option 'name': expected printable ASCII");
    lua_pushlstring(L, text, mg_rate_limit_field_head(name, text));
    head.p = lua_tolstring(L, -1, &head.n);
    return head;
}

static enum mg_limiter_algorithm algorithm_option(lua_State *L, int index)
{
    enum mg_limiter_algorithm algorithm = MG_LIMITER_FIXED_WINDOW;
    struct mg_str name = MG_STR_NONE;
    if (lua_getfield(L, index, "algorithm") == LUA_TSTRING)
        name.p = lua_tolstring(L, -1, &name.n);
    if (!mg_limiter_algorithm_find(name, &algorithm))
        luaL_error(L, "option 'algorithm': expected the name of one");
    lua_pop(L, 1);
    return algorithm;
}

/* Reads the rule in the table on top. The strings' table is at `strings`. */
static void read_part(lua_State *L, struct limiter *limiter, struct part *part, int strings)
{
    static const char *const known[] = {"algorithm", "limit",  "window", "burst",
                                        "queue",     "prefix", "name",   NULL};
    int index = lua_gettop(L);
    refuse_unknown(L, index, known, "limiter");
    double limit = number_option(L, index, "limit", NAN);
    if (!mg_limiter_units_ok(limit)) /* also what is no number, before it is a default */
        luaL_error(L, "limiter: number out of range");
    part->rule = (struct mg_limiter_rule){
        .algorithm = algorithm_option(L, index),
        .limit = limit,
        .seconds = number_option(L, index, "window", 1),
        .burst = number_option(L, index, "burst", limit),
        .queue = number_option(L, index, "queue", 0),
    };
    if (!mg_limiter_rule_ok(&part->rule))
        luaL_error(L, "limiter: number out of range");
    part->prefix = string_option(L, index, "prefix", PREFIX_MAX_BYTES, strings);
    struct mg_str name = string_option(L, index, "name", NAME_MAX_BYTES, strings);
    part->head = MG_STR_NONE;
    if (name.n) {
        part->head = push_head(L, name);
        lua_rawseti(L, strings, (lua_Integer)lua_rawlen(L, strings) + 1);
        limiter->has_names = true;
    }
}

static int make_limiter(lua_State *L)
{
    const struct mg_lib_shared *dictionary = mg_lib_shared_check(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    size_t count = lua_rawlen(L, 2);
    luaL_argcheck(L, count >= 1 && count <= MG_LIMITER_ASKS_MAX, 2, "expected 1 to 16 rules");
    struct limiter *limiter =
        lua_newuserdatauv(L, sizeof *limiter + count * sizeof limiter->parts[0], 2);
    limiter->dictionary = dictionary;
    limiter->count = count;
    limiter->has_names = false;
    lua_newtable(L);
    for (size_t i = 0; i < count; i++) {
        if (lua_rawgeti(L, 2, (lua_Integer)i + 1) != LUA_TTABLE)
            luaL_argerror(L, 2, "expected a list of tables");
        read_part(L, limiter, &limiter->parts[i], 4);
        lua_settop(L, 4);
    }
    lua_setiuservalue(L, 3, STRINGS);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 3, DICTIONARY_HANDLE);
    luaL_setmetatable(L, LIMITER);
    return 1;
}

/* Asking it
 * ---------------------------------------------------------------------------------------------- */

/* The object at 1. Its metatable is the first upvalue of each method: comparing that costs less
 * than looking it up by name. */
static void *check_self(lua_State *L, const char *name)
{
    void *self = lua_touserdata(L, 1);
    bool ours = self && lua_getmetatable(L, 1) && lua_rawequal(L, -1, lua_upvalueindex(1));
    if (!ours)
        luaL_typeerror(L, 1, name);
    lua_pop(L, 1);
    return self;
}

/* Writes prefix and key behind each other; false when they do not fit. */
static bool build_keys(lua_State *L, const struct limiter *limiter, int first_arg, double cost,
                       char *room, struct mg_limiter_ask *asks)
{
    size_t used = 0;
    for (size_t i = 0; i < limiter->count; i++) {
        const struct part *part = &limiter->parts[i];
        size_t n;
        const char *key = luaL_checklstring(L, first_arg + (int)i, &n);
        if (n > MG_DICT_KEY_MAX || used + part->prefix.n + n > KEYS_MAX_BYTES)
            return false;
        char *at = room + used;
        if (part->prefix.n)
            memcpy(at, part->prefix.p, part->prefix.n);
        memcpy(at + part->prefix.n, key, n);
        asks[i] = (struct mg_limiter_ask){&part->rule, mg_str(at, part->prefix.n + n), cost};
        used += part->prefix.n + n;
    }
    return true;
}

static void push_field(lua_State *L, const struct limiter *limiter,
                       const struct mg_limiter_result *results)
{
    char text[MG_LIMITER_ASKS_MAX * FIELD_ITEM_MAX_BYTES];
    size_t used = 0;
    for (size_t i = 0; i < limiter->count; i++)
        if (limiter->parts[i].head.n)
            used = mg_rate_limit_field_add(text, used, limiter->parts[i].head, &results[i]);
    lua_pushlstring(L, text, used);
}

static int push_results(lua_State *L, const struct limiter *limiter,
                        const struct mg_limiter_result *results)
{
    size_t which = mg_limiter_tightest(results, limiter->count);
    double delay_s = 0;
    for (size_t i = 0; i < limiter->count; i++)
        delay_s = fmax(delay_s, results[i].delay_s);
    lua_pushboolean(L, results[which].ok); /* one that refuses is the tightest */
    if (limiter->has_names)
        push_field(L, limiter, results);
    else
        lua_pushnil(L);
    lua_pushnumber(L, results[which].retry_after_s);
    lua_pushnumber(L, delay_s);
    lua_pushinteger(L, (lua_Integer)which + 1);
    lua_pushinteger(L, (lua_Integer)results[which].remaining); /* at most 2^53 */
    lua_pushnumber(L, results[which].reset_s);
    return 7;
}

static int ask(lua_State *L, double cost, int first_arg)
{
    char room[KEYS_MAX_BYTES];
    struct mg_limiter_ask asks[MG_LIMITER_ASKS_MAX];
    struct mg_limiter_result results[MG_LIMITER_ASKS_MAX];
    const struct limiter *limiter = check_self(L, LIMITER);
    struct mg_dict *dict = mg_lib_shared_dict(L, limiter->dictionary);
    if (!build_keys(L, limiter, first_arg, cost, room, asks))
        return mg_lib_shared_push_failure(L, MG_DICT_BAD_KEY);
    enum mg_dict_rc rc =
        mg_limiter_take_all(dict, asks, limiter->count, mg_lib_shared_now_ms(L), results);
    if (rc != MG_DICT_OK)
        return mg_lib_shared_push_failure(L, rc);
    return push_results(L, limiter, results);
}

static int limiter_take(lua_State *L)
{
    double cost = 1;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TNUMBER);
        cost = lua_tonumber(L, 2);
    }
    return ask(L, cost, 3);
}

static int limiter_look(lua_State *L)
{
    return ask(L, 0, 2);
}

/* Adaptive ones
 * ---------------------------------------------------------------------------------------------- */

static int make_adaptive(lua_State *L)
{
    static const char *const known[] = {"min", "max", "initial", "tolerance", NULL};
    const struct mg_lib_shared *dictionary = mg_lib_shared_check(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    refuse_unknown(L, 2, known, "adaptive");
    struct mg_adaptive_rule rule = {
        .min = number_option(L, 2, "min", 1),
        .max = number_option(L, 2, "max", 1000),
        .initial = number_option(L, 2, "initial", 20),
        .tolerance = number_option(L, 2, "tolerance", 2),
    };
    if (!mg_adaptive_rule_ok(&rule))
        luaL_error(L, "adaptive: number out of range");
    struct adaptive *adaptive = lua_newuserdatauv(L, sizeof *adaptive, 1);
    *adaptive = (struct adaptive){dictionary, rule};
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 3, DICTIONARY_HANDLE);
    luaL_setmetatable(L, ADAPTIVE);
    return 1;
}

static struct mg_str check_key(lua_State *L, int arg)
{
    struct mg_str key;
    luaL_checktype(L, arg, LUA_TSTRING);
    key.p = lua_tolstring(L, arg, &key.n);
    return key;
}

/* Nothing here allocates once the place is taken: an error would hold it for ever. */
static int adaptive_acquire(lua_State *L)
{
    struct mg_adaptive_result result;
    const struct adaptive *adaptive = check_self(L, ADAPTIVE);
    struct mg_dict *dict = mg_lib_shared_dict(L, adaptive->dictionary);
    struct mg_str key = check_key(L, 2);
    luaL_checkstack(L, 3, "adaptive");
    enum mg_dict_rc rc =
        mg_adaptive_acquire(dict, key, &adaptive->rule, mg_lib_shared_now_ms(L), &result);
    if (rc != MG_DICT_OK)
        return mg_lib_shared_push_failure(L, rc);
    lua_pushboolean(L, result.ok);
    lua_pushinteger(L, (lua_Integer)result.held);
    lua_pushinteger(L, (lua_Integer)result.limit);
    return 3;
}

static int adaptive_release(lua_State *L)
{
    const struct adaptive *adaptive = check_self(L, ADAPTIVE);
    struct mg_dict *dict = mg_lib_shared_dict(L, adaptive->dictionary);
    struct mg_str key = check_key(L, 2);
    double latency_s = luaL_optnumber(L, 3, -1);
    enum mg_dict_rc rc = mg_adaptive_release(dict, key, &adaptive->rule, latency_s,
                                             lua_toboolean(L, 4), mg_lib_shared_now_ms(L));
    if (rc != MG_DICT_OK)
        return mg_lib_shared_push_failure(L, rc);
    lua_pushboolean(L, 1);
    return 1;
}

/* Opening
 * ---------------------------------------------------------------------------------------------- */

static void make_class(lua_State *L, const char *name, const luaL_Reg *methods)
{
    if (luaL_newmetatable(L, name)) {
        lua_newtable(L);
        lua_pushvalue(L, -2);
        luaL_setfuncs(L, methods, 1);
        lua_setfield(L, -2, "__index");
        lua_pushstring(L, name); /* policy code gets this name, not the table */
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

void mg_lib_limiter_open(lua_State *L)
{
    static const luaL_Reg limiter[] = {{"take", limiter_take}, {"look", limiter_look}, {0}};
    static const luaL_Reg adaptive[] = {
        {"acquire", adaptive_acquire}, {"release", adaptive_release}, {0}};
    make_class(L, LIMITER, limiter);
    make_class(L, ADAPTIVE, adaptive);
    lua_pushcfunction(L, make_limiter);
    lua_setfield(L, -2, "limiter");
    lua_pushcfunction(L, make_adaptive);
    lua_setfield(L, -2, "adaptive");
}
