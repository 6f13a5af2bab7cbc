/*
 * mg.shared. Handles of one name are one value. All of them belong to one keeper, which lives as
 * long as the state and gives the dictionaries back at its end.
 *
 * Only the keeper has a finalizer. Lua runs none for objects that are made while a state closes, so
 * a handle that some policy's finalizer opens then would not be given back by its own; the keeper,
 * which was made before all policies, is finalized after them.
 */
#include "script/lib_shared.h"

#include <lauxlib.h>
#include <math.h>
#include <time.h>

#include "script/fail.h"
#include "script/lib.h"
#include "script/lib_limiter.h"
#include "script/task.h"
#include "shared/limiter.h"

#define DICTIONARY "moongate.Dictionary"
#define NAME_MAX_BYTES 128
#define TEXT_KEEP ((size_t)64 << 10) /* a read buffer that grew beyond gives its memory back */
#define SECONDS_MAX 1e9

struct keeper {
    struct mg_lib_shared
        *handles;       /* all that hold a dictionary; its user value is their table by name */
    struct mg_buf text; /* strings are read into it */
    bool closed;
};

struct mg_lib_shared {
    struct mg_dicts *dicts;
    struct mg_dict *dict; /* NULL: not opened, or closed */
    struct keeper *keeper;
    struct mg_lib_shared *next;
};

static char keeper_key; /* its address is the key in the registry */

/* Arguments
 * ---------------------------------------------------------------------------------------------- */

static struct mg_lib_shared *check_handle_at(lua_State *L, int index)
{
    struct mg_lib_shared *h = luaL_checkudata(L, index, DICTIONARY);
    if (!h->dict)
        luaL_error(L, "the dictionary is closed");
    return h;
}

static struct mg_lib_shared *check_handle(lua_State *L)
{
    return check_handle_at(L, 1);
}

const struct mg_lib_shared *mg_lib_shared_check(lua_State *L, int index)
{
    return check_handle_at(L, index);
}

struct mg_dict *mg_lib_shared_dict(lua_State *L, const struct mg_lib_shared *h)
{
    if (!h->dict)
        luaL_error(L, "the dictionary is closed");
    return h->dict;
}

static struct mg_str check_string(lua_State *L, int arg)
{
    struct mg_str s;
    luaL_checktype(L, arg, LUA_TSTRING);
    s.p = lua_tolstring(L, arg, &s.n);
    return s;
}

static struct mg_dict_value check_number(lua_State *L, int arg)
{
    luaL_checktype(L, arg, LUA_TNUMBER);
    if (lua_isinteger(L, arg))
        return (struct mg_dict_value){.kind = MG_DICT_INTEGER, .integer = lua_tointeger(L, arg)};
    lua_Number number = lua_tonumber(L, arg);
    luaL_argcheck(L, isfinite(number), arg, "expected a finite number");
    return (struct mg_dict_value){.kind = MG_DICT_NUMBER, .number = number};
}

static struct mg_dict_value check_value(lua_State *L, int arg)
{
    switch (lua_type(L, arg)) {
    case LUA_TSTRING:
        return (struct mg_dict_value){.kind = MG_DICT_STRING, .string = check_string(L, arg)};
    case LUA_TNUMBER:
        return check_number(L, arg);
    case LUA_TBOOLEAN:
        return (struct mg_dict_value){.kind = MG_DICT_BOOLEAN, .boolean = lua_toboolean(L, arg)};
    default:
        luaL_typeerror(L, arg, "string, number or boolean");
        return (struct mg_dict_value){.kind = MG_DICT_NONE};
    }
}

/* Nil is no value; but it has to be written. */
static struct mg_dict_value check_value_or_nil(lua_State *L, int arg)
{
    luaL_checkany(L, arg);
    if (lua_isnil(L, arg))
        return (struct mg_dict_value){.kind = MG_DICT_NONE};
    return check_value(L, arg);
}

/* A time to live in milliseconds; 0 when there is none. Zero seconds are refused, as they would
 * read like "gone at once" and mean "for ever". */
static int64_t check_ttl(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg))
        return 0;
    luaL_checktype(L, arg, LUA_TNUMBER);
    lua_Number seconds = lua_tonumber(L, arg);
    luaL_argcheck(L, seconds > 0, arg, "expected a number above 0");
    return (int64_t)ceil(fmin(seconds, SECONDS_MAX) * 1000);
}

static lua_Number check_amount(lua_State *L, int arg)
{
    luaL_checktype(L, arg, LUA_TNUMBER);
    return lua_tonumber(L, arg);
}

static lua_Number check_cost(lua_State *L, int arg)
{
    return lua_isnoneornil(L, arg) ? 1 : check_amount(L, arg);
}

int64_t mg_lib_shared_now_ms(lua_State *L)
{
    const struct mg_loop *loop = mg_script_of(L)->loop;
    if (loop)
        return (int64_t)(mg_loop_now(loop) / MG_MILLISECOND);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Results
 * ---------------------------------------------------------------------------------------------- */

static const char *code_name(enum mg_dict_rc rc)
{
    static const char *const names[] = {
        [MG_DICT_OK] = "ok",
        [MG_DICT_ABSENT] = "absent",
        [MG_DICT_EXISTS] = "exists",
        [MG_DICT_DIFFERS] = "differs",
        [MG_DICT_BAD_TYPE] = "type",
        [MG_DICT_BAD_KEY] = "key",
        [MG_DICT_BAD_ARGUMENT] = "argument",
        [MG_DICT_OVERFLOW] = "overflow",
        [MG_DICT_TOO_LARGE] = "too_large",
        [MG_DICT_FULL] = "full",
        [MG_DICT_NO_MEMORY] = "memory",
    };
    return names[rc];
}

int mg_lib_shared_push_failure(lua_State *L, enum mg_dict_rc rc)
{
    if (rc == MG_DICT_BAD_ARGUMENT)
        return luaL_error(L, "%s", mg_dict_rc_text(rc));
    return mg_fail_push(L, code_name(rc), mg_dict_rc_text(rc));
}

static int push_done(lua_State *L, enum mg_dict_rc rc)
{
    if (rc != MG_DICT_OK)
        return mg_lib_shared_push_failure(L, rc);
    lua_pushboolean(L, 1);
    return 1;
}

static void push_value(lua_State *L, const struct mg_dict_value *value)
{
    switch (value->kind) {
    case MG_DICT_NONE:
        lua_pushnil(L);
        break;
    case MG_DICT_STRING:
        lua_pushlstring(L, value->string.p, value->string.n);
        break;
    case MG_DICT_INTEGER:
        lua_pushinteger(L, value->integer);
        break;
    case MG_DICT_NUMBER:
        lua_pushnumber(L, value->number);
        break;
    case MG_DICT_BOOLEAN:
        lua_pushboolean(L, value->boolean);
        break;
    }
}

/* Whole units as an integer, so that they print as one. */
static void push_units(lua_State *L, double units)
{
    lua_pushinteger(L, (lua_Integer)units); /* at most 2^53 */
}

/* Sets the fields of the table on top. */
static void fill_limit(lua_State *L, const struct mg_limiter_result *result)
{
    lua_pushboolean(L, result->ok);
    lua_setfield(L, -2, "ok");
    push_units(L, result->remaining);
    lua_setfield(L, -2, "remaining");
    lua_pushnumber(L, result->reset_s);
    lua_setfield(L, -2, "reset");
    lua_pushnumber(L, result->retry_after_s);
    lua_setfield(L, -2, "retry_after");
}

static int push_limit(lua_State *L, enum mg_dict_rc rc, const struct mg_limiter_result *result)
{
    if (rc != MG_DICT_OK)
        return mg_lib_shared_push_failure(L, rc);
    lua_createtable(L, 0, 4);
    fill_limit(L, result);
    return 1;
}

/* Values
 * ---------------------------------------------------------------------------------------------- */

static int dict_get(lua_State *L)
{
    struct mg_lib_shared *h = check_handle(L);
    struct mg_buf *text = &h->keeper->text;
    struct mg_dict_value value;
    mg_buf_reset(text);
    enum mg_dict_rc rc =
        mg_dict_get(h->dict, check_string(L, 2), mg_lib_shared_now_ms(L), &value, text);
    if (rc == MG_DICT_ABSENT)
        value.kind = MG_DICT_NONE;
    else if (rc != MG_DICT_OK)
        return mg_lib_shared_push_failure(L, rc);
    push_value(L, &value);
    if (text->room > TEXT_KEEP)
        mg_buf_release(text);
    return 1;
}

typedef enum mg_dict_rc (*store_fn)(struct mg_dict *dict, struct mg_str key,
                                    struct mg_dict_value value, int64_t ttl_ms, int64_t now_ms);

static int store(lua_State *L, store_fn fn)
{
    struct mg_lib_shared *h = check_handle(L);
    struct mg_str key = check_string(L, 2);
    struct mg_dict_value value = check_value(L, 3);
    return push_done(L, fn(h->dict, key, value, check_ttl(L, 4), mg_lib_shared_now_ms(L)));
}

static int dict_set(lua_State *L)
{
    return store(L, mg_dict_set);
}

static int dict_add(lua_State *L)
{
    return store(L, mg_dict_add);
}

static int dict_replace(lua_State *L)
{
    return store(L, mg_dict_replace);
}

static int dict_delete(lua_State *L)
{
    struct mg_lib_shared *h = check_handle(L);
    enum mg_dict_rc rc = mg_dict_delete(h->dict, check_string(L, 2), mg_lib_shared_now_ms(L));
    if (rc != MG_DICT_OK && rc != MG_DICT_ABSENT)
        return mg_lib_shared_push_failure(L, rc);
    lua_pushboolean(L, rc == MG_DICT_OK);
    return 1;
}

static int dict_ttl(lua_State *L)
{
    struct mg_lib_shared *h = check_handle(L);
    int64_t ttl_ms;
    enum mg_dict_rc rc = mg_dict_ttl(h->dict, check_string(L, 2), mg_lib_shared_now_ms(L), &ttl_ms);
    if (rc != MG_DICT_OK)
        return mg_lib_shared_push_failure(L, rc);
    lua_pushnumber(L, ttl_ms < 0 ? HUGE_VAL : (lua_Number)ttl_ms / 1000);
    return 1;
}

static int dict_expire(lua_State *L)
{
    struct mg_lib_shared *h = check_handle(L);
    struct mg_str key = check_string(L, 2);
    return push_done(L, mg_dict_expire(h->dict, key, check_ttl(L, 3), mg_lib_shared_now_ms(L)));
}

static int dict_incr(lua_State *L)
{
    struct mg_lib_shared *h = check_handle(L);
    struct mg_str key = check_string(L, 2);
    struct mg_dict_value by = {.kind = MG_DICT_INTEGER, .integer = 1};
    struct mg_dict_value init = {.kind = MG_DICT_NONE}, sum;
    if (!lua_isnoneornil(L, 3))
        by = check_number(L, 3);
    if (!lua_isnoneornil(L, 4))
        init = check_number(L, 4);
    enum mg_dict_rc rc =
        mg_dict_incr(h->dict, key, by, init, check_ttl(L, 5), mg_lib_shared_now_ms(L), &sum);
    if (rc != MG_DICT_OK)
        return mg_lib_shared_push_failure(L, rc);
    push_value(L, &sum);
    return 1;
}

static int dict_cas(lua_State *L)
{
    struct mg_lib_shared *h = check_handle(L);
    struct mg_str key = check_string(L, 2);
    struct mg_dict_value old = check_value_or_nil(L, 3), new_value = check_value_or_nil(L, 4);
    return push_done(L, mg_dict_cas(h->dict, key, old, new_value, mg_lib_shared_now_ms(L)));
}

/* Limiters
 * ---------------------------------------------------------------------------------------------- */

typedef enum mg_dict_rc (*limit_fn)(struct mg_dict *dict, struct mg_str key, double a, double b,
                                    double cost, int64_t now_ms, struct mg_limiter_result *out);

static int limit(lua_State *L, limit_fn fn)
{
    struct mg_lib_shared *h = check_handle(L);
    struct mg_str key = check_string(L, 2);
    lua_Number a = check_amount(L, 3), b = check_amount(L, 4), cost = check_cost(L, 5);
    struct mg_limiter_result result;
    enum mg_dict_rc rc = fn(h->dict, key, a, b, cost, mg_lib_shared_now_ms(L), &result);
    return push_limit(L, rc, &result);
}

static int dict_take(lua_State *L)
{
    return limit(L, mg_limiter_take);
}

static int dict_window(lua_State *L)
{
    return limit(L, mg_limiter_window);
}

/* Rules that are checked and taken as one ask, for what has no call of its own in C. */
static int limit_by(lua_State *L, const struct mg_limiter_rule *rule, int cost_arg,
                    struct mg_limiter_result *result)
{
    struct mg_lib_shared *h = check_handle(L);
    struct mg_limiter_ask ask = {rule, check_string(L, 2), check_cost(L, cost_arg)};
    enum mg_dict_rc rc = mg_limiter_take_all(h->dict, &ask, 1, mg_lib_shared_now_ms(L), result);
    return push_limit(L, rc, result);
}

static int dict_sliding(lua_State *L)
{
    struct mg_limiter_result result;
    struct mg_limiter_rule rule = {
        .algorithm = MG_LIMITER_SLIDING_WINDOW,
        .limit = check_amount(L, 3),
        .seconds = check_amount(L, 4),
    };
    return limit_by(L, &rule, 5, &result);
}

static int dict_leaky(lua_State *L)
{
    struct mg_limiter_result result;
    struct mg_limiter_rule rule = {
        .algorithm = MG_LIMITER_LEAKY_BUCKET,
        .limit = check_amount(L, 3),
        .seconds = 1,
        .burst = check_amount(L, 4),
        .queue = lua_isnoneornil(L, 5) ? 0 : check_amount(L, 5),
    };
    int count = limit_by(L, &rule, 6, &result);
    if (count == 1) {
        lua_pushnumber(L, result.delay_s);
        lua_setfield(L, -2, "delay");
    }
    return count;
}

static int dict_acquire(lua_State *L)
{
    struct mg_lib_shared *h = check_handle(L);
    struct mg_str key = check_string(L, 2);
    lua_Integer max = luaL_checkinteger(L, 3);
    struct mg_limiter_result result = {.ok = false};
    /* The table is whole before the call: a memory error after it would hold the place for ever. */
    lua_createtable(L, 0, 4);
    fill_limit(L, &result);
    enum mg_dict_rc rc = mg_limiter_acquire(h->dict, key, max, mg_lib_shared_now_ms(L), &result);
    if (rc != MG_DICT_OK)
        return mg_lib_shared_push_failure(L, rc);
    fill_limit(L, &result);
    return 1;
}

static int dict_release(lua_State *L)
{
    struct mg_lib_shared *h = check_handle(L);
    return push_done(L, mg_limiter_release(h->dict, check_string(L, 2), mg_lib_shared_now_ms(L)));
}

/* Handles
 * ---------------------------------------------------------------------------------------------- */

static int keeper_gc(lua_State *L)
{
    struct keeper *keeper = lua_touserdata(L, 1);
    for (struct mg_lib_shared *h = keeper->handles; h; h = h->next) {
        mg_dicts_put(h->dicts, h->dict);
        h->dict = NULL;
    }
    keeper->handles = NULL;
    keeper->closed = true;
    mg_buf_release(&keeper->text);
    return 0;
}

static bool is_name(struct mg_str name)
{
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool good = (unsigned char)(mg_lower(c) - 'a') < 26 || (unsigned char)(c - '0') < 10 ||
                    c == '_' || c == '-' || c == '.';
        if (!good)
            return false;
    }
    return true;
}

/* Opens the dictionary for a handle that the keeper's table holds already. */
static enum mg_rc open_handle(struct mg_lib_shared *h, const struct mg_lib_env *env,
                              struct mg_str name, struct mg_error *err)
{
    size_t bytes;
    if (!env->dict_size || !env->dict_size(env->arg, name, &bytes))
        bytes = MG_DICTS_BYTES;
    h->dicts = env->dicts;
    h->dict = mg_dicts_get(env->dicts, name, bytes, err);
    if (!h->dict)
        return MG_FAIL;
    h->next = h->keeper->handles;
    h->keeper->handles = h;
    return MG_OK;
}

/* The stack is the name, the table of handles, nil. Leaves the handle on top. */
static void push_handle(lua_State *L, struct keeper *keeper, struct mg_str name)
{
    const struct mg_lib_env *env = mg_lib_env(L);
    struct mg_error err;
    if (!env->dicts || keeper->closed)
        luaL_error(L, "mg.shared: there are no shared dictionaries here");
    struct mg_lib_shared *h = lua_newuserdatauv(L, sizeof *h, 0);
    *h = (struct mg_lib_shared){.keeper = keeper};
    luaL_setmetatable(L, DICTIONARY);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, 2);
    if (open_handle(h, env, name, &err) == MG_OK)
        return;
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    lua_rawset(L, 2);
    luaL_error(L, "mg.shared: '%s': %s", name.p, err.text);
}

static int l_shared(lua_State *L)
{
    struct mg_str name = check_string(L, 1);
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key);
    struct keeper *keeper = lua_touserdata(L, 2);
    lua_getiuservalue(L, 2, 1);
    lua_replace(L, 2);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 2) != LUA_TNIL)
        return 1;
    if (!is_name(name))
        return luaL_argerror(L, 1, "expected letters, digits, '_', '-' and '.', at most 128");
    if (mg_script_of(L)->current)
        return luaL_error(L, "dictionary '%s' is not open: call mg.shared in new", name.p);
    push_handle(L, keeper, name);
    return 1;
}

/* Makes the keeper, unless the state has it. */
static void make_keeper(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key) == LUA_TNIL) {
        struct keeper *keeper = lua_newuserdatauv(L, sizeof *keeper, 1);
        *keeper = (struct keeper){.closed = false};
        mg_buf_init(&keeper->text, PTRDIFF_MAX);
        lua_newtable(L);
        lua_setiuservalue(L, -2, 1);
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, keeper_gc);
        lua_setfield(L, -2, "__gc");
        lua_setmetatable(L, -2);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &keeper_key);
    }
    lua_pop(L, 1);
}

static const luaL_Reg methods[] = {
    {"get", dict_get},         {"set", dict_set},
    {"add", dict_add},         {"replace", dict_replace},
    {"delete", dict_delete},   {"ttl", dict_ttl},
    {"expire", dict_expire},   {"incr", dict_incr},
    {"cas", dict_cas},         {"take", dict_take},
    {"window", dict_window},   {"sliding", dict_sliding},
    {"leaky", dict_leaky},     {"acquire", dict_acquire},
    {"release", dict_release}, {NULL, NULL},
};

void mg_lib_shared_open(lua_State *L)
{
    make_keeper(L);
    if (luaL_newmetatable(L, DICTIONARY)) {
        luaL_newlib(L, methods);
        mg_lib_limiter_open(L);
        lua_setfield(L, -2, "__index");
        lua_pushliteral(L, DICTIONARY); /* policy code gets this name, not the table */
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, l_shared);
    lua_setfield(L, -2, "shared");
}
