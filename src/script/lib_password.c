/* mg.crypto.password_*. Slow by design: the worker does nothing else meanwhile. */
#include "script/lib_password.h"

#include <lauxlib.h>
#include <string.h>
#include <time.h>

#include "crypto/password.h"
#include "script/budget.h"
#include "script/fail.h"

static struct mg_str check_text(lua_State *L, int arg)
{
    struct mg_str s;
    luaL_checktype(L, arg, LUA_TSTRING);
    s.p = lua_tolstring(L, arg, &s.n);
    return s;
}

/* More than any hash within the limits takes, in nanoseconds. */
#define PASSWORD_NS_MAX INT64_C(2000000000)

static int64_t thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Hashing takes a good part of `limits.lua_run` by itself, and that is no fault of the policy. */
static int64_t slow_begin(lua_State *L)
{
    mg_budget_allow(mg_script_of(L), PASSWORD_NS_MAX);
    return thread_ns();
}

static void slow_end(lua_State *L, int64_t began)
{
    mg_budget_allow(mg_script_of(L), thread_ns() - began - PASSWORD_NS_MAX);
}

static uint32_t cost_option(lua_State *L, const char *name, uint32_t standard)
{
    lua_Integer value = standard;
    if (lua_getfield(L, 2, name) != LUA_TNIL) {
        int is_integer;
        value = lua_tointegerx(L, -1, &is_integer);
        if (!is_integer || value < 0 || value > UINT32_MAX)
            luaL_error(L, "option '%s' must be a whole number", name);
    }
    lua_pop(L, 1);
    return (uint32_t)value;
}

static void refuse_unknown(lua_State *L)
{
    static const char *const known[] = {"algorithm", "ln", "r", "p", "iterations"};
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        bool found = false;
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        for (size_t i = 0; name && i < sizeof known / sizeof known[0]; i++)
            found = found || strcmp(known[i], name) == 0;
        if (!found)
            luaL_error(L, "unknown option '%s'", name ? name : luaL_tolstring(L, -2, NULL));
        lua_pop(L, 1);
    }
}

static struct mg_password_cost check_cost(lua_State *L)
{
    static const char *const kinds[] = {"scrypt", "pbkdf2-sha256", NULL};
    struct mg_password_cost cost = mg_password_cost_default(MG_PASSWORD_SCRYPT);
    if (lua_isnoneornil(L, 2))
        return cost;
    refuse_unknown(L);
    lua_getfield(L, 2, "algorithm");
    if (luaL_checkoption(L, -1, "scrypt", kinds) == 1)
        cost = mg_password_cost_default(MG_PASSWORD_PBKDF2_SHA256);
    lua_pop(L, 1);
    cost.ln = cost_option(L, "ln", cost.ln);
    cost.r = cost_option(L, "r", cost.r);
    cost.p = cost_option(L, "p", cost.p);
    cost.iterations = cost_option(L, "iterations", cost.iterations);
    return cost;
}

static int l_password_hash(lua_State *L)
{
    char text[MG_PASSWORD_TEXT_MAX];
    struct mg_error err;
    struct mg_str password = check_text(L, 1);
    struct mg_password_cost cost = check_cost(L);
    int64_t began = slow_begin(L);
    size_t n = mg_password_hash(password, &cost, text, &err);
    slow_end(L, began);
    if (n == 0)
        return luaL_error(L, "%s", err.text);
    lua_pushlstring(L, text, n);
    return 1;
}

static int l_password_verify(lua_State *L)
{
    struct mg_error err;
    struct mg_str hash = check_text(L, 1), password = check_text(L, 2);
    if (mg_password_parse(hash, NULL, &err) != MG_OK)
        return mg_fail_push(L, "bad_hash", err.text);
    int64_t began = slow_begin(L);
    bool same = mg_password_verify(hash, password) == MG_OK;
    slow_end(L, began);
    lua_pushboolean(L, same);
    return 1;
}

static int l_password_cost(lua_State *L)
{
    struct mg_error err;
    struct mg_password_cost cost;
    if (mg_password_parse(check_text(L, 1), &cost, &err) != MG_OK)
        return mg_fail_push(L, "bad_hash", err.text);
    if (cost.kind == MG_PASSWORD_SCRYPT)
        lua_pushfstring(L, "scrypt ln=%d,r=%d,p=%d", (int)cost.ln, (int)cost.r, (int)cost.p);
    else
        lua_pushfstring(L, "pbkdf2-sha256 i=%d", (int)cost.iterations);
    return 1;
}

void mg_lib_password_open(lua_State *L)
{
    lua_pushcfunction(L, l_password_hash);
    lua_setfield(L, -2, "password_hash");
    lua_pushcfunction(L, l_password_cost);
    lua_setfield(L, -2, "password_cost");
    lua_pushcfunction(L, l_password_verify);
    lua_setfield(L, -2, "password_verify");
}
