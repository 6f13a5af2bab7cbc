/* mg.client_key. Its function has the compiled key as upvalue, and that its texts as user value. */
#include "script/lib_client_key.h"

#include "gateway/client_key.h"
#include "script/context.h"

#define PARTS_MAX 8

struct compiled {
    struct mg_client_key key;
    struct mg_client_key_part parts[PARTS_MAX];
};

static int l_key_of(lua_State *L)
{
    const struct compiled *c = lua_touserdata(L, lua_upvalueindex(1));
    struct mg_str key = mg_client_key_text(&c->key, mg_handle_request(L, 1));
    lua_pushlstring(L, key.n ? key.p : "", key.n);
    return 1;
}

/* Makes what is at 1 a list, a copy if it is one already. */
static void push_texts(lua_State *L)
{
    bool is_list = lua_istable(L, 1);
    lua_Integer count = is_list ? (lua_Integer)lua_rawlen(L, 1) : 1;
    luaL_argcheck(L, count >= 1 && count <= PARTS_MAX, 1, "expected 1 to 8 of them");
    lua_createtable(L, (int)count, 0);
    for (lua_Integer i = 1; i <= count; i++) {
        if (is_list)
            lua_rawgeti(L, 1, i);
        else
            lua_pushvalue(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_typeerror(L, 1, "string or list of strings");
        lua_rawseti(L, -2, i);
    }
}

static int l_client_key(lua_State *L)
{
    lua_settop(L, 1);
    push_texts(L);
    struct compiled *c = lua_newuserdatauv(L, sizeof *c, 1);
    c->key = (struct mg_client_key){c->parts, (uint32_t)lua_rawlen(L, 2)};
    for (uint32_t i = 0; i < c->key.count; i++) {
        struct mg_str by;
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        by.p = lua_tolstring(L, -1, &by.n);
        c->parts[i] = mg_client_key_part(by);
        lua_pop(L, 1);
    }
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, 3, 1);
    lua_pushcclosure(L, l_key_of, 1);
    return 1;
}

void mg_lib_client_key_open(lua_State *L)
{
    lua_pushcfunction(L, l_client_key);
    lua_setfield(L, -2, "client_key");
}
