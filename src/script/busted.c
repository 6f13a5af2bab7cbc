/*
 * A stock Lua state for specs: the whole standard library, the system's modules (busted among
 * them), our own modules from the program, and lua/moongate/test/run.lua, which does the rest. The
 * main thread.
 */
#include "script/busted.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/embedded.h"
#include "script/kit.h"

#define RUN "lua/moongate/test/run.lua"
#define CHUNK "@moongate test" /* busted takes its own name from it */

static int compare_names(const void *name, const void *file)
{
    return strcmp(name, ((const struct mg_embedded_file *)file)->name);
}

static const struct mg_embedded_file *find(const char *name)
{
    return bsearch(name, mg_embedded_files, mg_embedded_file_count, sizeof *mg_embedded_files,
                   compare_names);
}

/* A searcher of package.searchers: (name) -> loader, file | text. */
static int l_search(lua_State *L)
{
    static const char *const formats[] = {"lua/?.lua", "lua/?/init.lua", "policies/?.lua",
                                          "policies/?/?.lua", NULL};
    const char *path = luaL_gsub(L, luaL_checkstring(L, 1), ".", "/");
    for (const char *const *format = formats; *format; format++) {
        const char *name = luaL_gsub(L, *format, "?", path);
        const struct mg_embedded_file *f = find(name);
        if (!f)
            continue;
        if (luaL_loadbufferx(L, f->data, f->size, lua_pushfstring(L, "@%s", name), "t") != LUA_OK)
            return lua_error(L);
        lua_pushstring(L, name);
        return 2;
    }
    lua_pushfstring(L, "no built-in file for '%s'", lua_tostring(L, 1));
    return 1;
}

static void add_searcher(lua_State *L)
{
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -1, "searchers");
    lua_pushcfunction(L, l_search);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 2);
}

static int on_error(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* (argc, argv) -> exit status */
static int run(lua_State *L)
{
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);
    const struct mg_embedded_file *f = find(RUN);
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, mg_kit_open);
    lua_setfield(L, -2, "moongate.core");
    add_searcher(L);
    if (!f || luaL_loadbufferx(L, f->data, f->size, CHUNK, "t") != LUA_OK)
        return luaL_error(L, "%s cannot be loaded", RUN);
    luaL_checkstack(L, argc, "too many arguments");
    for (int i = 0; i < argc; i++)
        lua_pushstring(L, argv[i]);
    lua_call(L, argc, 1);
    return 1;
}

int mg_busted_run(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    int status = 1;
    if (!L) {
        fputs("moongate test: no memory for a Lua state\n", stderr);
        return status;
    }
    lua_pushcfunction(L, on_error);
    lua_pushcfunction(L, run);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    if (lua_pcall(L, 2, 1, 1) == LUA_OK)
        status = (int)lua_tointeger(L, -1);
    else
        fprintf(stderr, "moongate test: %s\n", lua_tostring(L, -1));
    lua_close(L);
    return status;
}
