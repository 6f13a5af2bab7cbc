/* Error objects, and what people are told of error values. One thread. */
#include "script/fail.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "script/json.h"

#define LEVELS_SEARCHED 10
#define TABLE_SHOWN 300 /* bytes */

#define TYPE "moongate.error"

static int l_tostring(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "message");
    return 1;
}

/* No __concat: Debian 12's Lua 5.4.4 may lose its result when the stack grows meanwhile. */
static void push_metatable(lua_State *L)
{
    if (!luaL_newmetatable(L, TYPE))
        return;
    lua_pushcfunction(L, l_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
}

void mg_fail_wrap(lua_State *L, const char *code)
{
    lua_createtable(L, 0, 2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    push_metatable(L);
    lua_setmetatable(L, -2);
}

int mg_fail_push(lua_State *L, const char *code, const char *message)
{
    lua_pushnil(L);
    lua_pushstring(L, message);
    mg_fail_wrap(L, code);
    return 2;
}

/* --- what was raised --- */

/* Pushes "file:line: " of the innermost Lua code; nothing to speak of when none is near. */
static void push_place(lua_State *L, int level)
{
    lua_Debug ar;
    for (int i = level; i < level + LEVELS_SEARCHED && lua_getstack(L, i, &ar); i++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0) {
            lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

static const char *raw_text(lua_State *L, int table, const char *key)
{
    lua_pushstring(L, key);
    lua_rawget(L, table);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/* (table, buffer) -> whether it could be written */
static int l_encode(lua_State *L)
{
    struct mg_buf *text = lua_touserdata(L, 2);
    struct mg_json_encode_options options = {.sort = true};
    struct mg_error err;
    lua_pushboolean(L, mg_json_encode(L, 1, text, &options, &err) == MG_OK && !text->failed);
    return 1;
}

/* The table as JSON, when it is one and short. */
static bool push_json(lua_State *L, int table)
{
    struct mg_buf text;
    char shown[TABLE_SHOWN];
    mg_buf_init(&text, sizeof shown);
    lua_pushcfunction(L, l_encode);
    lua_pushvalue(L, table);
    lua_pushlightuserdata(L, &text);
    bool ok = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_toboolean(L, -1);
    size_t n = text.n;
    if (ok)
        memcpy(shown, text.p, n);
    mg_buf_release(&text);
    lua_pop(L, 1);
    if (ok)
        lua_pushlstring(L, shown, n);
    return ok;
}

static void push_table(lua_State *L, int table)
{
    int top = lua_gettop(L);
    const char *code = raw_text(L, table, "code"), *message = raw_text(L, table, "message");
    if (code || message)
        lua_pushfstring(L, "%s%s%s", code ? code : "", code && message ? ": " : "",
                        message ? message : "");
    else if (push_json(L, table))
        lua_pushfstring(L, "error value is %s", lua_tostring(L, -1));
    else
        lua_pushliteral(L, "error value is a table; give it a 'message'");
    lua_insert(L, top + 1);
    lua_settop(L, top + 1);
}

static void push_value(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TNUMBER || luaL_getmetafield(L, index, "__tostring") != LUA_TNIL)
        luaL_tolstring(L, index, NULL);
    else if (lua_istable(L, index))
        push_table(L, index);
    else
        lua_pushfstring(L, "error value is a %s; raise a text", luaL_typename(L, index));
}

const char *mg_fail_push_text(lua_State *L, int index, int level, size_t *n)
{
    index = lua_absindex(L, index);
    if (lua_type(L, index) == LUA_TSTRING) {
        lua_pushvalue(L, index);
    } else {
        push_place(L, level);
        int place = lua_gettop(L);
        push_value(L, index);
        lua_insert(L, place + 1);
        lua_settop(L, place + 1);
        lua_concat(L, 2);
    }
    return lua_tolstring(L, -1, n);
}
