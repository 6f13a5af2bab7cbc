/*
 * Building a worker's Lua state for a generation: the library, then `new` of every step. Worker
 * thread (the CPU budget belongs to a thread, so the state is made where it runs).
 */
#include "script/instances.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "script/functions.h"
#include "script/held.h"
#include "script/lib.h"
#include "script/lib_cache.h"
#include "script/module.h"
#include "script/pack.h"
#include "script/policies.h"
#include "script/sandbox.h"
#include "script/steps.h"
#include "script/table.h"
#include "script/task.h"

#define SCRATCH_MAX ((size_t)64 << 20)

/* --- what the library asks for --- */

static bool dict_size(void *arg, struct mg_str name, size_t *bytes)
{
    const struct mg_plan *plan = ((struct mg_instances *)arg)->plan;
    for (uint32_t i = 0; i < plan->dict_count; i++) {
        if (mg_str_eq(plan->dict_sizes[i].name, name)) {
            *bytes = plan->dict_sizes[i].bytes;
            return true;
        }
    }
    return false;
}

/* The step whose code runs: its task's, or the one that is being built. NULL: nobody's. */
static const struct mg_step *who_runs(const struct mg_instances *all)
{
    const struct mg_task *task = all->script->current;
    return task ? task->source : all->building;
}

static bool may_have(const struct mg_plan_secret *s, const struct mg_step *step)
{
    for (size_t i = 0; step && i < s->policy_count; i++)
        if (mg_str_eq(s->policies[i], step->policy) || mg_str_eq(s->policies[i], step->id))
            return true;
    return !s->limited;
}

static const char *secret(void *arg, struct mg_str name, struct mg_str *value)
{
    struct mg_instances *all = arg;
    const struct mg_plan *plan = all->plan;
    for (uint32_t i = 0; i < plan->secret_count; i++) {
        const struct mg_plan_secret *s = &plan->secrets[i];
        if (!mg_str_eq(s->name, name))
            continue;
        if (!may_have(s, who_runs(all)))
            return "this policy may not have the secret";
        *value = s->value;
        all->secret_missed |= value->n == 0;
        return NULL;
    }
    return "unknown secret";
}

/* Of the config file; empty when it lies where we are. */
static struct mg_str folder_of(struct mg_str file)
{
    while (file.n && file.p[file.n - 1] != '/')
        file.n--;
    return file.n > 1 ? mg_str(file.p, file.n - 1) : file;
}

static struct mg_keyring *keys(void *arg, struct mg_str name)
{
    struct mg_instances *all = arg;
    const struct mg_plan *plan = all->plan;
    for (uint32_t i = 0; i < plan->key_count; i++) {
        if (!mg_str_eq(plan->keys[i].name, name))
            continue;
        all->secret_missed |= plan->keys[i].ring == NULL;
        return plan->keys[i].ring;
    }
    return NULL;
}

static void set_env(lua_State *L, struct mg_instances *all)
{
    const struct mg_plan *plan = all->plan;
    struct mg_lib_env env = {
        .folder = folder_of(plan->config_file),
        .dicts = plan->dicts,
        .dict_size = dict_size,
        .secret = secret,
        .consumers = plan->consumers,
        .keys = keys,
        .tokens = plan->tokens,
        .redact = plan->redact,
        .arg = all,
    };
    mg_lib_set_env(L, &env);
}

/* --- one step --- */

/* Raises the text, without position. */
static int fail_step(lua_State *L, const char *message)
{
    lua_pushstring(L, message);
    return lua_error(L);
}

/* Raises the text on top, which has a traceback: that is no help to whoever wrote the config. */
static int fail_call(lua_State *L)
{
    size_t n;
    const char *text = luaL_tolstring(L, -1, &n);
    const char *traceback = strstr(text, "\nstack traceback:");
    lua_pushlstring(L, text, traceback ? (size_t)(traceback - text) : n);
    return lua_error(L);
}

/* Pushes the step's path with its route's name in place of the number, which changes when routes
 * come and go. */
static void push_key(lua_State *L, const struct mg_plan_step *s)
{
    static const struct mg_str routes = {"routes[", 7};
    struct mg_str path = s->step->path;
    const char *end = memchr(path.p, ']', path.n);
    if (s->route.n == 0 || !end || !mg_str_starts(path, routes)) {
        lua_pushlstring(L, path.p, path.n);
        return;
    }
    lua_pushlstring(L, routes.p, routes.n);
    lua_pushlstring(L, s->route.p, s->route.n);
    lua_pushlstring(L, end, path.n - (size_t)(end - path.p));
    lua_concat(L, 3);
}

static void push_env(lua_State *L, const struct mg_instances *all, const struct mg_plan_step *s)
{
    lua_createtable(L, 0, 7);
    mg_table_set_text_if_any(L, "path", s->step->path);
    push_key(L, s);
    lua_setfield(L, -2, "key");
    mg_table_set_text_if_any(L, "id", s->step->id);
    mg_table_set_text_if_any(L, "route", s->route);
    mg_table_set_text_if_any(L, "service", s->service);
    lua_pushinteger(L, all->wg->worker->number);
    lua_setfield(L, -2, "worker");
    lua_pushboolean(L, s->in_on_error);
    lua_setfield(L, -2, "on_error");
}

/* Puts the value on top into the conf below it, at the place that the list of keys at `path` names:
 * in the conf's stead when it has no keys. Pops the value. */
static void mount(lua_State *L, int conf, int path)
{
    lua_Integer depth = (lua_Integer)lua_rawlen(L, path);
    if (depth == 0) {
        lua_replace(L, conf);
        return;
    }
    lua_pushvalue(L, conf);
    for (lua_Integer i = 1; i <= depth; i++) {
        lua_rawgeti(L, path, i);
        if (i == depth)
            break;
        lua_rawget(L, -2);
        lua_remove(L, -2);
    }
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 2);
}

/* Gives the conf on top what runs the pipelines in it. */
static void mount_pipelines(lua_State *L, const struct mg_plan_step *s)
{
    int conf = lua_gettop(L), mounts = conf + 1;
    if (mg_unpack(L, s->mounts) != MG_OK)
        fail_step(L, "its config cannot be unpacked");
    for (uint32_t i = 0; i < s->step->inner_count; i++) {
        lua_rawgeti(L, mounts, (lua_Integer)i + 1);
        mg_held_push(L, &s->step->inner[i]);
        mount(L, conf, mounts + 1);
        lua_settop(L, mounts);
    }
    lua_settop(L, conf);
}

/* Pushes the policy's conf, or an empty table. */
static void push_conf(lua_State *L, const struct mg_plan_step *s)
{
    if (s->conf.n == 0)
        lua_newtable(L);
    else if (mg_unpack(L, s->conf) != MG_OK)
        fail_step(L, "its config cannot be unpacked");
    if (s->mounts.n)
        mount_pipelines(L, s);
}

/* Pushes where the function on top stands: "file:line: ". */
static void push_place(lua_State *L)
{
    lua_Debug ar;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &ar);
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.linedefined);
}

/* Pushes the place of `new`, which is returned, and what it has made. */
static const char *call_new(lua_State *L, const struct mg_instances *all,
                            const struct mg_plan_step *s)
{
    struct mg_error err;
    if (mg_policies_load(L, s->policy, &err) != MG_OK)
        fail_step(L, err.text);
    if (lua_getfield(L, -1, "new") != LUA_TFUNCTION) {
        mg_policies_push_file(L, s->policy);
        fail_step(L, lua_pushfstring(L,
                                     "%s: the module has no function 'new'; add function "
                                     "M.new(conf, env) ... end",
                                     lua_tostring(L, -1)));
    }
    push_place(L);
    lua_replace(L, -3); /* in the place of the module */
    push_conf(L, s);
    push_env(L, all, s);
    if (mg_task_call(L, 2, 1) != MG_OK)
        fail_call(L);
    return lua_tostring(L, -2);
}

static void call_inline(lua_State *L, const struct mg_instances *all, const struct mg_plan_step *s)
{
    if (mg_sandbox_load_function(L, s->source, s->chunk_name.p, s->line) != MG_OK)
        fail_step(L, lua_tostring(L, -1));
    lua_rawgeti(L, LUA_REGISTRYINDEX, all->module);
    if (mg_task_call(L, 1, 1) != MG_OK)
        fail_call(L);
}

static int take_function(lua_State *L, const char *place, const char *key)
{
    switch (lua_getfield(L, -1, key)) {
    case LUA_TNIL:
        lua_pop(L, 1);
        return LUA_NOREF;
    case LUA_TFUNCTION:
        return luaL_ref(L, LUA_REGISTRYINDEX);
    default:
        return fail_step(L, lua_pushfstring(L, "%s'%s' must be a function, not a %s", place, key,
                                            luaL_typename(L, -1)));
    }
}

/* The instance on top has nothing that we would call: a name may be misspelt. */
static int fail_empty(lua_State *L, const char *place)
{
    mg_table_push_keys(L, -1);
    bool any = lua_rawgeti(L, -1, 1) == LUA_TSTRING;
    return fail_step(
        L, lua_pushfstring(
               L, "%s'new' returned a table without request, response, finish or around%s%s%s",
               place, any ? "; it has '" : "", any ? lua_tostring(L, -1) : "", any ? "'" : ""));
}

/* Takes the instance on top of the stack apart; `place` begins what is said of it. */
static void take_instance(lua_State *L, const char *place, struct mg_instance *i)
{
    if (lua_isfunction(L, -1)) {
        i->around = luaL_ref(L, LUA_REGISTRYINDEX);
        return;
    }
    if (!lua_istable(L, -1))
        fail_step(L, lua_pushfstring(L, "%s'new' must return a table or a function, not a %s",
                                     place, luaL_typename(L, -1)));
    i->request = take_function(L, place, "request");
    i->response = take_function(L, place, "response");
    i->finish = take_function(L, place, "finish");
    i->around = take_function(L, place, "around");
    i->close = take_function(L, place, "close");
    if (i->request == LUA_NOREF && i->response == LUA_NOREF && i->finish == LUA_NOREF &&
        i->around == LUA_NOREF)
        fail_empty(L, place);
    if (i->around != LUA_NOREF && (i->request != LUA_NOREF || i->response != LUA_NOREF))
        fail_step(L, lua_pushfstring(
                         L, "%s'around' stands for 'request' and 'response'; give either", place));
    lua_pop(L, 1);
}

static uint8_t flags_of(const struct mg_instance *i)
{
    uint8_t flags = 0;
    if (i->request != LUA_NOREF || i->around != LUA_NOREF)
        flags |= MG_STEP_HAS_REQUEST;
    /* A request function may return one for the way back. */
    if (i->response != LUA_NOREF || i->request != LUA_NOREF)
        flags |= MG_STEP_HAS_RESPONSE;
    if (i->finish != LUA_NOREF)
        flags |= MG_STEP_HAS_FINISH;
    return flags;
}

static void load_when(lua_State *L, const struct mg_plan_step *s, struct mg_instance *i)
{
    i->condition = s->condition;
    if (s->when.n == 0 || s->condition)
        return;
    const char *name = lua_pushfstring(L, "=%s.when", s->step->path.p);
    if (mg_sandbox_load_expression(L, s->when, name, 0) != MG_OK)
        fail_step(L, lua_tostring(L, -1));
    i->when = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);
}

/* (instances, index) */
static int build_step(lua_State *L)
{
    struct mg_instances *all = lua_touserdata(L, 1);
    lua_Integer index = lua_tointeger(L, 2);
    const struct mg_plan_step *s = &all->plan->steps[index];
    struct mg_instance *i = &all->v[index];
    const char *place = ""; /* inline text stands where the config is blamed */
    switch (s->kind) {
    case MG_PLAN_POLICY:
        place = call_new(L, all, s);
        break;
    case MG_PLAN_LUA:
        call_inline(L, all, s);
        break;
    case MG_PLAN_FUNCTION:
        mg_functions_push(L, all->plan, s);
        break;
    case MG_PLAN_NATIVE:
        break;
    }
    if (s->kind != MG_PLAN_NATIVE)
        take_instance(L, place, i);
    load_when(L, s, i);
    all->wg->step_flags[index] = s->kind == MG_PLAN_NATIVE ? s->native_flags : flags_of(i);
    return 0;
}

/* --- all of it, protected --- */

/* The step has failed; why is on top. In a check without secrets nobody can say whether one that
 * asked for some would. */
static void report_fault(lua_State *L, struct mg_instances *all, const struct mg_plan_step *s)
{
    size_t n;
    const char *text = luaL_tolstring(L, -1, &n);
    if (!all->on_fault)
        luaL_error(L, "%s.%s: %s", s->step->path.p, s->step->policy.p, text);
    if (!all->plan->secrets_optional || !all->secret_missed)
        all->on_fault(all, s, mg_str(text, n));
}

static void try_step(lua_State *L, struct mg_instances *all, uint32_t i)
{
    int top = lua_gettop(L);
    all->secret_missed = false;
    all->building = all->plan->steps[i].step;
    lua_pushcfunction(L, build_step);
    lua_pushlightuserdata(L, all);
    lua_pushinteger(L, i);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK)
        report_fault(L, all, &all->plan->steps[i]);
    all->building = NULL;
    lua_settop(L, top);
}

/* (instances) */
static int open_library(lua_State *L)
{
    struct mg_instances *all = lua_touserdata(L, 1);
    const struct mg_plan *plan = all->plan;
    set_env(L, all);
    mg_lua_module_open(L);
    lua_pushvalue(L, -1);
    all->module = luaL_ref(L, LUA_REGISTRYINDEX);
    mg_sandbox_preload(L, "moongate");
    mg_policies_set_paths(L, plan->paths, plan->path_count);
    lua_settop(L, 1);
    return 0;
}

/* (instances, time on the loop's clock to stop at) */
static int build_steps(lua_State *L)
{
    struct mg_instances *all = lua_touserdata(L, 1);
    const uint64_t *until_ns = lua_touserdata(L, 2);
    const struct mg_loop *loop = all->script->loop;
    while (all->next < all->plan->step_count && mg_loop_clock(loop) < *until_ns)
        try_step(L, all, all->next++);
    return 0;
}

/* (instances, pipeline) */
static int build_pipeline(lua_State *L)
{
    struct mg_instances *all = lua_touserdata(L, 1);
    const struct mg_pipeline *pipeline = lua_touserdata(L, 2);
    for (uint32_t i = 0; i < pipeline->all_count; i++)
        try_step(L, all, pipeline->all[i]->index);
    return 0;
}

static enum mg_rc run_protected(struct mg_instances *all, lua_CFunction fn, const void *arg,
                                struct mg_error *err)
{
    lua_State *L = all->script->L;
    uint64_t run_ns = all->script->run_ns;
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, all);
    lua_pushlightuserdata(L, (void *)arg);
    all->script->run_ns = run_ns ? MG_SCRIPT_LOAD_RUN_NS : 0;
    int status = lua_pcall(L, 2, 0, 0);
    all->script->run_ns = run_ns;
    if (status == LUA_OK)
        return MG_OK;
    const char *text = lua_tostring(L, -1);
    mg_error_set(err, "%s", text ? text : "cannot build the steps");
    lua_pop(L, 1);
    return MG_FAIL;
}

/* Everything but the state. */
static struct mg_instances *new_instances(struct mg_worker_generation *wg)
{
    struct mg_instances *all = mg_calloc(1, sizeof *all);
    wg->script = all;
    all->wg = wg;
    all->plan = wg->gen->script;
    all->module = LUA_NOREF;
    mg_buf_init(&all->scratch, SCRATCH_MAX);
    mg_adhocs_init(&all->adhocs, wg->worker->loop, &wg->worker->tls);
    all->v = mg_calloc(all->plan->step_count, sizeof *all->v);
    for (uint32_t i = 0; i < all->plan->step_count; i++)
        all->v[i] = (struct mg_instance){.request = LUA_NOREF,
                                         .response = LUA_NOREF,
                                         .finish = LUA_NOREF,
                                         .around = LUA_NOREF,
                                         .close = LUA_NOREF,
                                         .when = LUA_NOREF};
    return all;
}

static enum mg_rc build_state(struct mg_instances *all, struct mg_error *err)
{
    struct mg_worker_generation *wg = all->wg;
    struct mg_script_options options = {
        .memory_bytes = (size_t)wg->gen->lua_memory_bytes,
        .run_ns = wg->gen->lua_run_ns,
        .loop = wg->worker->loop,
        .owner = wg,
        .worker = wg->worker->number,
        .guest = all->plan->guest,
    };
    all->script = mg_script_new(&options);
    if (!all->script)
        return mg_error_set(err, "out of memory for a Lua state");
    all->script->tasks_of = mg_steps_tasks_of;
    all->script->log_fields = mg_steps_log_fields;
    all->script->trial = all->on_fault != NULL;
    return run_protected(all, open_library, NULL, err);
}

enum mg_rc mg_instances_build(struct mg_worker_generation *wg, struct mg_error *err)
{
    return build_state(new_instances(wg), err);
}

enum mg_rc mg_instances_build_more(struct mg_worker_generation *wg, uint64_t slice_ns,
                                   struct mg_error *err)
{
    struct mg_instances *all = wg->script;
    uint64_t now = mg_loop_clock(all->script->loop);
    uint64_t until_ns = slice_ns > UINT64_MAX - now ? UINT64_MAX : now + slice_ns;
    if (run_protected(all, build_steps, &until_ns, err) != MG_OK)
        return MG_FAIL;
    return all->next < all->plan->step_count ? MG_AGAIN : MG_OK;
}

enum mg_rc mg_instances_try(struct mg_worker_generation *wg,
                            void (*on_fault)(struct mg_instances *all,
                                             const struct mg_plan_step *step,
                                             struct mg_str message),
                            struct mg_error *err)
{
    struct mg_instances *all = new_instances(wg);
    all->on_fault = on_fault;
    return build_state(all, err);
}

static void ignore_fault(struct mg_instances *all, const struct mg_plan_step *step,
                         struct mg_str message)
{
    (void)all;
    (void)step;
    (void)message;
}

enum mg_rc mg_instances_open(struct mg_worker_generation *wg, struct mg_error *err)
{
    struct mg_instances *all = new_instances(wg);
    all->on_fault = ignore_fault;
    all->next = all->plan->step_count; /* others are not wanted */
    return build_state(all, err);
}

enum mg_rc mg_instances_add(struct mg_worker_generation *wg, const struct mg_pipeline *pipeline,
                            struct mg_error *err)
{
    return run_protected(wg->script, build_pipeline, pipeline, err);
}

static void call_close(struct mg_instances *all)
{
    lua_State *L = all->script->L;
    for (uint32_t i = 0; i < all->plan->step_count; i++) {
        if (all->v[i].close == LUA_NOREF)
            continue;
        lua_rawgeti(L, LUA_REGISTRYINDEX, all->v[i].close);
        if (mg_task_call(L, 0, 0) != MG_OK) {
            mg_log_error("policy failed", MG_LOG_STR("step", all->plan->steps[i].step->id),
                         MG_LOG_C("error", lua_tostring(L, -1)));
            lua_pop(L, 1);
        }
    }
}

/* A guest's state lives on; its own goes with all that is in it. */
static void forget_functions(struct mg_instances *all)
{
    lua_State *L = all->script->L;
    for (uint32_t n = 0; n < all->plan->step_count; n++) {
        const struct mg_instance *i = &all->v[n];
        const int refs[] = {i->request, i->response, i->finish, i->around, i->close, i->when};
        for (size_t r = 0; r < sizeof refs / sizeof refs[0]; r++)
            luaL_unref(L, LUA_REGISTRYINDEX, refs[r]);
    }
    luaL_unref(L, LUA_REGISTRYINDEX, all->module);
}

void mg_instances_drop(struct mg_worker_generation *wg)
{
    struct mg_instances *all = wg->script;
    if (all->script) {
        call_close(all);
        if (all->script->guest)
            forget_functions(all);
    }
    mg_script_free(all->script);
    mg_lib_cache_close(all);
    mg_adhocs_release(&all->adhocs);
    mg_buf_release(&all->scratch);
    free(all->v);
    free(all);
    wg->script = NULL;
}
