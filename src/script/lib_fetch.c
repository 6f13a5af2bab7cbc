/*
 * Calls to services. Worker thread.
 *
 * A call is one fetch with its options, time limit and response; a group is what one Lua call waits
 * for: one call (fetch), all of them (fetch_all), or the first that succeeds (race). When the group
 * has what it needs, the rest is cancelled, and their connections are freed with them.
 */
#include "script/lib_fetch.h"

#include "gateway/content.h"
#include "gateway/expr.h"
#include "script/call_options.h"
#include "script/fail.h"
#include "script/lib_body.h"
#include "script/lib_message.h"
#include "script/table.h"

#define PARALLEL_DEFAULT 8
#define CALLS_MAX 256
#define BACKOFF_NS (25 * MG_MILLISECOND) /* where the service has no rule for retries */

enum group_kind { ONE, ALL, RACE };
enum call_state { CALL_NEW, CALL_RUNNING, CALL_OK, CALL_FAILED, CALL_STOPPED };

struct group;

struct call {
    struct group *group;
    struct mg_str name; /* fetch_all: key in the table; "" else */
    struct mg_call_options o;
    struct mg_fetch fetch;
    struct mg_retry_config retry; /* o.retries as the fetch reads it */
    struct mg_timer timer;
    uint64_t deadline_ns; /* by o.timeout_ns; 0: none */
    struct mg_body_collector collector;
    struct mg_response res;
    enum call_state state;
    const char *code; /* why it failed: "connect_failed", "timeout", "status" ... */
    struct mg_str detail;
    unsigned status;                /* that it failed for; 0: for something else */
    bool open;                      /* fetch is to be ended */
    struct mg_adhoc_wait name_wait; /* waits for its host's name to be looked up */
};

struct group {
    struct mg_context *ctx;
    struct mg_task *task;
    enum group_kind kind;
    struct call *calls;
    uint32_t count, next, running, parallel;
    struct call *decided;  /* ONE, RACE: the call that counts; ALL: the required one that failed */
    struct mg_timer timer; /* ALL: for all of it; RACE: the next one's start */
    uint64_t delay_ns;     /* RACE */
    uint64_t timeout_ns;   /* ALL; 0: none */
    uint64_t deadline_ns;  /* by timeout_ns; 0: none */
    bool over;
};

static void start_call(struct call *c);
static void call_ended(struct call *c);

static uint64_t now(const struct group *g)
{
    return mg_loop_now(g->ctx->script->loop);
}

/* --- one call --- */

static void close_call(struct call *c)
{
    mg_timer_release(&c->timer);
    mg_list_remove(&c->name_wait.link);
    if (!c->open)
        return;
    c->open = false;
    mg_fetch_end(&c->fetch);
}

static void fail_call(struct call *c, const char *code, struct mg_str detail)
{
    close_call(c);
    c->state = CALL_FAILED;
    c->code = code;
    c->detail = detail;
    call_ended(c);
}

/* A body that broke off is past what the fetch tries again by itself. */
static bool call_again(struct call *c)
{
    uint32_t used = c->fetch.attempts - 1;
    if (c->group->kind == RACE || c->o.retries <= used)
        return false;
    c->o.retries -= used + 1;
    close_call(c);
    start_call(c);
    return true;
}

static void on_collected(void *arg, enum mg_collect_result result)
{
    struct call *c = arg;
    if (result == MG_COLLECT_TOO_LARGE) {
        fail_call(c, "too_large", MG_STR("the response is larger than buffered_body_bytes"));
        return;
    }
    if (result == MG_COLLECT_BROKEN && call_again(c))
        return;
    if (result == MG_COLLECT_BROKEN) {
        fail_call(c, mg_lib_body_error_code(c->res.body, false), mg_str_c(c->res.body->reason));
        return;
    }
    mg_response_hold_body(&c->res, c->group->ctx->arena,
                          mg_str(c->collector.bytes, c->collector.n));
    close_call(c);
    c->state = CALL_OK;
    call_ended(c);
}

static void on_response(struct mg_fetch *f)
{
    struct call *c = f->owner;
    enum mg_collect_result result;
    c->res = (struct mg_response){.msg = &f->out->response,
                                  .body = &f->out->response_body,
                                  .source = MG_SOURCE_UPSTREAM,
                                  .fetched = true,
                                  .fetch = f};
    if (mg_call_refuses(&c->o, f->out->response.status, c->group->kind != ONE)) {
        c->status = f->out->response.status;
        fail_call(c, "status",
                  mg_arena_printf(c->group->ctx->arena, "status %u", f->out->response.status));
        return;
    }
    if (c->o.stream) {
        mg_timer_release(&c->timer);
        c->state = CALL_OK;
        call_ended(c);
        return;
    }
    size_t limit = (size_t)c->group->ctx->wg->gen->buffered_body_bytes;
    mg_content_read_response(&c->res, c->group->ctx->wg->worker, c->group->ctx->arena);
    if (mg_body_collect(&c->collector, c->res.body, c->group->ctx->arena, limit, on_collected, c,
                        &result))
        on_collected(c, result);
}

static void on_failed(struct mg_fetch *f)
{
    struct call *c = f->owner;
    fail_call(c, mg_fetch_error_code(f->error), mg_str_c(f->detail));
}

static void on_timeout(void *arg)
{
    struct call *c = arg;
    fail_call(c, "timeout", MG_STR("no whole response in time"));
}

/* A stream's fetch goes on after the Lua call; it ends with the exchange at the latest. */
static void release_call(void *arg)
{
    close_call(arg);
}

/* The service's rule with as many attempts as the step asks for, and for any method: it knows what
 * it sends. */
static const struct mg_retry_config *retry_rule(struct call *c)
{
    const struct mg_guards *guards = mg_service_guards(c->o.picker->service);
    if (!c->o.retries || c->group->kind == RACE)
        return NULL;
    if (guards && guards->config.retry.attempts)
        c->retry = guards->config.retry;
    else
        c->retry = (struct mg_retry_config){.failures = MG_RETRY_CONNECT | MG_RETRY_RESET |
                                                        MG_RETRY_TIMEOUT,
                                            .backoff_ns = BACKOFF_NS};
    c->retry.attempts = c->o.retries;
    c->retry.methods = 0;
    for (unsigned status = 500; c->group->kind == ALL && status < 600; status++)
        if (mg_call_refuses(&c->o, status, true))
            mg_retry_add_status(&c->retry, status);
    return &c->retry;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a && (!b || a < b) ? a : b;
}

static void start_fetch(void *arg)
{
    struct call *c = arg;
    struct mg_context *ctx = c->group->ctx;
    struct mg_fetch *f = &c->fetch;
    memset(f, 0, sizeof *f);
    f->pools = &ctx->wg->worker->pools;
    f->picker = c->o.picker;
    f->request = &c->o.request;
    f->body = c->o.has_body ? mg_body_fixed(ctx->arena, c->o.body) : NULL;
    f->arena = ctx->arena;
    f->target = mg_call_options_target(&c->o, ctx->arena);
    if (ctx->req && mg_service_config(f->picker->service)->hash.n)
        f->key = mg_expr_text(ctx->req, mg_service_config(f->picker->service)->hash);
    f->retry = retry_rule(c);
    f->deadline_ns = earlier(c->deadline_ns, c->group->deadline_ns);
    if (ctx->ex)
        f->deadline_ns = earlier(f->deadline_ns, mg_wait_deadline(&ctx->ex->wait));
    f->on_response = on_response;
    f->on_failed = on_failed;
    f->owner = c;
    c->open = true;
    mg_fetch_start(f);
}

static void start_call(struct call *c)
{
    c->state = CALL_RUNNING;
    if (c->o.timeout_ns && !c->deadline_ns)
        c->deadline_ns = now(c->group) + c->o.timeout_ns;
    if (c->deadline_ns)
        mg_timer_set(&c->timer, c->deadline_ns);
    if (c->o.adhoc && !c->o.adhoc->settled)
        mg_adhoc_when_settled(c->o.adhoc, &c->name_wait, start_fetch, c);
    else
        start_fetch(c);
}

/* --- the group --- */

static void stop_calls(struct group *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        struct call *c = &g->calls[i];
        if (c->state == CALL_RUNNING) {
            c->state = CALL_STOPPED;
            close_call(c);
        }
        mg_timer_release(&c->timer);
    }
    mg_timer_release(&g->timer);
}

static void cancel_group(void *arg)
{
    struct group *g = arg;
    g->over = true;
    stop_calls(g);
}

static int push_error(lua_State *L, const struct call *c)
{
    lua_pushnil(L);
    lua_pushlstring(L, c->detail.n ? c->detail.p : "", c->detail.n);
    mg_fail_wrap(L, c->code);
    if (c->status) {
        lua_pushinteger(L, c->status);
        lua_setfield(L, -2, "status");
    }
    return 2;
}

/* The error of one of many. */
static void push_named_error(lua_State *L, const struct call *c)
{
    push_error(L, c);
    lua_remove(L, -2);
    lua_pushlstring(L, c->name.p, c->name.n);
    lua_setfield(L, -2, "name");
    lua_pushfstring(L, "%s: %s", c->code, c->detail.n ? c->detail.p : "");
    lua_setfield(L, -2, "reason");
}

/* Those that failed and may, by name; nil when there are none. */
static void push_failures(lua_State *L, const struct group *g, uint32_t count)
{
    if (count == 0) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, (int)count);
    for (uint32_t i = 0; i < g->count; i++) {
        const struct call *c = &g->calls[i];
        if (c->state != CALL_FAILED)
            continue;
        lua_pushlstring(L, c->name.p, c->name.n);
        push_named_error(L, c);
        lua_rawset(L, -3);
    }
}

static int push_all(lua_State *L, struct group *g)
{
    uint32_t failed = 0;
    if (g->decided) {
        lua_pushnil(L);
        push_named_error(L, g->decided);
        return 2;
    }
    lua_createtable(L, 0, (int)g->count);
    for (uint32_t i = 0; i < g->count; i++) {
        struct call *c = &g->calls[i];
        if (c->state != CALL_OK) {
            failed++;
            continue;
        }
        lua_pushlstring(L, c->name.p, c->name.n);
        mg_handle_push(L, g->ctx, MG_HANDLE_RESPONSE, &c->res);
        lua_rawset(L, -3);
    }
    push_failures(L, g, failed);
    return 2;
}

/* Runs as Lua code, so that it may run out of memory without harm: the continuation of the wait. */
static int give_results(lua_State *L, int status, lua_KContext k)
{
    struct group *g = (struct group *)k;
    (void)status;
    luaL_checkstack(L, 8, NULL);
    if (g->kind == ALL)
        return push_all(L, g);
    if (g->decided->state != CALL_OK)
        return push_error(L, g->decided);
    mg_handle_push(L, g->ctx, MG_HANDLE_RESPONSE, &g->decided->res);
    return 1;
}

static void group_done(struct group *g)
{
    g->over = true;
    stop_calls(g);
    mg_task_resume(g->task, 0);
}

static void start_more(struct group *g)
{
    while (g->next < g->count && g->running < g->parallel) {
        g->running++;
        start_call(&g->calls[g->next++]);
    }
}

static void race_next(struct group *g)
{
    if (g->next == g->count)
        return;
    g->running++;
    start_call(&g->calls[g->next++]);
    if (g->next < g->count)
        mg_timer_set(&g->timer, now(g) + g->delay_ns);
}

static void call_ended(struct call *c)
{
    struct group *g = c->group;
    if (g->over)
        return;
    g->running--;
    switch (g->kind) {
    case ONE:
        g->decided = c;
        break;
    case RACE:
        if (c->state != CALL_OK) {
            race_next(g); /* no use in waiting for the delay */
            if (g->running)
                return;
        }
        g->decided = c;
        break;
    case ALL:
        if (c->state == CALL_FAILED && !c->o.optional)
            g->decided = c;
        else if (g->next < g->count || g->running) {
            start_more(g);
            return;
        }
        break;
    }
    group_done(g);
}

static void on_group_timer(void *arg)
{
    struct group *g = arg;
    if (g->kind == RACE) {
        race_next(g);
        return;
    }
    /* Too late: required parts that are missing fail the whole, optional ones are left out. */
    for (uint32_t i = 0; i < g->count; i++) {
        struct call *c = &g->calls[i];
        if (c->state != CALL_RUNNING && c->state != CALL_NEW)
            continue;
        close_call(c);
        c->state = CALL_FAILED;
        c->code = "timeout";
        c->detail = MG_STR("not in time");
        if (!c->o.optional && !g->decided)
            g->decided = c;
    }
    group_done(g);
}

static struct group *new_group(struct mg_context *ctx, enum group_kind kind, uint32_t count)
{
    struct group *g = mg_arena_calloc(ctx->arena, sizeof *g);
    g->ctx = ctx;
    g->kind = kind;
    g->count = count;
    g->parallel = count;
    g->calls = mg_arena_calloc(ctx->arena, count * sizeof *g->calls);
    mg_timer_init(&g->timer, ctx->script->loop, on_group_timer, g);
    for (uint32_t i = 0; i < count; i++) {
        g->calls[i].group = g;
        mg_list_init(&g->calls[i].name_wait.link);
        mg_timer_init(&g->calls[i].timer, ctx->script->loop, on_timeout, &g->calls[i]);
    }
    return g;
}

static int wait_for_group(lua_State *L, struct group *g, const char *what)
{
    g->task = mg_task_check_wait(L, what);
    if (g->timeout_ns) {
        g->deadline_ns = now(g) + g->timeout_ns;
        mg_timer_set(&g->timer, g->deadline_ns);
    }
    for (uint32_t i = 0; i < g->count; i++)
        if (g->calls[i].o.stream)
            mg_arena_on_release(g->ctx->arena, release_call, &g->calls[i]);
    if (g->kind == RACE)
        race_next(g);
    else
        start_more(g);
    return mg_task_wait_k(g->task, cancel_group, g, (lua_KContext)g, give_results);
}

/* --- Lua functions --- */

static int l_fetch(lua_State *L)
{
    struct mg_context *ctx = mg_context_check(L, "mg.fetch");
    lua_settop(L, 2);
    struct group *g = new_group(ctx, ONE, 1);
    mg_call_options_read(L, 1, 2, ctx, "mg.fetch", &g->calls[0].o);
    return wait_for_group(L, g, "mg.fetch");
}

/* One { service, path=, ... } on top of the stack. */
static void read_spec(lua_State *L, struct mg_context *ctx, const char *what, struct call *c)
{
    if (!lua_istable(L, -1))
        luaL_error(L, "%s: expected a table { service, path = ... } for each call", what);
    lua_rawgeti(L, -1, 1);
    int top = lua_gettop(L);
    mg_call_options_read(L, top, top - 1, ctx, what, &c->o);
    lua_pop(L, 1);
}

static uint32_t count_specs(lua_State *L, const char *what)
{
    uint32_t n = 0;
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "%s: expected names as keys, got a %s", what, luaL_typename(L, -2));
        n++;
    }
    if (n > CALLS_MAX)
        luaL_error(L, "%s: more than %d calls", what, CALLS_MAX);
    return n;
}

/* The options of the whole call, at 2: nil, or a table with no other keys than `known`. */
static void check_options(lua_State *L, const char *what, const char *const *known)
{
    if (lua_isnil(L, 2))
        return;
    luaL_checktype(L, 2, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        const char *const *name = known;
        while (*name && (lua_type(L, -2) != LUA_TSTRING || strcmp(*name, lua_tostring(L, -2)) != 0))
            name++;
        if (!*name)
            luaL_error(L, "%s: unknown option '%s'", what, luaL_tolstring(L, -2, NULL));
    }
}

static uint64_t option_ns(lua_State *L, const char *name, const char *what)
{
    uint64_t ns = 0;
    if (lua_getfield(L, 2, name) != LUA_TNIL)
        ns = mg_call_seconds(L, -1, what, name);
    lua_pop(L, 1);
    return ns;
}

static int l_fetch_all(lua_State *L)
{
    struct mg_context *ctx = mg_context_check(L, "mg.fetch_all");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    check_options(L, "mg.fetch_all", (const char *const[]){"timeout", "max", NULL});
    struct group *g = new_group(ctx, ALL, count_specs(L, "mg.fetch_all"));
    g->parallel = PARALLEL_DEFAULT;
    if (!lua_isnil(L, 2)) {
        g->timeout_ns = option_ns(L, "timeout", "mg.fetch_all");
        if (lua_getfield(L, 2, "max") != LUA_TNIL) {
            lua_Integer max = luaL_checkinteger(L, -1);
            if (max < 1)
                luaL_error(L, "mg.fetch_all: max must be at least 1");
            g->parallel = max > CALLS_MAX ? CALLS_MAX : (uint32_t)max;
        }
        lua_pop(L, 1);
    }
    mg_table_push_keys(L, 1); /* in order: a run that is simulated again starts them alike */
    for (uint32_t i = 0; i < g->count; i++) {
        lua_rawgeti(L, 3, (lua_Integer)i + 1);
        g->calls[i].name = mg_context_copy(ctx, L, -1);
        lua_rawget(L, 1);
        read_spec(L, ctx, "mg.fetch_all", &g->calls[i]);
        lua_pop(L, 1);
    }
    lua_settop(L, 2);
    if (g->count == 0) {
        lua_newtable(L);
        return 1;
    }
    return wait_for_group(L, g, "mg.fetch_all");
}

static int l_race(lua_State *L)
{
    struct mg_context *ctx = mg_context_check(L, "mg.race");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    lua_Integer n = luaL_len(L, 1);
    if (n < 1 || n > CALLS_MAX)
        luaL_argerror(L, 1, "expected a list of calls");
    check_options(L, "mg.race", (const char *const[]){"delay", NULL});
    struct group *g = new_group(ctx, RACE, (uint32_t)n);
    if (!lua_isnil(L, 2))
        g->delay_ns = option_ns(L, "delay", "mg.race");
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, 1, i);
        read_spec(L, ctx, "mg.race", &g->calls[i - 1]);
        lua_pop(L, 1);
    }
    return wait_for_group(L, g, "mg.race");
}

static const luaL_Reg functions[] = {
    {"fetch", l_fetch}, {"fetch_all", l_fetch_all}, {"race", l_race}, {NULL, NULL}};

void mg_lib_fetch_open(lua_State *L)
{
    luaL_setfuncs(L, functions, 0);
}
