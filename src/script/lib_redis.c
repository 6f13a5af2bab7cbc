/*
 * Commands to a Redis. Worker thread.
 *
 * One Lua call is one wait: a command, or those of a pipeline. It lies in a userdata on the waiting
 * coroutine's stack, below which the arguments are: so they stay where they are until the wait is
 * over, and are not copied.
 */
#include "script/lib_redis.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "crypto/digest.h"
#include "gateway/worker_redis.h"
#include "redis/eval.h"
#include "script/context.h"
#include "script/fail.h"
#include "script/json.h"

#define REDIS "moongate.Redis"
#define SCRIPT "moongate.RedisScript"
#define PIPELINE "moongate.RedisPipeline"
#define WAIT "moongate.redis wait"
#define ARGS_MAX 65536
#define PIPELINE_MAX 4096
#define SHA1_HEX (2 * MG_SHA1_BYTES)

struct redis {
    struct mg_redis_client *client; /* borrowed from the worker's generation, as old as the state */
};

/* Its user values: the redis, and the script's text. */
struct redis_script {
    struct mg_redis_client *client;
    char sha1[SHA1_HEX];
};

/* Its user value: a list of commands, each a list of texts. */
struct pipeline {
    int count;
    bool open;        /* its function runs */
    bool transaction; /* MULTI without EXEC so far */
};

struct wait {
    struct mg_task *task; /* NULL: nobody waits yet, or no more */
    struct mg_redis_client *client;
    struct mg_redis_eval *eval; /* in place of calls; NULL: no script */
    struct mg_arena replies;    /* copies, for a pipeline */
    uint32_t count, left;
    bool piped;
    struct mg_redis_call calls[];
};

/* --- arguments --- */

/* These change a connection, or hold it: it is shared with other requests. Sorted. */
static const char *const refused[] = {
    "asking",     "auth",        "blmove",   "blmpop",       "blpop",     "brpop",
    "brpoplpush", "bzmpop",      "bzpopmax", "bzpopmin",     "client",    "hello",
    "monitor",    "psubscribe",  "psync",    "punsubscribe", "quit",      "readonly",
    "readwrite",  "reset",       "select",   "ssubscribe",   "subscribe", "sunsubscribe",
    "sync",       "unsubscribe", "unwatch",  "wait",         "waitaof",   "watch",
};
static const char *const of_transactions[] = {"discard", "exec", "multi"};

static int compare_names(const void *key, const void *item)
{
    return strcasecmp(key, *(const char *const *)item);
}

static bool is_one_of(const char *name, const char *const *list, size_t count)
{
    return bsearch(name, list, count, sizeof *list, compare_names) != NULL;
}

static void check_name(lua_State *L, int arg, struct pipeline *p)
{
    const char *name = lua_tostring(L, arg);
    if (is_one_of(name, refused, sizeof refused / sizeof *refused))
        luaL_error(L, "redis: '%s' is refused: the connection is shared with other requests", name);
    if (!is_one_of(name, of_transactions, sizeof of_transactions / sizeof *of_transactions))
        return;
    if (!p)
        luaL_error(L, "redis: '%s' is for a pipeline", name);
    p->transaction = strcasecmp(name, "multi") == 0;
}

/* Redis takes "3" for an integer, but not "3.0"; and all digits of a float matter. */
static void push_float(lua_State *L, int arg)
{
    char text[40];
    lua_Number value = lua_tonumber(L, arg);
    lua_Integer whole;
    if (isnan(value))
        luaL_argerror(L, arg, "not a number");
    if (lua_numbertointeger(value, &whole) && (lua_Number)whole == value) {
        lua_pushinteger(L, whole);
        lua_tostring(L, -1);
        return;
    }
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof text, "%.17g", value);
    lua_pushstring(L, text);
}

/* Makes the argument a text. */
static void make_text(lua_State *L, int arg)
{
    switch (lua_type(L, arg)) {
    case LUA_TSTRING:
        return;
    case LUA_TNUMBER:
        if (lua_isinteger(L, arg)) {
            lua_tostring(L, arg);
            return;
        }
        push_float(L, arg);
        lua_replace(L, arg);
        return;
    default:
        luaL_typeerror(L, arg, "string or number");
    }
}

/* The arguments from `first` to the top are a command. */
static int check_command(lua_State *L, int first, struct pipeline *p)
{
    int count = lua_gettop(L) - first + 1;
    if (count < 1)
        luaL_argerror(L, first, "command expected");
    luaL_argcheck(L, lua_type(L, first) == LUA_TSTRING, first, "command expected");
    for (int i = 0; i < count; i++)
        make_text(L, first + i);
    check_name(L, first, p);
    return count;
}

/* --- results --- */

static void push_server_error(lua_State *L, struct mg_str text)
{
    ptrdiff_t word = mg_str_find(text, ' ');
    lua_pushlstring(L, text.p, text.n);
    mg_fail_wrap(L, "redis");
    lua_pushlstring(L, text.p, word < 0 ? text.n : (size_t)word);
    lua_setfield(L, -2, "kind");
}

static void push_reply(lua_State *L, const struct mg_redis_reply *r)
{
    luaL_checkstack(L, 6, NULL);
    switch (r->type) {
    case MG_REDIS_NIL:
        mg_json_push_null(L);
        break;
    case MG_REDIS_STRING:
    case MG_REDIS_STATUS:
        lua_pushlstring(L, r->str.n ? r->str.p : "", r->str.n);
        break;
    case MG_REDIS_ERROR:
        push_server_error(L, r->str);
        break;
    case MG_REDIS_INTEGER:
        lua_pushinteger(L, r->integer);
        break;
    case MG_REDIS_ARRAY:
        lua_createtable(L, (int)r->count, 0);
        for (size_t i = 0; i < r->count; i++) {
            push_reply(L, &r->items[i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    }
}

static void push_call_error(lua_State *L, const struct mg_redis_call *call)
{
    lua_pushstring(L, call->detail);
    mg_fail_wrap(L, mg_redis_error_code(call->error));
}

static int push_one(lua_State *L, const struct mg_redis_call *call)
{
    if (call->error) {
        lua_pushnil(L);
        push_call_error(L, call);
        return 2;
    }
    if (call->reply->type != MG_REDIS_ERROR) {
        push_reply(L, call->reply);
        return 1;
    }
    lua_pushnil(L);
    push_server_error(L, call->reply->str);
    return 2;
}

/* The list of what came; when something did not: nil and the first failure, which has the list. */
static int push_all(lua_State *L, struct wait *w)
{
    const struct mg_redis_call *failed = NULL;
    lua_createtable(L, (int)w->count, 0);
    for (uint32_t i = 0; i < w->count; i++) {
        struct mg_redis_call *call = &w->calls[i];
        if (call->error) {
            failed = failed ? failed : call;
            push_call_error(L, call);
        } else {
            push_reply(L, call->reply);
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    mg_arena_release(&w->replies);
    if (!failed)
        return 1;
    lua_pushnil(L);
    push_call_error(L, failed);
    lua_rotate(L, -3, 2);
    lua_setfield(L, -2, "results");
    return 2;
}

/* Runs as Lua code, so that it may run out of memory without harm: the continuation of the wait. A
 * single reply is still where the connection has it. */
static int give_results(lua_State *L, int status, lua_KContext k)
{
    struct wait *w = (struct wait *)k;
    (void)status;
    luaL_checkstack(L, 8, NULL);
    if (w->piped)
        return push_all(L, w);
    return push_one(L, w->eval ? &w->eval->call : w->calls);
}

/* --- waiting --- */

static void cancel_wait(void *arg)
{
    struct wait *w = arg;
    w->task = NULL;
    for (uint32_t i = 0; i < w->count; i++)
        mg_redis_call_cancel(&w->calls[i]);
    if (w->eval)
        mg_redis_eval_cancel(w->eval);
    mg_arena_release(&w->replies);
}

static int l_wait_gc(lua_State *L)
{
    struct wait *w = lua_touserdata(L, 1);
    mg_arena_release(&w->replies);
    return 0;
}

static void resume(struct wait *w)
{
    struct mg_task *task = w->task;
    w->task = NULL;
    mg_task_resume(task, 0);
}

static void on_done(struct mg_redis_call *call)
{
    struct wait *w = call->owner;
    if (w->piped && call->reply)
        call->reply = mg_redis_reply_copy(&w->replies, call->reply);
    else if (w->piped && call->detail)
        call->detail = mg_arena_str(&w->replies, mg_str_c(call->detail)).p;
    if (--w->left == 0)
        resume(w);
}

static void on_eval_done(struct mg_redis_eval *e)
{
    resume(e->owner);
}

/* Pushes a wait for so many commands, which have so many arguments together. */
static struct wait *push_wait(lua_State *L, struct mg_redis_client *client, uint32_t count,
                              size_t args)
{
    struct wait *w;
    size_t bytes = sizeof *w + count * sizeof w->calls[0];
    w = lua_newuserdatauv(L, bytes + args * (sizeof(char *) + sizeof(size_t)), 0);
    memset(w, 0, bytes);
    w->client = client;
    w->count = w->left = count;
    const char **argv = (const char **)((char *)w + bytes);
    for (uint32_t i = 0; i < count; i++) {
        w->calls[i].on_done = on_done;
        w->calls[i].owner = w;
    }
    if (count > 0) {
        w->calls[0].argv = argv;
        w->calls[0].lengths = (size_t *)(argv + args);
    }
    return w;
}

/* Pushes the run of a script with so many arguments, and a wait for it. */
static struct wait *push_script_wait(lua_State *L, struct mg_redis_client *client, int args)
{
    size_t room = (size_t)args * (sizeof(char *) + sizeof(size_t));
    struct mg_redis_eval *e = lua_newuserdatauv(L, sizeof *e + room, 0);
    memset(e, 0, sizeof *e);
    e->call.argc = args;
    e->call.argv = (const char **)(e + 1);
    e->call.lengths = (size_t *)(e->call.argv + args);
    struct wait *w = push_wait(L, client, 0, 0);
    w->eval = e;
    e->on_done = on_eval_done;
    e->owner = w;
    return w;
}

static enum mg_redis_error start(struct wait *w)
{
    if (w->eval)
        return mg_redis_eval_start(w->eval, w->client);
    return mg_redis_client_start(w->client, w->calls, w->count);
}

static int run(lua_State *L, struct wait *w, const char *what)
{
    w->task = mg_task_check_wait(L, what);
    if (start(w) != MG_REDIS_OK)
        return give_results(L, LUA_OK, (lua_KContext)w);
    return mg_task_wait_k(w->task, cancel_wait, w, (lua_KContext)w, give_results);
}

/* --- commands --- */

/* A view of the text at that stack index. */
static void set_arg(lua_State *L, const struct mg_redis_call *call, int i, int index)
{
    call->argv[i] = lua_tolstring(L, index, &call->lengths[i]);
}

static struct mg_redis_client *check_redis(lua_State *L)
{
    return ((struct redis *)luaL_checkudata(L, 1, REDIS))->client;
}

/* redis:command(name, ...) */
static int l_command(lua_State *L)
{
    struct mg_redis_client *client = check_redis(L);
    int count = check_command(L, 2, NULL);
    struct wait *w = push_wait(L, client, 1, (size_t)count);
    w->calls->argc = count;
    for (int i = 0; i < count; i++)
        set_arg(L, w->calls, i, 2 + i);
    return run(L, w, "redis:command");
}

/* --- pipelines --- */

/* p:command(name, ...) */
static int l_pipeline_command(lua_State *L)
{
    struct pipeline *p = luaL_checkudata(L, 1, PIPELINE);
    if (!p->open)
        luaL_error(L, "redis: the pipeline was sent already");
    if (p->count == PIPELINE_MAX)
        luaL_error(L, "redis: more than %d commands in a pipeline", PIPELINE_MAX);
    int count = check_command(L, 2, p);
    lua_createtable(L, count, 0);
    lua_insert(L, 2);
    for (int i = count; i > 0; i--)
        lua_rawseti(L, 2, i);
    lua_getiuservalue(L, 1, 1);
    lua_insert(L, 2);
    lua_rawseti(L, 2, ++p->count);
    return 0;
}

static struct pipeline *push_pipeline(lua_State *L)
{
    struct pipeline *p = lua_newuserdatauv(L, sizeof *p, 1);
    *p = (struct pipeline){.open = true};
    luaL_setmetatable(L, PIPELINE);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
    return p;
}

static size_t count_args(lua_State *L, int list, int count)
{
    size_t args = 0;
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, list, i);
        args += lua_rawlen(L, -1);
        lua_pop(L, 1);
    }
    return args;
}

/* Points the calls at the texts in the list, which stays on the stack. */
static void take_commands(lua_State *L, int list, struct wait *w)
{
    const char **argv = w->calls[0].argv;
    size_t *lengths = w->calls[0].lengths;
    for (uint32_t c = 0; c < w->count; c++) {
        struct mg_redis_call *call = &w->calls[c];
        lua_rawgeti(L, list, c + 1);
        call->argc = (int)lua_rawlen(L, -1);
        call->argv = argv;
        call->lengths = lengths;
        for (int i = 0; i < call->argc; i++) {
            lua_rawgeti(L, -1, i + 1);
            *argv++ = lua_tolstring(L, -1, lengths++);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
}

/* redis:pipeline(function(p) p:command(...) ... end) */
static int l_pipeline(lua_State *L)
{
    struct mg_redis_client *client = check_redis(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    const struct mg_context *ctx = mg_context_check(L, "redis:pipeline");
    struct pipeline *p = push_pipeline(L);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_call(L, 1, 0);
    p->open = false;
    if (p->transaction)
        luaL_error(L, "redis: the pipeline has a 'MULTI' without its 'EXEC'");
    lua_getiuservalue(L, 3, 1);
    if (p->count == 0)
        return 1;
    struct wait *w = push_wait(L, client, (uint32_t)p->count, count_args(L, 4, p->count));
    w->piped = true;
    mg_arena_init(&w->replies, &ctx->wg->worker->chunks);
    luaL_setmetatable(L, WAIT);
    take_commands(L, 4, w);
    return run(L, w, "redis:pipeline");
}

/* --- scripts --- */

/* redis:script(text) */
static int l_script(lua_State *L)
{
    static const char digits[] = "0123456789abcdef";
    struct mg_redis_client *client = check_redis(L);
    struct mg_str text;
    uint8_t sha1[MG_SHA1_BYTES];
    text.p = luaL_checklstring(L, 2, &text.n);
    luaL_argcheck(L, text.n > 0, 2, "the text of a script expected");
    struct redis_script *s = lua_newuserdatauv(L, sizeof *s, 2);
    s->client = client;
    mg_digest_sha1(text, sha1);
    for (int i = 0; i < MG_SHA1_BYTES; i++) {
        s->sha1[2 * i] = digits[sha1[i] >> 4];
        s->sha1[2 * i + 1] = digits[sha1[i] & 15];
    }
    luaL_setmetatable(L, SCRIPT);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 2);
    return 1;
}

static int list_length(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg))
        return 0;
    luaL_checktype(L, arg, LUA_TTABLE);
    size_t n = lua_rawlen(L, arg);
    luaL_argcheck(L, n <= ARGS_MAX, arg, "too many");
    return (int)n;
}

/* Pushes the items as texts. */
static void push_list(lua_State *L, int arg, int count)
{
    luaL_checkstack(L, count + 4, "too many keys and arguments");
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, arg, i);
        int type = lua_type(L, -1);
        if (type != LUA_TSTRING && type != LUA_TNUMBER)
            luaL_argerror(L, arg,
                          lua_pushfstring(L, "item %d: expected string or number, got %s", i,
                                          luaL_typename(L, -1)));
        make_text(L, lua_gettop(L));
    }
}

/* script:run(keys, args) */
static int l_run(lua_State *L)
{
    struct redis_script *s = luaL_checkudata(L, 1, SCRIPT);
    lua_settop(L, 3);
    int keys = list_length(L, 2), args = list_length(L, 3);
    lua_getiuservalue(L, 1, 2);
    lua_pushlstring(L, s->sha1, sizeof s->sha1);
    lua_pushfstring(L, "%d", keys);
    push_list(L, 2, keys);
    push_list(L, 3, args);
    struct wait *w = push_script_wait(L, s->client, MG_REDIS_EVAL_KEYS + keys + args);
    w->eval->text.p = lua_tolstring(L, 4, &w->eval->text.n);
    for (int i = MG_REDIS_EVAL_SCRIPT; i < w->eval->call.argc; i++)
        set_arg(L, &w->eval->call, i, 4 + i);
    return run(L, w, "script:run");
}

/* --- opening --- */

/* mg.redis(name) */
static int l_redis(lua_State *L)
{
    const struct mg_worker_generation *wg = mg_script_of(L)->owner;
    struct mg_str name;
    name.p = luaL_checklstring(L, 1, &name.n);
    if (!wg)
        luaL_error(L, "mg.redis cannot be called while a module loads; call it in `new`");
    struct mg_redis_client *client = mg_worker_redis_find(wg, name);
    if (!client)
        luaL_error(L, "mg.redis: there is no redis '%s' in the config", name.p);
    struct redis *r = lua_newuserdatauv(L, sizeof *r, 0);
    r->client = client;
    luaL_setmetatable(L, REDIS);
    return 1;
}

static void make_type(lua_State *L, const char *name, const luaL_Reg *methods)
{
    luaL_newmetatable(L, name);
    lua_createtable(L, 0, 4);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void mg_lib_redis_open(lua_State *L)
{
    static const luaL_Reg redis[] = {
        {"command", l_command}, {"pipeline", l_pipeline}, {"script", l_script}, {NULL, NULL}};
    static const luaL_Reg script[] = {{"run", l_run}, {NULL, NULL}};
    static const luaL_Reg pipeline[] = {{"command", l_pipeline_command}, {NULL, NULL}};
    make_type(L, REDIS, redis);
    make_type(L, SCRIPT, script);
    make_type(L, PIPELINE, pipeline);
    luaL_newmetatable(L, WAIT);
    lua_pushcfunction(L, l_wait_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_pushcfunction(L, l_redis);
    lua_setfield(L, -2, "redis");
}
