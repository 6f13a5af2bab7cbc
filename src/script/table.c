/* Help with Lua tables. The state's thread. */
#include "script/table.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void mg_table_push_keys(lua_State *L, int index)
{
    size_t count = 0, n = 0;
    index = lua_absindex(L, index);
    luaL_checkstack(L, 4, "table");
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        count++;
    /* The texts belong to the table's keys, which stay. */
    const char **texts = lua_newuserdatauv(L, (count + 1) * sizeof *texts, 0);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING)
            texts[n++] = lua_tostring(L, -2);
    qsort(texts, n, sizeof *texts, compare_texts);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_pushstring(L, texts[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_remove(L, -2);
}

void mg_table_set_text(lua_State *L, const char *key, struct mg_str text)
{
    lua_pushlstring(L, text.n ? text.p : "", text.n);
    lua_setfield(L, -2, key);
}

void mg_table_set_text_if_any(lua_State *L, const char *key, struct mg_str text)
{
    if (text.n)
        mg_table_set_text(L, key, text);
}
