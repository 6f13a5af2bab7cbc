/*
 * Contexts and handles. Worker thread.
 *
 * Every handle is anchored in the registry until its context ends, so the link in the context's list never
 * points at collected memory and no finalizer is needed: those would cost each request more than the anchor.
 */
#include "script/context.h"

/* Registry keys of the metatables: the addresses count. */
static const char metatable_keys[MG_HANDLE_KINDS];

static const char *const kind_names[MG_HANDLE_KINDS] = {"request", "response", "next"};

/* --- contexts --- */

static void on_cancel(void *arg)
{
    struct mg_context *ctx = arg;
    mg_task_cancel_all(&ctx->tasks);
}

struct mg_context *mg_context_of(struct mg_exchange *ex)
{
    if (ex->script)
        return ex->script;
    struct mg_context *ctx = mg_arena_calloc(&ex->in->arena, sizeof *ctx);
    ctx->wg = ex->wg;
    ctx->script = mg_instances_script(ex->wg->script);
    ctx->ex = ex;
    ctx->req = &ex->req;
    ctx->arena = &ex->in->arena;
    mg_list_init(&ctx->tasks);
    mg_list_init(&ctx->handles);
    mg_wait_begin(&ctx->wait, &ex->wait, on_cancel, ctx);
    ex->script = ctx;
    return ctx;
}

void mg_context_end(struct mg_context *ctx)
{
    lua_State *L = ctx->script->L;
    ctx->over = true;
    mg_wait_end(&ctx->wait);
    mg_task_cancel_all(&ctx->tasks);
    MG_LIST_FOREACH_SAFE(it, &ctx->handles) {
        struct mg_handle *h = MG_CONTAINER_OF(it, struct mg_handle, link);
        h->object = NULL;
        h->ctx = NULL;
        mg_list_remove(&h->link);
        luaL_unref(L, LUA_REGISTRYINDEX, h->ref);
    }
}

struct mg_context *mg_context_check(lua_State *L, const char *what)
{
    struct mg_context *ctx = mg_task_context(L);
    if (!ctx)
        luaL_error(L, "%s can only be called while a request is served", what);
    if (ctx->over)
        luaL_error(L, "%s: request has ended", what);
    return ctx;
}

struct mg_str mg_context_copy(struct mg_context *ctx, lua_State *L, int index)
{
    size_t n;
    const char *text = lua_tolstring(L, index, &n);
    return mg_arena_str(ctx->arena, mg_str(text, n));
}

/* --- handles --- */

struct mg_handle *mg_handle_find(struct mg_context *ctx, const void *object)
{
    MG_LIST_FOREACH(it, &ctx->handles) {
        struct mg_handle *h = MG_CONTAINER_OF(it, struct mg_handle, link);
        if (h->object == object)
            return h;
    }
    return NULL;
}

void mg_handle_push(lua_State *L, struct mg_context *ctx, enum mg_handle_kind kind, void *object)
{
    struct mg_handle *h = mg_handle_find(ctx, object);
    if (h) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, h->ref);
        return;
    }
    h = lua_newuserdatauv(L, sizeof *h, MG_HANDLE_VALUES);
    h->ctx = ctx;
    h->object = object;
    h->kind = kind;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_keys[kind]);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    h->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    mg_list_push_front(&ctx->handles, &h->link);
}

static bool has_kind(lua_State *L, int arg, enum mg_handle_kind kind)
{
    if (lua_type(L, arg) != LUA_TUSERDATA || !lua_getmetatable(L, arg))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_keys[kind]);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

struct mg_handle *mg_handle_peek(lua_State *L, int index, enum mg_handle_kind kind)
{
    if (!lua_checkstack(L, 3) || !has_kind(L, index, kind))
        return NULL;
    struct mg_handle *h = lua_touserdata(L, index);
    return h->object ? h : NULL;
}

static struct mg_handle *alive(lua_State *L, struct mg_handle *h, enum mg_handle_kind kind)
{
    if (!h->object)
        luaL_error(L, "%s has ended", kind_names[kind]);
    return h;
}

struct mg_handle *mg_handle_test(lua_State *L, int arg, enum mg_handle_kind kind)
{
    return has_kind(L, arg, kind) ? alive(L, lua_touserdata(L, arg), kind) : NULL;
}

struct mg_handle *mg_handle_check(lua_State *L, int arg, enum mg_handle_kind kind)
{
    struct mg_handle *h = mg_handle_test(L, arg, kind);
    if (!h)
        luaL_typeerror(L, arg, kind_names[kind]);
    return h;
}

struct mg_handle *mg_handle_check_any(lua_State *L, int arg)
{
    struct mg_handle *h = mg_handle_test(L, arg, MG_HANDLE_REQUEST);
    return h ? h : mg_handle_check(L, arg, MG_HANDLE_RESPONSE);
}

/* --- fields and methods: one table holds both, functions and field numbers --- */

static int l_index(lua_State *L)
{
    const struct mg_handle_type *type = lua_touserdata(L, lua_upvalueindex(2));
    struct mg_handle *h = lua_touserdata(L, 1);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (lua_type(L, -1) != LUA_TNUMBER)
        return 1; /* a method, or nil */
    int field = (int)lua_tointeger(L, -1);
    type->get(L, alive(L, h, h->kind), field);
    return 1;
}

static int l_newindex(lua_State *L)
{
    const struct mg_handle_type *type = lua_touserdata(L, lua_upvalueindex(2));
    struct mg_handle *h = lua_touserdata(L, 1);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (lua_type(L, -1) != LUA_TNUMBER)
        return luaL_error(L, "a %s has no field '%s' that can be set", kind_names[h->kind],
                          luaL_tolstring(L, 2, NULL));
    int field = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    type->set(L, alive(L, h, h->kind), field);
    return 0;
}

static int l_tostring(lua_State *L)
{
    struct mg_handle *h = lua_touserdata(L, 1);
    const struct mg_handle_type *type = lua_touserdata(L, lua_upvalueindex(2));
    lua_pushfstring(L, "%s%s", type->name, h->object ? "" : " (ended)");
    return 1;
}

static void push_members(lua_State *L, const struct mg_handle_type *type)
{
    lua_newtable(L);
    luaL_setfuncs(L, type->methods, 0);
    for (int i = 0; type->fields[i]; i++) {
        lua_pushinteger(L, i);
        lua_setfield(L, -2, type->fields[i]);
    }
}

static void set_metamethod(lua_State *L, const struct mg_handle_type *type, const char *name,
                           lua_CFunction fn)
{
    lua_pushvalue(L, -2); /* members */
    lua_pushlightuserdata(L, (void *)type);
    lua_pushcclosure(L, fn, 2);
    lua_setfield(L, -2, name);
}

void mg_handle_register(lua_State *L, enum mg_handle_kind kind, const struct mg_handle_type *type)
{
    push_members(L, type);
    lua_newtable(L);
    set_metamethod(L, type, "__index", l_index);
    set_metamethod(L, type, "__newindex", l_newindex);
    set_metamethod(L, type, "__tostring", l_tostring);
    lua_pushstring(L, type->name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_keys[kind]);
    lua_pop(L, 1);
}
