/* A stock Lua state with our modules at hand. The main thread. */
#include "script/host.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/embedded.h"
#include "script/inspect.h"
#include "script/kit.h"
#include "script/process.h"

struct start {
    const char *file;
    const char *chunk;
    int argc;
    char **argv;
};

static int compare_names(const void *name, const void *file)
{
    return strcmp(name, ((const struct mg_embedded_file *)file)->name);
}

static const struct mg_embedded_file *find(const char *name)
{
    return bsearch(name, mg_embedded_files, mg_embedded_file_count, sizeof *mg_embedded_files,
                   compare_names);
}

/* Looks for the module that the argument names. Pushes its loader and the file's name. */
static bool search(lua_State *L, const char *const *formats)
{
    const char *path = luaL_gsub(L, luaL_checkstring(L, 1), ".", "/");
    for (const char *const *format = formats; *format; format++) {
        const char *name = luaL_gsub(L, *format, "?", path);
        const struct mg_embedded_file *f = find(name);
        if (!f)
            continue;
        if (luaL_loadbufferx(L, f->data, f->size, lua_pushfstring(L, "@%s", name), "t") != LUA_OK)
            return lua_error(L);
        lua_pushstring(L, name);
        return true;
    }
    return false;
}

/* Searchers of package.searchers: (name) -> loader, file | text | nothing. */
static int l_search_own(lua_State *L)
{
    static const char *const formats[] = {"lua/?.lua", "lua/?/init.lua", NULL};
    return search(L, formats) ? 2 : 0;
}

static int l_search_policies(lua_State *L)
{
    static const char *const formats[] = {"policies/?.lua", "policies/?/?.lua", NULL};
    if (search(L, formats))
        return 2;
    lua_pushfstring(L, "no built-in policy '%s'", lua_tostring(L, 1));
    return 1;
}

/* Puts a function into the list on top, at place `at`. */
static void insert(lua_State *L, lua_Integer at, lua_CFunction f)
{
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i >= at; i--) {
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushcfunction(L, f);
    lua_rawseti(L, -2, at);
}

void mg_host_add_modules(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, mg_kit_open);
    lua_setfield(L, -2, "moongate.core");
    lua_pushcfunction(L, mg_process_open);
    lua_setfield(L, -2, "moongate.process");
    lua_pushcfunction(L, mg_inspect_open);
    lua_setfield(L, -2, "moongate.inspect");
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -1, "searchers");
    insert(L, 2, l_search_own); /* behind package.preload */
    insert(L, (lua_Integer)lua_rawlen(L, -1) + 1, l_search_policies);
    lua_pop(L, 3);
}

static int on_error(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* (struct start) -> exit status */
static int run(lua_State *L)
{
    const struct start *s = lua_touserdata(L, 1);
    const struct mg_embedded_file *f = find(s->file);
    luaL_openlibs(L);
    mg_host_add_modules(L);
    if (!f || luaL_loadbufferx(L, f->data, f->size, s->chunk, "t") != LUA_OK)
        return luaL_error(L, "%s cannot be loaded", s->file);
    luaL_checkstack(L, s->argc, "too many arguments");
    for (int i = 0; i < s->argc; i++)
        lua_pushstring(L, s->argv[i]);
    lua_call(L, s->argc, 1);
    return 1;
}

int mg_host_run(const char *file, const char *chunk, int argc, char **argv)
{
    struct start start = {file, chunk, argc, argv};
    lua_State *L = luaL_newstate();
    int status = 1;
    if (!L) {
        fputs("moongate: no memory for a Lua state\n", stderr);
        return status;
    }
    lua_pushcfunction(L, on_error);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &start);
    if (lua_pcall(L, 1, 1, 1) == LUA_OK)
        status = (int)lua_tointeger(L, -1);
    else
        fprintf(stderr, "%s: %s\n", chunk + 1, lua_tostring(L, -1));
    lua_close(L);
    return status;
}
