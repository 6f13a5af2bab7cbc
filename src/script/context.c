/*
 * Contexts and handles. Worker thread.
 *
 * Every handle is anchored in the registry until its context ends, so the link in the context's
 * list never points at collected memory and no finalizer is needed: those would cost each request
 * more than the anchor.
 */
#include "script/context.h"

#include <stdlib.h>

#include "base/memory.h"
#include "script/lib_request.h"

/* Registry keys of the metatables: the addresses count. */
static const char metatable_keys[MG_HANDLE_KINDS];

static const char *const kind_names[MG_HANDLE_KINDS] = {"request", "response", "next", "stream",
                                                        "hit"};

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

/* A table of its own, so that the two do not see each other's changes. */
static void copy_fields(lua_State *L, int from)
{
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, from)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

static void copy_values(lua_State *L, int to, int from)
{
    static const int shared[] = {MG_HANDLE_AUTH, MG_HANDLE_TLS};
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        lua_getiuservalue(L, from, shared[i]);
        lua_setiuservalue(L, to, shared[i]);
    }
    if (lua_getiuservalue(L, from, MG_HANDLE_CTX) == LUA_TTABLE) {
        copy_fields(L, lua_gettop(L));
        lua_setiuservalue(L, to, MG_HANDLE_CTX);
    }
    lua_pop(L, 1);
}

void mg_context_follow(struct mg_exchange *ex, struct mg_request *like, struct mg_exchange *of)
{
    struct mg_context *old = of->script;
    if (!mg_handle_find(old, like))
        return;
    struct mg_context *ctx = mg_context_of(ex);
    lua_State *L = mg_script_host(ctx->script);
    int top = lua_gettop(L);
    ctx->script->memory_lenient++;
    mg_handle_push(L, old, MG_HANDLE_REQUEST, like);
    mg_handle_push(L, ctx, MG_HANDLE_REQUEST, &ex->req);
    copy_values(L, top + 2, top + 1);
    lua_settop(L, top);
    ctx->script->memory_lenient--;
}

/* One that waits for a walk of the scope, or NULL. */
static struct mg_task *find_waiting(struct mg_context *ctx, const struct mg_scope *scope)
{
    MG_LIST_FOREACH_SAFE(it, &ctx->tasks)
    {
        struct mg_task *t = MG_CONTAINER_OF(it, struct mg_task, owned);
        const struct mg_walk *w = t->walk;
        if (t->waiting && w && w->scope == scope)
            return t;
    }
    return NULL;
}

void mg_context_cancel_scope(struct mg_context *ctx, struct mg_scope *scope)
{
    mg_walk_cancel_scope(scope);
    /* Closing one's variables may cancel others, so the list is looked at anew each time. */
    for (struct mg_task *t; (t = find_waiting(ctx, scope)) != NULL;)
        mg_task_cancel(t);
}

void mg_context_end(struct mg_context *ctx)
{
    lua_State *L = ctx->script->L;
    ctx->over = true;
    mg_wait_end(&ctx->wait);
    mg_task_cancel_all(&ctx->tasks);
    MG_LIST_FOREACH_SAFE(it, &ctx->handles)
    {
        struct mg_handle *h = MG_CONTAINER_OF(it, struct mg_handle, link);
        h->object = NULL;
        h->ctx = NULL;
        mg_list_remove(&h->link);
        luaL_unref(L, LUA_REGISTRYINDEX, h->ref);
    }
}

/* --- background tasks: each has memory of its own, made when it first needs some --- */

struct background {
    struct mg_context ctx;
    struct mg_arena arena;
};

static void on_task_end(struct mg_task *t)
{
    struct background *b = MG_CONTAINER_OF((struct mg_context *)t->context, struct background, ctx);
    mg_context_end(&b->ctx);
    mg_arena_release(&b->arena);
    free(b);
}

static struct mg_context *new_background(struct mg_task *t)
{
    struct mg_worker_generation *wg = t->script->owner;
    struct background *b = mg_calloc(1, sizeof *b);
    mg_arena_init(&b->arena, &wg->worker->chunks);
    b->ctx.script = t->script;
    b->ctx.wg = wg;
    b->ctx.arena = &b->arena;
    mg_list_init(&b->ctx.tasks);
    mg_list_init(&b->ctx.handles);
    t->context = &b->ctx;
    t->on_end = on_task_end;
    return &b->ctx;
}

struct mg_context *mg_context_check(lua_State *L, const char *what)
{
    struct mg_script *s = mg_script_of(L);
    if (!s->current || !s->owner)
        luaL_error(L, "%s can only be called while a request or a task runs; call it in the step",
                   what);
    struct mg_context *ctx = s->current->context ? s->current->context : new_background(s->current);
    if (ctx->over)
        luaL_error(L, "%s: request has ended", what);
    return ctx;
}

const struct mg_step *mg_context_step(lua_State *L)
{
    const struct mg_task *t = mg_script_of(L)->current;
    return t ? t->source : NULL;
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
    MG_LIST_FOREACH(it, &ctx->handles)
    {
        struct mg_handle *h = MG_CONTAINER_OF(it, struct mg_handle, link);
        if (h->object == object)
            return h;
    }
    return NULL;
}

static struct mg_handle *new_handle(lua_State *L, struct mg_context *ctx, enum mg_handle_kind kind,
                                    void *object)
{
    int values = kind == MG_HANDLE_REQUEST ? MG_HANDLE_VALUES : 0;
    struct mg_handle *h = lua_newuserdatauv(L, sizeof *h, values);
    *h = (struct mg_handle){.ctx = ctx, .object = object, .kind = kind, .ref = LUA_NOREF};
    mg_list_init(&h->link);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_keys[kind]);
    lua_setmetatable(L, -2);
    return h;
}

struct mg_handle *mg_handle_push_loose(lua_State *L, struct mg_context *ctx,
                                       enum mg_handle_kind kind, void *object, int box)
{
    box = lua_absindex(L, box);
    struct mg_handle *h = new_handle(L, ctx, kind, object);
    lua_pushvalue(L, box);
    lua_setiuservalue(L, -2, MG_HANDLE_BOX);
    return h;
}

void mg_handle_push(lua_State *L, struct mg_context *ctx, enum mg_handle_kind kind, void *object)
{
    struct mg_handle *h = mg_handle_find(ctx, object);
    if (h) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, h->ref);
        return;
    }
    h = new_handle(L, ctx, kind, object);
    lua_pushvalue(L, -1);
    h->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    mg_list_push_front(&ctx->handles, &h->link);
}

/* --- values that an arena keeps --- */

struct kept {
    struct mg_script *script;
    int ref;
};

static void drop_kept(void *arg)
{
    const struct kept *k = arg;
    luaL_unref(k->script->L, LUA_REGISTRYINDEX, k->ref);
}

/* Takes the value off the top; it lives as long as the arena. */
static struct kept *keep(lua_State *L, struct mg_script *script, struct mg_arena *arena)
{
    struct kept *k = mg_arena_alloc(arena, sizeof *k);
    *k = (struct kept){script, luaL_ref(L, LUA_REGISTRYINDEX)};
    mg_arena_on_release(arena, drop_kept, k);
    return k;
}

/* The caller's handle of a copy and the one that steps in a walk get are two. */
static void share_values(lua_State *L, struct mg_context *ctx, struct mg_request *copy, int handle)
{
    static const int values[] = {MG_HANDLE_CTX, MG_HANDLE_AUTH, MG_HANDLE_PARAMS, MG_HANDLE_TLS};
    mg_handle_push(L, ctx, MG_HANDLE_REQUEST, copy);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        lua_getiuservalue(L, handle, values[i]);
        lua_setiuservalue(L, -2, values[i]);
    }
    lua_pop(L, 1);
}

struct mg_request *mg_context_keep_request(lua_State *L, struct mg_context *ctx, int arg)
{
    struct mg_request *req = mg_handle_request(L, arg);
    if (!req->ex) {
        mg_lib_request_keep(req, ctx->ex, ctx->arena);
        share_values(L, ctx, req, arg);
    }
    return req;
}

/* The request's handle; NULL: Lua has not seen it. */
static struct mg_handle *request_handle(struct mg_exchange *ex, struct mg_request *req)
{
    return ex->script ? mg_handle_find(ex->script, req) : NULL;
}

void *mg_context_save_identity(struct mg_exchange *ex, struct mg_request *req)
{
    struct mg_handle *h = request_handle(ex, req);
    if (!h)
        return NULL;
    struct mg_script *script = h->ctx->script;
    lua_State *L = mg_script_host(script);
    int top = lua_gettop(L);
    struct kept *saved = NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->ref);
    if (lua_getiuservalue(L, -1, MG_HANDLE_AUTH) != LUA_TNIL) {
        script->memory_lenient++;
        saved = keep(L, script, req->arena);
        script->memory_lenient--;
    }
    lua_settop(L, top);
    return saved;
}

void mg_context_restore_identity(struct mg_exchange *ex, struct mg_request *req, void *saved)
{
    struct mg_handle *h = request_handle(ex, req);
    const struct kept *identity = saved;
    if (!h)
        return;
    lua_State *L = mg_script_host(h->ctx->script);
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->ref);
    if (identity)
        lua_rawgeti(L, LUA_REGISTRYINDEX, identity->ref);
    else
        lua_pushnil(L);
    lua_setiuservalue(L, -2, MG_HANDLE_AUTH);
    lua_pop(L, 1);
}

/* Our userdata at `arg`, or NULL: only ours have one of our metatables. Two calls, for it is asked
 * at every method's entry. */
static struct mg_handle *any_handle(lua_State *L, int arg)
{
    struct mg_handle *h = lua_touserdata(L, arg);
    if (!h || !lua_getmetatable(L, arg))
        return NULL;
    const void *meta = lua_topointer(L, -1);
    lua_pop(L, 1);
    const void *const *ours = mg_script_of(L)->handle_metas;
    for (int kind = 0; kind < MG_HANDLE_KINDS; kind++)
        if (meta == ours[kind])
            return h;
    return NULL;
}

static bool has_kind(lua_State *L, int arg, enum mg_handle_kind kind)
{
    struct mg_handle *h = any_handle(L, arg);
    return h && h->kind == kind;
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
    struct mg_handle *h = any_handle(L, arg);
    if (!h || (h->kind != MG_HANDLE_REQUEST && h->kind != MG_HANDLE_RESPONSE))
        luaL_typeerror(L, arg, "request or response");
    return alive(L, h, h->kind);
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

/* Takes the metatable on top of the stack. */
static void register_metatable(lua_State *L, enum mg_handle_kind kind)
{
    mg_script_of(L)->handle_metas[kind] = lua_topointer(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_keys[kind]);
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
    register_metatable(L, kind);
    lua_pop(L, 1);
}

static void register_bare(lua_State *L, enum mg_handle_kind kind, const char *name)
{
    lua_newtable(L);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    register_metatable(L, kind);
}

void mg_handle_register_bare(lua_State *L)
{
    register_bare(L, MG_HANDLE_NEXT, "moongate.Next");
    register_bare(L, MG_HANDLE_STREAM, "moongate.Stream");
}
