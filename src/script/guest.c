/*
 * Guests in a Lua state of others. One thread.
 *
 * Always true: of the registry's entries under addresses of this program, all but the common ones
 * belong to the guest that is in (or to none, when the state has had no guest yet).
 */
#include "script/guest.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <string.h>

#include "script/json.h"
#include "script/sandbox.h"

/* Names, so that they are no entries of a guest. */
#define PRESENT "moongate.guest.present" /* the guest that is in */
#define COMMON "moongate.guest.common"   /* set of the keys that all guests share */
#define SCRIPTS "moongate.guest.scripts" /* list of all there were */
#define STRINGS "moongate.guest.strings" /* the state's own metatable of strings */

static const char strings_key; /* a guest's metatable of strings */

/* --- whose entry is it --- */

/* Other modules in the process have keys too. */
static bool is_ours(const void *address)
{
    static const char here;
    Dl_info own, other;
    return dladdr(&here, &own) && dladdr(address, &other) && own.dli_fbase == other.dli_fbase;
}

/* Is the key at `index` that of a guest's entry? `common` is the index of the set. */
static bool is_entry(lua_State *L, int index, int common)
{
    if (lua_type(L, index) != LUA_TLIGHTUSERDATA || !is_ours(lua_touserdata(L, index)))
        return false;
    lua_pushvalue(L, index);
    bool shared = lua_rawget(L, common) != LUA_TNIL;
    lua_pop(L, 1);
    return !shared;
}

/* --- moving entries --- */

/* Moves the entries of the registry into the table on top. */
static void take_entries(lua_State *L)
{
    int entries = lua_gettop(L), common = entries + 1;
    lua_getfield(L, LUA_REGISTRYINDEX, COMMON);
    for (lua_pushnil(L); lua_next(L, LUA_REGISTRYINDEX); lua_pop(L, 1)) {
        if (!is_entry(L, -2, common))
            continue;
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, entries);
        lua_pushvalue(L, -2);
        lua_pushnil(L);
        lua_rawset(L, LUA_REGISTRYINDEX);
    }
    lua_settop(L, entries);
}

/* Puts copies of what the table on top holds into the registry. */
static void give_entries(lua_State *L)
{
    int entries = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, entries); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, LUA_REGISTRYINDEX);
    }
}

static struct mg_guest *present(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, PRESENT);
    struct mg_guest *g = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return g;
}

static void set_present(lua_State *L, struct mg_guest *g)
{
    lua_pushlightuserdata(L, g);
    lua_setfield(L, LUA_REGISTRYINDEX, PRESENT);
}

static void leave(lua_State *L)
{
    struct mg_guest *g = present(L);
    if (!g)
        return;
    lua_newtable(L);
    take_entries(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, g->entries);
    set_present(L, NULL);
}

void mg_guest_answer(struct mg_guest *g, lua_State *L)
{
    if (!g->script)
        return; /* it is being made, or gone: whoever answered before still does */
    *(uintptr_t *)lua_getextraspace(g->host) = (uintptr_t)g->script;
    if (L != g->host && !mg_script_is_task(L))
        *(uintptr_t *)lua_getextraspace(L) = (uintptr_t)g->script;
}

void mg_guest_enter(struct mg_guest *g, lua_State *L)
{
    luaL_checkstack(L, 8, "moongate");
    if (present(L) != g) {
        leave(L);
        lua_rawgeti(L, LUA_REGISTRYINDEX, g->entries);
        give_entries(L);
        lua_pop(L, 1);
        set_present(L, g);
    }
    mg_guest_answer(g, L);
}

/* --- at work --- */

static void *allocate(void *arg, void *old, size_t old_size, size_t new_size)
{
    struct mg_guest *g = arg;
    struct mg_script *s = g->script;
    size_t had = old ? old_size : 0; /* without a block it is a type */
    if (s && new_size > had && !mg_script_may_grow(s, new_size - had))
        return NULL;
    void *p = g->host_alloc(g->host_alloc_arg, old, old_size, new_size);
    if (s && (p || new_size == 0)) {
        s->memory_used += new_size;
        /* Blocks that were there before may go as well. */
        s->memory_used = s->memory_used > had ? s->memory_used - had : 0;
    }
    return p;
}

/* Takes the metatable on top for all strings; nil: leaves theirs. */
static void take_string_methods(lua_State *L)
{
    if (lua_istable(L, -1)) {
        lua_pushliteral(L, "");
        lua_pushvalue(L, -2);
        lua_setmetatable(L, -2);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void mg_guest_begin_work(struct mg_guest *g)
{
    lua_State *L = g->host;
    g->at_work = true;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &strings_key);
    take_string_methods(L);
    g->host_alloc = lua_getallocf(L, &g->host_alloc_arg);
    lua_setallocf(L, allocate, g);
}

void mg_guest_end_work(struct mg_guest *g)
{
    lua_State *L = g->host;
    g->at_work = false;
    lua_setallocf(L, g->host_alloc, g->host_alloc_arg);
    lua_getfield(L, LUA_REGISTRYINDEX, STRINGS);
    take_string_methods(L);
}

/* --- life --- */

/* What all guests have in common is what JSON keeps: its null is one value in the whole state. */
static void find_common(lua_State *L)
{
    if (lua_getfield(L, LUA_REGISTRYINDEX, COMMON) == LUA_TTABLE) {
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);
    mg_json_open(L);
    lua_pop(L, 1);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, LUA_REGISTRYINDEX); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TLIGHTUSERDATA || !is_ours(lua_touserdata(L, -2)))
            continue;
        lua_pushvalue(L, -2);
        lua_pushboolean(L, true);
        lua_rawset(L, -5);
    }
    lua_setfield(L, LUA_REGISTRYINDEX, COMMON);
}

void mg_guest_init(struct mg_guest *g, lua_State *L)
{
    luaL_checkstack(L, 8, "moongate");
    find_common(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    *g = (struct mg_guest){.host = lua_tothread(L, -1)};
    lua_pop(L, 1);
    lua_newtable(L);
    g->entries = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Runs the finalizer of the value on top, now instead of when it is collected. */
static void finalize(lua_State *L)
{
    if (lua_type(L, -1) != LUA_TUSERDATA || luaL_getmetafield(L, -1, "__gc") == LUA_TNIL)
        return;
    lua_pushvalue(L, -2);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        lua_pop(L, 1);
    lua_pushnil(L);
    lua_setmetatable(L, -2);
}

void mg_guest_release(struct mg_guest *g)
{
    lua_State *L = g->host;
    if (!lua_checkstack(L, 12))
        return;
    if (present(L) == g)
        leave(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, g->entries);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        finalize(L);
    lua_pop(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, g->entries);
    g->entries = LUA_NOREF;
}

/* --- the script --- */

struct mg_script *mg_guest_new_script(struct mg_guest *g)
{
    struct mg_script *s = lua_newuserdatauv(g->host, sizeof *s, 0);
    memset(s, 0, sizeof *s);
    s->guest = g;
    luaL_getsubtable(g->host, LUA_REGISTRYINDEX, SCRIPTS);
    lua_insert(g->host, -2);
    lua_rawseti(g->host, -2, (lua_Integer)lua_rawlen(g->host, -2) + 1);
    lua_pop(g->host, 1);
    return s;
}

static int open_sandbox(lua_State *L)
{
    mg_sandbox_open(L);
    return 0;
}

/*
 * The sandbox changes the libraries that it offers, so it must have its own, not those of the
 * state: while it opens, the state's are out of sight. `_G` is only read.
 */
static int open_beside(lua_State *L)
{
    static const char *const names[] = {"string", "table", "math", "utf8", "coroutine", "os", NULL};
    enum { LOADED = 1, KEPT, STRING_META };
    lua_settop(L, 0);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_newtable(L);
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_remove(L, -2);
    lua_pushvalue(L, STRING_META);
    lua_setfield(L, LUA_REGISTRYINDEX, STRINGS);
    for (const char *const *name = names; *name; name++) {
        lua_getfield(L, LOADED, *name);
        lua_setfield(L, KEPT, *name);
        lua_pushnil(L);
        lua_setfield(L, LOADED, *name);
    }
    lua_pushcfunction(L, open_sandbox);
    int status = lua_pcall(L, 0, 0, 0);
    for (const char *const *name = names; *name; name++) {
        lua_getfield(L, KEPT, *name);
        lua_setfield(L, LOADED, *name);
    }
    int result = lua_gettop(L);
    lua_pushliteral(L, "");
    if (lua_getmetatable(L, -1))
        lua_rawsetp(L, LUA_REGISTRYINDEX, &strings_key);
    lua_pushvalue(L, STRING_META);
    take_string_methods(L);
    lua_settop(L, result);
    return status == LUA_OK ? 0 : lua_error(L);
}

enum mg_rc mg_guest_open(struct mg_guest *g, struct mg_script *s)
{
    s->L = lua_newthread(g->host);
    s->_anchor = luaL_ref(g->host, LUA_REGISTRYINDEX);
    *(uintptr_t *)lua_getextraspace(s->L) = (uintptr_t)s;
    g->script = s;
    mg_guest_answer(g, g->host);
    lua_pushcfunction(s->L, open_beside);
    if (lua_pcall(s->L, 0, 0, 0) != LUA_OK) {
        lua_settop(s->L, 0);
        return MG_FAIL;
    }
    if (g->at_work) {
        lua_rawgetp(s->L, LUA_REGISTRYINDEX, &strings_key);
        take_string_methods(s->L);
    }
    return MG_OK;
}

void mg_guest_close(struct mg_guest *g)
{
    struct mg_script *s = g->script;
    luaL_unref(g->host, LUA_REGISTRYINDEX, s->_anchor);
    s->L = g->host;
    s->loop = NULL; /* what was kept of it raises instead of waiting */
    s->owner = NULL;
    g->script = NULL;
}
