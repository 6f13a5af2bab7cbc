/*
 * mg.cache. Worker thread.
 *
 * What a request has found (a hit) lies in its arena, and lets go of the entry with it: entries
 * cost the store memory as long as they are held, so no collector decides that. A key has memory of
 * its own and holds nothing of the store, but for the time of a refresh.
 */
#include "script/lib_cache.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "gateway/cache_answer.h"
#include "gateway/cache_keep.h"
#include "gateway/cache_key.h"
#include "gateway/cache_lookup.h"
#include "gateway/cache_purge.h"
#include "gateway/problem.h"
#include "script/context.h"
#include "script/lib_time.h"
#include "script/steps.h"

#define CACHE "moongate.Cache"
#define KEY "moongate.CacheKey"
#define NAME_MAX_BYTES 128
#define KEY_CHUNK_BYTES 2048
#define LEADS_MAX 8

/* One that the state has opened. As old as the state. */
struct mg_opened_cache {
    struct mg_opened_cache *next;
    struct mg_str name;
    struct mg_caches *registry;
    struct mg_cache_options options; /* store NULL: nothing is going to run */
};

struct cache {
    struct mg_script *script;
    struct mg_opened_cache *opened;
};

/* What a request was looked up by: where its response belongs. */
struct key {
    struct mg_script *script;
    struct mg_opened_cache *cache;
    struct mg_pool chunks;
    struct mg_arena arena;
    struct mg_cache_keeping keeping; /* but for what one call of store says */
    struct mg_cache_key place;
    const void *seen; /* what was there: to be told from what comes later, never looked into */
    uint64_t purges;  /* when it was looked up, or stored last */
    struct mg_cache_fill *fill; /* a refresh is under way; NULL: or has used it */
};

struct hit {
    struct mg_cache *store;
    struct mg_cache_entry *entry; /* a reference; NULL: there is nothing, and it may not be asked */
    struct mg_request *req;
    struct mg_cache_request request;
    struct mg_cache_decision decision;
    struct mg_response *res; /* made beforehand where the body still comes; NULL: not yet */
};

/* What an unsafe request will make useless when it succeeds. */
struct watch {
    struct mg_answer_watch base;
    struct mg_cache *store;
    enum mg_method method;
    struct mg_cache_target target;
};

/* --- arguments --- */

static struct mg_opened_cache *check_cache(lua_State *L)
{
    const struct cache *c = luaL_checkudata(L, 1, CACHE);
    if (c->script != mg_script_of(L) || c->script->ending)
        luaL_error(L, "the cache is closed");
    return c->opened;
}

static struct key *check_key(lua_State *L, int arg, const struct mg_opened_cache *cache)
{
    struct key *k = luaL_checkudata(L, arg, KEY);
    if (k->cache != cache)
        luaL_argerror(L, arg, "the key is of another cache");
    return k;
}

/* Of the running request, or a copy, which stays. What belongs to another request may go any time.
 */
static struct mg_request *check_request(lua_State *L, struct mg_context *ctx, int arg)
{
    struct mg_request *req = mg_context_keep_request(L, ctx, arg);
    if (req->ex && req->ex != ctx->ex)
        luaL_argerror(L, arg, "the request is another one's; in the background take req:copy()");
    return req;
}

/* Pushes the field of an options table, nil when there is none. */
static int push_option(lua_State *L, int options, const char *key)
{
    if (lua_isnoneornil(L, options)) {
        lua_pushnil(L);
        return LUA_TNIL;
    }
    luaL_checktype(L, options, LUA_TTABLE);
    return lua_getfield(L, options, key);
}

static int64_t seconds_option(lua_State *L, int options, const char *key)
{
    int64_t seconds = MG_CACHE_UNSET;
    if (push_option(L, options, key) != LUA_TNIL) {
        lua_Number value = lua_tonumber(L, -1);
        if (!lua_isnumber(L, -1) || !(value >= 0 && value <= MG_CACHE_SECONDS_MAX))
            luaL_error(L, "store: %s: expected seconds", key);
        seconds = (int64_t)ceil(value);
    }
    lua_pop(L, 1);
    return seconds;
}

/* A list of tags as one text, with blanks between. In the arena. */
static struct mg_str tags_option(lua_State *L, int options, struct mg_arena *arena)
{
    struct mg_str all = MG_STR_NONE;
    if (push_option(L, options, "tags") != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TTABLE);
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++, lua_pop(L, 1)) {
            size_t n;
            const char *tag = luaL_checklstring(L, -1, &n);
            all = mg_arena_printf(arena, "%.*s %.*s", MG_STR_ARGS(all), (int)n, tag);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return all;
}

static struct mg_loop *loop_of(const struct mg_context *ctx)
{
    return ctx->wg->worker->loop;
}

static uint64_t now_ns(const struct mg_context *ctx)
{
    return mg_loop_now(loop_of(ctx));
}

static int64_t now_s(const struct mg_context *ctx)
{
    return (int64_t)mg_loop_wall(loop_of(ctx));
}

/* --- keys --- */

/* The refresh has ended, however: what it did not store, others may fetch. */
static void end_refresh(struct key *k)
{
    struct mg_cache_fill *fill = k->fill;
    k->fill = NULL;
    if (fill)
        mg_cache_fill_fail(fill, MG_CACHE_FAILED);
}

static int key_close(lua_State *L)
{
    end_refresh(lua_touserdata(L, 1));
    return 0;
}

static int key_gc(lua_State *L)
{
    struct key *k = lua_touserdata(L, 1);
    end_refresh(k);
    mg_arena_release(&k->arena);
    mg_pool_release(&k->chunks);
    return 0;
}

static int key_tostring(lua_State *L)
{
    lua_pushliteral(L, KEY);
    return 1;
}

static struct key *push_key(lua_State *L, struct mg_opened_cache *cache)
{
    struct key *k = lua_newuserdatauv(L, sizeof *k, 0);
    memset(k, 0, sizeof *k);
    k->script = mg_script_of(L);
    k->cache = cache;
    mg_pool_init(&k->chunks, KEY_CHUNK_BYTES);
    mg_arena_init(&k->arena, &k->chunks);
    luaL_setmetatable(L, KEY);
    return k;
}

/* --- lookup --- */

/* NULL: the entry was let go of in this moment. */
static struct mg_response *answer(const struct mg_context *ctx, const struct hit *hit)
{
    struct mg_cache_answering a = {.req = hit->req,
                                   .request = &hit->request,
                                   .arena = ctx->arena,
                                   .loop = loop_of(ctx),
                                   .store = hit->store,
                                   .entry = hit->entry};
    struct mg_response *res = mg_cache_answer(&a);
    if (!res)
        return NULL;
    const struct mg_cache_status status = {
        .cache = MG_STR("moongate"), .forward = MG_CACHE_HIT, .has_ttl = true, .ttl = a.ttl};
    mg_fields_add(&res->msg->fields, ctx->arena, MG_STR("Cache-Status"),
                  mg_cache_status_text(ctx->arena, &status));
    return res;
}

static void on_answer(struct mg_answer_watch *base, struct mg_exchange *ex,
                      const struct mg_response *res)
{
    struct watch *w = MG_CONTAINER_OF(base, struct watch, base);
    struct mg_arena *arena = &ex->in->arena;
    mg_cache_invalidate(w->store, w->method, &w->target, mg_cache_key_text(&w->target, arena),
                        res->msg, arena);
}

/* The target as it is now: steps may change the request. */
static void watch_unsafe(struct mg_context *ctx, struct mg_opened_cache *cache,
                         struct mg_request *req)
{
    if (!ctx->ex || !mg_cache_invalidates(req->msg->method_id, 200))
        return;
    struct watch *w = mg_arena_alloc(ctx->arena, sizeof *w);
    *w = (struct watch){.base = {on_answer, ctx->ex->watches},
                        .store = cache->options.store,
                        .method = req->msg->method_id};
    mg_cache_key_target(req, &w->target);
    w->target.authority = mg_arena_str(ctx->arena, w->target.authority);
    w->target.path = mg_arena_str(ctx->arena, w->target.path);
    if (w->target.query.p)
        w->target.query = mg_arena_str(ctx->arena, w->target.query);
    ctx->ex->watches = &w->base;
}

static void drop_entry(void *arg)
{
    struct hit *hit = arg;
    mg_cache_unref(hit->store, hit->entry);
    hit->entry = NULL;
}

/* May what was found be the answer? */
static bool is_hit(const struct hit *hit)
{
    switch (hit->decision.verdict) {
    case MG_CACHE_FRESH:
    case MG_CACHE_STALE_ALLOWED:
    case MG_CACHE_STALE_REVALIDATE:
        return true;
    case MG_CACHE_VALIDATE:
    case MG_CACHE_UNAVAILABLE:
        break;
    }
    return false;
}

/* What is too large to be kept goes while it is read: who comes late finds no beginning. */
static bool hold(const struct mg_context *ctx, struct hit *hit)
{
    uint64_t length;
    if (mg_cache_is_complete(hit->entry, &length))
        return true;
    hit->res = answer(ctx, hit);
    return hit->res != NULL;
}

/* Fills in the hit; false: the origin has to be asked. */
static bool judge(struct mg_context *ctx, struct hit *hit)
{
    if (hit->entry)
        mg_cache_lookup_judge(hit->entry, &hit->request, now_s(ctx), &hit->decision);
    if (hit->entry && is_hit(hit) && hold(ctx, hit))
        return true;
    drop_entry(hit);
    hit->decision = (struct mg_cache_decision){.verdict = MG_CACHE_UNAVAILABLE};
    return mg_cache_only_if_cached(&hit->request);
}

static bool may_fill(const struct hit *hit)
{
    return hit->request.method == MG_METHOD_GET && hit->request.may_store &&
           !mg_fields_get(&hit->req->msg->fields, MG_FIELD_RANGE);
}

static void fill_key(struct key *k, const struct mg_context *ctx, const struct hit *hit,
                     const struct mg_cache_key *key, const struct mg_cache_found *found)
{
    const struct mg_cache_keeping keeping = {
        .options = &k->cache->options, .loop = loop_of(ctx), .asked = *hit->req->msg, .key = *key};
    mg_cache_keeping_copy(&k->keeping, &k->arena, &keeping);
    mg_cache_request_read(&k->cache->options.rules, &k->keeping.asked, false, &k->keeping.request);
    k->place.primary = mg_arena_str(&k->arena, found->place.primary);
    k->place.variant = mg_arena_str(&k->arena, found->place.variant);
}

static void make_key(lua_State *L, struct mg_context *ctx, struct mg_request *req, int options,
                     struct mg_cache_key *key)
{
    struct mg_cache_target target;
    struct mg_str extra = MG_STR_NONE;
    if (push_option(L, options, "key") != LUA_TNIL) {
        luaL_checkstring(L, -1);
        extra = mg_context_copy(ctx, L, -1);
    }
    lua_pop(L, 1);
    mg_cache_key_target(req, &target);
    mg_cache_key_of_request(req, &target, extra, key);
}

static int push_nothing(lua_State *L)
{
    lua_pushnil(L);
    lua_pushnil(L);
    return 2;
}

/* Pushes hit and key, either of which may be nil. */
static int push_found(lua_State *L, struct mg_context *ctx, struct mg_opened_cache *cache,
                      struct hit *hit, const struct mg_cache_key *key)
{
    struct mg_cache_found found;
    /* The count comes first: what is purged from here on is noticed. */
    struct key *k = push_key(L, cache);
    mg_arena_on_release(ctx->arena, drop_entry, hit);
    uint64_t purges = mg_cache_purge_count(hit->store, key->primary);
    mg_cache_lookup(hit->store, key, &hit->req->msg->fields, now_ns(ctx), ctx->arena, &found);
    hit->entry = found.entry;
    k->seen = found.entry ? found.entry : found.unshared;
    mg_cache_unref(hit->store, found.unshared);
    bool good = judge(ctx, hit);
    if (good)
        mg_handle_push(L, ctx, MG_HANDLE_HIT, hit);
    else
        lua_pushnil(L);
    if (good || may_fill(hit)) {
        fill_key(k, ctx, hit, key, &found);
        k->purges = purges;
        lua_pushvalue(L, -2);
    } else {
        lua_pushnil(L);
    }
    return 2;
}

static int l_lookup(lua_State *L)
{
    struct mg_opened_cache *cache = check_cache(L);
    struct mg_context *ctx = mg_context_check(L, "lookup");
    struct mg_request *req = check_request(L, ctx, 2);
    struct mg_cache_request request;
    struct mg_cache_key key;
    mg_cache_request_read(&cache->options.rules, req->msg, req->body->length != 0, &request);
    if (!request.may_look) {
        watch_unsafe(ctx, cache, req);
        return push_nothing(L);
    }
    make_key(L, ctx, req, 3, &key);
    if (key.primary.n + key.variant.n > MG_CACHE_KEY_MAX / 2)
        return push_nothing(L);
    struct hit *hit = mg_arena_calloc(ctx->arena, sizeof *hit);
    hit->store = cache->options.store;
    hit->req = req;
    hit->request = request;
    return push_found(L, ctx, cache, hit, &key);
}

/* --- hits --- */

enum field { F_AGE, F_TTL, F_STALE };

static const char *const fields[] = {
    [F_AGE] = "age", [F_TTL] = "ttl", [F_STALE] = "stale", [F_STALE + 1] = NULL};

static void get(lua_State *L, struct mg_handle *h, int field)
{
    const struct hit *hit = h->object;
    switch ((enum field)field) {
    case F_AGE:
        lua_pushinteger(L, hit->decision.age);
        break;
    case F_TTL:
        lua_pushinteger(L, (lua_Integer)hit->decision.ttl);
        break;
    case F_STALE:
        lua_pushboolean(L, hit->decision.verdict == MG_CACHE_STALE_ALLOWED ||
                               hit->decision.verdict == MG_CACHE_STALE_REVALIDATE);
        break;
    }
}

static void set(lua_State *L, struct mg_handle *h, int field)
{
    (void)h;
    luaL_error(L, "hit.%s cannot be set", fields[field]);
}

static struct mg_response *response_of(const struct mg_context *ctx, struct hit *hit)
{
    struct mg_response *res = hit->res;
    hit->res = NULL;
    if (!hit->entry)
        return mg_problem(hit->req, 504, "gateway-timeout", MG_STR("it is not in the cache"),
                          "not_cached");
    return res ? res : answer(ctx, hit);
}

static int l_response(lua_State *L)
{
    const struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_HIT);
    struct mg_response *res = response_of(h->ctx, h->object);
    if (!res)
        return luaL_error(L, "hit:response can be had once while the body is on its way");
    res->from_behind = true;
    mg_handle_push(L, h->ctx, MG_HANDLE_RESPONSE, res);
    return 1;
}

/* --- store --- */

static struct mg_cache_fill *lead(struct key *k, const struct mg_context *ctx)
{
    struct mg_cache *store = k->cache->options.store;
    const struct mg_cache_entry *over = k->seen;
    struct mg_cache_fill *fill;
    struct mg_cache_entry *newer;
    for (unsigned i = 0; i < LEADS_MAX; i++) {
        switch (mg_cache_lead(store, &k->place, over, now_ns(ctx), NULL, &fill, &newer)) {
        case MG_CACHE_LEAD:
            return fill;
        case MG_CACHE_FOUND: /* who stores last has asked last */
            over = newer;
            mg_cache_unref(store, newer);
            break;
        case MG_CACHE_WAIT:
            return NULL;
        }
    }
    return NULL;
}

/* Leads, unless the response may be older than a purge. */
static struct mg_cache_fill *lead_in_time(struct key *k, const struct mg_context *ctx)
{
    struct mg_cache_fill *fill = lead(k, ctx);
    uint64_t purges = mg_cache_purge_count(k->cache->options.store, k->place.primary);
    bool late = purges != k->purges;
    k->purges = purges;
    if (!fill || !late)
        return fill;
    mg_cache_fill_fail(fill, MG_CACHE_FAILED);
    return NULL;
}

static struct mg_cache_fill *take_fill(struct key *k, const struct mg_context *ctx)
{
    struct mg_cache_fill *fill = k->fill;
    k->fill = NULL;
    return fill ? fill : lead_in_time(k, ctx);
}

/* When the request for it went out. */
static int64_t sent_at(const struct mg_context *ctx, const struct mg_response *res)
{
    if (!res->fetch || !res->fetch->started_ns)
        return now_s(ctx);
    return now_s(ctx) - (int64_t)((now_ns(ctx) - res->fetch->started_ns) / MG_SECOND);
}

static int push_stored(lua_State *L, const struct mg_cache_keep *keep)
{
    bool stored = keep->stored || keep->filling;
    lua_pushboolean(L, stored);
    if (stored)
        return 1;
    struct mg_str why = mg_cache_storing_name(keep->storing);
    lua_pushlstring(L, why.p, why.n);
    return 2;
}

static int kept(lua_State *L, int status, lua_KContext k)
{
    (void)status;
    return push_stored(L, (const struct mg_cache_keep *)k);
}

static void wake(void *arg)
{
    mg_task_resume(arg, 0);
}

static void forget_task(void *arg)
{
    ((struct mg_cache_keep *)arg)->on_end = NULL;
}

/* No client reads it, and what it comes through may end with the function that stores it. */
static int wait_for(lua_State *L, struct mg_cache_keep *keep)
{
    struct mg_task *t = mg_task_check_wait(L, "store");
    keep->on_end = wake;
    keep->arg = t;
    return mg_task_wait_k(t, forget_task, keep, (lua_KContext)keep, kept);
}

/* What the response comes through is given up with this. */
static struct mg_wait *wait_of(lua_State *L, const struct mg_context *ctx)
{
    const struct mg_task *t = mg_script_of(L)->current;
    if (!ctx->ex)
        return NULL;
    return t->walk && t->context == ctx ? mg_walk_wait(t->walk) : &ctx->ex->wait;
}

static void check_response(lua_State *L, const struct mg_handle *h)
{
    const struct mg_response *res = h->object;
    if (res->read_in_pieces)
        luaL_error(L, "store: the body has been read already, in pieces");
    if (h->ctx->ex && h->ctx->ex->answered && h->ctx->ex->res == res)
        luaL_error(L, "store: the response has left already");
}

static int l_store(lua_State *L)
{
    struct mg_opened_cache *cache = check_cache(L);
    struct mg_context *ctx = mg_context_check(L, "store");
    struct key *k = check_key(L, 2, cache);
    const struct mg_handle *h = mg_handle_check(L, 3, MG_HANDLE_RESPONSE);
    struct mg_cache_options options = cache->options;
    struct mg_cache_keeping keeping = k->keeping;
    check_response(L, h);
    options.rules.ttl = seconds_option(L, 4, "ttl");
    options.rules.stale_while_revalidate = seconds_option(L, 4, "stale");
    keeping.options = &options;
    keeping.tags = tags_option(L, 4, h->ctx->arena);
    keeping.sent = sent_at(ctx, h->object);
    struct mg_cache_fill *fill = take_fill(k, ctx);
    if (!fill) {
        lua_pushboolean(L, false);
        lua_pushliteral(L, "busy");
        return 2;
    }
    struct mg_cache_keep *keep =
        mg_cache_keep_new(&keeping, fill, h->object, h->ctx->arena, wait_of(L, h->ctx));
    bool behind = !ctx->ex || ctx->onion;
    return keep->filling && behind && h->ctx == ctx ? wait_for(L, keep) : push_stored(L, keep);
}

/* --- refresh --- */

static int refreshed(lua_State *L, int status, lua_KContext k)
{
    (void)L, (void)status, (void)k;
    return 0;
}

/* (key, fn), as a task. Whatever becomes of it, the key is closed. */
static int refresh_body(lua_State *L)
{
    lua_toclose(L, 1);
    lua_callk(L, 0, 0, 0, refreshed);
    return refreshed(L, LUA_OK, 0);
}

/* On a way of its own where that is possible; else as what belongs to no request. False: there is
 * too much of that. */
static bool start_refresh(lua_State *L)
{
    lua_pushcfunction(L, refresh_body);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    if (mg_steps_detach(L, 2))
        return true;
    lua_pushcfunction(L, mg_lib_time_background);
    lua_insert(L, -4);
    lua_call(L, 3, 1);
    return !lua_isnil(L, -1);
}

static int l_refresh(lua_State *L)
{
    struct mg_opened_cache *cache = check_cache(L);
    struct mg_context *ctx = mg_context_check(L, "refresh");
    struct key *k = check_key(L, 2, cache);
    struct mg_cache_entry *newer;
    bool lead = false;
    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);
    switch (k->fill ? MG_CACHE_WAIT
                    : mg_cache_lead(cache->options.store, &k->place, k->seen, now_ns(ctx), NULL,
                                    &k->fill, &newer)) {
    case MG_CACHE_LEAD:
        lead = start_refresh(L);
        if (!lead)
            end_refresh(k);
        break;
    case MG_CACHE_FOUND:
        mg_cache_unref(cache->options.store, newer);
        break;
    case MG_CACHE_WAIT:
        break;
    }
    lua_pushboolean(L, lead);
    return 1;
}

/* --- purge --- */

static int l_purge(lua_State *L)
{
    struct mg_opened_cache *cache = check_cache(L);
    mg_context_check(L, "purge");
    bool soft = push_option(L, 3, "soft") != LUA_TNIL && lua_toboolean(L, -1);
    enum mg_cache_purge_by by = MG_CACHE_BY_TAG;
    struct mg_str what;
    if (lua_type(L, 2) == LUA_TSTRING) {
        what.p = lua_tolstring(L, 2, &what.n);
    } else {
        by = MG_CACHE_BY_KEY;
        what = check_key(L, 2, cache)->place.primary;
    }
    lua_pushinteger(L, (lua_Integer)mg_cache_purge(cache->options.store, by, what, soft));
    return 1;
}

/* --- opening --- */

static const struct mg_str tag_fields[] = {MG_STR("Surrogate-Key"), MG_STR("Cache-Tag")};
static const struct mg_str targeted_fields[] = {MG_STR("CDN-Cache-Control")};

static const struct mg_cache_options usual = {
    .rules = {.targeted = targeted_fields,
              .targeted_count = 1,
              .ttl = MG_CACHE_UNSET,
              .heuristic_max = 86400,
              .stale_while_revalidate = MG_CACHE_UNSET,
              .stale_if_error = MG_CACHE_UNSET},
    .tags = tag_fields,
    .tag_count = sizeof tag_fields / sizeof *tag_fields,
};

static struct mg_opened_cache *find_opened(const struct mg_instances *all, struct mg_str name)
{
    struct mg_opened_cache *o = all->caches;
    while (o && !mg_str_eq(o->name, name))
        o = o->next;
    return o;
}

static struct mg_opened_cache *open_cache(struct mg_instances *all, struct mg_str name)
{
    const struct mg_generation *gen = all->wg->gen;
    const struct mg_generation_cache *own = mg_generation_find_cache(gen, name), *as = own;
    struct mg_opened_cache *o = mg_calloc(1, sizeof *o + name.n);
    char *text = (char *)(o + 1);
    if (!as)
        as = mg_generation_find_cache(gen, MG_STR("default"));
    memcpy(text, name.p, name.n);
    o->name = mg_str(text, name.n);
    o->registry = gen->cache_registry;
    o->options = usual;
    if (o->registry)
        o->options.store = mg_caches_get(o->registry, name, as->bytes, as->object_bytes,
                                         own ? own->redis : MG_STR_NONE);
    o->next = all->caches;
    all->caches = o;
    return o;
}

static int l_cache(lua_State *L)
{
    struct mg_script *s = mg_script_of(L);
    const struct mg_worker_generation *wg = s->owner;
    struct mg_str name;
    name.p = luaL_checklstring(L, 1, &name.n);
    luaL_argcheck(L, name.n && name.n <= NAME_MAX_BYTES, 1, "expected a name of 1 to 128 bytes");
    if (!wg || !wg->script || s->ending)
        return luaL_error(L, "mg.cache: there are no caches here");
    struct mg_opened_cache *o = find_opened(wg->script, name);
    if (!o && s->current)
        return luaL_error(L, "cache '%s' is not open: call mg.cache in new", name.p);
    struct cache *c = lua_newuserdatauv(L, sizeof *c, 0);
    *c = (struct cache){.script = s};
    luaL_setmetatable(L, CACHE);
    c->opened = o ? o : open_cache(wg->script, name);
    return 1;
}

void mg_lib_cache_close(struct mg_instances *all)
{
    for (struct mg_opened_cache *o = all->caches, *next; o; o = next) {
        next = o->next;
        if (o->options.store)
            mg_caches_put(o->registry, o->options.store);
        free(o);
    }
    all->caches = NULL;
}

static const luaL_Reg cache_methods[] = {
    {"lookup", l_lookup}, {"store", l_store}, {"refresh", l_refresh},
    {"purge", l_purge},   {NULL, NULL},
};
static const luaL_Reg key_meta[] = {
    {"__gc", key_gc}, {"__close", key_close}, {"__tostring", key_tostring}, {NULL, NULL}};
static const luaL_Reg hit_methods[] = {{"response", l_response}, {NULL, NULL}};
static const struct mg_handle_type hit_type = {
    .name = "moongate.CacheHit", .methods = hit_methods, .fields = fields, .get = get, .set = set};

void mg_lib_cache_open(lua_State *L)
{
    mg_handle_register(L, MG_HANDLE_HIT, &hit_type);
    if (luaL_newmetatable(L, CACHE)) {
        luaL_newlib(L, cache_methods);
        lua_setfield(L, -2, "__index");
        lua_pushliteral(L, CACHE); /* policy code gets this name, not the table */
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    if (luaL_newmetatable(L, KEY)) {
        luaL_setfuncs(L, key_meta, 0);
        lua_pushliteral(L, KEY);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, l_cache);
    lua_setfield(L, -2, "cache");
}
