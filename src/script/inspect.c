/* Configs as tools see them. */
#include "script/inspect.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "script/config.h"
#include "script/explain.h"
#include "script/json.h"
#include "script/plan.h"
#include "script/shadows.h"
#include "script/table.h"

#define TYPE "moongate.InspectedConfig"
#define TEXT_MAX ((size_t)64 << 20)
#define FIELDS_MAX 1000

/* --- loading --- */

static struct mg_generation *load(const char *file, bool check_only, struct mg_buf *text)
{
    struct mg_config_source source = {.file = file, .check_only = check_only, .shown = true};
    mg_buf_reset(text);
    return mg_config_load(&source, text, NULL, NULL);
}

/* Where the secrets are not, as in CI, a config is looked at without them. */
static int l_load(lua_State *L)
{
    const char *file = luaL_checkstring(L, 1);
    struct mg_generation **slot = lua_newuserdatauv(L, sizeof(struct mg_generation *), 0);
    struct mg_buf text;
    *slot = NULL;
    luaL_setmetatable(L, TYPE);
    mg_buf_init(&text, TEXT_MAX);
    *slot = load(file, false, &text);
    if (!*slot)
        *slot = load(file, true, &text);
    if (*slot) {
        mg_buf_release(&text);
        return 1;
    }
    lua_pushnil(L);
    lua_pushlstring(L, text.n ? text.p : "", text.n);
    mg_buf_release(&text);
    return 2;
}

static struct mg_generation *check(lua_State *L)
{
    struct mg_generation **slot = luaL_checkudata(L, 1, TYPE);
    return *slot;
}

static int l_gc(lua_State *L)
{
    struct mg_generation **slot = luaL_checkudata(L, 1, TYPE);
    mg_generation_unref(*slot);
    *slot = NULL;
    return 0;
}

/* --- explaining --- */

/* A field of the table at index 2; it stays on the stack, so that its bytes do. */
static struct mg_str text_field(lua_State *L, const char *name)
{
    struct mg_str s = MG_STR("");
    if (lua_getfield(L, 2, name) == LUA_TSTRING)
        s.p = lua_tolstring(L, -1, &s.n);
    return s;
}

/* Views of texts in the table, which keeps them. */
static size_t read_fields(lua_State *L, struct mg_look_field *out)
{
    if (lua_getfield(L, 2, "headers") != LUA_TTABLE)
        return 0;
    int list = lua_gettop(L);
    lua_Integer count = luaL_len(L, list);
    luaL_argcheck(L, count <= FIELDS_MAX, 2, "too many headers");
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, list, i);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        out[i - 1].name.p = luaL_checklstring(L, -2, &out[i - 1].name.n);
        out[i - 1].value.p = luaL_checklstring(L, -1, &out[i - 1].value.n);
        lua_settop(L, list);
    }
    return (size_t)count;
}

/* (json text) -> table */
static int l_decode(lua_State *L)
{
    struct mg_str text;
    struct mg_error err;
    text.p = luaL_checklstring(L, 1, &text.n);
    if (mg_json_push(L, text, NULL, &err) != MG_OK)
        return luaL_error(L, "%s", err.text);
    return 1;
}

static int l_explain(lua_State *L)
{
    struct mg_generation *gen = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    struct mg_look_field *fields = lua_newuserdatauv(L, FIELDS_MAX * sizeof *fields, 0);
    struct mg_look_request asked = {.method = text_field(L, "method"),
                                    .url = text_field(L, "url"),
                                    .listener = text_field(L, "listener"),
                                    .client = text_field(L, "client"),
                                    .fields = fields};
    struct mg_buf json;
    struct mg_error err;
    bool found = false;
    asked.field_count = read_fields(L, fields);
    mg_buf_init(&json, TEXT_MAX);
    enum mg_rc rc = mg_explain(gen, &asked, &json, &found, &err);
    if (rc == MG_OK)
        lua_pushlstring(L, json.p, json.n);
    mg_buf_release(&json);
    if (rc != MG_OK) {
        lua_pushnil(L);
        lua_pushstring(L, err.text);
        return 2;
    }
    lua_pushcfunction(L, l_decode);
    lua_pushvalue(L, -2);
    lua_call(L, 1, 1);
    lua_insert(L, -2);
    lua_pushboolean(L, found);
    return 3;
}

/* --- the rest of it --- */

static int l_shown(lua_State *L)
{
    struct mg_str shown = check(L)->shown;
    lua_pushcfunction(L, l_decode);
    lua_pushlstring(L, shown.p, shown.n);
    lua_call(L, 1, 1);
    return 1;
}

static void push_text(lua_State *L, struct mg_str s)
{
    lua_pushlstring(L, s.n ? s.p : "", s.n);
}

static void push_place(lua_State *L, const struct mg_plan_place *place)
{
    lua_createtable(L, 0, 5);
    mg_table_set_text(L, "path", place->path);
    mg_table_set_text(L, "file", place->file);
    lua_pushinteger(L, place->line);
    lua_setfield(L, -2, "line");
    lua_pushinteger(L, place->col);
    lua_setfield(L, -2, "col");
}

static void push_step_paths(lua_State *L, const struct mg_pipeline *p)
{
    lua_createtable(L, (int)p->count, 0);
    for (uint32_t i = 0; i < p->count; i++) {
        push_text(L, p->steps[i].path);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static int l_places(lua_State *L)
{
    const struct mg_generation *gen = check(L);
    const struct mg_plan *plan = gen->script;
    lua_createtable(L, 0, (int)gen->route_count);
    for (uint32_t i = 0; i < gen->route_count; i++) {
        push_text(L, gen->routes[i].name);
        push_place(L, &plan->route_places[i]);
        push_step_paths(L, &gen->routes[i].pipeline);
        lua_setfield(L, -2, "steps");
        lua_rawset(L, -3);
    }
    return 1;
}

static int l_shadows(lua_State *L)
{
    struct mg_generation *gen = check(L);
    struct mg_shadows s = {.arena = &gen->arena};
    mg_router_shadows(gen->router, mg_shadows_note, &s);
    lua_createtable(L, (int)s.count, 0);
    for (size_t i = 0; i < s.count; i++) {
        lua_createtable(L, 0, 4);
        mg_table_set_text(L, "route", ((const struct mg_route *)s.v[i].route)->name);
        mg_table_set_text(L, "by", ((const struct mg_route *)s.v[i].by)->name);
        mg_table_set_text(L, "host", s.v[i].host);
        mg_table_set_text(L, "pattern", s.v[i].pattern);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* --- finding --- */

struct headers {
    const struct mg_look_field *v;
    size_t count;
};

static bool has_header(void *arg, struct mg_str name, const struct mg_str *value)
{
    const struct headers *h = arg;
    for (size_t i = 0; i < h->count; i++)
        if (mg_str_ieq(h->v[i].name, name) && (!value || mg_str_eq(h->v[i].value, *value)))
            return true;
    return false;
}

static int l_find(lua_State *L)
{
    const struct mg_generation *gen = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    struct mg_look_field *fields = lua_newuserdatauv(L, FIELDS_MAX * sizeof *fields, 0);
    struct headers headers = {.v = fields};
    struct mg_route_found found;
    struct mg_route_query query = {.method = text_field(L, "method"),
                                   .host = text_field(L, "host"),
                                   .path = text_field(L, "path"),
                                   .query = text_field(L, "query"),
                                   .listener = text_field(L, "listener"),
                                   .has_header = has_header,
                                   .header_arg = &headers};
    headers.count = read_fields(L, fields);
    if (mg_router_find(gen->router, &query, &found) != MG_ROUTER_FOUND)
        return 0;
    push_text(L, ((const struct mg_route *)found.route)->name);
    return 1;
}

int mg_inspect_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"explain", l_explain}, {"shown", l_shown},
                                       {"places", l_places},   {"shadows", l_shadows},
                                       {"find", l_find},       {NULL, NULL}};
    static const luaL_Reg functions[] = {{"load", l_load}, {NULL, NULL}};
    mg_json_open(L);
    lua_pop(L, 1);
    luaL_newmetatable(L, TYPE);
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
