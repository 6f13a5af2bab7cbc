/*
 * JSON to Lua and back. What decodes must encode, the text must decode again to an equal value, and
 * once sorted it must not change any more. The first byte of the input chooses the options.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <stdlib.h>

#include "script/json.h"

static void check(bool ok)
{
    if (!ok)
        abort();
}

static bool is_array(lua_State *L, int index)
{
    if (!luaL_getmetafield(L, index, "__name"))
        return false;
    lua_pop(L, 1);
    return true;
}

static bool equal(lua_State *L, int a, int b);

/* Each field of `a` is in `b`; returns how many there are, or -1. */
static lua_Integer fields_in(lua_State *L, int a, int b)
{
    lua_Integer count = 0;
    for (lua_pushnil(L); lua_next(L, a); lua_pop(L, 2), count++) {
        lua_pushvalue(L, -2);
        lua_rawget(L, b);
        if (!equal(L, lua_gettop(L) - 1, lua_gettop(L)))
            return -1;
    }
    return count;
}

static bool equal(lua_State *L, int a, int b)
{
    if (lua_type(L, a) != LUA_TTABLE || lua_type(L, b) != LUA_TTABLE)
        return lua_rawequal(L, a, b) && lua_isinteger(L, a) == lua_isinteger(L, b);
    luaL_checkstack(L, 8, "equal");
    lua_Integer count = fields_in(L, a, b), other = 0;
    for (lua_pushnil(L); lua_next(L, b); lua_pop(L, 1))
        other++;
    return count == other && is_array(L, a) == is_array(L, b);
}

static void encode(lua_State *L, int index, const struct mg_json_encode_options *o,
                   struct mg_buf *out)
{
    struct mg_error err;
    mg_buf_reset(out);
    check(mg_json_encode(L, index, out, o, &err) == MG_OK);
}

static void round_trip(lua_State *L, struct mg_str text, uint8_t choice)
{
    struct mg_json_options decode = {
        .depth_limit = choice & 1 ? 4 : 200,
        .big_numbers_as_float = choice & 2,
    };
    struct mg_json_encode_options plain = {.pretty = choice & 4, .depth_limit = 200};
    struct mg_json_encode_options sorted = {.sort = true, .depth_limit = 200};
    struct mg_error err;
    int top = lua_gettop(L);
    if (mg_json_push(L, text, &decode, &err) != MG_OK) {
        check(lua_gettop(L) == top && strncmp(err.text, "line ", 5) == 0);
        return;
    }
    check(lua_gettop(L) == top + 1);

    struct mg_buf a, b;
    mg_buf_init(&a, 64 << 20);
    mg_buf_init(&b, 64 << 20);
    encode(L, top + 1, &plain, &a);
    check(mg_json_push(L, mg_buf_str(&a), &decode, &err) == MG_OK);
    check(equal(L, top + 1, top + 2));
    encode(L, top + 1, &sorted, &a);
    encode(L, top + 2, &sorted, &b);
    check(mg_str_eq(mg_buf_str(&a), mg_buf_str(&b)));
    mg_buf_release(&a);
    mg_buf_release(&b);
    lua_settop(L, top);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static lua_State *L;
    if (!L) {
        L = luaL_newstate();
        check(L);
        mg_json_open(L);
        lua_settop(L, 0);
    }
    if (n)
        round_trip(L, mg_str((const char *)data + 1, n - 1), data[0]);
    return 0;
}
