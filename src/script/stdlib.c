/*
 * The safe standard library. One thread.
 *
 * The stock tables are changed in place: string's is also what methods of strings find. Nothing a
 * policy can reach leads to the tables themselves, so none can change what another one sees.
 */
#include "script/stdlib.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "base/log.h"
#include "script/coroutine.h"
#include "script/pattern.h"
#include "script/state.h"
#include "script/task.h"

#define DATE_FORMAT_MAX 1024 /* bytes; each two of them can be a call of strftime */

/* --- protection --- */

static int l_read_only(lua_State *L)
{
    return luaL_error(L, "cannot change '%s' of a read-only table", luaL_tolstring(L, 2, NULL));
}

void mg_stdlib_protect(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_read_only);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_replace(L, -2);
}

/* --- base --- */

static int l_collectgarbage(lua_State *L)
{
    const char *what = luaL_optstring(L, 1, "collect");
    if (strcmp(what, "count") != 0)
        return luaL_error(L, "collectgarbage: only \"count\" is available to policies");
    lua_pushnumber(L, (lua_Number)mg_script_of(L)->memory_used / 1024);
    return 1;
}

static int l_print(lua_State *L)
{
    int n = lua_gettop(L);
    const struct mg_task *t = mg_script_of(L)->current;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    if (mg_script_of(L)->trial)
        return 0;
    size_t bytes;
    const char *text = lua_tolstring(L, -1, &bytes);
    struct mg_log_field fields[MG_TASK_LOG_FIELDS];
    mg_log_fields(MG_LOG_INFO, mg_str(text, bytes), fields, t ? mg_task_log_fields(t, fields) : 0);
    return 0;
}

static int l_rawset(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a read-only table");
    lua_rawset(L, 1);
    return 1;
}

static int l_setmetatable(lua_State *L)
{
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    lua_settop(L, 2);
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    if (type == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "__gc is not available to policies; use a <close> variable");
        lua_pop(L, 1);
    }
    lua_setmetatable(L, 1);
    return 1;
}

static void copy_fields(lua_State *L, int from, int to, const char *const *names)
{
    from = lua_absindex(L, from);
    to = lua_absindex(L, to);
    for (; *names; names++) {
        lua_getfield(L, from, *names);
        lua_setfield(L, to, *names);
    }
}

/* Sets functions that have the one they stand for as their upvalue, in the table on top. */
static void wrap(lua_State *L, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_getfield(L, -1, functions->name);
        lua_pushcclosure(L, functions->func, 1);
        lua_setfield(L, -2, functions->name);
    }
}

/* Goes on as the stock function that this one wraps. */
static int stock(lua_State *L)
{
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static void open_base(lua_State *L)
{
    static const char *const same[] = {"assert",   "error",    "getmetatable", "ipairs", "next",
                                       "pairs",    "pcall",    "rawequal",     "rawget", "rawlen",
                                       "select",   "tonumber", "tostring",     "type",   "xpcall",
                                       "_VERSION", NULL};
    static const luaL_Reg own[] = {
        {"collectgarbage", l_collectgarbage}, {"print", l_print}, {"rawset", l_rawset},
        {"setmetatable", l_setmetatable},     {NULL, NULL},
    };
    luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
    copy_fields(L, -1, -2, same);
    lua_pop(L, 1);
    luaL_setfuncs(L, own, 0);
}

/* --- string --- */

static int l_rep(lua_State *L)
{
    size_t n, separator;
    luaL_checklstring(L, 1, &n);
    lua_Integer times = luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &separator);
    if (times > 0 && n + separator == 0) { /* stock would count all of them */
        lua_pushliteral(L, "");
        return 1;
    }
    if (times > 0 && (lua_Unsigned)times > MG_STDLIB_STRING_MAX / (n + separator))
        return luaL_error(L, "string.rep: the result would be larger than %d bytes",
                          MG_STDLIB_STRING_MAX);
    return stock(L);
}

/* An item like "c1000000000" would be filled byte by byte. */
static int l_pack(lua_State *L)
{
    unsigned long n = 0;
    for (const char *p = luaL_checkstring(L, 1); *p; p++) {
        n = *p >= '0' && *p <= '9' ? n * 10 + (unsigned long)(*p - '0') : 0;
        if (n > MG_STDLIB_STRING_MAX)
            return luaL_error(L, "string.pack: an item would be larger than %d bytes",
                              MG_STDLIB_STRING_MAX);
    }
    return stock(L);
}

static void open_string(lua_State *L)
{
    static const luaL_Reg wrapped[] = {{"rep", l_rep}, {"pack", l_pack}, {NULL, NULL}};
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    wrap(L, wrapped);
    mg_pattern_open(L);
    mg_stdlib_protect(L);
    lua_setfield(L, -2, LUA_STRLIBNAME);

    /* getmetatable("").__index is the library itself. */
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}

/* --- table --- */

static void check_count(lua_State *L, const char *function, lua_Unsigned count)
{
    if (count > MG_STDLIB_ITEMS_MAX)
        luaL_error(L, "%s: more than %d items", function, MG_STDLIB_ITEMS_MAX);
}

/* Work follows the length. A metatable can claim any, and so can a table with holes at the right
 * places. */
static void check_length(lua_State *L, const char *function)
{
    lua_Integer n = lua_istable(L, 1) ? luaL_len(L, 1) : 0;
    check_count(L, function, n > 0 ? (lua_Unsigned)n : 0);
}

static int l_insert(lua_State *L)
{
    if (lua_gettop(L) > 2) /* at the end there is nothing to move */
        check_length(L, "table.insert");
    return stock(L);
}

static int l_remove(lua_State *L)
{
    if (lua_gettop(L) > 1)
        check_length(L, "table.remove");
    return stock(L);
}

static int l_sort(lua_State *L)
{
    check_length(L, "table.sort");
    return stock(L);
}

/* Without a metatable the first hole is its end. */
static int l_concat(lua_State *L)
{
    if (lua_getmetatable(L, 1)) {
        lua_pop(L, 1);
        lua_Integer first = luaL_optinteger(L, 3, 1);
        lua_Integer last = lua_isnoneornil(L, 4) ? luaL_len(L, 1) : luaL_checkinteger(L, 4);
        if (last > first)
            check_count(L, "table.concat", (lua_Unsigned)last - (lua_Unsigned)first);
    }
    return stock(L);
}

static int l_move(lua_State *L)
{
    lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3);
    if (last > first)
        check_count(L, "table.move", (lua_Unsigned)last - (lua_Unsigned)first);
    return stock(L);
}

static void open_table(lua_State *L)
{
    static const luaL_Reg wrapped[] = {
        {"concat", l_concat}, {"insert", l_insert}, {"move", l_move},
        {"remove", l_remove}, {"sort", l_sort},     {NULL, NULL},
    };
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 0);
    wrap(L, wrapped);
    mg_stdlib_protect(L);
    lua_setfield(L, -2, LUA_TABLIBNAME);
}

/* --- math, utf8, coroutine --- */

static int l_randomseed(lua_State *L)
{
    (void)L;
    return 0;
}

static void open_math(lua_State *L)
{
    struct mg_script *s = mg_script_of(L);
    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 0);
    lua_getfield(L, -1, "randomseed");
    lua_pushinteger(L, (lua_Integer)mg_script_random(s));
    lua_pushinteger(L, (lua_Integer)mg_script_random(s));
    lua_call(L, 2, 0);
    lua_pushcfunction(L, l_randomseed);
    lua_setfield(L, -2, "randomseed");
    mg_stdlib_protect(L);
    lua_setfield(L, -2, LUA_MATHLIBNAME);
}

static void open_utf8(lua_State *L)
{
    luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 0);
    mg_stdlib_protect(L);
    lua_setfield(L, -2, LUA_UTF8LIBNAME);
}

static void open_coroutine(lua_State *L)
{
    mg_coroutine_open(L);
    mg_stdlib_protect(L);
    lua_setfield(L, -2, LUA_COLIBNAME);
}

/* --- os --- */

/* The time of the loop, which in a simulation is not the machine's. */
static bool push_loop_time(lua_State *L)
{
    const struct mg_loop *loop = mg_script_of(L)->loop;
    if (loop)
        lua_pushinteger(L, (lua_Integer)mg_loop_wall(loop));
    return loop != NULL;
}

static int l_time(lua_State *L)
{
    if (lua_isnoneornil(L, 1) && push_loop_time(L))
        return 1;
    return stock(L);
}

static int l_date(lua_State *L)
{
    luaL_argcheck(L, strlen(luaL_optstring(L, 1, "")) <= DATE_FORMAT_MAX, 1, "format too long");
    lua_settop(L, 2);
    if (lua_isnil(L, 1)) {
        lua_pushliteral(L, "%c");
        lua_replace(L, 1);
    }
    if (lua_isnil(L, 2) && push_loop_time(L))
        lua_replace(L, 2);
    return stock(L);
}

static void open_os(lua_State *L)
{
    static const char *const same[] = {"clock", "date", "difftime", "time", NULL};
    static const luaL_Reg wrapped[] = {{"date", l_date}, {"time", l_time}, {NULL, NULL}};
    lua_newtable(L);
    luaL_requiref(L, LUA_OSLIBNAME, luaopen_os, 0);
    copy_fields(L, -1, -2, same);
    lua_pop(L, 1);
    wrap(L, wrapped);
    mg_stdlib_protect(L);
    lua_setfield(L, -2, LUA_OSLIBNAME);
}

void mg_stdlib_open(lua_State *L)
{
    lua_newtable(L);
    open_base(L);
    open_string(L);
    open_table(L);
    open_math(L);
    open_utf8(L);
    open_coroutine(L);
    open_os(L);
    /* requiref keeps the stock tables, the whole of os among them, where no policy code gets. */
}
