/* Functions of a .lua config. Any thread, each in its own state. */
#include "script/functions.h"

#include <lauxlib.h>

#include "script/sandbox.h"
#include "script/task.h"

/* Registry key of the file's table, which is made once a state. */
static const char table_key;

static void push_config(lua_State *L, const struct mg_plan *plan)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    const char *chunk = lua_pushfstring(L, "@%s", plan->config_file.p);
    if (mg_sandbox_load(L, plan->config_text, chunk) != MG_OK || mg_task_call(L, 0, 1) != MG_OK)
        luaL_error(L, "%s", luaL_tolstring(L, -1, NULL));
    lua_remove(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &table_key);
}

void mg_functions_set_config(lua_State *L)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, &table_key);
}

/* One step of "routes[2].policies[1]": a name, or an index from 0. Replaces the table on top by its
 * item. */
static void descend(lua_State *L, struct mg_str name, bool index)
{
    uint64_t at;
    if (!lua_istable(L, -1)) {
        lua_pushnil(L);
    } else if (index && mg_str_to_u64(name, UINT32_MAX, &at)) {
        lua_rawgeti(L, -1, (lua_Integer)at + 1);
    } else {
        lua_pushlstring(L, name.p, name.n);
        lua_rawget(L, -2);
    }
    lua_remove(L, -2);
}

void mg_functions_push(lua_State *L, const struct mg_plan *plan, const struct mg_plan_step *step)
{
    struct mg_str path = step->step->path, part;
    push_config(L, plan);
    while (mg_str_split(&path, '.', &part)) {
        ptrdiff_t open = mg_str_find(part, '[');
        descend(L, open < 0 ? part : mg_str(part.p, (size_t)open), false);
        while (open >= 0) {
            part = mg_str(part.p + open + 1, part.n - (size_t)open - 1);
            ptrdiff_t close = mg_str_find(part, ']');
            if (close < 0)
                break;
            descend(L, mg_str(part.p, (size_t)close), true);
            part = mg_str(part.p + close + 1, part.n - (size_t)close - 1);
            open = mg_str_find(part, '[');
        }
    }
    if (!lua_isfunction(L, -1))
        luaL_error(L, "%s: not a function when the worker runs the config", step->step->path.p);
}
