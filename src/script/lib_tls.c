/* A connection's TLS, and its client's certificate, as plain tables. */
#include "script/lib_tls.h"

#include <lauxlib.h>

#include "base/arena.h"
#include "script/table.h"
#include "tls/peer.h"

#define ARENA_CHUNK 4096

/* { dns = { "a.example" }, ip = { ... }, email = ..., uri = ... } */
static void push_sans(lua_State *L, const struct mg_tls_peer_info *info)
{
    static const char *const kinds[] = {[MG_TLS_SAN_DNS] = "dns",
                                        [MG_TLS_SAN_EMAIL] = "email",
                                        [MG_TLS_SAN_URI] = "uri",
                                        [MG_TLS_SAN_IP] = "ip"};
    lua_newtable(L);
    for (size_t i = 0; i < info->san_count; i++) {
        luaL_getsubtable(L, -1, kinds[info->sans[i].kind]);
        lua_pushlstring(L, info->sans[i].value.p, info->sans[i].value.n);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        lua_pop(L, 1);
    }
}

/* (info) -> table. Protected, so that the arena goes whatever happens. */
static int l_push_info(lua_State *L)
{
    const struct mg_tls_peer_info *info = lua_touserdata(L, 1);
    lua_createtable(L, 0, 9);
    mg_table_set_text_if_any(L, "subject", info->subject);
    mg_table_set_text_if_any(L, "common_name", info->common_name);
    mg_table_set_text_if_any(L, "issuer", info->issuer);
    mg_table_set_text_if_any(L, "serial", info->serial);
    mg_table_set_text_if_any(L, "fingerprint", info->fingerprint);
    mg_table_set_text_if_any(L, "pem", info->pem);
    lua_pushinteger(L, (lua_Integer)info->not_before);
    lua_setfield(L, -2, "not_before");
    lua_pushinteger(L, (lua_Integer)info->not_after);
    lua_setfield(L, -2, "not_after");
    push_sans(L, info);
    lua_setfield(L, -2, "sans");
    return 1;
}

/* Nil for what cannot be taken apart, which nobody could have verified. */
static void push_certificate(lua_State *L, struct mg_str der)
{
    struct mg_tls_peer_info info;
    struct mg_pool pool;
    struct mg_arena arena;
    int rc = LUA_OK;
    luaL_checkstack(L, 4, NULL);
    mg_pool_init(&pool, ARENA_CHUNK);
    mg_arena_init(&arena, &pool);
    if (mg_tls_peer_describe(der, &arena, &info, NULL) == MG_OK) {
        lua_pushcfunction(L, l_push_info);
        lua_pushlightuserdata(L, &info);
        rc = lua_pcall(L, 1, 1, 0);
    } else {
        lua_pushnil(L);
    }
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    if (rc != LUA_OK)
        lua_error(L);
}

void mg_lib_tls_push(lua_State *L, const struct mg_security *s)
{
    lua_createtable(L, 0, 6);
    lua_pushstring(L, s->version);
    lua_setfield(L, -2, "version");
    lua_pushstring(L, s->cipher);
    lua_setfield(L, -2, "cipher");
    mg_table_set_text_if_any(L, "sni", s->server_name);
    mg_table_set_text_if_any(L, "alpn", s->protocol);
    lua_pushboolean(L, s->resumed);
    lua_setfield(L, -2, "resumed");
    if (s->peer_der.n == 0)
        return;
    push_certificate(L, s->peer_der);
    lua_setfield(L, -2, "client_cert");
}
