/*
 * Gateways in simulation: making, running and closing them. The spec's thread.
 *
 * Always true: while kit->home->active is a gateway, its guest is in; in between the base guest
 * answers, whose script has no loop, so that spec code that calls `mg.sleep` is told so.
 */
#include "script/kit.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "crypto/random.h"
#include "script/config_build.h"
#include "script/files.h"
#include "script/functions.h"
#include "script/plan.h"
#include "script/policies.h"
#include "script/sandbox.h"
#include "script/task.h"
#include "script/yaml.h"

#define HOME "moongate.kit.home"
#define COLLECTED "moongate.kit.collected"
#define CHUNK_BYTES 8192
#define BLOCK_BYTES 65536
/* As app/run.c waits for names and keys. */
#define SETTLE_NS (5 * MG_SECOND)
#define LOG_MAX ((size_t)64 << 20)
/* CPU time that a step may take in one go when the config does not say: enough for a debugger's
 * hook and a sanitizer, little enough to end an endless loop. */
#define RUN_NS (5 * MG_SECOND)
/* What a gateway holds outside of Lua's heap, so that the collector does not let too many pile up.
 */
#define OUTSIDE_KB 256

/* --- the home --- */

static void on_log_line(void *arg, enum mg_log_level level, struct mg_str line)
{
    const struct mg_kit_home *home = arg;
    (void)level;
    if (home->active)
        mg_buf_add_str(&home->active->log, line);
    else
        fwrite(line.p, 1, line.n, stderr);
}

static double log_time(void *arg)
{
    const struct mg_kit *kit = arg;
    return mg_loop_wall(kit->loop);
}

/* Gateways that were collected: that may happen in the middle of anything, also while another runs.
 */
static void close_collected(lua_State *L)
{
    if (lua_getfield(L, LUA_REGISTRYINDEX, COLLECTED) == LUA_TTABLE) {
        lua_pushnil(L);
        lua_setfield(L, LUA_REGISTRYINDEX, COLLECTED);
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TUSERDATA; i++) {
            mg_kit_close(lua_touserdata(L, -1));
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The state is closed; it has finalized what was made after the home before. */
static int l_leave_home(lua_State *L)
{
    close_collected(L);
    mg_log_set_sink(NULL, NULL);
    return 0;
}

static void make_base(lua_State *L, struct mg_kit_home *home)
{
    mg_guest_init(&home->base, L);
    mg_guest_enter(&home->base, L);
    struct mg_script_options options = {.run_ns = MG_SCRIPT_LOAD_RUN_NS, .guest = &home->base};
    if (!mg_script_new(&options))
        luaL_error(L, "not enough memory");
    lua_State *own = home->base.script->L;
    lua_pushcfunction(own, mg_config_open);
    if (lua_pcall(own, 0, 0, 0) != LUA_OK)
        luaL_error(L, "%s", lua_tostring(own, -1));
    mg_guest_answer(&home->base, L);
}

static struct mg_kit_home *home_of(lua_State *L)
{
    luaL_checkstack(L, 12, "moongate");
    lua_getfield(L, LUA_REGISTRYINDEX, HOME);
    struct mg_kit_home *home = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (home)
        return home;
    home = lua_newuserdatauv(L, sizeof *home, 0);
    *home = (struct mg_kit_home){.active = NULL};
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_leave_home);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, HOME);
    make_base(L, home);
    home->main = home->base.host;
    mg_log_set_sink(on_log_line, home);
    return home;
}

/* --- entering and leaving --- */

static void check_idle(lua_State *L, const struct mg_kit_home *home)
{
    if (home->active)
        luaL_error(L,
                   "a gateway runs already: what it calls (policies, upstreams) cannot run, make "
                   "or close one");
}

static void enter(struct mg_kit *kit, lua_State *L)
{
    check_idle(L, kit->home);
    mg_guest_enter(&kit->guest, L);
    mg_guest_begin_work(&kit->guest);
    kit->home->active = kit;
    mg_random_simulate(&kit->random);
    mg_log_set_clock(log_time, kit);
    if (kit->gen)
        mg_log_configure(kit->gen->log_level, MG_LOG_JSON);
}

static void leave(struct mg_kit *kit, lua_State *L)
{
    mg_random_simulate(NULL);
    mg_log_set_clock(NULL, NULL);
    kit->home->active = NULL;
    mg_guest_end_work(&kit->guest);
    mg_guest_answer(&kit->home->base, L);
}

/* --- checking a config --- */

/* policy(name), for configs whose requests get their identity from the spec. */
static int l_policy_without_identity(lua_State *L)
{
    struct mg_str name;
    struct mg_error err;
    name.p = luaL_checklstring(L, 1, &name.n);
    enum mg_rc rc = mg_policies_load(L, name, &err);
    if (rc != MG_OK) {
        lua_pushnil(L);
        if (rc != MG_EOF)
            lua_pushstring(L, err.text);
        return rc == MG_EOF ? 1 : 2;
    }
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, 2);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 3);
    }
    lua_pushnil(L);
    lua_setfield(L, 3, "needs");
    mg_policies_push_file(L, name);
    return 2;
}

static int check_protected(lua_State *L)
{
    struct mg_config_source source = {.file = lua_tostring(L, 2), .simulated = true};
    bool identity = lua_toboolean(L, 3);
    mg_config_check(L, 1, &source, identity ? l_policy_without_identity : NULL);
    int config = lua_gettop(L) - 4;
    if (lua_toboolean(L, config + 1)) {
        lua_settop(L, config + 1);
        return 1;
    }
    lua_getfield(L, config, "render");
    lua_pushvalue(L, config + 2);
    lua_call(L, 1, 1);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

int mg_kit_check_config(lua_State *L)
{
    struct mg_kit_home *home = home_of(L);
    luaL_checkany(L, 1);
    luaL_checkstring(L, 2);
    lua_settop(L, 3);
    check_idle(L, home);
    mg_guest_enter(&home->base, L);
    lua_pushcfunction(L, check_protected);
    lua_insert(L, 1);
    lua_call(L, 3, LUA_MULTRET);
    return lua_gettop(L);
}

/* --- making a gateway --- */

static enum mg_kit_reach reach_of(lua_State *L, int index)
{
    static const char *const words[] = {"reached", "refused", "silent", NULL};
    return (enum mg_kit_reach)luaL_checkoption(L, index, "reached", words);
}

/* The table at the top; its order does not matter. */
static void read_stubs(lua_State *L, struct mg_kit *kit)
{
    int table = lua_gettop(L);
    uint32_t count = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        count++;
    kit->stubs = mg_arena_calloc(&kit->gen->arena, count * sizeof *kit->stubs);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        struct mg_str name;
        lua_pushvalue(L, -2);
        name.p = luaL_checklstring(L, -1, &name.n);
        kit->stubs[kit->stub_count].name = mg_arena_str(&kit->gen->arena, name);
        kit->stubs[kit->stub_count++].reach = reach_of(L, table + 2);
        lua_pop(L, 1);
    }
}

static void build_generation(lua_State *L, struct mg_kit *kit)
{
    struct mg_config_report report;
    struct mg_config_source source = {
        .file = lua_tostring(L, 2), .stores = &kit->stores, .simulated = true};
    mg_config_report_init(&report);
    kit->gen = mg_config_build(L, 1, &source, &report);
    lua_pushlstring(L, report.errors_text.n ? report.errors_text.p : "", report.errors_text.n);
    mg_config_report_release(&report);
    if (!kit->gen)
        lua_error(L);
    lua_pop(L, 1);
    struct mg_plan *plan = kit->gen->script;
    plan->guest = &kit->guest;
    mg_kit_step_insert(kit->gen);
    mg_kit_upstream_publish(kit->gen);
}

/* Is a limit on run time asked for? Its default is meant for machines that serve. */
static void choose_run_time(lua_State *L, struct mg_kit *kit)
{
    lua_getfield(L, 3, "lua_run");
    if (!lua_toboolean(L, -1))
        kit->gen->lua_run_ns = RUN_NS;
    lua_pop(L, 1);
}

static void start_worker(lua_State *L, struct mg_kit *kit)
{
    struct mg_error err;
    kit->worker.random = kit->random;
    if (mg_worker_init(&kit->worker, 0, kit->loop, kit->gen, &mg_kit_step_hooks, &err) != MG_OK)
        luaL_error(L, "%s: %s", lua_tostring(L, 2), err.text);
    kit->worker_up = true;
    mg_kit_upstream_init(kit);
}

static void on_settled(void *arg)
{
    struct mg_kit *kit = arg;
    kit->settled = true;
}

/* What the control thread does beside the worker. */
static void start_control(struct mg_kit *kit)
{
    const struct mg_plan *plan = kit->gen->script;
    kit->agent = mg_agent_new(kit->loop, NULL);
    mg_agent_set_dialer(kit->agent, &kit->worker.pools.dialer);
    kit->issuers = mg_issuers_new(kit->loop, kit->agent);
    mg_issuers_on_settled(kit->issuers, on_settled, kit);
    for (uint32_t i = 0; i < plan->key_count; i++)
        mg_issuers_watch(kit->issuers, plan->keys[i].ring);
    kit->checker = mg_checker_new(kit->loop, kit->agent);
    for (uint32_t i = 0; i < kit->gen->service_count; i++)
        mg_checker_add(kit->checker, kit->gen->services[i]);
    if (!mg_issuers_are_settled(kit->issuers)) /* as it waits before it serves */
        mg_loop_simulate(kit->loop, mg_loop_now(kit->loop) + SETTLE_NS, &kit->settled);
}

static int build_protected(lua_State *L)
{
    struct mg_kit *kit = lua_touserdata(L, 4);
    build_generation(L, kit);
    choose_run_time(L, kit);
    lua_getfield(L, 3, "stubs");
    read_stubs(L, kit);
    lua_getfield(L, 3, "functions");
    mg_functions_set_config(L);
    lua_getfield(L, 3, "play");
    kit->play = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getfield(L, 3, "play_redis");
    kit->play_redis = luaL_ref(L, LUA_REGISTRYINDEX);
    start_worker(L, kit);
    start_control(kit);
    return 0;
}

static struct mg_kit *new_kit(lua_State *L, struct mg_kit_home *home, uint64_t seed)
{
    struct mg_kit *kit = lua_newuserdatauv(L, sizeof *kit, 0);
    memset(kit, 0, sizeof *kit);
    kit->home = home;
    kit->play = kit->play_redis = kit->failure = LUA_NOREF;
    kit->random = seed * UINT64_C(2654435761) | 1; /* never 0 */
    mg_list_init(&kit->calls);
    mg_list_init(&kit->plays);
    mg_list_init(&kit->dials);
    mg_list_init(&kit->redises);
    mg_pool_init(&kit->chunks, CHUNK_BYTES);
    mg_pool_init(&kit->blocks, BLOCK_BYTES);
    mg_buf_init(&kit->log, LOG_MAX);
    mg_guest_init(&kit->guest, L);
    kit->loop = mg_loop_new_simulated(seed);
    mg_stores_init(&kit->stores);
    luaL_setmetatable(L, MG_KIT_TYPE);
    return kit;
}

int mg_kit_new(lua_State *L)
{
    struct mg_kit_home *home = home_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    lua_getfield(L, 3, "seed");
    uint64_t seed = (uint64_t)luaL_checkinteger(L, -1);
    lua_settop(L, 3);
    close_collected(L);
    lua_gc(L, LUA_GCSTEP, OUTSIDE_KB);
    struct mg_kit *kit = new_kit(L, home, seed);
    enter(kit, L);
    lua_pushcfunction(L, build_protected);
    for (int i = 1; i <= 4; i++)
        lua_pushvalue(L, i);
    int status = lua_pcall(L, 4, 0, 0);
    leave(kit, L);
    if (status != LUA_OK) {
        mg_kit_close(kit);
        return lua_error(L);
    }
    return 1;
}

/* --- closing --- */

static bool is_closed(const struct mg_kit *kit)
{
    return kit->loop == NULL;
}

static void free_parts(struct mg_kit *kit)
{
    mg_guest_release(&kit->guest); /* gives dictionaries back */
    if (kit->gen)
        mg_generation_unref(kit->gen);
    mg_loop_free(kit->loop);
    mg_stores_release(&kit->stores);
    mg_pool_release(&kit->chunks);
    mg_pool_release(&kit->blocks);
    mg_buf_release(&kit->log);
    kit->loop = NULL;
}

void mg_kit_close(struct mg_kit *kit)
{
    lua_State *L = kit->home->main;
    if (is_closed(kit))
        return;
    kit->closing = true;
    enter(kit, L);
    mg_kit_client_release(kit);
    mg_checker_free(kit->checker);
    mg_issuers_free(kit->issuers);
    mg_agent_free(kit->agent);
    if (kit->worker_up) {
        mg_worker_release(&kit->worker);
        mg_kit_redis_release(kit);
        mg_kit_upstream_release(kit);
    }
    mg_loop_settle(kit->loop);
    luaL_unref(L, LUA_REGISTRYINDEX, kit->play);
    luaL_unref(L, LUA_REGISTRYINDEX, kit->play_redis);
    luaL_unref(L, LUA_REGISTRYINDEX, kit->failure);
    leave(kit, L);
    free_parts(kit);
}

/* --- running --- */

struct mg_kit *mg_kit_check(lua_State *L, int arg)
{
    struct mg_kit *kit = luaL_checkudata(L, arg, MG_KIT_TYPE);
    if (is_closed(kit))
        luaL_error(L, "the gateway is closed");
    return kit;
}

void mg_kit_run(struct mg_kit *kit, lua_State *L, uint64_t until_ns, const bool *stop)
{
    enter(kit, L);
    mg_loop_simulate(kit->loop, until_ns, stop);
    leave(kit, L);
}

void mg_kit_run_present(struct mg_kit *kit, lua_State *L)
{
    mg_kit_run(kit, L, mg_loop_now(kit->loop), NULL);
}

static bool is_quiet(const struct mg_kit *kit)
{
    return kit->worker.current->exchange_count == 0 && mg_list_empty(&kit->plays) &&
           mg_script_background_count(kit->guest.script) == 0;
}

void mg_kit_settle(struct mg_kit *kit, lua_State *L)
{
    uint64_t limit = mg_loop_now(kit->loop) + MG_KIT_PATIENCE_NS;
    mg_kit_run_present(kit, L);
    while (!is_quiet(kit)) {
        uint64_t next = mg_loop_next_timer(kit->loop);
        if (next == 0 || next > limit)
            break;
        mg_kit_run(kit, L, next, NULL);
    }
}

/* --- the spec's own failures --- */

void mg_kit_fail(struct mg_kit *kit, lua_State *L)
{
    if (kit->failure != LUA_NOREF) {
        lua_pop(L, 1); /* the first tells most */
        return;
    }
    kit->failure = luaL_ref(L, LUA_REGISTRYINDEX);
}

void mg_kit_raise_failure(struct mg_kit *kit, lua_State *L)
{
    if (kit->failure == LUA_NOREF)
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, kit->failure);
    luaL_unref(L, LUA_REGISTRYINDEX, kit->failure);
    kit->failure = LUA_NOREF;
    lua_error(L);
}

/* --- what Lua sees --- */

/* Appends the fields to the list on top, which has `n` items. */
static void append_fields(lua_State *L, const struct mg_fields *fields, int n)
{
    for (uint16_t i = 0; i < fields->n; i++) {
        const struct mg_field *f = &fields->v[i];
        lua_pushlstring(L, f->name, f->name_len);
        lua_rawseti(L, -2, ++n);
        lua_pushlstring(L, f->value, f->value_len);
        lua_rawseti(L, -2, ++n);
    }
}

void mg_kit_push_fields(lua_State *L, const struct mg_fields *fields)
{
    lua_newtable(L);
    if (fields)
        append_fields(L, fields, 0);
}

void mg_kit_push_message(lua_State *L, const struct mg_message *m, struct mg_str body)
{
    int n = 0;
    lua_createtable(L, 0, 16);
    if (m->status) {
        lua_pushinteger(L, m->status);
        lua_setfield(L, -2, "status");
    } else {
        lua_pushlstring(L, m->method.n ? m->method.p : "", m->method.n);
        lua_setfield(L, -2, "method");
        lua_pushlstring(L, m->path.n ? m->path.p : "", m->path.n);
        lua_setfield(L, -2, "path");
    }
    if (m->query.p) {
        lua_pushlstring(L, m->query.p, m->query.n);
        lua_setfield(L, -2, "query");
    }
    lua_pushlstring(L, body.n ? body.p : "", body.n);
    lua_setfield(L, -2, "body");
    lua_createtable(L, 2 * m->fields.n + 4, 0);
    if (m->authority.n) { /* members of a message, fields to people */
        lua_pushliteral(L, "Host");
        lua_rawseti(L, -2, ++n);
        lua_pushlstring(L, m->authority.p, m->authority.n);
        lua_rawseti(L, -2, ++n);
    }
    if (m->content_length >= 0) {
        lua_pushliteral(L, "Content-Length");
        lua_rawseti(L, -2, ++n);
        lua_pushfstring(L, "%I", (LUAI_UACINT)m->content_length);
        lua_rawseti(L, -2, ++n);
    }
    append_fields(L, &m->fields, n);
    lua_setfield(L, -2, "fields");
}

static uint64_t after(lua_State *L, const struct mg_kit *kit, int arg)
{
    lua_Number seconds = luaL_checknumber(L, arg);
    luaL_argcheck(L, seconds >= 0 && seconds <= 1e9, arg, "seconds from 0 to 1e9 expected");
    return mg_loop_now(kit->loop) + (uint64_t)(seconds * (double)MG_SECOND + 0.5);
}

/* kit:advance(seconds) */
static int l_advance(lua_State *L)
{
    struct mg_kit *kit = mg_kit_check(L, 1);
    mg_kit_run(kit, L, after(L, kit, 2), NULL);
    mg_kit_raise_failure(kit, L);
    return 0;
}

/* kit:settle() */
static int l_settle(lua_State *L)
{
    struct mg_kit *kit = mg_kit_check(L, 1);
    mg_kit_settle(kit, L);
    mg_kit_raise_failure(kit, L);
    return 0;
}

/* kit:present() */
static int l_present(lua_State *L)
{
    struct mg_kit *kit = mg_kit_check(L, 1);
    mg_kit_run_present(kit, L);
    mg_kit_raise_failure(kit, L);
    return 0;
}

/* kit:check(): raises when it cannot run. */
static int l_check(lua_State *L)
{
    check_idle(L, mg_kit_check(L, 1)->home);
    return 0;
}

static int l_now(lua_State *L)
{
    const struct mg_kit *kit = mg_kit_check(L, 1);
    lua_pushnumber(L, (double)(mg_loop_now(kit->loop) - MG_SECOND) / 1e9);
    return 1;
}

static int l_turns(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)mg_loop_turns(mg_kit_check(L, 1)->loop));
    return 1;
}

static int l_log(lua_State *L)
{
    const struct mg_kit *kit = mg_kit_check(L, 1);
    lua_pushlstring(L, kit->log.n ? kit->log.p : "", kit->log.n);
    return 1;
}

static int l_close(lua_State *L)
{
    struct mg_kit *kit = luaL_checkudata(L, 1, MG_KIT_TYPE);
    check_idle(L, kit->home);
    mg_kit_close(kit);
    return 0;
}

static int l_gc(lua_State *L)
{
    struct mg_kit *kit = lua_touserdata(L, 1);
    if (is_closed(kit))
        return 0;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, COLLECTED);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    return 0;
}

/* module(name): one of our own Lua modules, from the sandbox of the base. */
static int l_module(lua_State *L)
{
    struct mg_kit_home *home = home_of(L);
    const char *name = luaL_checkstring(L, 1);
    check_idle(L, home);
    mg_guest_enter(&home->base, L);
    if (mg_sandbox_require(L, name) != MG_OK)
        return lua_error(L);
    return 1;
}

/* Makes the base look for policies in the folders of the list at `index`. */
static void set_folders(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    size_t count = lua_rawlen(L, index);
    struct mg_str *paths = lua_newuserdatauv(L, (count + 1) * sizeof *paths, 0);
    for (size_t i = 0; i < count; i++) {
        if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "folders must be strings");
        paths[i].p = lua_tolstring(L, -1, &paths[i].n); /* which the list keeps alive */
        lua_pop(L, 1);
    }
    mg_policies_set_paths(L, paths, count);
    lua_pop(L, 1);
}

static void enter_base(lua_State *L, int folders)
{
    struct mg_kit_home *home = home_of(L);
    check_idle(L, home);
    mg_guest_enter(&home->base, L);
    set_folders(L, folders);
}

/* policy_names(folders) -> list: of those in the folders and of the built-in ones. */
static int l_policy_names(lua_State *L)
{
    enter_base(L, 1);
    mg_policies_names(L);
    return 1;
}

/* policy(name, folders) -> module | nil: there is none | nil, why it cannot be loaded. As the
 * gateway finds and loads it. */
static int l_policy(lua_State *L)
{
    struct mg_str name;
    struct mg_error err;
    name.p = luaL_checklstring(L, 1, &name.n);
    enter_base(L, 2);
    enum mg_rc rc = mg_policies_load(L, name, &err);
    if (rc == MG_OK)
        return 1;
    lua_pushnil(L);
    if (rc != MG_EOF)
        lua_pushstring(L, err.text);
    return rc == MG_EOF ? 1 : 2;
}

/* For package.preload: `moongate` as spec code has it. */
static int l_open_moongate(lua_State *L)
{
    lua_settop(L, 0);
    lua_pushliteral(L, "moongate");
    return l_module(L);
}

static void preload(lua_State *L, const char *name, lua_CFunction open)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

int mg_kit_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"start", mg_kit_client_start},
        {"connect", mg_kit_client_connect},
        {"wait", mg_kit_client_wait},
        {"check", l_check},
        {"advance", l_advance},
        {"settle", l_settle},
        {"present", l_present},
        {"now", l_now},
        {"turns", l_turns},
        {"log", l_log},
        {"redis_reach", mg_kit_redis_reach},
        {"close", l_close},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {{"check", mg_kit_check_config},
                                         {"new", mg_kit_new},
                                         {"module", l_module},
                                         {"policy", l_policy},
                                         {"policy_names", l_policy_names},
                                         {NULL, NULL}};
    home_of(L);
    luaL_newmetatable(L, MG_KIT_TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    mg_kit_client_open(L);
    mg_kit_upstream_open(L);
    preload(L, "moongate", l_open_moongate);
    preload(L, "moongate.yaml", mg_yaml_open);
    preload(L, "moongate.files", mg_files_open);
    luaL_newlib(L, functions);
    mg_kit_sources_open(L);
    return 1;
}
