/*
 * What the options of `moongate test` ask of Lua files: the texts that policy code is compiled
 * from, and how often their lines ran. The spec's thread.
 *
 * What is kept lies in the registry under names, so that it belongs to no guest.
 */
#include <lauxlib.h>
#include <stdlib.h>

#include "script/budget.h"
#include "script/embedded.h"
#include "script/kit.h"
#include "script/sandbox.h"

#define FILTER "moongate.kit.filter"
#define COUNTS "moongate.kit.counts"

/* --- texts --- */

/* Pushes the text that the spec's side wants in place of this one, or nothing. */
static bool filter_text(lua_State *L, const char *chunk_name, struct mg_str *text)
{
    if (!lua_checkstack(L, 6))
        return false;
    int top = lua_gettop(L);
    if (lua_getfield(L, LUA_REGISTRYINDEX, FILTER) == LUA_TFUNCTION) {
        lua_pushstring(L, chunk_name);
        lua_pushlstring(L, text->n ? text->p : "", text->n);
        if (lua_pcall(L, 2, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING) {
            text->p = lua_tolstring(L, -1, &text->n);
            return true;
        }
    }
    lua_settop(L, top);
    return false;
}

/* on_source(fn) */
static int l_on_source(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, FILTER);
    mg_sandbox_set_filter(filter_text);
    return 0;
}

static int compare_names(const void *name, const void *file)
{
    return strcmp(name, ((const struct mg_embedded_file *)file)->name);
}

/* built_in(name) -> text | nil */
static int l_built_in(lua_State *L)
{
    const struct mg_embedded_file *f =
        bsearch(luaL_checkstring(L, 1), mg_embedded_files, mg_embedded_file_count,
                sizeof *mg_embedded_files, compare_names);
    if (!f)
        return 0;
    lua_pushlstring(L, f->data, f->size);
    return 1;
}

/* --- lines --- */

/* Adds one in the table at the top. */
static void count(lua_State *L, lua_Integer key)
{
    lua_rawgeti(L, -1, key);
    lua_pushinteger(L, lua_tointeger(L, -1) + 1);
    lua_rawseti(L, -3, key);
}

static void on_hook(lua_State *L, lua_Debug *ar)
{
    if (!lua_getinfo(L, "S", ar) || *ar->source != '@')
        return;
    int top = lua_gettop(L);
    lua_getfield(L, LUA_REGISTRYINDEX, COUNTS);
    lua_pushlstring(L, ar->source, ar->srclen);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_newtable(L);
        lua_pushlstring(L, ar->source, ar->srclen);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
    count(L, ar->event == LUA_HOOKLINE ? ar->currentline : -(lua_Integer)ar->linedefined);
    lua_settop(L, top);
}

static void set_hook(lua_State *L, lua_Hook hook, int mask)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *main = lua_tothread(L, -1);
    lua_pop(L, 1);
    mg_budget_set_hook_at_rest(hook, mask);
    lua_sethook(main, hook, mask, 0); /* coroutines inherit it */
    if (L != main)
        lua_sethook(L, hook, mask, 0);
}

/* count_lines() */
static int l_count_lines(lua_State *L)
{
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, COUNTS);
    set_hook(L, on_hook, LUA_MASKLINE | LUA_MASKCALL);
    return 0;
}

/* line_counts() -> { [chunk name] = { [line] = times, [-line] = calls } } */
static int l_line_counts(lua_State *L)
{
    set_hook(L, NULL, 0);
    lua_getfield(L, LUA_REGISTRYINDEX, COUNTS);
    return 1;
}

void mg_kit_sources_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"on_source", l_on_source},
                                         {"built_in", l_built_in},
                                         {"count_lines", l_count_lines},
                                         {"line_counts", l_line_counts},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
