/*
 * Our pattern functions against those of the Lua library: same results, or an error from both.
 *
 * Input: one byte that picks the call, then pattern, subject and replacement, with a zero byte
 * between. What ours refuses as too much work is not given to the stock one, which would hang.
 */
#include "script/pattern.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* (string library, how, subject, pattern, replacement): all results as one text. */
static const char driver[] =
    "local s, how, subject, pattern, replacement = ...\n"
    "local out = {}\n"
    "local function add(...)\n"
    "  for i = 1, select('#', ...) do\n"
    "    local v = select(i, ...)\n"
    "    out[#out + 1] = math.type(v) or type(v)\n"
    "    out[#out + 1] = tostring(v)\n"
    "  end\n"
    "  return ...\n"
    "end\n"
    "local init = how // 8 % 8 - 4\n"
    "how = how % 8\n"
    "if how == 0 then add(s.find(subject, pattern, init))\n"
    "elseif how == 1 then add(s.match(subject, pattern, init))\n"
    "elseif how == 2 then\n"
    "  for a, b, c in s.gmatch(subject, pattern) do add(a, b, c) end\n"
    "elseif how == 3 then add(s.gsub(subject, pattern, replacement))\n"
    "elseif how == 4 then add(s.gsub(subject, pattern, replacement, init))\n"
    "elseif how == 5 then\n"
    "  local n = 0\n"
    "  add(s.gsub(subject, pattern, function(...)\n"
    "    add(...) n = n + 1\n"
    "    if n % 3 == 1 then return replacement elseif n % 3 == 2 then return n end\n"
    "  end))\n"
    "elseif how == 6 then\n"
    "  add(s.gsub(subject, pattern, {[replacement] = 'x', a = 'yy', ['1'] = false, [1] = 5}))\n"
    "else\n"
    "  for a, b in s.gmatch(subject, pattern, init) do add(a, b) end\n"
    "  add(s.find(subject, pattern, init, true))\n"
    "end\n"
    "return table.concat(out, '|')\n";

struct input {
    int how;
    const char *piece[3]; /* pattern, subject, replacement */
    size_t n[3];
};

static void split(struct input *in, const uint8_t *data, size_t size)
{
    const char *at = (const char *)data + 1, *end = (const char *)data + size;
    in->how = data[0];
    for (int i = 0; i < 3; i++) {
        const char *zero = i < 2 ? memchr(at, 0, (size_t)(end - at)) : NULL;
        in->piece[i] = at;
        in->n[i] = (size_t)((zero ? zero : end) - at);
        at = zero ? zero + 1 : end;
    }
}

/* Runs the driver with the library in the registry under `name`; leaves the result or error on top.
 */
static int run(lua_State *L, const char *name, const struct input *in)
{
    static const int order[] = {1, 0, 2};
    lua_getfield(L, LUA_REGISTRYINDEX, "driver");
    lua_getfield(L, LUA_REGISTRYINDEX, name);
    lua_pushinteger(L, in->how);
    for (int i = 0; i < 3; i++)
        lua_pushlstring(L, in->piece[order[i]], in->n[order[i]]);
    return lua_pcall(L, 5, 1, 0);
}

static lua_State *new_state(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    MG_BUG_ON(luaL_loadbufferx(L, driver, sizeof driver - 1, "=driver", "t") != LUA_OK);
    lua_setfield(L, LUA_REGISTRYINDEX, "driver");
    lua_getglobal(L, "string");
    lua_setfield(L, LUA_REGISTRYINDEX, "stock");
    lua_newtable(L);
    mg_pattern_open(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "ours");
    return L;
}

static void complain(const struct input *in, const char *ours, const char *stock)
{
    fprintf(stderr,
            "how %d\npattern '%.*s'\nsubject '%.*s'\nreplacement '%.*s'\nours:  %s\nstock: %s\n",
            in->how, (int)in->n[0], in->piece[0], (int)in->n[1], in->piece[1], (int)in->n[2],
            in->piece[2], ours, stock);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *L;
    struct input in;
    if (size == 0 || size > 2000)
        return 0;
    if (!L)
        L = new_state();
    split(&in, data, size);
    lua_settop(L, 0);
    int ours = run(L, "ours", &in);
    const char *text = lua_tostring(L, 1);
    if (ours != LUA_OK && (strstr(text, "too many steps") || strstr(text, "too complex")))
        return 0;
    int stock = run(L, "stock", &in);
    if (stock != LUA_OK && strstr(lua_tostring(L, 2), "too complex"))
        return 0;
    if (ours != stock || (ours == LUA_OK && !lua_rawequal(L, 1, 2)))
        complain(&in, text, lua_tostring(L, 2));
    return 0;
}
